"""Parts of the reading as HTML: film with heat map, decision, probability scale, warnings, facts of the model."""

from collections.abc import Sequence
from html import escape

from cxr.types import PNEUMONIA, UNCERTAIN
from ui.figures import Layers
from ui.reading import Reading, Scale, scale_of
from ui.text import Language, attribution, brief_percent, number, percent, say, say_html

REFUSALS = ("not_frontal_chest", "inverted", "rotated", "blank")
"""Warning codes for which the input gate refuses an image."""


def viewer(layers: Layers, heat: bool = True) -> str:
    """The film, under its heat map unless it was refused; the caption names it for those who cannot see it."""
    map_layer = f'<img class="heat" src="{layers.heat}" alt="">' if heat else ""
    return (
        f'<div class="film" role="img" aria-labelledby="map-caption" '
        f'style="aspect-ratio:{layers.width}/{layers.height};--ratio:{layers.width / layers.height:.4f}">'
        f'<img src="{layers.film}" alt="">{map_layer}</div>'
    )


def caption(reading: Reading, language: Language) -> str:
    """What the heat map means on this film, with its colour scale."""
    if not reading.prediction.accepted:
        return f'<p id="map-caption">{say_html("map.refused", language)}</p>'
    coloured = "evidence" if reading.prediction.label == PNEUMONIA else "outweighed"
    kind = coloured if reading.heat else "none"
    ramp = (
        f'<div class="ramp" aria-hidden="true"><span>{say_html("map_weak", language)}</span><i></i>'
        f"<span>{say_html('map_strong', language)}</span></div>"
    )
    return f'{ramp if reading.heat else ""}<p id="map-caption">{say_html(f"map.{kind}", language)}</p>'


def result(reading: Reading | None, language: Language, stated: float | None = None) -> str:
    """The decision, the probability on its scale, warnings and facts; or, with no film yet, what will be here.

    stated: the visitor's prevalence in (0, 1), if any.
    """
    if reading is None:
        body = (
            f'<p class="decision none">{say_html("nothing_read", language)}</p>'
            f'<p class="plain">{say_html("nothing_read_hint", language)}</p>'
        )
        return _panel("none", body, language)
    opening = (
        _opinion(reading, language, stated) if reading.prediction.accepted else _refusal(reading, language)
    )
    notes = [note for note in reading.prediction.warnings if note not in REFUSALS]
    body = opening + warnings(notes, language) + facts(reading, language)
    return _panel(reading.prediction.label or "REFUSED", body, language)


def _opinion(reading: Reading, language: Language, stated: float | None) -> str:
    prediction, shown = reading.prediction, scale_of(reading, stated)
    return (
        f'<p class="decision">{say_html(f"decision.{prediction.label}", language)}</p>'
        f'<p class="plain">{say_html(f"meaning.{prediction.label}", language)}</p>'
        f"{truth(reading, language)}{probability_line(reading, shown, language)}"
        f"{scale(shown, language)}{scale_notes(reading, shown, language)}"
    )


def probability_line(reading: Reading, shown: Scale, language: Language) -> str:
    """The figure, and what kind of probability it is."""
    kind = "probability" if reading.model.calibrated else "probability_bare"
    kind = kind if shown.stated is None else "probability_adjusted"
    return (
        f'<p class="probability"><b>{escape(percent(shown.probability, language))}</b> '
        f"{say_html(kind, language)}</p>"
    )


def _refusal(reading: Reading, language: Language) -> str:
    reasons = "".join(
        f'<p class="plain">{say_html(f"warning.{code}", language)}</p>'
        for code in reading.prediction.warnings
        if code in REFUSALS
    )
    return (
        f'<p class="decision refused">{say_html("decision.REFUSED", language)}</p>{reasons}'
        f'<p class="plain">{say_html("meaning.REFUSED", language)}</p>{truth(reading, language)}'
    )


