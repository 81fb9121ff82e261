"""Parts of the page as HTML: head, film with heat map, reading, probability scale, facts of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from cxr.decision import DecisionSpec
from cxr.predictor import Prediction
from cxr.serving import Served
from cxr.types import PNEUMONIA
from ui.figures import Layers
from ui.model import HEADLINE, metrics, model_name, origin
from ui.text import WORDS, Language, attribution, brief_percent, number, percent, say


@dataclass(frozen=True)
class Reading:
    """What the page must remember of a film to say it again in another language: no pixel, no name.

    heat: whether its heat map shows anything. truth, source: label and attribution, of an example only.
    """

    prediction: Prediction
    heat: bool
    truth: str | None = None
    source: str = ""


def head(served: Served, language: Language) -> str:
    """Title, what this is, and what it is not."""
    warning = (
        f'<p class="strip" role="note">{_say("phantom_model", language)}</p>' if _synthetic(served) else ""
    )
    return (
        f'<div class="head"><h1>{_say("title", language)}</h1><p>{_say("subtitle", language)}</p></div>'
        f'<p class="notice" role="note">{_say("notice", language)}</p>{warning}'
    )


def viewer(layers: Layers) -> str:
    """The film under its heat map; the caption names it for those who cannot see it."""
    return (
        f'<div class="film" role="img" aria-labelledby="map-caption" '
        f'style="aspect-ratio:{layers.width}/{layers.height};--ratio:{layers.width / layers.height:.4f}">'
        f'<img src="{layers.film}" alt=""><img class="heat" src="{layers.heat}" alt=""></div>'
    )


def caption(reading: Reading, language: Language) -> str:
    """What the heat map means on this film, with its colour scale."""
    coloured = "evidence" if reading.prediction.label == PNEUMONIA else "outweighed"
    kind = coloured if reading.heat else "none"
    scale = (
        f'<div class="ramp" aria-hidden="true"><span>{_say("map_weak", language)}</span><i></i>'
        f"<span>{_say('map_strong', language)}</span></div>"
    )
    return f'{scale if reading.heat else ""}<p id="map-caption">{_say(f"map.{kind}", language)}</p>'


def result(reading: Reading | None, served: Served, language: Language) -> str:
    """The decision, the probability on its scale, warnings and facts; or, with no film yet, what will be here."""
    if reading is None:
        body = (
            f'<p class="decision none">{_say("nothing_read", language)}</p>'
            f'<p class="plain">{_say("nothing_read_hint", language)}</p>'
        )
        return _panel("none", body, language)
    prediction = reading.prediction
    calibrated = "probability" if served.predictor.bundle else "probability_bare"
    body = (
        f'<p class="decision">{_say(f"decision.{prediction.label}", language)}</p>'
        f'<p class="plain">{_say(f"meaning.{prediction.label}", language)}</p>'
        f'<p class="probability"><b>{escape(percent(prediction.probability, language))}</b> '
        f"{_say(calibrated, language)}</p>"
        + scale(prediction.probability, served.predictor.decision, language)
        + _warnings(prediction.warnings, language)
        + _facts(reading, served, language)
    )
    return _panel(prediction.label or "REFUSED", body, language)


def scale(probability: float, decision: DecisionSpec, language: Language) -> str:
    """The probability on a line from 0 to 100%, with threshold, uncertain band and the names of the zones."""
    threshold, band = decision.threshold, decision.uncertain_band
    low, high = band or (threshold, threshold)
    said = [
        say(
            "scale",
            language,
            probability=percent(probability, language),
            threshold=brief_percent(threshold, language),
        )
    ]
    notes = []
    if band:
        notes.append(
            say("band", language, low=brief_percent(low, language), high=brief_percent(high, language))
        )
    if decision.reference_prevalence:
        prevalence = brief_percent(decision.reference_prevalence, language)
        notes.append(say("prevalence", language, prevalence=prevalence))
    anchor = "left" if threshold < 0.25 else "right" if threshold > 0.75 else "middle"
    tick = say("threshold", language, threshold=brief_percent(threshold, language))
    notes_html = f'<p class="fine">{escape(" ".join(notes))}</p>' if notes else ""
    return (
        f'<div class="scale" role="img" aria-label="{escape(" ".join(said))}">'
        f'<div class="above"><span class="{anchor}" style="left:{threshold:.2%}">{escape(tick)}</span></div>'
        f'<div class="track"><i class="zone normal" style="left:0;width:{low:.2%}"></i>'
        f'<i class="zone uncertain" style="left:{low:.2%};width:{high - low:.2%}"></i>'
        f'<i class="zone pneumonia" style="left:{high:.2%};width:{1 - high:.2%}"></i>'
        f'<i class="tick" style="left:{threshold:.2%}"></i>'
        f'<i class="needle" style="left:{probability:.2%}"></i></div>'
        f'<div class="below"><span>0 · {_say("decision.NORMAL", language)}</span>'
        f"<span>{_say('decision.PNEUMONIA', language)} · 100</span></div></div>{notes_html}"
    )


def about(served: Served, language: Language) -> str:
    """What the model learned from, its limits, and what was measured."""
    limits = "".join(f"<li>{_say(f'limits.{row}', language)}</li>" for row in (1, 2, 3))
    return (
        f'<section class="about"><h2>{_say("about", language)}</h2><div class="columns">'
        f"<div><h3>{_say('learned', language)}</h3><p>{_learned(served, language)}</p></div>"
        f"<div><h3>{_say('limits', language)}</h3><ul>{limits}</ul></div>"
        f"<div><h3>{_say('measured', language)}</h3>{_measured(metrics(served), language)}</div></div>"
        f'<p class="fine">{_say("privacy", language)} {_say("notice", language)}</p></section>'
    )


def _panel(label: str, body: str, language: Language) -> str:
    return (
        f'<section class="reading" data-label="{label}" aria-live="polite" aria-label="{_say("reading", language)}">'
        f"{body}</section>"
    )


def _warnings(notes: Sequence[str], language: Language) -> str:
    if not notes:
        return ""
    rows = "".join(f"<li>{_say(f'warning.{note}', language)}</li>" for note in notes)
    return f'<div class="warnings" role="note"><b>{_say("warnings", language)}</b><ul>{rows}</ul></div>'


def _facts(reading: Reading, served: Served, language: Language) -> str:
    identity = served.predictor.identity
    name = f"{model_name(served)} {identity.version}".strip()
    rows = [
        ("truth", say(f"decision.{reading.truth}", language) if reading.truth else ""),
        ("source", attribution(reading.source, language)),
        ("seconds", f"{number(reading.prediction.seconds * 1000, language)} ms"),
        ("model", name),
        ("revision", identity.revision[:12]),
        ("weights", identity.sha256[:12]),
    ]
    cells = "".join(f"<dt>{_say(key, language)}</dt><dd>{escape(value)}</dd>" for key, value in rows if value)
    return f'<dl class="facts">{cells}</dl>'


def _learned(served: Served, language: Language) -> str:
    bundle = served.predictor.bundle
    training: Mapping[str, Any] = bundle.description.training if bundle else {}
    said = [say(f"learned.{origin(bundle)}", language, data=training.get("data", "?"))]
    if "films" in training and "prevalence" in training:
        count = number(training["films"]["train"], language)
        said.append(
            say("learned.films", language, count=count, share=percent(training["prevalence"], language, 0))
        )
    return escape(" ".join(said))


def _measured(found: Mapping[str, Any], language: Language) -> str:
    if not found:
        return f"<p>{_say('measured.none', language)}</p>"
    split = str(found["data"]["split"])
    validation = found.get("validation") if split != "validation" else None
    counts = {key: number(found[f"n{suffix}"], language) for key, suffix in _COUNTS.items()}
    said = say("measured.split", language, split=_split_name(split, language), **counts)
    header = f"<th></th><th>{_say('value', language)}</th>" + (
        f"<th>{_say('on_validation', language)}</th>" if validation else ""
    )
    rows = "".join(
        f'<tr><th scope="row">{_say(f"figure.{key}", language)}</th><td>{_figure(found[key], language)}</td>'
        + (f"<td>{_figure(validation[key], language, interval=False)}</td>" if validation else "")
        + "</tr>"
        for key in HEADLINE
    )
    return f"<p>{escape(said)}</p><table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"


_COUNTS = {"n": "", "normal": "_normal", "pneumonia": "_pneumonia"}


def _split_name(split: str, language: Language) -> str:
    return say(f"split.{split}", language) if f"split.{split}" in WORDS else split


def _figure(figure: Mapping[str, Any], language: Language, interval: bool = True) -> str:
    if figure["value"] is None:
        return "-"
    value = number(figure["value"], language, 3)
    if not interval or figure["ci95"] is None:
        return value
    low, high = (number(bound, language, 3) for bound in figure["ci95"])
    return f"{value} <small>[{low} - {high}]</small>"


def _synthetic(served: Served) -> bool:
    return origin(served.predictor.bundle) == "phantoms"


def _say(key: str, language: Language) -> str:
    return escape(say(key, language))
