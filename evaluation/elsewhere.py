"""A model on films of another hospital: how many it reads, and what it says of those."""

from collections import Counter
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from cxr.data.loading import LoadedFilms
from cxr.model.predictions import ScoredFilm
from cxr.model.predictor import Predictor
from cxr.types import PNEUMONIA
from evaluation.predictions import labels_and_probabilities, score_films
from evaluation.resampling import group_weights

RESAMPLES = 2000


def elsewhere(predictor: Predictor, films: LoadedFilms, seed: int = 0) -> dict[str, Any]:
    """Figures on films of one hospital, each as {"value", "ci95"} with a bootstrap over patients.

    `read`: share that the input gate does not refuse. `familiar`: share of the read that are like the films on which
    the model was measured. `not_called_pneumonia`: share of the read normal films that are called NORMAL or UNCERTAIN.
    `uncertain`: share of the read. `roc_auc`: over all films, refused ones too; None with one class.
    """
    if not films.films:
        return {"n": 0}
    rows = score_films(predictor, films)
    read = np.array([not row.answer.refused for row in rows])
    normal = np.array([not row.is_pneumonia for row in rows])
    familiar = np.array([row.answer.scope == "familiar" for row in rows])
    called = np.array([row.answer.decision == PNEUMONIA for row in rows])
    uncertain = np.array([row.answer.decision == "UNCERTAIN" for row in rows])
    groups = [row.patient for row in rows]

    def share(of: np.ndarray, among: np.ndarray) -> dict[str, Any]:
        return _share(of & among, among, groups, seed)

    y_true, y_prob = labels_and_probabilities(rows)
    both = 0 < y_true.mean() < 1
    return {
        "n": len(rows),
        "n_normal": int(normal.sum()),
        "read": share(read, np.ones(len(rows), bool)),
        "familiar": share(familiar, read),
        "not_called_pneumonia": share(~called, read & normal),
        "uncertain": share(uncertain, read),
        "roc_auc": float(roc_auc_score(y_true, y_prob)) if both else None,
        "refused_for": _reasons(rows),
    }


def _reasons(rows: list[ScoredFilm]) -> dict[str, int]:
    return dict(Counter(code for row in rows if row.answer.refused for code in row.answer.warnings))


def _share(of: np.ndarray, among: np.ndarray, groups: list[str], seed: int) -> dict[str, Any]:
    if not among.any():
        return {"value": None, "ci95": None}
    shares = []
    for weights in group_weights(groups, RESAMPLES, seed):
        counted = weights @ among
        shares.append((weights @ of)[counted > 0] / counted[counted > 0])
    interval = np.percentile(np.concatenate(shares), (2.5, 97.5)) if len(set(groups)) > 1 else None
    return {
        "value": float(of.sum() / among.sum()),
        "ci95": None if interval is None else interval.tolist(),
    }
