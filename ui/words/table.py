"""The table of words: en.json and es.json, one entry a key, checked when they are loaded."""

import json
import string
from collections.abc import Mapping
from pathlib import Path

from cxr.imaging.decode import MAX_ASPECT, MAX_BYTES, MAX_PIXELS, MIN_SIDE
from ui.words.locales import LANGUAGES, Language, Locale, language_of

_LIMITS = {
    "mebibytes": MAX_BYTES // 2**20,
    "megapixels": MAX_PIXELS // 10**6,
    "side": MIN_SIDE,
    "aspect": MAX_ASPECT,
}
"""Placeholders that every word may use: the limits of decoding."""


def check_words(table: Mapping[Language, Mapping[str, str]]) -> None:
    """Raise ValueError unless all languages have the same keys, and each key the same placeholders in all."""
    first, *others = table
    for other in others:
        if odd := sorted(set(table[first]) ^ set(table[other])):
            raise ValueError(f"{first}.json and {other}.json do not have the same keys: {', '.join(odd)}")
        for key, words in table[first].items():
            if _placeholders(words) != _placeholders(table[other][key]):
                raise ValueError(f"{key} has other placeholders in {first}.json than in {other}.json")


def _placeholders(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name}


def _load() -> dict[Language, dict[str, str]]:
    here = Path(__file__).parent
    table: dict[Language, dict[str, str]] = {
        language: json.loads((here / f"{language}.json").read_text(encoding="utf-8"))
        for language in LANGUAGES
    }
    check_words(table)
    return table


WORDS = _load()


def say(key: str, locale: Locale, **values: object) -> str:
    """The words of `key` in the locale's language, placeholders filled. Raises KeyError for an unknown key."""
    return WORDS[language_of(locale)][key].format(**{**_LIMITS, **values})


def attribution(text: str, locale: Locale) -> str:
    """The attribution of an example as the trainer wrote it, translated where it is one of the two known forms."""
    if is_phantom(text):
        return say("attribution.phantom", locale)
    held_out = "held-out film of "
    if text.startswith(held_out):
        return say("attribution.held_out", locale, data=text.removeprefix(held_out))
    return text


def is_phantom(text: str) -> bool:
    """True for the attribution of a phantom."""
    return text.startswith("synthetic phantom")
