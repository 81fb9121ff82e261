"""A model on films of another hospital: how many it reads, and what it says of those."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from cxr.data.loading import LoadedFilms
from cxr.model.predictions import ScoredFilm
from cxr.model.predictor import Predictor
from cxr.types import NORMAL, PNEUMONIA, UNCERTAIN
from evaluation.calibration import edge_interval
from evaluation.predictions import labels_and_probabilities, score_films
from evaluation.resampling import group_weights, resampled_figures

RESAMPLES = 2000


def elsewhere(
    predictor: Predictor, films: LoadedFilms, matched: LoadedFilms | None = None, seed: int = 0
) -> dict[str, Any]:
    """Figures on films of one hospital, each as {"value", "ci95"}.

    The interval is a bootstrap's over patients, of a share of 0 or 1 Wilson's over patients.

    Args:
        predictor: The model.
        films: Of patients that no part of the model was fitted to.
        matched: Films in pairs of a normal and a pneumonia film that exposure and view cannot tell apart.
        seed: Of the bootstrap.

    Returns:
        `read`: share that the input gate does not refuse. `familiar`: share of the read that are like the films on
        which the model was measured. `not_called_pneumonia`: share of the read normal films that are called NORMAL or
        UNCERTAIN; `called_normal`: called NORMAL. `uncertain`: share of the read. `roc_auc`: over all films, refused
        ones too; None with one class. `refused_for`: films by reason. `pairs`: `n` and `roc_auc` of the matched films.
    """
    found: dict[str, Any] = {"n": 0}
    if films.films:
        found = _figures(score_films(predictor, films), seed)
    if matched is not None and matched.films:
        found["pairs"] = {
            "n": len(matched.films),
            "roc_auc": roc_auc(score_films(predictor, matched), seed),
        }
    return found


def roc_auc(rows: Sequence[ScoredFilm], seed: int = 0) -> dict[str, Any] | None:
    """The area under the ROC curve as {"value", "ci95"}; None where one class is missing."""
    # Here, because the trainer's commands, which all know of references, should not load scikit-learn for --help.
    from sklearn.metrics import roc_auc_score

    y_true, y_prob = labels_and_probabilities(rows)
    if not 0 < y_true.mean() < 1:
        return None
    groups = [row.patient for row in rows]
    spread = resampled_figures(y_true, y_prob, groups, 0.5, RESAMPLES, seed)["roc_auc"]
    return {
        "value": float(roc_auc_score(y_true, y_prob)),
        "ci95": np.percentile(spread[~np.isnan(spread)], (2.5, 97.5)).tolist(),
    }


def _figures(rows: Sequence[ScoredFilm], seed: int) -> dict[str, Any]:
    read = np.array([not row.answer.refused for row in rows])
    normal = np.array([row.answer.truth == NORMAL for row in rows])
    familiar = np.array([row.answer.scope == "familiar" for row in rows])
    decisions = np.array([row.answer.decision or "" for row in rows])
    groups = [row.patient for row in rows]

    def share(of: np.ndarray, among: np.ndarray) -> dict[str, Any]:
        return _share(of & among, among, groups, seed)

    return {
        "n": len(rows),
        "n_normal": int(normal.sum()),
        "read": share(read, np.ones(len(rows), bool)),
        "familiar": share(familiar, read),
        "not_called_pneumonia": share(decisions != PNEUMONIA, read & normal),
        "called_normal": share(decisions == NORMAL, read & normal),
        "uncertain": share(decisions == UNCERTAIN, read),
        "roc_auc": roc_auc(rows, seed),
        "refused_for": _reasons(rows),
    }


def _reasons(rows: Sequence[ScoredFilm]) -> dict[str, int]:
    return dict(Counter(code for row in rows if row.answer.refused for code in row.answer.warnings))


def _share(of: np.ndarray, among: np.ndarray, groups: Sequence[str], seed: int) -> dict[str, Any]:
    if not among.any():
        return {"value": None, "ci95": None}
    value, patients = float(of.sum() / among.sum()), len(set(np.asarray(groups)[among]))
    if value in (0.0, 1.0):
        return {"value": value, "ci95": list(edge_interval(value, patients))}
    shares = []
    for weights in group_weights(groups, RESAMPLES, seed):
        counted = weights @ among
        shares.append((weights @ of)[counted > 0] / counted[counted > 0])
    interval = np.percentile(np.concatenate(shares), (2.5, 97.5)) if len(set(groups)) > 1 else None
    return {"value": value, "ci95": None if interval is None else interval.tolist()}
