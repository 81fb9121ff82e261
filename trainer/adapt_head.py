"""The last layer of a network, refitted to films of one place: a logistic regression that starts from what is there.

The new logit of a film is a * (the parent's logit) + c + delta . features, with delta held small: few films leave the
parent's ranking as it is, many may change it. It goes into the weights of the network itself, so that one graph
answers as before:

    a dense head over pooled or flattened features      its kernel and bias
    a map by design with a part for the film as a whole kernel and bias of that part; what places add, and so the map,
                                                        is scaled and shows the same places as before
    a map by design without one                         scale and offset alone, which cannot change the ranking
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from cxr.model.backend import Outputs
from cxr.model.decision import sigmoid
from cxr.model.efficientnet_lite import CONTEXT, EVIDENCE
from cxr.types import Logits
from trainer.weighting import balanced_weights

Rows = NDArray[np.float64]
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""How freely features may speak, as the inverse strength of the penalty in scikit-learn's logistic regression."""
_SCALE_SPREAD = 3.0
_SCALE_BOUNDS = (0.05, 20.0)
"""The scale of the parent's logit stays positive: what it took for pneumonia is not turned round, only outweighed."""

_STILL, _LEAST_MOVED = 1e-3, 0.05
"""A feature moves in a film that is farther from its median than this share of the farthest; in how many it has to."""


@dataclass(frozen=True, eq=False)
class Change:
    """What is done to a logit: scale * logit + features @ weights + bias, for features (n, d)."""

    scale: float
    weights: Rows
    bias: float

    def logits(self, parent: Logits, features: Rows) -> Logits:
        """The new logits (n,) of films with the parent's logits (n,)."""
        return self.scale * parent + features @ self.weights + self.bias


def read_by_head(outputs: Outputs, model: Any) -> Rows:
    """The features (n, d) that a refitted head may weigh anew; d is 0 for a map by design without a whole-film part.

    Args:
        outputs: The network's, for n films.
        model: The Keras model, for its layers' names and sizes.
    """
    names = {layer.name for layer in model.layers}
    if EVIDENCE not in names:
        width = outputs.features.shape[1]
    elif CONTEXT in names:
        width = model.get_layer(CONTEXT).get_weights()[0].shape[0]
    else:
        width = 0
    return outputs.features[:, outputs.features.shape[1] - width :].astype(np.float64)


def fit_change(parent: Logits, features: Rows, y_true: NDArray[np.uint8], strength: float) -> Change:
    """The change that makes the labels most probable, both classes weighing the same, with small weights.

    Args:
        parent: The parent's logits (n,).
        features: (n, d); each is standardised before it is penalised.
        y_true: (n,), 1 is PNEUMONIA; both classes present.
        strength: See STRENGTHS.
    """
    mean = features.mean(axis=0)
    spread = _spread(features)
    rows = (features - mean) / spread
    weight = len(y_true) * balanced_weights(y_true)

    def loss(values: Rows) -> tuple[float, Rows]:
        scale, bias, weights = values[0], values[1], values[2:]
        logits = scale * parent + bias + rows @ weights
        signed = np.where(y_true == 1, -logits, logits)
        total = weight @ np.logaddexp(0.0, signed) + weights @ weights / (2 * strength)
        total += (scale - 1) ** 2 / (2 * _SCALE_SPREAD**2)
        slope = weight * (sigmoid(logits) - y_true)
        gradient = [
            [slope @ parent + (scale - 1) / _SCALE_SPREAD**2, slope.sum()],
            slope @ rows + weights / strength,
        ]
        return float(total), np.concatenate(gradient)

    start = np.concatenate([[1.0, 0.0], np.zeros(rows.shape[1])])
    bounds = [_SCALE_BOUNDS, *[(None, None)] * (len(start) - 1)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}).x
    weights = found[2:] / spread
    return Change(float(found[0]), weights, float(found[1] - weights @ mean))


def _spread(features: Rows) -> Rows:
    """What each feature (n, d) is divided by, (d,): its deviation, or infinity where it stands still.

    Behind a ReLU6 most features stand at 0 or 6 in nearly all films. Blown up to the spread of the others, the few
    films in which such a feature moves, and rounding, would have a say.
    """
    deviation = features.std(axis=0)
    usual = np.sqrt(np.mean(deviation**2)) if deviation.size else 0.0
    away = np.abs(features - np.median(features, axis=0))
    moves = np.mean(away > _STILL * away.max(axis=0, initial=0.0), axis=0) >= _LEAST_MOVED
    return np.where(moves, np.sqrt(deviation**2 + (_STILL * usual) ** 2) + 1e-12, np.inf)


def apply_change(model: Any, change: Change) -> None:
    """Write a change into the weights of a Keras model whose head is a dense layer of one unit."""
    names = {layer.name for layer in model.layers}
    last = model.layers[-1]
    kernel, offset = (value.astype(np.float64) for value in last.get_weights())
    if EVIDENCE not in names:
        last.set_weights(
            [kernel * change.scale + change.weights[:, None], offset * change.scale + change.bias]
        )
        return
    if CONTEXT not in names:
        last.set_weights([kernel * change.scale, offset * change.scale + change.bias])
        return
    last.set_weights([kernel * change.scale, offset * change.scale])
    context = model.get_layer(CONTEXT)
    whole, base = (value.astype(np.float64) for value in context.get_weights())
    # The last layer scales what this one adds.
    factor = float(kernel[0, 0]) * change.scale
    context.set_weights([whole + change.weights[:, None] / factor, base + change.bias / factor])
