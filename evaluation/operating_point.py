"""Operating points: what a threshold gives at any prevalence, and which threshold a wished sensitivity asks for.

Plain numpy, no scikit-learn: the app's explorer answers from here while the visitor moves a slider. Intervals are
those of metrics.json: percentiles over resampled patient groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.errors import DataError, UsageError
from cxr.model.predictions import ScoredFilm
from cxr.types import CLASSES, FloatArray, Probabilities
from evaluation.calibration import edge_interval
from evaluation.predictions import labels_and_probabilities
from evaluation.resampling import group_weights

Interval = tuple[float, float]
ONE_CLASS = f"An operating point needs films of both classes, {' and '.join(CLASSES)}. Use data with both."


@dataclass(frozen=True)
class Share:
    """A share of films in [0, 1] with its 95% interval; None where the films leave it undefined."""

    value: float | None
    ci95: Interval | None


@dataclass(frozen=True)
class OperatingPoint:
    """Counts of films at a threshold, PNEUMONIA being a probability at or above it, and the four shares.

    ppv, npv: at the prevalence that was asked for, from sensitivity and specificity, not from the films' own mix.
    """

    threshold: float
    prevalence: float
    tp: int
    fn: int
    tn: int
    fp: int
    sensitivity: Share
    specificity: Share
    ppv: Share
    npv: Share

    def per_thousand(self) -> dict[str, int]:
        """Of 1,000 films at this prevalence: caught, missed, cleared, false_alarms; they sum to 1,000."""
        if self.sensitivity.value is None or self.specificity.value is None:
            raise DataError(ONE_CLASS)
        ill = round(1000 * self.prevalence)
        caught = round(ill * self.sensitivity.value)
        cleared = round((1000 - ill) * self.specificity.value)
        return {
            "caught": caught,
            "missed": ill - caught,
            "cleared": cleared,
            "false_alarms": 1000 - ill - cleared,
        }


@dataclass(frozen=True)
class Suggestion:
    """The highest threshold that reaches a wished sensitivity on some films, and how far to trust it.

    interval: 95% interval of the threshold when patient groups are drawn anew. sensitivity, specificity: of these
    very films, which the threshold was fitted to. new_sensitivity, new_specificity: of the films that a resample
    left out, at the threshold that the resample suggested: what to expect of new films of the same kind (Efron
    1983). reached: share of the resamples whose left-out films reached the wish. may_miss: how many pneumonia films
    a threshold may miss here; at 0 it hangs on the one film with the lowest probability.
    """

    target: float
    threshold: float
    interval: Interval | None
    sensitivity: float
    specificity: float
    new_sensitivity: Share
    new_specificity: Share
    reached: float | None
    may_miss: int


def predictive_values(
    sensitivity: FloatArray, specificity: FloatArray, prevalence: float
) -> tuple[FloatArray, FloatArray]:
    """(PPV, NPV) by Bayes' rule, NaN where nothing is called so. Raises UsageError for a prevalence outside (0, 1)."""
    if not 0 < prevalence < 1:
        raise UsageError(
            f"The prevalence {prevalence} is not above 0 and below 1. 0.1, for example, is ten in a hundred."
        )
    true_calls, false_calls = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    true_clears, false_clears = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    with np.errstate(divide="ignore", invalid="ignore"):
        return true_calls / (true_calls + false_calls), true_clears / (true_clears + false_clears)