def truth(reading: Reading, language: Language) -> str:
    """For an example: its label beside the decision, and whether they agree; else nothing."""
    if reading.truth is None:
        return ""
    label = reading.prediction.label
    kind = (
        "refused"
        if label is None
        else "uncertain"
        if label == UNCERTAIN
        else "right"
        if label == reading.truth
        else "wrong"
    )
    said = say(
        f"truth.{kind}",
        language,
        truth=say(f"decision.{reading.truth}", language),
        decision=say(f"decision.{label or 'REFUSED'}", language),
    )
    return f'<p class="truth {kind}">{escape(said)}</p>'


def scale(shown: Scale, language: Language) -> str:
    """The probability on a line from 0 to 100%, with threshold, uncertain band and the names of the zones."""
    low, high = shown.band or (shown.threshold, shown.threshold)
    threshold = brief_percent(shown.threshold, language)
    said = say("scale", language, probability=percent(shown.probability, language), threshold=threshold)
    anchor = "left" if shown.threshold < 0.25 else "right" if shown.threshold > 0.75 else "middle"
    tick = say("threshold", language, threshold=threshold)
    return (
        f'<div class="scale" role="img" aria-label="{escape(said)}">'
        f'<div class="above"><span class="{anchor}" style="left:{shown.threshold:.2%}">{escape(tick)}</span></div>'
        f'<div class="track"><i class="zone normal" style="left:0;width:{low:.2%}"></i>'
        f'<i class="zone uncertain" style="left:{low:.2%};width:{high - low:.2%}"></i>'
        f'<i class="zone pneumonia" style="left:{high:.2%};width:{1 - high:.2%}"></i>'
        f'<i class="tick" style="left:{shown.threshold:.2%}"></i>'
        f'<i class="needle" style="left:{shown.probability:.2%}"></i></div>'
        f'<div class="below"><span>0 · {say_html("decision.NORMAL", language)}</span>'
        f"<span>{say_html('decision.PNEUMONIA', language)} · 100</span></div></div>"
    )


def scale_notes(reading: Reading, shown: Scale, language: Language) -> str:
    """What the band and the prevalence mean; where the visitor stated one, that the figure was adjusted, and how."""
    notes = []
    if shown.band:
        low, high = (brief_percent(edge, language) for edge in shown.band)
        notes.append(say("band", language, low=low, high=high))
    if shown.reference and shown.stated is None:
        notes.append(say("prevalence", language, prevalence=brief_percent(shown.reference, language)))
    lines = f'<p class="fine">{escape(" ".join(notes))}</p>' if notes else ""
    if shown.stated is None or shown.reference is None:
        return lines
    adjusted = say(
        "prevalence.adjusted",
        language,
        stated=brief_percent(shown.stated, language),
        reference=brief_percent(shown.reference, language),
        probability=percent(reading.prediction.probability, language),
    )
    return f'{lines}<p class="adjusted">{escape(adjusted)}</p>'


def warnings(notes: Sequence[str], language: Language) -> str:
    """What to mind about this film, or nothing."""
    if not notes:
        return ""
    rows = "".join(f"<li>{say_html(f'warning.{note}', language)}</li>" for note in notes)
    return f'<div class="warnings" role="note"><b>{say_html("warnings", language)}</b><ul>{rows}</ul></div>'


def facts(reading: Reading, language: Language) -> str:
    """Where the answer comes from: time, model, version, revision, weights, and how the model came to serve."""
    model = reading.model
    rows = [
        ("source", attribution(reading.source, language)),
        ("seconds", _milliseconds(reading.prediction.seconds, language)),
        ("model", f"{model.name} {model.version}".strip()),
        ("revision", model.revision[:12]),
        ("weights", model.sha256[:12]),
        ("state", say(f"state.{model.state}", language) if model.state != "as_asked" else ""),
    ]
    cells = "".join(
        f"<dt>{say_html(key, language)}</dt><dd>{escape(value)}</dd>" for key, value in rows if value
    )
    return f'<dl class="facts">{cells}</dl>'


def _milliseconds(seconds: float, language: Language) -> str:
    return f"{number(seconds * 1000, language)} ms" if seconds >= 0.001 else "<1 ms"


def _panel(label: str, body: str, language: Language) -> str:
    return (
        f'<section class="reading" data-label="{label}" aria-live="polite" '
        f'aria-label="{say_html("reading", language)}">{body}</section>'
    )
