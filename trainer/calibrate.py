"""Logits on validation films -> calibration, threshold and uncertain band. Never called with test films."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from cxr.model.decision import DecisionSpec, logit, sigmoid
from cxr.types import Logits, Probabilities
from trainer.weighting import balanced_weights

SENSITIVITY_FLOOR = 0.97
UNCERTAIN_SHARE = 0.08
REFERENCE_PREVALENCE = 0.5
MOST_FALSE_ALARMS = 0.07
"""Of the normal films of other hospitals, how many may be called PNEUMONIA once the band is widened for them."""

AS_THEY_ARE = (1.0, 0.0)
HALF = DecisionSpec(
    temperature=1.0, threshold=0.5, rule="0.5 on the uncalibrated probability, the original's"
)


def fit_decision(
    y_true: np.ndarray,
    logits: Logits,
    films: str = "validation films",
    where_flat: tuple[float, float] = AS_THEY_ARE,
) -> DecisionSpec:
    """Choose temperature, bias, threshold and band on validation films, both classes weighing the same.

    y_true: uint8 (n,), 1 is PNEUMONIA, both classes present; logits: float64 (n,); films: what they are, in words,
    for the rule; where_flat: as for `fit_scaling`.
    """
    temperature, bias = fit_scaling(y_true, logits, where_flat)
    probabilities = sigmoid(logits / temperature + bias)
    threshold = _threshold_at_sensitivity(probabilities[y_true == 1])
    return DecisionSpec(
        temperature=temperature,
        bias=bias,
        threshold=threshold,
        rule=(
            f"highest threshold with sensitivity of at least {SENSITIVITY_FLOOR} on the {films}; uncertain: "
            f"the {UNCERTAIN_SHARE:.0%} of them (classes weighing the same) whose logits lie nearest to it"
        ),
        uncertain_band=_band(y_true, probabilities, threshold),
        reference_prevalence=REFERENCE_PREVALENCE,
    )


def widen_for_unfamiliar(decision: DecisionSpec, normal: Logits) -> DecisionSpec:
    """The decision with a wider uncertain band for unfamiliar images.

    The band stays symmetric about the threshold in log-odds: what shifts an unfamiliar film towards PNEUMONIA may shift
    another one towards NORMAL, and nothing there says how far.

    Args:
        decision: As fitted on validation films.
        normal: Logits (n,) of normal films of other hospitals, of patients that no figure is given on.
    """
    centre = logit(np.array([decision.threshold]))
    highest = np.quantile(logit(decision.probabilities(normal)), 1 - MOST_FALSE_ALARMS)
    rule = (
        f"symmetric about the threshold in log-odds, wide enough that at most {MOST_FALSE_ALARMS:.0%} of "
        f"{len(normal):,} normal films of other hospitals are called PNEUMONIA"
    )
    return with_unfamiliar_band(decision, float(highest - centre[0]), rule)


def with_unfamiliar_band(decision: DecisionSpec, half_width: float, rule: str) -> DecisionSpec:
    """The decision with a band for unfamiliar images that reaches `half_width` in log-odds to either side, or farther.

    It is never narrower than the band for familiar ones. rule: in words, how the width was chosen.
    """
    centre = logit(np.array([decision.threshold]))
    inner = logit(np.array(decision.uncertain_band or (decision.threshold, decision.threshold)))
    reach = max(half_width, float(np.abs(inner - centre).max()))
    low, high = sigmoid(centre + np.array([-reach, reach]))
    band = (min(float(low), float(sigmoid(inner)[0])), max(float(high), float(sigmoid(inner)[1])))
    return decision.model_copy(update={"unfamiliar_band": band, "unfamiliar_rule": rule})


def fit_scaling(
    y_true: np.ndarray, logits: Logits, where_flat: tuple[float, float] = AS_THEY_ARE
) -> tuple[float, float]:
    """Temperature and bias by logistic regression with Platt's (1999) softened targets.

    The softened targets keep both finite where validation separates the classes without error. Where a network
    has learnt nothing, the slope may come out flat or negative; then it is `where_flat`, temperature and bias.
    """
    counts = np.bincount(y_true, minlength=2)
    certain = (counts + 1) / (counts + 2)
    weight = 0.5 / counts
    features = np.concatenate([logits, logits])[:, None]
    targets = np.concatenate([y_true, 1 - y_true])
    weights = np.concatenate([(weight * certain)[y_true], (weight * (1 - certain))[y_true]])
    model = LogisticRegression(C=1e6, max_iter=1000).fit(features, targets, weights * len(logits))
    slope, bias = float(model.coef_[0, 0]), float(model.intercept_[0])
    return (1 / slope, bias) if slope > 1e-3 else where_flat


def calibrated(
    y_true: np.ndarray, logits: Logits, where_flat: tuple[float, float] = AS_THEY_ARE
) -> Probabilities:
    """The probabilities (n,) of films once they are calibrated on themselves; arguments as for `fit_scaling`."""
    temperature, bias = fit_scaling(y_true, logits, where_flat)
    return sigmoid(logits / temperature + bias)


def _threshold_at_sensitivity(positive: np.ndarray) -> float:
    """Halfway between the lowest probability that must be caught and the one below it."""
    ordered = np.sort(positive)
    missed = int(np.floor(len(ordered) * (1 - SENSITIVITY_FLOOR) + 1e-9))
    below = logit(ordered[missed - 1 : missed]) if missed else logit(ordered[:1]) - 1.0
    return float(np.clip(sigmoid((below + logit(ordered[missed : missed + 1])) / 2)[0], 1e-6, 1 - 1e-6))


def _band(y_true: np.ndarray, probabilities: np.ndarray, threshold: float) -> tuple[float, float]:
    centre = logit(np.array([threshold]))
    distance = np.abs(logit(probabilities) - centre)
    order = np.argsort(distance)
    weight = balanced_weights(y_true)[order]
    inside = int(np.searchsorted(np.cumsum(weight), UNCERTAIN_SHARE))
    half_width = distance[order[min(inside, len(order) - 1)]]
    low, high = sigmoid(centre + np.array([-half_width, half_width]))
    return min(float(low), threshold), max(float(high), threshold)
