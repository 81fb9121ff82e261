"""The visitor's locale: the language of the words, and the region by which numbers are written (CLDR, by Babel)."""

import re
from functools import lru_cache
from typing import Literal, get_args

import babel
from babel.numbers import format_decimal, format_percent

Language = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
LANGUAGE_NAMES: dict[Language, str] = {"en": "English", "es": "Español"}

Locale = str
"""A BCP 47 tag of one of our languages, with or without a region: "en", "en-GB", "es-MX"."""
DEFAULT_LOCALE: Locale = "en"
_TAG = re.compile(r"(en|es)(?:-([a-z]{2}|\d{3}))?", re.IGNORECASE)
_WISH = re.compile(r"([a-z*]+(?:-[a-z0-9]+)*)(?:;q=([01](?:\.\d{0,3})?))?", re.IGNORECASE)


def language_of(locale: Locale) -> Language:
    """The language of a locale."""
    return "es" if locale[:2] == "es" else "en"


def as_locale(value: object) -> Locale:
    """`value` as a locale that CLDR knows; its language alone where the region is none; else English."""
    match = _TAG.match(value) if isinstance(value, str) else None
    if match is None:
        return DEFAULT_LOCALE
    language, region = match[1].lower(), (match[2] or "").upper()
    locale = f"{language}-{region}" if region else language
    return locale if _is_known(locale) else language


def locale_of(accept_language: str, language: Language | None = None) -> Locale:
    """The visitor's locale by the weights of an Accept-Language header (RFC 9110, 12.5.4), else English.

    Args:
        accept_language: The header, such as "es-MX,es;q=0.9,en;q=0.8".
        language: Where it is already chosen, only the region is taken from the header.
    """
    wishes: list[tuple[float, int, str]] = []
    for order, part in enumerate(accept_language.split(",")):
        match = _WISH.fullmatch(part.replace(" ", ""))
        if match and float(match[2] or 1) > 0:
            wishes.append((-float(match[2] or 1), order, match[1]))
    for _, _, wish in sorted(wishes):
        if wish.lower().partition("-")[0] in ((language,) if language else LANGUAGES):
            return as_locale(wish)
    return language or DEFAULT_LOCALE


@lru_cache(maxsize=256)
def _is_known(locale: Locale) -> bool:
    try:
        babel.Locale.parse(locale, sep="-")
    except (babel.UnknownLocaleError, ValueError):
        return False
    return True


@lru_cache(maxsize=256)
def _cldr(locale: Locale) -> babel.Locale:
    return babel.Locale.parse(as_locale(locale), sep="-")


def number(value: float, locale: Locale, decimals: int = 0) -> str:
    """1,234.5 in English and in Mexico; 1.234,5 in Spain and in Argentina."""
    return format_decimal(round(value, decimals), _decimals(decimals), locale=_cldr(locale))


def percent(share: float, locale: Locale, decimals: int = 1) -> str:
    """A share as a percentage; what is not quite none or all is never rounded to 0% or 100%."""
    least = 10.0 ** -(decimals + 2)
    sign = ""
    if 0 < share < least:
        share, sign = least, "<"
    elif 1 - least < share < 1:
        share, sign = 1 - least, ">"
    return sign + format_percent(
        round(share, decimals + 2), _percents(locale, decimals), locale=_cldr(locale)
    )


def brief_percent(share: float, locale: Locale) -> str:
    """A share as a percentage, with one decimal only where there is one to show."""
    return percent(share, locale, 1 if round(share * 1000) % 10 else 0)


def _decimals(decimals: int) -> str:
    return "#,##0" + ("." + "0" * decimals if decimals else "")


@lru_cache(maxsize=256)
def _percents(locale: Locale, decimals: int) -> str:
    """The locale's own pattern of percentages, which says whether a space stands before the sign."""
    pattern = str(_cldr(locale).percent_formats[None].pattern)
    return pattern.replace("#,##0", _decimals(decimals))
