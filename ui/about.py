"""What the page tells of the model as HTML: head, foot, training, limits, figures, operating point."""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from cxr.serving.slot import Served
from evaluation.calibration import reliability_bins
from evaluation.operating_point import Explorer, OperatingPoint, Share
from evaluation.predictions import ScoredFilm, labels_and_probabilities
from ui.charts import reliability_chart, roc_chart
from ui.model import metrics, model_name, origin
from ui.text import WORDS, Language, brief_percent, number, percent, say, say_html

FIGURES = (
    "roc_auc",
    "sensitivity",
    "specificity",
    "precision",
    "npv",
    "accuracy",
    "f1",
    "average_precision",
    "brier",
    "ece",
    "log_loss",
)
"""Keys of metrics.json in the order of the page."""
LIMITS = (1, 2, 3)
_PLOTS = ("roc", "precision_recall", "confusion", "reliability", "scores", "training_curves")
"""Plots of a bundle that the page shows; its grid of films is left to the bundle."""


def head(served: Served, language: Language) -> str:
    """Title, what this is, and what it is not."""
    strips = ["phantom_model"] if origin(served.predictor.bundle) == "phantoms" else []
    strips += [f"state.{served.state}"] if served.state == "cached" else []
    warnings = "".join(f'<p class="strip" role="note">{say_html(key, language)}</p>' for key in strips)
    return (
        f'<div class="head"><h1>{say_html("title", language)}</h1><p>{say_html("subtitle", language)}</p></div>'
        f'<p class="notice" role="note">{say_html("notice", language)}</p>{warnings}'
    )


def foot(language: Language) -> str:
    """Privacy, and where programs find their way in."""
    return (
        f'<p class="fine">{say_html("privacy", language)} {say_html("notice", language)} '
        f'<a href="?view=api">{say_html("foot.api", language)}</a></p>'
    )


def about(served: Served, language: Language) -> str:
    """What the model learned from, its limits, and which one it is."""
    limits = "".join(f"<li>{say_html(f'limits.{row}', language)}</li>" for row in LIMITS)
    return (
        f'<section class="about"><h2>{say_html("about", language)}</h2><div class="columns">'
        f"<div><h3>{say_html('learned', language)}</h3><p>{_learned(served, language)}</p>"
        f"{_identity(served, language)}</div>"
        f"<div><h3>{say_html('limits', language)}</h3><ul>{limits}</ul></div></div></section>"
    )


def measured(served: Served, language: Language) -> str:
    """The card's figures with their intervals."""
    found = metrics(served)
    if not found:
        return (
            f'<section class="about"><h2>{say_html("measured", language)}</h2>'
            f"<p>{say_html('measured.none', language)}</p></section>"
        )
    split = str(found["data"]["split"])
    validation = found.get("validation") if split != "validation" else None
    return (
        f'<section class="about"><h2>{say_html("measured", language)}</h2><p>{escape(_films(found, language))}</p>'
        f"{figures_table(found, language, validation)}{_gap(validation, language)}</section>"
    )


def figures_table(
    found: Mapping[str, Any], language: Language, validation: Mapping[str, Any] | None = None
) -> str:
    """Every figure with its interval and what it says; beside it, the value on validation films where known."""
    beside = f'<th scope="col">{say_html("on_validation", language)}</th>' if validation else ""
    rows = "".join(
        f'<tr><th scope="row">{say_html(f"figure.{key}", language)}'
        f"<small>{say_html(f'explain.{key}', language)}</small></th>"
        f"<td>{_figure(found[key], language)}</td>"
        + (f"<td>{_figure(validation.get(key), language, interval=False)}</td>" if validation else "")
        + "</tr>"
        for key in FIGURES
        if key in found
    )
    return (
        f'<table class="figures"><thead><tr><th scope="col">{say_html("figure", language)}</th>'
        f'<th scope="col">{say_html("value", language)}</th>{beside}</tr></thead><tbody>{rows}</tbody></table>'
    )


def explored(explorer: Explorer, rows: list[ScoredFilm], point: OperatingPoint, language: Language) -> str:
    """An operating point: its four shares, what it does to 1,000 children, and its place on the curves."""
    return (
        f'<div class="explored" aria-live="polite">{tiles(point, language)}{_thousand(point, language)}</div>'
        f'<div class="charts">{curves(explorer, rows, point, language)}</div>'
    )


