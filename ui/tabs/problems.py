"""What goes wrong on the page, in words for people."""

import gradio as gr
from markupsafe import escape

from ui.words import Locale, say


def problem(code: str, locale: Locale, **values: str) -> gr.Error:
    """The error of a stable code, for the visitor to read."""
    # The page shows the message as HTML, and of the title only that it is an error.
    words = str(escape(say(f"error.{code}", locale, **values)))
    return gr.Error(words, title=code, print_exception=False)
