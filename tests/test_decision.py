"""Logits -> probability -> decision, and how the trainer chooses the figures for it."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from cxr.model.decision import DecisionSpec, logit, shift_prevalence, sigmoid
from trainer.calibrate import (
    MOST_FALSE_ALARMS,
    SENSITIVITY_FLOOR,
    UNCERTAIN_SHARE,
    fit_decision,
    widen_for_unfamiliar,
)


def spec(**changes) -> DecisionSpec:
    return DecisionSpec(**{"temperature": 1.0, "threshold": 0.5, "rule": "test", **changes})


def test_sigmoid_and_logit_undo_each_other_and_never_overflow():
    x = np.array([-15.0, -1.0, 0.0, 2.5, 15.0])
    np.testing.assert_allclose(logit(sigmoid(x)), x, rtol=1e-6)
    assert sigmoid(np.array([-1e9, 1e9])).tolist() == [0.0, 1.0]
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_temperature_and_bias():
    probabilities = spec(temperature=2.0, bias=1.0).probabilities(np.array([0.0, -2.0]))
    np.testing.assert_allclose(probabilities, [1 / (1 + math.exp(-1)), 0.5])


@pytest.mark.parametrize(
    ("probability", "label"),
    [
        (0.39, "NORMAL"),
        (0.40, "UNCERTAIN"),  # the band's lower end belongs to it
        (0.59, "UNCERTAIN"),
        (0.60, "PNEUMONIA"),  # its upper end does not
    ],
)
def test_label_with_band(probability, label):
    assert spec(uncertain_band=(0.4, 0.6)).decide(probability) == label


def test_label_without_band_is_pneumonia_from_the_threshold_on():
    assert [spec().decide(p) for p in (0.4999, 0.5)] == ["NORMAL", "PNEUMONIA"]


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0},
        {"threshold": 1.0},
        {"threshold": 0.0},
        {"uncertain_band": (0.6, 0.7)},
        {"other": 1},
    ],
)
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(ValidationError):
        spec(**changes)


def test_prevalence_shift_is_bayes_rule():
    # 1,000 people, 100 ill: a positive with likelihood ratio 9 is ill in 900 of 1,800 weighted cases.
    likelihood_ratio = 9.0
    assumed, stated = 0.5, 0.1
    p = likelihood_ratio * assumed / (likelihood_ratio * assumed + 1 - assumed)
    expected = likelihood_ratio * stated / (likelihood_ratio * stated + 1 - stated)
    assert shift_prevalence(p, assumed, stated) == pytest.approx(expected, rel=1e-9)
    assert shift_prevalence(p, assumed, assumed) == pytest.approx(p)


@pytest.fixture(scope="module")
def scored():
    """Logits twice as confident as they should be, shifted, three of four films with pneumonia."""
    rng = np.random.default_rng(0)
    y_true = (rng.random(20_000) < 0.75).astype(np.uint8)
    honest = rng.normal(
        np.where(y_true == 1, 1.5, -1.5), math.sqrt(3.0)
    )  # LLR of these normals is the logit itself
    return y_true, 2.0 * honest + 1.0


def test_scaling_is_recovered_at_even_prevalence(scored):
    decision = fit_decision(*scored)
    assert decision.temperature == pytest.approx(2.0, rel=0.05)
    assert decision.bias == pytest.approx(-0.5, abs=0.06)
    assert decision.reference_prevalence == 0.5


def test_threshold_is_the_highest_that_keeps_the_sensitivity(scored):
    y_true, logits = scored
    decision = fit_decision(y_true, logits)
    positive = decision.probabilities(logits[y_true == 1])
    assert (positive >= decision.threshold).mean() >= SENSITIVITY_FLOOR
    next_film = np.sort(positive[positive >= decision.threshold])[0]
    assert (positive > next_film).mean() < SENSITIVITY_FLOOR


def test_band_holds_its_share_of_each_class_alike(scored):
    y_true, logits = scored
    decision = fit_decision(y_true, logits)
    low, high = decision.uncertain_band
    p = decision.probabilities(logits)
    inside = (p >= low) & (p < high)
    share = (inside[y_true == 0].mean() + inside[y_true == 1].mean()) / 2
    assert share == pytest.approx(UNCERTAIN_SHARE, abs=0.002)
    assert low < decision.threshold < high


def test_perfect_separation_stays_finite():
    y_true = np.repeat([0, 1], 20).astype(np.uint8)
    decision = fit_decision(y_true, np.where(y_true == 1, 5.0, -5.0) + np.linspace(0, 1, 40))
    assert math.isfinite(decision.bias) and decision.temperature > 0.1
    assert 0 < decision.threshold < 1


def test_network_that_ranks_backwards_is_left_uncalibrated():
    y_true = np.repeat([0, 1], 20).astype(np.uint8)
    decision = fit_decision(y_true, np.where(y_true == 1, -5.0, 5.0) + np.linspace(0, 1, 40))
    assert (decision.temperature, decision.bias) == (1.0, 0.0)


# --- Unfamiliar images


def test_unfamiliar_images_are_more_often_uncertain() -> None:
    decision = spec(uncertain_band=(0.4, 0.6), unfamiliar_band=(0.2, 0.8))
    assert decision.decide(0.7) == "PNEUMONIA"
    assert decision.decide(0.7, familiar=False) == "UNCERTAIN"
    assert decision.decide(0.1, familiar=False) == "NORMAL"
    assert spec(uncertain_band=(0.4, 0.6)).decide(0.7, familiar=False) == "PNEUMONIA"


def test_the_band_of_unfamiliar_images_is_never_the_narrower_one() -> None:
    with pytest.raises(ValidationError, match="unfamiliar_band"):
        spec(uncertain_band=(0.4, 0.6), unfamiliar_band=(0.45, 0.8))


def test_few_normal_films_of_other_hospitals_are_called_pneumonia() -> None:
    decision = spec(uncertain_band=(0.4, 0.6))
    elsewhere = np.random.default_rng(0).normal(1, 2, 4000)
    wider = widen_for_unfamiliar(decision, elsewhere)
    called = [wider.decide(p, familiar=False) == "PNEUMONIA" for p in wider.probabilities(elsewhere)]
    assert np.mean(called) == pytest.approx(MOST_FALSE_ALARMS, abs=0.002)
    low, high = logit(np.array(wider.unfamiliar_band))
    assert high - logit(np.array([wider.threshold]))[0] == pytest.approx(
        logit(np.array([wider.threshold]))[0] - low
    )
    assert f"{MOST_FALSE_ALARMS:.0%} of 4,000" in wider.unfamiliar_rule


def test_where_normal_films_elsewhere_are_no_trouble_the_band_stays() -> None:
    decision = spec(uncertain_band=(0.4, 0.6))
    wider = widen_for_unfamiliar(decision, np.full(100, -9.0))
    assert wider.unfamiliar_band == pytest.approx(decision.uncertain_band)
