"""Two models on the same films: figures side by side, their difference with its interval, and what it says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.types import FloatArray, Probabilities
from evaluation.resampling import resampled_figures, weighted_figures

COMPARED = ("roc_auc", "log_loss", "brier", "ece", "accuracy", "sensitivity", "specificity")
RESAMPLES = 2000
LEAST_TO_SAY = 25
"""Films of each class below which nothing is said, whatever the figures are."""
ENOUGH_TO_SAY = 100
"""Films of each class from which an undecided comparison is called so, and not one of too few films."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A model's word on n films: calibrated probabilities (n,), and its own operating point in (0, 1)."""

    y_prob: Probabilities
    threshold: float


def compare(
    y_true: NDArray[np.uint8], groups: Sequence[str], before: Judged, after: Judged, seed: int = 0
) -> dict[str, Any]:
    """Figures of both models on the same films, each as {"value", "ci95"}.

    The bootstrap draws patient groups, the same for both models, so that the difference, after less before, has an
    interval of its own. Accuracy, sensitivity and specificity are at each model's own operating point.

    Args:
        y_true: (n,), 1 is PNEUMONIA.
        groups: Patients.
        before: The parent.
        after: The adapted model.
        seed: Of the bootstrap.

    Returns:
        {"n_normal", "n_pneumonia", "n_groups", "before", "after", "difference"}.
    """
    once = np.ones((1, len(y_true)))
    points, spreads = [], []
    for judged in (before, after):
        told = (judged.y_prob, judged.threshold)
        points.append(_compared(weighted_figures(y_true, told[0], once, told[1])))
        spreads.append(_compared(resampled_figures(y_true, told[0], groups, told[1], RESAMPLES, seed)))
    differences = [{name: late[name] - early[name] for name in early} for early, late in (points, spreads)]
    return {
        "n_normal": int((y_true == 0).sum()),
        "n_pneumonia": int(y_true.sum()),
        "n_groups": len(set(groups)),
        "before": _with_intervals(points[0], spreads[0]),
        "after": _with_intervals(points[1], spreads[1]),
        "difference": _with_intervals(*differences),
    }


def verdict(compared: Mapping[str, Any]) -> str:
    """In plain words: did it help, by log loss, which counts ranking and calibration alike?"""
    counts = (
        f"{compared['n_normal']:,} normal and {compared['n_pneumonia']:,} pneumonia films of "
        f"{compared['n_groups']:,} patients"
    )
    fewest = min(compared["n_normal"], compared["n_pneumonia"])
    if fewest < LEAST_TO_SAY:
        return (
            f"There are too few films to say whether adapting helped: {counts}; {LEAST_TO_SAY} of each class are "
            f"the least, and {ENOUGH_TO_SAY} are better."
        )
    low, high = compared["difference"]["log_loss"]["ci95"]
    if high < 0:
        return f"Adapting helped: {_told(compared, counts)}.{_by_chance(compared)}"
    if low > 0:
        return f"Adapting made the answers worse; keep the parent: {_told(compared, counts)}."
    if fewest < ENOUGH_TO_SAY:
        return f"There are too few films to say whether adapting helped: {_told(compared, counts)}."
    return f"Adapting made no difference that these films show: {_told(compared, counts)}."


def _by_chance(compared: Mapping[str, Any]) -> str:
    """A calibration may help where nothing is told apart; that must not pass for a model that reads the films."""
    low, _ = compared["after"]["roc_auc"]["ci95"]
    return "" if low > 0.5 else " Yet the adapted model ranks these films no better than chance may."


def _told(compared: Mapping[str, Any], counts: str) -> str:
    def both(name: str) -> str:
        before, after = compared["before"][name]["value"], compared["after"][name]["value"]
        low, high = compared["difference"][name]["ci95"]
        return f"{before:.3f} to {after:.3f} (95% interval of the difference {low:+.3f} to {high:+.3f})"

    return (
        f"on {counts}, each judged without its own patient, log loss went from {both('log_loss')} and ROC AUC from "
        f"{both('roc_auc')}"
    )


def _compared(figures: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {name: figures[name] for name in COMPARED}


def _with_intervals(
    points: Mapping[str, FloatArray], spreads: Mapping[str, FloatArray]
) -> dict[str, dict[str, Any]]:
    found = {}
    for name, spread in spreads.items():
        defined = spread[~np.isnan(spread)]
        interval = np.percentile(defined, (2.5, 97.5)).tolist() if len(defined) else None
        found[name] = {"value": float(points[name][0]), "ci95": interval}
    return found
