"""Cross-validation over a place's own patients: logits of films that took no part, and what is settled on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

from cxr.model.decision import DecisionSpec, logit, sigmoid
from cxr.types import Logits, Probabilities
from trainer.calibrate import calibrated, fit_decision
from trainer.weighting import balanced_weights

Labels = NDArray[np.uint8]
Index = NDArray[np.int64]
WORTHLESS = (50.0, 0.0)
"""Temperature and bias for logits that say nothing, or the contrary, of a place's films: probabilities near 0.5."""
FILMS = "films of the place that it was adapted to, cross-validated by patient"


@dataclass(frozen=True, eq=False)
class Settled:
    """What cross-validation settles.

    Attributes:
        choice: Which candidate is best on all films.
        decision: Calibration, threshold and band for it.
        y_prob: (n,) calibrated probabilities of films of held-out patients: candidate, calibration and threshold were
            settled on the other folds. In log-odds they are moved so that each fold's threshold is the decision's.
    """

    choice: int
    decision: DecisionSpec
    y_prob: Probabilities


def patient_folds(y_true: Labels, patients: Sequence[str], folds: int, seed: int) -> list[Index]:
    """The films of each fold: no patient is in two, and the classes are shared out alike. Fewer where they are few."""
    groups = np.asarray(patients)
    possible = min(len(np.unique(groups[y_true == label])) for label in (0, 1))
    splitter = StratifiedGroupKFold(min(folds, possible), shuffle=True, random_state=seed)
    return [held for _, held in splitter.split(y_true, y_true, groups)]


def held_out_logits(
    candidates: Sequence[Callable[[Index], Callable[[Index], Logits]]], folds: Sequence[Index]
) -> NDArray[np.float64]:
    """Logits (candidates, n) of each film by a candidate that was fitted without its fold.

    candidates: each is fitted to the films of an index, and gives what then computes the logits of other films.
    """
    every = np.concatenate(folds)
    logits = np.zeros((len(candidates), len(every)))
    for held in folds:
        fitted_on = np.setdiff1d(every, held)
        for number, fit in enumerate(candidates):
            logits[number, held] = fit(fitted_on)(held)
    return logits


def settle(y_true: Labels, logits: NDArray[np.float64], folds: Sequence[Index]) -> Settled:
    """Choose among candidates with logits (candidates, n) of held-out films, calibrate, and set the threshold."""
    choice = _best(y_true, logits)
    decision = fit_decision(y_true, logits[choice], FILMS, WORTHLESS)
    y_prob = np.zeros(len(y_true))
    for held in folds:
        others = np.setdiff1d(np.arange(len(y_true)), held)
        chosen = logits[_best(y_true[others], logits[:, others])]
        of_fold = fit_decision(y_true[others], chosen[others], FILMS, WORTHLESS)
        thresholds = logit(np.array([decision.threshold, of_fold.threshold]))
        moved = logit(of_fold.probabilities(chosen[held])) + thresholds[0] - thresholds[1]
        y_prob[held] = sigmoid(moved)
    return Settled(choice, decision, y_prob)


def _best(y_true: Labels, logits: NDArray[np.float64]) -> int:
    """The candidate with the lowest log loss once it is calibrated, both classes weighing the same."""
    if len(logits) == 1:
        return 0
    weight = balanced_weights(y_true)
    losses = [log_loss(y_true, calibrated(y_true, row, WORTHLESS), sample_weight=weight) for row in logits]
    return int(np.argmin(losses))
