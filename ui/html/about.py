"""What the page tells of the model as HTML: head, foot, training, limits, figures, operating point."""

import base64
from pathlib import Path

from markupsafe import Markup

from cxr import __version__
from cxr.model.figures import FIGURES, Evaluation, Metrics
from cxr.model.predictions import ScoredFilm
from cxr.serving.slot import Served
from evaluation.calibration import reliability_bins
from evaluation.operating_point import Explorer, OperatingPoint
from evaluation.predictions import labels_and_probabilities
from ui.api.served_model import metrics, model_name, origin
from ui.html.charts import reliability_chart, roc_chart
from ui.html.render import render
from ui.html.report import LIMITS
from ui.words import WORDS, Locale, language_of, number, percent, say

_PLOTS = ("roc", "precision_recall", "confusion", "reliability", "scores", "training_curves")
"""Plots of a bundle that the page shows; its grid of films is left to the bundle."""


def head(served: Served, locale: Locale) -> Markup:
    """Title, what this is, and what it is not."""
    strips = ["phantom_model"] if origin(served.predictor.bundle) == "phantoms" else []
    strips += [f"state.{served.state}"] if served.state == "cached" else []
    return render("head", locale, strips=strips)


def foot(locale: Locale) -> Markup:
    """Privacy, and where programs find their way in."""
    return render("foot", locale)


def intro(name: str, locale: Locale, steps: tuple[str, ...] = (), fine: str = "") -> Markup:
    """The opening of a tab: its title and one paragraph, by the keys `name` and `name`.intro."""
    return render("intro", locale, name=name, steps=steps, fine=fine)


def about(served: Served, locale: Locale) -> Markup:
    """What the model learned from, its limits, and which one it is."""
    bundle = served.predictor.bundle
    return render(
        "about",
        locale,
        origin=origin(bundle),
        training=bundle.description.training if bundle else None,
        adapted=bundle.description.adapted_from if bundle else None,
        identity=_identity(served, locale),
        limits=LIMITS,
    )


def measured(served: Served, locale: Locale) -> Markup:
    """The card's figures with their intervals."""
    figures = metrics(served)
    if figures is None:
        return render("measured", locale, figures=None)
    validation = figures.validation if figures.data.split != "validation" else None
    return render(
        "measured",
        locale,
        figures=figures,
        films=_films(figures, locale),
        validation=validation,
        table=figures_table(figures, locale, validation),
        elsewhere=_elsewhere(figures, locale),
    )


def _elsewhere(figures: Metrics, locale: Locale) -> list[str]:
    """A line for each hospital whose films no part of the model was fitted to, and for pairs among them."""
    lines = []
    for source, of in (figures.elsewhere or {}).items():
        read, kept = (found.value if found else None for found in (of.read, of.not_called_pneumonia))
        if read is not None and kept is not None:
            shares = {"read": percent(read, locale, 0), "kept": percent(kept, locale, 0)}
            lines.append(
                say("measured.elsewhere.row", locale, source=source, n=number(of.n, locale), **shares)
            )
        area = of.pairs.roc_auc if of.pairs else None
        if of.pairs and area and area.value is not None and area.ci95:
            auc, low, high = (number(value, locale, 3) for value in (area.value, *area.ci95))
            said = {"source": source, "n": number(of.pairs.n, locale), "auc": auc, "low": low, "high": high}
            lines.append(say("measured.elsewhere.pairs", locale, **said))
    return lines


def figures_table(figures: Evaluation, locale: Locale, validation: Evaluation | None = None) -> Markup:
    """Every figure with its interval and what it says; beside it, the value on validation films where known."""
    return render("figures", locale, figures=figures, validation=validation, keys=FIGURES)


def explored(explorer: Explorer, rows: list[ScoredFilm], point: OperatingPoint, locale: Locale) -> Markup:
    """An operating point: its four shares, what it does to 1,000 children, and its place on the curves."""
    return render(
        "explored",
        locale,
        tiles=tiles(point, locale),
        cells=point.per_thousand(),
        prevalence=point.prevalence,
        charts=_curves(explorer, rows, point, locale),
    )


def tiles(point: OperatingPoint, locale: Locale) -> Markup:
    """Sensitivity, specificity, PPV and NPV, large, each with its interval."""
    shares = (
        ("sensitivity", point.sensitivity),
        ("specificity", point.specificity),
        ("precision", point.ppv),
        ("npv", point.npv),
    )
    return render("tiles", locale, shares=shares)


def _curves(
    explorer: Explorer, rows: list[ScoredFilm], point: OperatingPoint, locale: Locale
) -> list[tuple[str, Markup]]:
    """ROC curve with the operating point, and reliability, by the names of their words."""
    sensitivity, specificity = point.sensitivity.value, point.specificity.value
    said = {
        "sensitivity": "-" if sensitivity is None else percent(sensitivity, locale),
        "specificity": "-" if specificity is None else percent(specificity, locale),
    }
    here = (1 - (specificity or 0), sensitivity or 0)
    bins = reliability_bins(*labels_and_probabilities(rows))
    return [
        ("roc", roc_chart(explorer.roc(), here, say("chart.roc.said", locale, **said), locale)),
        (
            "reliability",
            reliability_chart(bins, say("chart.reliability.said", locale, bins=len(bins.n)), locale),
        ),
    ]


def _identity(served: Served, locale: Locale) -> list[tuple[str, str]]:
    identity = served.predictor.identity
    return [
        ("model", f"{model_name(served)} {identity.version}".strip()),
        ("code", "" if identity.version == __version__ else __version__),
        ("revision", identity.revision),
        ("weights", identity.sha256[:12]),
        ("state", say(f"state.{served.state}", locale)),
    ]


def _films(figures: Metrics, locale: Locale) -> str:
    return say(
        "measured.split",
        locale,
        split=_split_name(figures.data.split, locale),
        n=number(figures.n, locale),
        normal=number(figures.n_normal, locale),
        pneumonia=number(figures.n_pneumonia, locale),
    )


def _split_name(split: str, locale: Locale) -> str:
    return say(f"split.{split}", locale) if f"split.{split}" in WORDS[language_of(locale)] else split


def plots(served: Served, locale: Locale) -> Markup:
    """The bundle's plots as pictures; their own words are English."""
    return render("plots", locale, pictures=[(path.stem, _png_url(path)) for path in plot_files(served)])


def plot_files(served: Served) -> list[Path]:
    """The plots that the bundle brings; a pulled one may bring none."""
    bundle = served.predictor.bundle
    folder = bundle.folder / "plots" if bundle else None
    return [folder / f"{name}.png" for name in _PLOTS if folder and (folder / f"{name}.png").is_file()]


def _png_url(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
