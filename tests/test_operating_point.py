"""Operating points: counts and intervals against metrics.json's own code, Bayes' rule, and the suggested threshold."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxr.errors import DataError, UsageError
from cxr.model.predictions import ScoredFilm
from evaluation.metrics import evaluate
from evaluation.operating_point import Explorer, predictive_values
from evaluation.predictions import labels_and_probabilities
from tests.scored_films import scored_film


def films(n: int = 200, seed: int = 0, films_a_patient: int = 2) -> list[ScoredFilm]:
    """Made-up answers with ties, two films a patient."""
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.6
    scores = np.round(1 / (1 + np.exp(-(rng.normal(0, 1.5, n) + 2.0 * ill - 1))), 2)
    return [
        scored_film(
            f"{i}.png",
            f"p{i // films_a_patient}",
            "PNEUMONIA" if ill[i] else "NORMAL",
            "",
            float(scores[i]),
            "NORMAL",
        )
        for i in range(n)
    ]


@pytest.mark.parametrize("threshold", [0.0, 0.37, 0.5, 0.9, 1.0])
def test_shares_and_intervals_are_those_of_metrics_json(threshold: float) -> None:
    rows = films()
    figures = evaluate(rows, threshold, resamples=300, seed=0)
    prevalence = figures.n_pneumonia / figures.n
    point = Explorer(rows, resamples=300).at(threshold, prevalence)
    cells = figures.confusion
    assert (point.tp, point.fn, point.tn, point.fp) == (cells.tp, cells.fn, cells.tn, cells.fp)
    for key in ("sensitivity", "specificity"):
        share = getattr(point, key)
        assert share.value == pytest.approx(figures.figure(key).value)
        assert share.ci95 == pytest.approx(figures.figure(key).ci95)
    # At the films' own mix, Bayes' rule gives the plain shares.
    for key, ours in (("precision", point.ppv), ("npv", point.npv)):
        assert ours.value == (figures.figure(key).value and pytest.approx(figures.figure(key).value))


def test_predictive_values_follow_the_prevalence() -> None:
    sensitivity, specificity = np.array([0.9]), np.array([0.8])
    ppv, npv = predictive_values(sensitivity, specificity, 0.1)
    assert ppv[0] == pytest.approx(0.09 / (0.09 + 0.18))
    assert npv[0] == pytest.approx(0.72 / (0.72 + 0.01))
    for impossible in (0.0, 1.0, -0.2):
        with pytest.raises(UsageError, match="prevalence"):
            predictive_values(sensitivity, specificity, impossible)


def test_of_a_thousand_films_none_is_lost() -> None:
    explorer = Explorer(films(), resamples=0)
    for prevalence in (0.003, 0.05, 0.5, 0.99):
        cells = explorer.at(0.4, prevalence).per_thousand()
        assert sum(cells.values()) == 1000
        assert cells["caught"] + cells["missed"] == round(1000 * prevalence)
        assert min(cells.values()) >= 0


def test_where_nothing_is_called_pneumonia_the_ppv_is_undefined() -> None:
    point = Explorer(films(), resamples=50).at(1.01, 0.3)
    assert point.ppv.value is None
    assert point.ppv.ci95 is None
    assert point.npv.value == pytest.approx(0.7)


def test_the_roc_goes_from_corner_to_corner_and_has_the_same_area() -> None:
    rows = films()
    x, y = Explorer(rows, resamples=0).roc()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(*labels_and_probabilities(rows)))


@pytest.mark.parametrize("target", [0.5, 0.8, 0.95, 0.99])
def test_the_suggestion_is_the_highest_threshold_that_reaches_the_wish(target: float) -> None:
    rows = films(seed=3)
    suggestion = Explorer(rows, resamples=100).suggest(target)
    y_true, y_prob = labels_and_probabilities(rows)
    reaching = [t for t in np.unique(y_prob) if (y_prob[y_true == 1] >= t).mean() >= target]
    assert suggestion.threshold == max(reaching)
    assert suggestion.sensitivity == pytest.approx((y_prob[y_true == 1] >= suggestion.threshold).mean())
    assert suggestion.specificity == pytest.approx((y_prob[y_true == 0] < suggestion.threshold).mean())


def test_the_suggestions_interval_is_that_of_the_rule_on_each_resample() -> None:
    from evaluation.resampling import group_weights

    rows, target = films(60, seed=5), 0.9
    suggestion = Explorer(rows, resamples=80, seed=0).suggest(target)
    y_true, y_prob = labels_and_probabilities(rows)
    thresholds, new = [], []
    for weights in np.concatenate(list(group_weights([row.patient for row in rows], 80, 0))):
        drawn = np.repeat(np.arange(len(rows)), weights.astype(int))
        ill = y_prob[drawn][y_true[drawn] == 1]
        thresholds.append(max(t for t in np.unique(ill) if (ill >= t).mean() >= target - 1e-9))
        left_out = y_prob[(weights == 0) & (y_true == 1)]
        new.append((left_out >= thresholds[-1]).mean())
    assert suggestion.interval == pytest.approx(tuple(np.percentile(thresholds, [2.5, 97.5])))
    assert suggestion.new_sensitivity.value == pytest.approx(np.mean(new))
    assert suggestion.reached == pytest.approx(np.mean(np.array(new) >= target))


def test_more_films_make_a_surer_suggestion() -> None:
    few, many = (Explorer(films(n, seed=1), resamples=300).suggest(0.9).interval for n in (60, 2000))
    assert few is not None
    assert many is not None
    assert many[1] - many[0] < few[1] - few[0]


def test_one_patient_gives_no_interval_and_few_films_may_miss_none() -> None:
    rows = films(20, films_a_patient=20)
    suggestion = Explorer(rows).suggest(0.99)
    assert suggestion.interval is None
    assert suggestion.reached is None
    assert suggestion.new_sensitivity.value is None
    assert suggestion.may_miss == 0
    assert Explorer(rows).at(0.5, 0.5).sensitivity.ci95 is None


def test_films_of_one_class_are_refused() -> None:
    for rows in ([], [row for row in films() if row.is_pneumonia]):
        with pytest.raises(DataError, match="An operating point needs films of both classes"):
            Explorer(rows)


def test_it_needs_no_scikit_learn() -> None:
    code = "import sys, evaluation.operating_point; print({'sklearn', 'matplotlib'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
