"""The words of the page: complete, used, and in both languages; and numbers as the visitor's region writes them."""

import re
from pathlib import Path
from typing import get_args

import pytest

from cxr.errors import DataRule, ImageRule, RequestRule
from cxr.model.figures import FIGURES
from cxr.serving.slot import State
from cxr.types import Decision, WarningCode
from ui import words as text

UI = Path(__file__).resolve().parents[1] / "ui"
CODE = {path: path.read_text(encoding="utf-8") for path in UI.rglob("*.py")}
TEMPLATES = {path: path.read_text(encoding="utf-8") for path in UI.rglob("*.html")}


def test_every_word_is_there_in_both_languages() -> None:
    assert set(text.WORDS) == set(text.LANGUAGES)
    for table in text.WORDS.values():
        assert [key for key, words in table.items() if not words or words != words.strip()] == []


@pytest.mark.parametrize(
    ("spanish", "problem"),
    [
        ({"a": "uno"}, "same keys: b"),
        ({"a": "uno", "b": "dos {n}", "c": "tres"}, "same keys: c"),
        ({"a": "uno", "b": "dos {m}"}, "b has other placeholders"),
    ],
)
def test_a_table_that_does_not_agree_is_refused(spanish: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        text.check_words({"en": {"a": "one", "b": "two {n}"}, "es": spanish})


def named_keys() -> list[tuple[str, str]]:
    """(file, pattern of keys) for everything that `say` is told to say in code and templates."""
    named = []
    for path, source in CODE.items():
        for match in re.finditer(
            r"""\b(?:say|problem|_status|escaped|Reason)\(\s*(f?)["']([\w.{}]+)["']""", source
        ):
            if "problem(" in match[0]:
                named.append((path.name, f"error.{match[2]}"))
            else:
                named.append((path.name, re.sub(r"\{.*?\}", "*", match[2])))
    for path, source in TEMPLATES.items():
        for match in re.finditer(r"""\bsay\(([^,()]+)[,)]""", source):
            parts = [part.strip() for part in match[1].split("~")]
            pattern = "".join(part.strip('"') if part.startswith('"') else "*" for part in parts)
            if pattern != "*":
                named.append((path.name, pattern))
    return named


def test_every_key_that_code_and_templates_name_is_in_the_table() -> None:
    keys = named_keys()
    assert len(keys) > 90
    for name, pattern in keys:
        form = re.compile(re.escape(pattern).replace(r"\*", ".+"))
        assert any(form.fullmatch(known) for known in text.WORDS["en"]), f"{name}: {pattern}"


def test_no_word_is_left_over() -> None:
    patterns = [re.compile(re.escape(key).replace(r"\*", ".+")) for _, key in named_keys()]
    quoted = set(re.findall(r"""["']([\w.]+)["']""", "".join([*CODE.values(), *TEMPLATES.values()])))
    quoted |= {f"{name}.intro" for name in quoted}  # the opening of a tab
    unused = [
        key
        for key in text.WORDS["en"]
        if key not in quoted and not any(pattern.fullmatch(key) for pattern in patterns)
    ]
    assert unused == []


def test_spanish_is_not_english() -> None:
    english, spanish = text.WORDS["en"], text.WORDS["es"]
    same = {key for key, words in english.items() if words == spanish[key]}
    assert same == {"decision.NORMAL", "figure.f1"}, "words that read the same in both languages"


def test_every_code_has_words_in_both_languages() -> None:
    codes = {f"warning.{code}" for code in get_args(WarningCode)}
    codes |= {f"error.{code}" for code in (*get_args(ImageRule), *get_args(RequestRule))}
    codes |= {f"data.{rule}" for rule in get_args(DataRule)}
    codes |= {f"state.{state}" for state in get_args(State)}
    codes |= {f"decision.{label}" for label in (*get_args(Decision), "REFUSED")}
    codes |= {f"{part}.{key}" for key in FIGURES for part in ("figure", "explain")}
    for table in text.WORDS.values():
        assert codes - set(table) == set()


# Locales and numbers


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("es-ES,es;q=0.9,en;q=0.8", "es-ES"),
        ("es-MX,es;q=0.9", "es-MX"),
        ("es-419,es;q=0.9", "es-419"),
        ("en-GB,en;q=0.9,es;q=0.8", "en-GB"),
        ("fr-FR,fr;q=0.9,es;q=0.5,en;q=0.4", "es"),  # neither first, Spanish before English
        ("en;q=0.2,es;q=0.7", "es"),  # weights before order
        ("es;q=0,en", "en"),  # a weight of 0 refuses
        ("es-XX", "es"),  # no such region
        ("de", "en"),
        ("", "en"),
        ("*", "en"),
        ("es;q=9999, nonsense;;", "en"),
    ],
)
def test_the_browsers_locale_is_followed(header: str, locale: str) -> None:
    assert text.locale_of(header) == locale


def test_a_chosen_language_keeps_the_region_of_the_browser() -> None:
    assert text.locale_of("en-US,es-MX;q=0.8", "es") == "es-MX"
    assert text.locale_of("en-US,en;q=0.8", "es") == "es"
    assert text.as_locale("<script>") == text.as_locale(None) == "en"


@pytest.mark.parametrize(
    ("share", "english", "spain", "mexico"),
    [
        (0.9731, "97.3%", "97,3\N{NO-BREAK SPACE}%", "97.3%"),
        (0.9999, ">99.9%", ">99,9\N{NO-BREAK SPACE}%", ">99.9%"),
        (0.0001, "<0.1%", "<0,1\N{NO-BREAK SPACE}%", "<0.1%"),
        (1.0, "100.0%", "100,0\N{NO-BREAK SPACE}%", "100.0%"),
    ],
)
def test_a_probability_is_never_rounded_to_certainty(
    share: float, english: str, spain: str, mexico: str
) -> None:
    assert text.percent(share, "en") == english
    assert text.percent(share, "es-ES") == text.percent(share, "es") == spain
    assert text.percent(share, "es-MX") == mexico


def test_numbers_are_written_as_the_region_does() -> None:
    written = {locale: text.number(12345.678, locale, 1) for locale in ("en", "es-ES", "es-MX", "es-AR")}
    assert written == {"en": "12,345.7", "es-ES": "12.345,7", "es-MX": "12,345.7", "es-AR": "12.345,7"}
    assert [text.brief_percent(share, "en") for share in (0.5, 0.125)] == ["50%", "12.5%"]
