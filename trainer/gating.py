"""Fits the input gate (cxr.model.input_gate) to training films and sets its limits by validation films.

No foreign image takes part: what is not like the training films is refused, whatever it is.
"""

import numpy as np

from cxr.model.input_gate import VIEWS, Cloud, InputGate, Rows, look
from cxr.model.predictor import Predictor
from cxr.types import ModelPixels
from trainer.perturb import perturb
from trainer.recipes import Augmentation

FREE_DIRECTIONS = {"layout": 60, "edges": 40, "features": 60}
QUANTILE, SLACK = 0.995, {"layout": 1.25, "edges": 1.25, "features": 1.5}
"""A limit is the distance that this share of validation films stays below, times the slack of its view.

The features' slack is the largest, because they change the most from one hospital to the next.
"""
RULE = (
    "a film is refused whose distance from the training films, in layout, edges or features, is above that of "
    f"{QUANTILE:.1%} of the validation films times {SLACK['layout']} ({SLACK['features']} for features); "
    "a warning is given above the distance itself"
)
_ANOTHER_POSITION = Augmentation(rotation=7, zoom=0.1, stretch=0.1, shift=0.04, gamma=0.35)
"""What may differ between two takes of one child: the gate has to let it pass."""


def fit_gate(predictor: Predictor, train: ModelPixels, validation: ModelPixels, seed: int) -> InputGate:
    """The gate of a network; films uint8 (n, size, size), of both classes.

    Clouds are fitted to the training films and a repositioned copy of each.
    """
    films = np.concatenate([train, perturb(train, _ANOTHER_POSITION, seed)])
    clouds = {view: fit_cloud(_seen(view, films, predictor), FREE_DIRECTIONS[view]) for view in VIEWS}
    usual = {
        view: float(np.quantile(clouds[view].distance(_seen(view, validation, predictor)), QUANTILE))
        for view in VIEWS
    }
    return InputGate(clouds, {view: usual[view] * SLACK[view] for view in VIEWS}, usual)


def fit_cloud(rows: Rows, directions: int) -> Cloud:
    """Probabilistic principal components of rows (n, d); fewer directions where rows are few."""
    mean = rows.mean(axis=0)
    _, singular, axes = np.linalg.svd(rows - mean, full_matrices=False)
    variances = singular**2 / len(rows)
    kept = min(directions, len(rows) // 4, rows.shape[1] - 1)
    rest = float(variances[kept:].sum() / (rows.shape[1] - kept))
    # A direction in which no training film varies must not make every other film infinitely far.
    floor = max(rest, 1e-6 * float(variances.sum()), 1e-12)
    return Cloud(mean, axes[:kept], np.maximum(variances[:kept], floor), floor)


def _seen(view: str, films: ModelPixels, predictor: Predictor) -> Rows:
    return predictor.outputs(films).features.astype(np.float64) if view == "features" else look(view, films)
