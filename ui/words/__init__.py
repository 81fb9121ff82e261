"""The words of the page in English and Spanish, and how numbers are written where the visitor lives.

en.json, es.json    the words, by key; checked when this is imported
table               `say`: the words of a key
locales             the visitor's locale, numbers and percentages in it
reasons             why a file or an archive cannot be used
"""

from ui.words.locales import (
    DEFAULT_LOCALE,
    LANGUAGE_NAMES,
    LANGUAGES,
    Language,
    Locale,
    as_locale,
    brief_percent,
    language_of,
    locale_of,
    number,
    percent,
)
from ui.words.reasons import Reason, reason_of
from ui.words.table import WORDS, attribution, check_words, is_phantom, say

__all__ = [
    "DEFAULT_LOCALE",
    "LANGUAGES",
    "LANGUAGE_NAMES",
    "WORDS",
    "Language",
    "Locale",
    "Reason",
    "as_locale",
    "attribution",
    "brief_percent",
    "check_words",
    "is_phantom",
    "language_of",
    "locale_of",
    "number",
    "percent",
    "reason_of",
    "say",
]
