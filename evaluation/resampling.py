"""The bootstrap over patient groups: all figures of many resamples at once.

Films of one patient resemble each other, so that patients are drawn, not films (Field and Welsh 2007). A
resample is an integer weight per film, and every figure here is the weighted form of the one in scikit-learn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.model.figures import FIGURES
from cxr.types import FloatArray, Probabilities
from evaluation.calibration import bin_ranks

_CELLS_PER_BLOCK = 1_500_000  # keeps a block's arrays at some tens of MB


def resampled_figures(
    y_true: np.ndarray,
    y_prob: Probabilities,
    groups: Sequence[str],
    threshold: float,
    resamples: int,
    seed: int,
) -> dict[str, FloatArray]:
    """Each figure for each resample, float64 (resamples,); NaN where a resample leaves it undefined."""
    blocks = [
        weighted_figures(y_true, y_prob, weights, threshold)
        for weights in group_weights(groups, resamples, seed)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]} if blocks else {}


def group_weights(groups: Sequence[str], resamples: int, seed: int) -> Iterator[FloatArray]:
    """Blocks (rows, n), `resamples` rows in all: how often each film is drawn with its whole group."""
    names, group_of_film = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS_PER_BLOCK // len(group_of_film))
    for start in range(0, resamples, rows):
        yield _draw(rng, min(rows, resamples - start), len(names))[:, group_of_film]


def _draw(rng: np.random.Generator, rows: int, groups: int) -> FloatArray:
    """(rows, groups): how often each group is drawn; each row sums to `groups`."""
    drawn = rng.integers(0, groups, (rows, groups)) + groups * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups).astype(np.float64)


def weighted_figures(
    y_true: np.ndarray, y_prob: Probabilities, weights: FloatArray, threshold: float
) -> dict[str, FloatArray]:
    """Each figure for each row of integer-valued weights float64 (rows, n); NaN where it is undefined."""
    tally = _tally(y_true, y_prob, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            **_decision_figures(tally, threshold),
            "roc_auc": _roc_auc(tally),
            "average_precision": _average_precision(tally),
            "brier": _mean_loss(tally, tally.values**2, (1 - tally.values) ** 2),
            "ece": _calibration_error(tally),
            "log_loss": _log_loss(tally),
        }
    return {name: found[name] for name in FIGURES}


@dataclass(frozen=True, eq=False)
class _Tally:
    """Weighted films at each distinct probability, ascending. values (k,); normal, pneumonia (rows, k)."""

    values: FloatArray
    normal: FloatArray
    pneumonia: FloatArray

    @property
    def films(self) -> FloatArray:
        return self.normal + self.pneumonia


def _tally(y_true: np.ndarray, y_prob: Probabilities, weights: FloatArray) -> _Tally:
    order = np.argsort(y_prob, kind="stable")
    values, starts = np.unique(y_prob[order], return_index=True)
    ordered = weights[:, order]
    positive = ordered * y_true[order]
    return _Tally(
        values, np.add.reduceat(ordered - positive, starts, axis=1), np.add.reduceat(positive, starts, axis=1)
    )


def _decision_figures(tally: _Tally, threshold: float) -> dict[str, FloatArray]:
    above = (tally.values >= threshold).astype(np.float64)
    tp, fp = tally.pneumonia @ above, tally.normal @ above
    fn, tn = tally.pneumonia @ (1 - above), tally.normal @ (1 - above)
    return {
        "accuracy": (tp + tn) / (tp + tn + fp + fn),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "precision": tp / (tp + fp),
        "npv": tn / (tn + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
    }


def _roc_auc(tally: _Tally) -> FloatArray:
    """Share of (normal, pneumonia) pairs in the right order, ties half (Mann and Whitney 1947)."""
    below = np.cumsum(tally.normal, axis=1) - tally.normal / 2
    pairs = tally.normal.sum(axis=1) * tally.pneumonia.sum(axis=1)
    return np.asarray((tally.pneumonia * below).sum(axis=1) / pairs)


def _average_precision(tally: _Tally) -> FloatArray:
    """Sum of precision times gain in recall over the distinct probabilities, as scikit-learn defines it."""
    caught = np.cumsum(tally.pneumonia[:, ::-1], axis=1)
    called = np.cumsum(tally.films[:, ::-1], axis=1)
    precision = np.divide(caught, called, out=np.zeros_like(caught), where=called > 0)
    normal, pneumonia = tally.normal.sum(axis=1), tally.pneumonia.sum(axis=1)
    score = (precision * tally.pneumonia[:, ::-1]).sum(axis=1) / pneumonia
    return np.where(normal > 0, score, np.nan)


def _mean_loss(tally: _Tally, if_normal: FloatArray, if_pneumonia: FloatArray) -> FloatArray:
    total = tally.films.sum(axis=1)
    return np.asarray((tally.normal @ if_normal + tally.pneumonia @ if_pneumonia) / total)


def _log_loss(tally: _Tally) -> FloatArray:
    """Mean negative log-likelihood, with scikit-learn's bound on probabilities of 0 and 1."""
    bound = np.finfo(np.float64).eps
    held = np.clip(tally.values, bound, 1 - bound)
    return _mean_loss(tally, -np.log1p(-held), -np.log(held))


def _calibration_error(tally: _Tally) -> FloatArray:
    """`calibration.expected_calibration_error`, weighted.

    The sum of the gaps over the first r sorted films is a broken line in r with corners at the distinct
    probabilities; its steps from cut to cut are the bins' gaps.
    """
    films = _from_zero(tally.films)
    gaps = _from_zero(tally.pneumonia - tally.films * tally.values)
    return np.array([_binned_gap(x, y) for x, y in zip(films, gaps, strict=True)])


def _from_zero(steps: FloatArray) -> NDArray[np.float64]:
    return np.cumsum(np.pad(steps, ((0, 0), (1, 0))), axis=1)


def _binned_gap(films: NDArray[np.float64], gaps: NDArray[np.float64]) -> float:
    total = int(films[-1])
    return float(np.abs(np.diff(np.interp(bin_ranks(total), films, gaps))).sum() / total)
