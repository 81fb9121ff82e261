"""What a check on own data found, as HTML: figures, curves, a suggested threshold and how far to trust it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

from evaluation.operating_point import Explorer, Share, Suggestion
from evaluation.predictions import ScoredFilm
from ui import about
from ui.text import Language, brief_percent, number, percent, say, say_html

if TYPE_CHECKING:  # it brings scikit-learn with it
    from evaluation.own_data import OwnData

_LISTED = 10


@dataclass(frozen=True, eq=False)
class Checked:
    """What the page remembers of a check: answers and figures, no pixel."""

    explorer: Explorer
    rows: Sequence[ScoredFilm]
    metrics: dict[str, Any]
    skipped: tuple[str, ...]


def remember(found: "OwnData") -> Checked:
    """What the page needs to say it again, in another language or for another wish; of the files, no name."""
    rows = tuple(replace(row, file="", patient="") for row in found.rows)
    return Checked(found.explorer, rows, found.metrics, tuple(found.skipped))


def shown(checked: Checked, language: Language, target: float, prevalence: float) -> str:
    """All of it. target: the wished sensitivity; prevalence: of the visitor's setting; both in (0, 1)."""
    metrics = checked.metrics
    point = checked.explorer.at(metrics["threshold"], prevalence)
    opening = say(
        "own.at_threshold",
        language,
        threshold=brief_percent(point.threshold, language),
        prevalence=brief_percent(prevalence, language),
    )
    method = say("own.method", language, resamples=number(metrics["bootstrap"]["resamples"], language))
    return (
        f'<section class="about own" aria-live="polite"><h2>{_headline(checked, language)}</h2>'
        f"{_skipped(checked.skipped, language)}<p>{escape(opening)}</p>"
        f"{about.explored(checked.explorer, list(checked.rows), point, language)}"
        f"{_suggestion(checked, checked.explorer.suggest(target), language, prevalence)}"
        f"<h3>{say_html('own.all_figures', language)}</h3>{about.figures_table(metrics, language)}"
        f'<p class="fine">{escape(method)}</p></section>'
    )


def _headline(checked: Checked, language: Language) -> str:
    metrics = checked.metrics
    return escape(
        say(
            "own.headline",
            language,
            n=number(metrics["n"], language),
            normal=number(metrics["n_normal"], language),
            pneumonia=number(metrics["n_pneumonia"], language),
            groups=number(metrics["n_groups"], language),
        )
    )


def _skipped(lines: Sequence[str], language: Language) -> str:
    if not lines:
        return ""
    rows = "".join(f"<li>{escape(line)}</li>" for line in lines[:_LISTED])
    title = escape(say("own.skipped", language, count=number(len(lines), language)))
    return f'<div class="warnings" role="note"><b>{title}</b><ul lang="en">{rows}</ul></div>'


def _suggestion(checked: Checked, found: Suggestion, language: Language, prevalence: float) -> str:
    point = checked.explorer.at(found.threshold, prevalence)
    lines = [
        say(
            "suggest.rule",
            language,
            target=brief_percent(found.target, language),
            threshold=percent(found.threshold, language),
            specificity=percent(found.specificity, language),
        )
    ]
    if found.interval:
        low, high = (percent(edge, language) for edge in found.interval)
        lines.append(say("suggest.interval", language, low=low, high=high))
    if found.new_sensitivity.ci95 and found.new_specificity.ci95 and found.reached is not None:
        lines.append(
            say(
                "suggest.new",
                language,
                sensitivity=_with_range(found.new_sensitivity, language),
                specificity=_with_range(found.new_specificity, language),
                reached=brief_percent(found.reached, language),
                target=brief_percent(found.target, language),
            )
        )
    few = _few(checked, found, language)
    return (
        f'<div class="suggestion"><h3>{say_html("suggest", language)}</h3>'
        f'<p class="threshold"><b>{escape(percent(found.threshold, language))}</b></p>'
        f"{''.join(f'<p>{escape(line)}</p>' for line in lines)}{few}{about.tiles(point, language)}</div>"
    )


def _few(checked: Checked, found: Suggestion, language: Language) -> str:
    """Said aloud where the suggestion hangs on very few films."""
    if found.may_miss >= 5 and found.interval:
        return ""
    key = "suggest.few" if found.may_miss else "suggest.one"
    said = say(
        key,
        language,
        pneumonia=number(checked.metrics["n_pneumonia"], language),
        missed=number(found.may_miss, language),
    )
    return f'<p class="adjusted">{escape(said)}</p>'


def _with_range(share: Share, language: Language) -> str:
    if share.value is None or share.ci95 is None:
        return "-"
    low, high = (percent(edge, language) for edge in share.ci95)
    return say("range", language, value=percent(share.value, language), low=low, high=high)