class Explorer:
    """Scored films, resampled once, so that any threshold is answered at once."""

    def __init__(self, rows: Sequence[ScoredFilm], resamples: int = 2000, seed: int = 0) -> None:
        """Raises DataError unless both classes are there."""
        y_true, y_prob = labels_and_probabilities(rows)
        if not 0 < y_true.sum() < len(y_true):
            raise DataError(ONE_CLASS)
        patients = np.array([row.patient for row in rows])
        self._patients_of = [len(set(patients[y_true == label])) for label in (0, 1)]
        order = np.argsort(y_prob, kind="stable")
        self.n = len(rows)
        self._y_prob: Probabilities = y_prob[order]
        self._ill = y_true[order]
        groups = [row.patient for row in rows]
        # One group resampled is itself again: that spread would say nothing of another patient.
        rounds = resamples if len(set(groups)) > 1 else 0
        # Small numbers, for an explorer is kept while its visitor looks on: a patient is never drawn 200 times.
        blocks = [block[:, order].astype(np.uint8) for block in group_weights(groups, rounds, seed)]
        self._weights = np.concatenate(blocks) if blocks else np.empty((0, self.n), np.uint8)
        self._ill_below = _below(self._weights * self._ill)
        self._normal_below = _below(self._weights * (1 - self._ill))

    @property
    def n_pneumonia(self) -> int:
        """Films with pneumonia."""
        return int(self._ill.sum())

    def at(self, threshold: float, prevalence: float) -> OperatingPoint:
        """The operating point of `threshold`, its predictive values at `prevalence` in (0, 1)."""
        k = int(np.searchsorted(self._y_prob, threshold))
        fn, tn = int(self._ill[:k].sum()), int((1 - self._ill[:k]).sum())
        tp, fp = self.n_pneumonia - fn, self.n - self.n_pneumonia - tn
        sensitivity, specificity = np.array([tp / (tp + fn)]), np.array([tn / (tn + fp)])
        spread = self._spread(k)
        values = (sensitivity, specificity, *predictive_values(sensitivity, specificity, prevalence))
        spreads = (*spread, *predictive_values(*spread, prevalence))
        sens, spec, ppv, npv = (
            _share(value, resampled) for value, resampled in zip(values, spreads, strict=True)
        )
        normals, ills = self._patients_of
        sens, spec = _at_the_edge(sens, ills), _at_the_edge(spec, normals)
        ppv, npv = _from_the_edge(ppv, npv, sens, spec, prevalence)
        return OperatingPoint(threshold, prevalence, tp, fn, tn, fp, sens, spec, ppv, npv)

    def roc(self) -> tuple[FloatArray, FloatArray]:
        """(1 - specificity, sensitivity) at every threshold, from (0, 0) to (1, 1)."""
        _, starts = np.unique(self._y_prob, return_index=True)
        missed, cleared = (_below(part[None])[0] for part in (self._ill, 1 - self._ill))
        cuts = np.append(starts, self.n)[::-1]
        healthy = self.n - self.n_pneumonia
        return 1 - cleared[cuts] / healthy, 1 - missed[cuts] / self.n_pneumonia

    def suggest(self, target: float) -> Suggestion:
        """The highest threshold whose sensitivity is at least `target` in (0, 1)."""
        if not 0 < target < 1:
            raise UsageError(f"The sensitivity {target} is not above 0 and below 1. 0.95 is usual.")
        here = _below(self._ill[None])
        chosen = _highest(here, target, self._y_prob)
        k = int(chosen[0])
        missed, cleared = int(here[0, k]), int((1 - self._ill[:k]).sum())
        drawn = self._ill_below[:, -1] > 0
        ks = _highest(self._ill_below[drawn], target, self._y_prob)
        left_out = (self._weights[drawn] == 0).astype(np.uint8)
        new_sensitivity = 1 - _share_below(left_out * self._ill, ks)
        new_specificity = _share_below(left_out * (1 - self._ill), ks)
        known = ~np.isnan(new_sensitivity)
        return Suggestion(
            target,
            float(self._y_prob[k]),
            _interval(self._y_prob[ks]),
            1 - missed / self.n_pneumonia,
            cleared / (self.n - self.n_pneumonia),
            _mean(new_sensitivity),
            _mean(new_specificity),
            float((new_sensitivity[known] >= target).mean()) if known.any() else None,
            int(_may_miss(np.array([self.n_pneumonia]), target)[0]),
        )

    def _spread(self, k: int) -> tuple[FloatArray, FloatArray]:
        """Sensitivity and specificity of each resample, the first k films being below the threshold."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return (
                1 - self._ill_below[:, k] / self._ill_below[:, -1],
                self._normal_below[:, k] / self._normal_below[:, -1],
            )


def _below(weights: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(rows, n + 1): the weight of the first k sorted films."""
    summed = np.cumsum(weights, axis=1, dtype=np.uint32)
    return np.pad(summed, ((0, 0), (1, 0)))


def _may_miss(pneumonia: NDArray[np.integer], target: float) -> NDArray[np.int64]:
    """How many of `pneumonia` films may be missed at a sensitivity of `target`; 1e-9 forgives rounding."""
    return np.floor(pneumonia * (1 - target) + 1e-9).astype(np.int64)


def _highest(ill_below: NDArray[np.uint32], target: float, y_prob: Probabilities) -> NDArray[np.int64]:
    """For each row, how many sorted films lie below the highest threshold that reaches `target`."""
    allowed = _may_miss(ill_below[:, -1], target)
    last = (ill_below <= allowed[:, None]).sum(axis=1) - 1
    return np.searchsorted(y_prob, y_prob[last]).astype(np.int64)  # the first of its ties


def _share_below(weights: NDArray[np.uint8], ks: NDArray[np.int64]) -> FloatArray:
    """For each row, the share of its weight that lies in its first k films; NaN for a row without weight."""
    below = np.take_along_axis(_below(weights), ks[:, None], axis=1)[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(below / weights.sum(axis=1))


def _share(value: FloatArray, spread: FloatArray) -> Share:
    return Share(None, None) if np.isnan(value[0]) else Share(float(value[0]), _interval(spread))


def _at_the_edge(share: Share, patients: int) -> Share:
    """The share with Wilson's interval over patients where it is 0 or 1: every resample is the same there."""
    if share.value not in (0.0, 1.0) or share.ci95 is None:
        return share
    return Share(share.value, edge_interval(share.value, patients))


def _from_the_edge(
    ppv: Share, npv: Share, sensitivity: Share, specificity: Share, prevalence: float
) -> tuple[Share, Share]:
    """PPV and NPV; of one that is 0 or 1, the interval that the ends of the two shares' intervals give."""
    if sensitivity.ci95 is None or specificity.ci95 is None:
        return ppv, npv
    (sens_low, sens_high), (spec_low, spec_high) = sensitivity.ci95, specificity.ci95
    lows = predictive_values(np.array([sens_low]), np.array([spec_low]), prevalence)
    highs = predictive_values(np.array([sens_high]), np.array([spec_high]), prevalence)
    widened = []
    for share, low, high in zip((ppv, npv), lows, highs, strict=True):
        if share.value in (0.0, 1.0):
            ends = [float(end) for end in (low[0], share.value, high[0]) if not np.isnan(end)]
            share = Share(share.value, (min(ends), max(ends)))
        widened.append(share)
    return widened[0], widened[1]


def _mean(spread: FloatArray) -> Share:
    known = spread[~np.isnan(spread)]
    return Share(float(known.mean()), _interval(known)) if len(known) else Share(None, None)


def _interval(spread: FloatArray) -> Interval | None:
    known = spread[~np.isnan(spread)]
    if not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
