"""What goes wrong on the page, in words for people."""

import gradio as gr
from markupsafe import escape

from cxr.errors import DataError, RequestError
from ui.words import Locale, reason_of, say


def problem(code: str, locale: Locale, **values: str) -> gr.Error:
    """The error of a stable code, for the visitor to read."""
    # The page shows the message as HTML, and of the title only that it is an error.
    words = str(escape(say(f"error.{code}", locale, **values)))
    return gr.Error(words, title=code, print_exception=False)


def refused(error: RequestError, locale: Locale) -> gr.Error:
    """What is wrong with a request; of an archive, what exactly is wrong with it."""
    if isinstance(error.__cause__, DataError):
        return problem("archive_refused", locale, reason=reason_of(error.__cause__).say(locale))
    return problem(error.code, locale)
