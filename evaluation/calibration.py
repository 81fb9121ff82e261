"""Calibration: reliability bins of equal mass and the error that they show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.types import FloatArray, Probabilities

BINS = 15
_Z_95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """Films sorted by probability and cut into at most 15 bins of equal mass; arrays (bins,), no bin empty.

    n: films in the bin; mean_probability: what the model said on average; observed: share with pneumonia.
    """

    n: NDArray[np.int64]
    mean_probability: FloatArray
    observed: FloatArray


def bin_ranks(total: int) -> NDArray[np.int64]:
    """Where `total` sorted films are cut: BINS + 1 ranks from 0 to `total`."""
    return np.arange(BINS + 1, dtype=np.int64) * total // BINS


def reliability_bins(y_true: np.ndarray, y_prob: Probabilities) -> ReliabilityBins:
    """Bins of equal mass for labels (n,) and probabilities (n,), n > 0.

    Films of equal probability count with their mean outcome, so that the order of the rows never matters.
    """
    _, place, count = np.unique(y_prob, return_inverse=True, return_counts=True)
    mean_outcome = np.bincount(place, y_true) / count
    order = np.argsort(y_prob, kind="stable")
    ranks = np.unique(bin_ranks(len(order)))
    sizes = np.diff(ranks)
    return ReliabilityBins(
        sizes,
        np.add.reduceat(y_prob[order], ranks[:-1]) / sizes,
        np.add.reduceat(mean_outcome[place[order]], ranks[:-1]) / sizes,
    )


def expected_calibration_error(y_true: np.ndarray, y_prob: Probabilities) -> float:
    """Mean absolute gap between probability and outcome over bins of equal mass, in [0, 1].

    Naeini, Cooper and Hauskrecht (2015), with equal-mass bins as in Nguyen and O'Connor (2015). On a
    finite sample it comes out above 0 even for a perfectly calibrated model.
    """
    bins = reliability_bins(y_true, y_prob)
    return float(np.average(np.abs(bins.observed - bins.mean_probability), weights=bins.n))


def wilson_interval(share: FloatArray, n: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """95% interval of a share of `n` films (Wilson 1927): low and high, in [0, 1]."""
    z2 = _Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half_width = _Z_95 / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    # A share of 0 or 1 is its own end, which rounding misses by little.
    low = np.where(share <= 0, 0.0, np.clip(centre - half_width, 0, 1))
    return low, np.where(share >= 1, 1.0, np.clip(centre + half_width, 0, 1))


def edge_interval(share: float, patients: int) -> tuple[float, float]:
    """95% interval of a share of 0 or 1 over so many patients (Wilson 1927), where a bootstrap has no spread.

    Films of one patient resemble each other, so that patients are counted: 60 of 60 is 94.0% to 100%.
    """
    low, high = wilson_interval(np.array([share]), np.array([patients]))
    return float(low[0]), float(high[0])
