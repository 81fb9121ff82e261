"""Plots of scored films: discrimination, operating point, calibration, the films, and the training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from cxr.errors import DataError
from cxr.model.figures import Figure as MeasuredFigure
from cxr.model.figures import Metrics
from cxr.model.predictions import ScoredFilm
from cxr.types import CLASSES, NORMAL, PNEUMONIA, ModelPixels
from evaluation.calibration import reliability_bins, wilson_interval
from evaluation.drawing import COLOURS, CURVE, GUIDE, POINT, footer_of, plot, unit_square, with_interval
from evaluation.predictions import labels_and_probabilities
from evaluation.sample_grid import draw_sample_grid

History = Sequence[Mapping[str, float]]
_SQUARE = (6.4, 6.6)


def write_plots(
    folder: Path,
    rows: Sequence[ScoredFilm],
    pixels: ModelPixels | None,
    metrics: Metrics,
    history: History | None = None,
) -> list[str]:
    """Draw every plot that the data allow into `folder` and return the file names.

    ROC and precision-recall curves need both classes.

    Args:
        folder: Made where it is missing.
        rows: n > 0 films.
        pixels: Their model input, uint8 (n, size, size), or None for no sample grid.
        metrics: Of these rows.
        history: One mapping an epoch, for the training curves.

    Raises:
        DataError: There are no films, or pixels and rows differ in number.
    """
    if not rows or (pixels is not None and len(pixels) != len(rows)):
        films = "" if pixels is None else f" and {len(pixels)} films' pixels"
        raise DataError(
            f"Plots need one row a film, and at least one, but there are {len(rows)} rows{films}. "
            "Plot the rows that score_films gave."
        )
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if metrics.n_normal and metrics.n_pneumonia:
        drawn += [_roc(folder, rows, metrics), _precision_recall(folder, rows, metrics)]
    drawn += [
        _confusion(folder, metrics),
        _reliability(folder, rows, metrics),
        _scores(folder, rows, metrics),
    ]
    if pixels is not None:
        draw_sample_grid(folder / "sample_grid.png", rows, pixels, metrics)
        drawn.append("sample_grid.png")
    if history:
        drawn.append(_training_curves(folder, history))
    return drawn


def _roc(folder: Path, rows: Sequence[ScoredFilm], metrics: Metrics) -> str:
    false_alarms, sensitivity, _ = roc_curve(*labels_and_probabilities(rows), drop_intermediate=False)
    with plot(folder / "roc.png", _SQUARE, footer_of(metrics)) as figure:
        axes = figure.subplots()
        axes.plot(
            false_alarms,
            sensitivity,
            color=CURVE,
            label=f"AUC {with_interval(metrics.roc_auc)}\nn = {metrics.n:,}",
        )
        axes.plot([0, 1], [0, 1], "--", color=GUIDE, linewidth=1.2, label="no discrimination: AUC 0.5")
        false_positive_rate = 1 - _defined(metrics.specificity)
        _mark_operating_point(axes, false_positive_rate, _defined(metrics.sensitivity), metrics.threshold)
        unit_square(
            axes, "1 - specificity (false positive rate)", "Sensitivity (true positive rate)", "ROC curve"
        )
        axes.legend(loc="lower right")
    return "roc.png"


def _precision_recall(folder: Path, rows: Sequence[ScoredFilm], metrics: Metrics) -> str:
    precision, recall, _ = precision_recall_curve(*labels_and_probabilities(rows))
    prevalence = metrics.n_pneumonia / metrics.n
    with plot(folder / "precision_recall.png", _SQUARE, footer_of(metrics)) as figure:
        axes = figure.subplots()
        label = f"average precision {with_interval(metrics.average_precision)}\nn = {metrics.n:,}"
        axes.plot(recall, precision, color=CURVE, drawstyle="steps-post", label=label)
        axes.axhline(
            prevalence, linestyle="--", color=GUIDE, linewidth=1.2, label=f"prevalence {prevalence:.3f}"
        )
        if metrics.precision.value is not None:
            _mark_operating_point(
                axes, _defined(metrics.sensitivity), metrics.precision.value, metrics.threshold
            )
        unit_square(
            axes, "Recall (sensitivity)", "Precision (positive predictive value)", "Precision-recall curve"
        )
        axes.legend(loc="lower left")
    return "precision_recall.png"


def _defined(figure: MeasuredFigure) -> float:
    """The value of a figure that films of both classes always have."""
    assert figure.value is not None
    return figure.value


def _mark_operating_point(axes: Axes, x: float, y: float, threshold: float) -> None:
    label = f"operating point: threshold {threshold:.3f}"
    axes.plot(
        [x],
        [y],
        "o",
        color=POINT,
        markersize=10,
        markeredgecolor="white",
        label=label,
        zorder=3,
        clip_on=False,
    )


def _confusion(folder: Path, metrics: Metrics) -> str:
    cells = metrics.confusion
    counts = np.array([[cells.tn, cells.fp], [cells.fn, cells.tp]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with plot(folder / "confusion.png", (6.0, 5.4), footer_of(metrics)) as figure:
        axes = figure.subplots()
        axes.grid(visible=False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            ink = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="bottom", color=ink, fontsize=20)
            axes.text(
                column,
                row + 0.06,
                f"{shares[row, column]:.1%} of row",
                ha="center",
                va="top",
                color=ink,
                fontsize=11,
            )
        axes.set_xticks([0, 1], CLASSES)
        axes.set_yticks([0, 1], CLASSES, rotation=90, va="center")
        axes.set(
            xlabel=f"Decision at threshold {metrics.threshold:.3f}",
            ylabel="Truth",
            title="Confusion matrix",
        )
    return "confusion.png"


def _reliability(folder: Path, rows: Sequence[ScoredFilm], metrics: Metrics) -> str:
    y_true, y_prob = labels_and_probabilities(rows)
    bins = reliability_bins(y_true, y_prob)
    low, high = wilson_interval(bins.observed, bins.n)
    # Tied films may lend a bin a fraction of an outcome, and rounding a negative length of 1e-17.
    lengths = np.maximum([bins.observed - low, high - bins.observed], 0)
    with plot(folder / "reliability.png", (6.4, 8.2), footer_of(metrics)) as figure:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], "--", color=GUIDE, linewidth=1.2, label="perfect calibration")
        label = f"equal-mass bins, Wilson 95% intervals; n = {metrics.n:,}\nECE {with_interval(metrics.ece)}"
        upper.errorbar(
            bins.mean_probability,
            bins.observed,
            lengths,
            color=CURVE,
            fmt="o",
            linewidth=1.4,
            capsize=3,
            label=label,
        )
        upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="Observed share with pneumonia")
        _legend_above(figure, upper, "Calibration (reliability diagram)")
        lower.hist(y_prob, bins=np.linspace(0, 1, 41), color=CURVE)
        lower.set(xlabel="Predicted P(PNEUMONIA)", ylabel="Films")
    return "reliability.png"


def _scores(folder: Path, rows: Sequence[ScoredFilm], metrics: Metrics) -> str:
    y_true, y_prob = labels_and_probabilities(rows)
    edges = np.linspace(0, 1, 41)
    with plot(folder / "scores.png", (7.4, 6.6), footer_of(metrics)) as figure:
        panels = figure.subplots(2, sharex=True, sharey=True)
        for index, (axes, name) in enumerate(zip(panels, CLASSES, strict=True)):
            of_class = y_prob[y_true == index]
            axes.hist(of_class, edges, color=COLOURS[name], log=True)
            _mark_decision(axes, metrics)
            axes.set_title(f"true {name}, n = {len(of_class):,}", loc="left", fontsize=11)
            axes.set_ylabel("Films (log scale)")
        highest = max(np.histogram(y_prob[y_true == index], edges)[0].max() for index in (0, 1))
        panels[1].set(xlim=(0, 1), ylim=(0.7, 1.5 * highest), xlabel="Predicted P(PNEUMONIA)")
        _legend_above(figure, panels[0], "Scores by true class")
    return "scores.png"


def _legend_above(figure: Figure, axes: Axes, title: str) -> None:
    """A legend outside the panels, where it hides no data. It carries the title, which it would cover."""
    legend = figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, title=title
    )
    legend.set_frame_on(False)
    legend.get_title().set(fontsize=13, fontweight="bold")


def _mark_decision(axes: Axes, metrics: Metrics) -> None:
    """The threshold, and the uncertain band where the decision has one."""
    axes.axvline(metrics.threshold, color="black", linestyle="--", label=f"threshold {metrics.threshold:.3f}")
    band = metrics.decision.uncertain_band
    if band:
        axes.axvspan(
            *band, color="black", alpha=0.15, label=f"called uncertain: {band[0]:.3f} to {band[1]:.3f}"
        )


def _training_curves(folder: Path, history: History) -> str:
    with plot(
        folder / "training_curves.png", (7.4, 8.6), f"{max(row['epoch'] for row in history):.0f} epochs"
    ) as figure:
        loss, validation, rate = figure.subplots(3, sharex=True, height_ratios=(3, 3, 1.4))
        _draw_columns(loss, history, {"loss": "training", "val_loss": "validation"})
        loss.set(ylabel="Loss (cross-entropy)", title="Training curves")
        _draw_columns(
            validation, history, {"val_roc_auc": "validation ROC AUC", "val_accuracy": "validation accuracy"}
        )
        validation.set_ylabel("Share")
        _draw_columns(rate, history, {"learning_rate": "learning rate"})
        rate.set(xlabel="Epoch", ylabel="Learning rate", ylim=(0, None))
        rate.xaxis.get_major_locator().set_params(integer=True)
    return "training_curves.png"


def _draw_columns(axes: Axes, history: History, names: Mapping[str, str]) -> None:
    """The columns of `history` that it has, a line for each member. Marker and dash tell columns apart."""
    styles = zip((COLOURS[NORMAL], COLOURS[PNEUMONIA]), ("o-", "s--"), strict=True)
    for (column, label), (colour, style) in zip(names.items(), styles, strict=False):
        known = [row for row in history if row.get(column) is not None]
        for member in sorted({row.get("member", 1) for row in known}):
            points = [(row["epoch"], row[column]) for row in known if row.get("member", 1) == member]
            shown = label if member == 1 else None
            axes.plot(
                *zip(*points, strict=True), style, color=colour, markersize=4, linewidth=1.6, label=shown
            )
    if axes.lines:
        axes.legend(loc="best")