def curves(explorer: Explorer, rows: list[ScoredFilm], point: OperatingPoint, language: Language) -> str:
    """ROC curve with the operating point, and reliability."""
    said = {key: _value(getattr(point, key), language) for key in ("sensitivity", "specificity")}
    here = (1 - (point.specificity.value or 0), point.sensitivity.value or 0)
    roc = roc_chart(explorer.roc(), here, say("chart.roc.said", language, **said), language)
    bins = reliability_bins(*labels_and_probabilities(rows))
    reliability = reliability_chart(bins, say("chart.reliability.said", language, bins=len(bins.n)), language)
    return (
        f"<figure>{roc}<figcaption><b>{say_html('chart.roc', language)}</b> "
        f"{say_html('chart.roc.caption', language)}</figcaption></figure>"
        f"<figure>{reliability}<figcaption><b>{say_html('chart.reliability', language)}</b> "
        f"{say_html('chart.reliability.caption', language)}</figcaption></figure>"
    )


def tiles(point: OperatingPoint, language: Language) -> str:
    """Sensitivity, specificity, PPV and NPV, large, each with its interval."""
    shares = {
        "sensitivity": point.sensitivity,
        "specificity": point.specificity,
        "precision": point.ppv,
        "npv": point.npv,
    }
    return "".join(
        (
            '<dl class="tiles">',
            *(
                f"<div><dt>{say_html(f'figure.{key}', language)}</dt><dd>{escape(_value(share, language))}"
                f"<small>{escape(_range(share, language))}</small></dd></div>"
                for key, share in shares.items()
            ),
            "</dl>",
        )
    )


def _thousand(point: OperatingPoint, language: Language) -> str:
    """Natural frequencies, which are read rightly more often than conditional probabilities."""
    cells = point.per_thousand()
    title = say(
        "thousand",
        language,
        prevalence=brief_percent(point.prevalence, language),
        count=number(1000, language),
    )
    return (
        f'<div class="thousand"><h3>{escape(title)}</h3>{_bar("ill", ("caught", "missed"), cells, language)}'
        f"{_bar('healthy', ('cleared', 'false_alarms'), cells, language)}</div>"
    )


def _bar(group: str, keys: tuple[str, str], cells: Mapping[str, int], language: Language) -> str:
    counts = {"total": sum(cells[key] for key in keys), **{key: cells[key] for key in keys}}
    said = say(
        f"thousand.{group}", language, **{key: number(count, language) for key, count in counts.items()}
    )
    parts = "".join(f'<i class="{key}" style="flex-grow:{cells[key]}"></i>' for key in keys if cells[key])
    return f'<div class="bar" aria-hidden="true">{parts}</div><p>{escape(said)}</p>'


def _value(share: Share, language: Language) -> str:
    return "-" if share.value is None else percent(share.value, language)


def _range(share: Share, language: Language) -> str:
    if share.ci95 is None:
        return ""
    low, high = (percent(edge, language) for edge in share.ci95)
    return say("interval", language, low=low, high=high)


def _identity(served: Served, language: Language) -> str:
    identity = served.predictor.identity
    rows = [
        ("model", f"{model_name(served)} {identity.version}".strip()),
        ("revision", identity.revision),
        ("weights", identity.sha256[:12]),
        ("state", say(f"state.{served.state}", language)),
    ]
    cells = "".join(
        f"<dt>{say_html(key, language)}</dt><dd>{escape(value)}</dd>" for key, value in rows if value
    )
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


def _films(found: Mapping[str, Any], language: Language) -> str:
    counts = {key: number(found[f"n{suffix}"], language) for key, suffix in _COUNTS.items()}
    return say("measured.split", language, split=_split_name(str(found["data"]["split"]), language), **counts)


_COUNTS = {"n": "", "normal": "_normal", "pneumonia": "_pneumonia"}


def _gap(validation: Mapping[str, Any] | None, language: Language) -> str:
    return f'<p class="fine">{say_html("measured.gap", language)}</p>' if validation else ""


def _split_name(split: str, language: Language) -> str:
    return say(f"split.{split}", language) if f"split.{split}" in WORDS else split


def _figure(figure: Mapping[str, Any] | None, language: Language, interval: bool = True) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    value = number(figure["value"], language, 3)
    if not interval or figure["ci95"] is None:
        return value
    low, high = (number(bound, language, 3) for bound in figure["ci95"])
    return f"{value} <small>[{low} - {high}]</small>"


def plots(served: Served, language: Language) -> str:
    """The bundle's plots as pictures; their own words are English."""
    pictures = "".join(
        f'<figure><img src="{_png_url(path)}" alt="{say_html(f"plot.{path.stem}", language)}"></figure>'
        for path in plot_files(served)
    )
    return f'<p class="fine">{say_html("plots.english", language)}</p><div class="plots">{pictures}</div>'


def plot_files(served: Served) -> list[Path]:
    """The plots that the bundle brings; a pulled one may bring none."""
    bundle = served.predictor.bundle
    folder = bundle.folder / "plots" if bundle else None
    return [folder / f"{name}.png" for name in _PLOTS if folder and (folder / f"{name}.png").is_file()]


def _png_url(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
