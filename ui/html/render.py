"""Jinja2 with autoescape: every value that a template is given is text, unless it is `Markup`."""

from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from evaluation.html import html_templates
from ui.words import Locale, attribution, brief_percent, language_of, number, percent, say

_TEMPLATES = html_templates(Path(__file__).with_name("templates"))
_SPOKEN = {
    "say": say,
    "number": number,
    "percent": percent,
    "brief_percent": brief_percent,
    "attribution": attribution,
}


def render(template: str, locale: Locale, **values: Any) -> Markup:
    """The HTML of ui/html/templates/`template`.html.

    Args:
        template: The file's name without its suffix.
        locale: Words and numbers of the template are written in it: `say`, `number`, `percent` and
            `brief_percent` need not be told.
        values: What else the template names.
    """
    spoken = {name: partial(_in_locale, function, locale) for name, function in _SPOKEN.items()}
    html = _TEMPLATES.get_template(f"{template}.html").render(
        **spoken, locale=locale, language=language_of(locale), **values
    )
    return Markup(html.strip())


def _in_locale(function: Any, locale: Locale, first: Any, *rest: Any, **values: Any) -> str:
    written: str = function(first, locale, *rest, **values)
    return written
