"""The reading as HTML: film with heat map, decision, probability scale, warnings, facts of the model."""

import json
from dataclasses import dataclass

from markupsafe import Markup

from cxr.types import PNEUMONIA, UNCERTAIN, Decision
from ui.api.layers import Layers
from ui.html.reading import Reading, Scale, scale_of
from ui.html.render import render
from ui.words import Locale, attribution, number, say

REFUSALS = ("not_frontal_chest", "inverted", "rotated", "blank")
"""Warning codes for which the input gate refuses an image."""
VIEWER = (
    *("in", "out", "reset", "invert", "map", "full", "window", "level", "opacity"),
    *("overlay", "side", "contour", "layout", "toolbar", "stage", "film"),
)
"""The viewer's words, by their keys."""


@dataclass(frozen=True)
class Truth:
    """The label of an example beside the decision. kind: right, wrong, uncertain or refused."""

    kind: str
    words: str


@dataclass(frozen=True)
class ReadingView:
    """What the templates show of a reading.

    Attributes:
        decision: None for a refused image; then `refusals` tells why.
        scale: The probability with threshold and band, at the stated prevalence; None for a refused image.
        own_probability: The probability at the model's own prevalence; None for a refused image.
        probability_kind: The key of the words that say what kind of probability it is.
        warnings: Codes of what to mind, reasons of a refusal left out.
        facts: Rows of (key of words, value); without a value a row is left out.
        own_threshold: Whether the threshold is the visitor's own.
    """

    decision: Decision | None
    refused: bool
    scale: Scale | None
    own_probability: float | None
    probability_kind: str
    truth: Truth | None
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    own_threshold: bool = False


def view_of(reading: Reading, locale: Locale, stated: float | None) -> ReadingView:
    """What to show of a reading. stated: the visitor's prevalence in (0, 1), if any."""
    answer, scale = reading.answer, scale_of(reading, stated)
    kind = "probability" if reading.model.calibrated else "probability_bare"
    return ReadingView(
        decision=answer.decision,
        refused=not answer.answered,
        scale=scale,
        own_probability=answer.probability,
        probability_kind=kind if scale is None or scale.stated is None else "probability_adjusted",
        truth=truth(reading, locale),
        warnings=tuple(code for code in answer.warnings if code not in REFUSALS),
        refusals=tuple(code for code in answer.warnings if code in REFUSALS),
        facts=_facts(reading, locale),
        own_threshold=reading.own_threshold,
    )


def viewer(layers: Layers, key: str, heat: bool = True, shown: bool = True) -> Markup:
    """The film, under its heat map unless it was refused; the caption names it for those who cannot see it.

    Args:
        layers: The film and its map.
        key: A name of its own, which the address of the whole film holds.
        heat: Whether there is a map.
        shown: Whether the map is shown until the visitor chooses.
    """
    return render("film", "en", layers=layers, key=key, heat=heat, shown=shown)


def viewer_words(locale: Locale) -> Markup:
    """What the viewer's controls are called, for ui/assets/film_viewer.js."""
    words = {name: say(f"viewer.{name}", locale) for name in VIEWER}
    return render("viewer_words", locale, words=json.dumps(words, ensure_ascii=False))


def place(index: int, count: int, name: str, locale: Locale) -> Markup:
    """Which film of several is open."""
    return render("place", locale, index=index + 1, count=count, name=name)


def caption(reading: Reading, locale: Locale) -> Markup:
    """What the heat map means on this film, with its colour scale."""
    if not reading.answer.answered:
        return render("caption", locale, kind="refused", has_ramp=False, pointing=None)
    coloured = "evidence" if reading.answer.decision == PNEUMONIA else "outweighed"
    return render(
        "caption",
        locale,
        kind=coloured if reading.heat else "none",
        has_ramp=reading.heat,
        pointing=reading.model.pointing,
    )


def result(reading: Reading | None, locale: Locale, stated: float | None = None, problem: str = "") -> Markup:
    """The decision, the probability on its scale, warnings and facts; or, with no film yet, what will be here.

    Args:
        reading: The film's answer.
        locale: The visitor's.
        stated: The visitor's prevalence in (0, 1), if any.
        problem: A line below it, about what the visitor typed.
    """
    view = view_of(reading, locale, stated) if reading else None
    return render("result", locale, view=view, problem=problem)


def truth(reading: Reading, locale: Locale) -> Truth | None:
    """For an example: its label beside the decision, and whether they agree; else None."""
    if reading.truth is None:
        return None
    decision = reading.answer.decision
    if decision is None:
        kind = "refused"
    elif decision == UNCERTAIN:
        kind = "uncertain"
    else:
        kind = "right" if decision == reading.truth else "wrong"
    words = say(
        f"truth.{kind}",
        locale,
        truth=say(f"decision.{reading.truth}", locale),
        decision=say(f"decision.{decision or 'REFUSED'}", locale),
    )
    return Truth(kind, words)


def _facts(reading: Reading, locale: Locale) -> tuple[tuple[str, str], ...]:
    """Where the answer comes from: time, model, version, revision, weights, and where the model came from."""
    model = reading.model
    return (
        ("source", attribution(reading.source, locale)),
        ("seconds", _milliseconds(reading.seconds, locale)),
        ("model", f"{model.name} {model.version}".strip()),
        ("revision", model.revision[:12]),
        ("weights", model.sha256[:12]),
        ("state", say(f"state.{model.state}", locale) if model.state != "as_asked" else ""),
    )


def _milliseconds(seconds: float, locale: Locale) -> str:
    return f"{number(seconds * 1000, locale)} ms" if seconds >= 0.001 else "<1 ms"
