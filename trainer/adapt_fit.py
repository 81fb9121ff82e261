"""Refits a bundle to a place, and compares it with its parent by cross-validation.

Features are computed once, and every figure is of films whose patient took no part in what judges them. Importing this
module imports TensorFlow.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.model.bundle import Bundle
from cxr.model.predictor import Predictor
from cxr.types import Logits
from evaluation.audit import nuisances
from evaluation.comparison import Judged, compare, verdict
from trainer.adapt_all import logits_of, parents_augmentation, parents_model, tune
from trainer.adapt_config import WishedDepth
from trainer.adapt_folds import Index, Settled, held_out_logits, settle
from trainer.adapt_head import STRENGTHS, Change, Rows, apply_change, fit_change, read_by_head
from trainer.adapt_place import Adapted, Depth, Place

ENOUGH_FOR_HEAD = 50
ENOUGH_FOR_ALL = 150
"""Films of each class from which the last layer, or every layer, is worth refitting."""
SUSPICIOUS = 0.65
"""AUC of exposure and sharpness alone above which the report warns of it."""
_REFITTED: dict[Depth, str] = {
    "decision": "input gate, calibration and threshold",
    "head": "input gate, calibration, threshold and the last layer",
    "all": "input gate, calibration, threshold and all layers",
}
_log = logging.getLogger(__name__)


def fit_to_place(
    parent: Predictor,
    bundle: Bundle,
    place: Place,
    wished: WishedDepth,
    seed: int,
) -> Adapted:
    """Refit what `wished` asks for, and compare with the parent by cross-validation."""
    y_true = place.films.y_true
    depth = _depth(wished, y_true)
    _log.info(
        "%d films of %d patients; refitted: %s", len(y_true), len(set(place.patients)), _REFITTED[depth]
    )
    settled, model = _FIT[depth](bundle, place, seed)
    return Adapted(depth, settled, model, _figures(parent, place, settled, seed))


def _depth(wished: WishedDepth, y_true: NDArray[np.uint8]) -> Depth:
    fewest = int(np.bincount(y_true, minlength=2).min())
    if wished == "auto":
        return "head" if fewest >= ENOUGH_FOR_HEAD else "decision"
    wanted = {"decision": 0, "head": ENOUGH_FOR_HEAD, "all": ENOUGH_FOR_ALL}[wished]
    if fewest < wanted:
        _log.warning(
            "%d films of a class are few for --depth %s, which is meant for %d or more",
            fewest,
            wished,
            wanted,
        )
    return wished


def _fit_decision(bundle: Bundle, place: Place, seed: int) -> tuple[Settled, None]:
    return settle(place.films.y_true, place.outputs.logits[None], place.folds), None


def settle_head(
    parent: Logits, features: Rows, y_true: NDArray[np.uint8], folds: Sequence[Index]
) -> tuple[Settled, Change]:
    """Choose by cross-validation how freely the features may speak, and refit the head to all films.

    Args:
        parent: The parent's logits (n,).
        features: (n, d), as `trainer.adapt_head.read_by_head` gives them.
        y_true: (n,), 1 is PNEUMONIA.
        folds: The films of each part.
    """

    def candidate(strength: float, fitted_on: Index) -> Callable[[Index], Logits]:
        change = fit_change(parent[fitted_on], features[fitted_on], y_true[fitted_on], strength)
        return lambda held: change.logits(parent[held], features[held])

    candidates = [partial(candidate, strength) for strength in STRENGTHS]
    settled = settle(y_true, held_out_logits(candidates, folds), folds)
    return settled, fit_change(parent, features, y_true, STRENGTHS[settled.choice])


def _fit_head(bundle: Bundle, place: Place, seed: int) -> tuple[Settled, keras.Model]:
    model = parents_model(bundle)
    features = read_by_head(place.outputs, model)
    settled, change = settle_head(place.outputs.logits, features, place.films.y_true, place.folds)
    apply_change(model, change)
    return settled, model


def _fit_all(bundle: Bundle, place: Place, seed: int) -> tuple[Settled, keras.Model]:
    pixels, y_true = place.films.pixels, place.films.y_true
    changes = parents_augmentation(bundle)

    def tuned(fitted_on: Index) -> keras.Model:
        model = parents_model(bundle)
        tune(model, pixels[fitted_on], y_true[fitted_on], changes, seed)
        return model

    def candidate(fitted_on: Index) -> Callable[[Index], Logits]:
        _log.info("tuning all layers on %d films, to be judged on the others", len(fitted_on))
        model = tuned(fitted_on)
        return lambda held: logits_of(model, pixels[held])

    settled = settle(y_true, held_out_logits([candidate], place.folds), place.folds)
    _log.info("tuning all layers on all films")
    return settled, tuned(np.arange(len(y_true)))


_FIT: dict[Depth, Callable[[Bundle, Place, int], tuple[Settled, Any]]] = {
    "decision": _fit_decision,
    "head": _fit_head,
    "all": _fit_all,
}


def _figures(parent: Predictor, place: Place, settled: Settled, seed: int) -> dict[str, Any]:
    """Parent and adapted model on the same films, on pairs where there are any, and what exposure alone reaches."""
    y_true, patients = place.films.y_true, place.patients
    before = Judged(parent.decision.probabilities(place.outputs.logits), parent.decision.threshold)
    after = Judged(settled.y_prob, settled.decision.threshold)
    compared = compare(y_true, patients, before, after, seed)
    paired = np.array([film.pair != "" for film in place.films.films])
    pairs = None
    if 0 < y_true[paired].sum() < paired.sum():
        groups = [patient for patient, kept in zip(patients, paired, strict=True) if kept]
        early, late = (Judged(judged.y_prob[paired], judged.threshold) for judged in (before, after))
        pairs = compare(y_true[paired], groups, early, late, seed)
    return {
        "compared": compared,
        "pairs": pairs,
        "exposure": _exposure(place),
        "said": verdict(compared),
    }


def _exposure(place: Place) -> dict[str, Any]:
    """How well sixteen numbers without anatomy tell the classes apart, cross-validated like everything else."""
    y_true, numbers = place.films.y_true, nuisances(place.films.pixels)

    def fit(fitted_on: Index) -> Callable[[Index], Logits]:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
        model.fit(numbers[fitted_on], y_true[fitted_on])
        return lambda held: model.decision_function(numbers[held])

    auc = float(roc_auc_score(y_true, held_out_logits([fit], place.folds)[0]))
    said = (
        f"Exposure and sharpness alone tell the classes apart here (ROC AUC {auc:.2f}), so part of what was learnt may "
        "be how the films were made: check the adapted model on films of both classes that were taken alike."
    )
    return {"roc_auc": auc, "said": said if auc > SUSPICIOUS else ""}
