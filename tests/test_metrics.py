"""Figures: each against an independent computation, and their intervals against slow and obvious ones."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from cxr.data.films import Film
from cxr.data.loading import LoadedFilms
from cxr.errors import BundleError, DataError, UsageError
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.answer import Answer
from cxr.model.backend import Outputs
from cxr.model.decision import DecisionSpec
from cxr.model.figures import FIGURES
from cxr.model.predictions import ScoredFilm, read_predictions, write_predictions
from cxr.model.predictor import ModelIdentity, Predictor
from cxr.types import Decision, EvidenceMap, InputBatch
from evaluation import metrics
from evaluation.calibration import expected_calibration_error, reliability_bins, wilson_interval
from evaluation.metrics import bare_figures
from evaluation.predictions import labels_and_probabilities, score_films, worst_errors
from evaluation.resampling import group_weights, resampled_figures, weighted_figures
from tests.scored_films import scored_film

THRESHOLD = 0.45


def film(index: int, pneumonia: bool, probability: float, patient: str = "", subtype: str = "") -> ScoredFilm:
    decision: Decision = "PNEUMONIA" if probability >= THRESHOLD else "NORMAL"
    label = "PNEUMONIA" if pneumonia else "NORMAL"
    return scored_film(f"test/{index}.jpeg", patient or f"p{index}", label, subtype, probability, decision)


def random_films(n: int, seed: int = 0, per_patient: int = 2, digits: int = 2) -> list[ScoredFilm]:
    """Overlapping classes; with few digits, many tied probabilities."""
    rng = np.random.default_rng(seed)
    pneumonia = rng.random(n) < 0.6
    probabilities = (1 / (1 + np.exp(-rng.normal(np.where(pneumonia, 1, -1), 1.5)))).round(digits)
    kinds = ("bacterial", "viral")
    return [
        film(i, bool(y), float(p), f"g{i // per_patient}", kinds[i % 2] if y else "")
        for i, (y, p) in enumerate(zip(pneumonia, probabilities, strict=True))
    ]


def evaluate(rows: Sequence[ScoredFilm], *settings: Any, **named: Any) -> dict[str, Any]:
    """The figures as metrics.json holds them."""
    return metrics.evaluate(rows, *settings, **named).model_dump(mode="json")


def figures(rows: Sequence[ScoredFilm], **settings: int) -> dict[str, float | None]:
    result = evaluate(rows, THRESHOLD, **settings)
    return {name: result[name]["value"] for name in FIGURES}


def slow_ece(y_true: np.ndarray, y_prob: np.ndarray, bins: int = 15) -> float:
    """By the definition, film by film."""
    n = len(y_true)
    outcome = [y_true[y_prob == p].mean() for p in y_prob]
    order = sorted(range(n), key=lambda i: y_prob[i])
    gaps = 0.0
    for b in range(bins):
        members = order[b * n // bins : (b + 1) * n // bins]
        gaps += abs(sum(outcome[i] - y_prob[i] for i in members))
    return gaps / n


def slow_figures(y_true: np.ndarray, y_prob: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Every figure by scikit-learn with sample_weight; NaN where it is undefined."""
    called, nan = y_prob >= THRESHOLD, float("nan")
    w = {"sample_weight": weights}
    both = 0 < (weights * y_true).sum() < weights.sum()
    repeats = weights.astype(int)
    return {
        "accuracy": sk.accuracy_score(y_true, called, **w),
        "sensitivity": sk.recall_score(y_true, called, zero_division=nan, **w),
        "specificity": sk.recall_score(y_true, called, pos_label=0, zero_division=nan, **w),
        "precision": sk.precision_score(y_true, called, zero_division=nan, **w),
        "npv": sk.precision_score(y_true, called, pos_label=0, zero_division=nan, **w),
        "f1": sk.f1_score(y_true, called, zero_division=nan, **w),
        "roc_auc": sk.roc_auc_score(y_true, y_prob, **w) if both else nan,
        "average_precision": sk.average_precision_score(y_true, y_prob, **w) if both else nan,
        "brier": sk.brier_score_loss(y_true, y_prob, pos_label=1, **w),
        "ece": slow_ece(np.repeat(y_true, repeats), np.repeat(y_prob, repeats)),
        "log_loss": sk.log_loss(y_true, y_prob, labels=[0, 1], **w),
    }


# --- Point values


def test_confusion_and_rates_of_a_counted_example() -> None:
    truths = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    scores = [0.1, 0.2, 0.45, 0.9, 0.44, 0.45, 0.8, 0.9, 0.95, 0.99]
    result = evaluate(
        [film(i, bool(y), p) for i, (y, p) in enumerate(zip(truths, scores, strict=True))], THRESHOLD
    )
    assert result["confusion"] == {"tn": 2, "fp": 2, "fn": 1, "tp": 5}  # 0.45 is at the threshold: PNEUMONIA
    assert (result["n"], result["n_normal"], result["n_pneumonia"], result["n_groups"]) == (10, 4, 6, 10)
    wanted = {
        "accuracy": 0.7,
        "sensitivity": 5 / 6,
        "specificity": 0.5,
        "precision": 5 / 7,
        "npv": 2 / 3,
        "f1": 10 / 13,
    }
    assert {name: result[name]["value"] for name in wanted} == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("digits", [1, 12], ids=["many ties", "no ties"])
def test_auc_is_the_share_of_pairs_in_the_right_order(digits: int) -> None:
    y_true, y_prob = labels_and_probabilities(rows := random_films(150, digits=digits))
    pairs = np.sign(y_prob[y_true == 1][:, None] - y_prob[y_true == 0][None, :])
    assert figures(rows, resamples=0)["roc_auc"] == pytest.approx((pairs.mean() + 1) / 2, abs=1e-12)


def test_ece_of_a_computed_example() -> None:
    # 30 films make 15 bins of two. In 14 bins the model says 0.2 and 0.3 and neither film has pneumonia (gap
    # 0.25); in the last it says 0.9 and 0.7 and one has (gap 0.3).
    y_prob = np.array([0.9, 0.7] + [v for k in range(14) for v in (0.2 + k * 1e-9, 0.3 + k * 1e-9)])
    y_true = np.array([1, 0] + [0] * 28)
    # Sorted, the 14 lower ones of 0.2 fill the first seven bins (gap 0.2), those of 0.3 the next seven (0.3).
    wanted = (7 * 0.2 + 7 * 0.3 + 0.3) / 15
    assert expected_calibration_error(y_true, y_prob) == pytest.approx(wanted, abs=1e-7)


def test_ece_of_tied_probabilities_does_not_depend_on_the_order_of_rows() -> None:
    y_true, y_prob = labels_and_probabilities(random_films(101, digits=1))
    order = np.random.default_rng(1).permutation(101)
    value = expected_calibration_error(y_true, y_prob)
    assert value == pytest.approx(expected_calibration_error(y_true[order], y_prob[order]), abs=1e-12)
    assert value == pytest.approx(slow_ece(y_true, y_prob), abs=1e-12)
    assert expected_calibration_error(np.array([0, 1, 1, 0] * 25), np.full(100, 0.5)) == pytest.approx(0)


@pytest.mark.parametrize("n", [1, 14, 15, 16, 624])
def test_reliability_bins_hold_every_film_once_and_differ_by_one_at_most(n: int) -> None:
    bins = reliability_bins(np.arange(n) % 2, np.linspace(0, 1, n))
    assert bins.n.sum() == n
    assert len(bins.n) == min(n, 15)
    assert np.ptp(bins.n) <= 1


def test_wilson_interval_of_published_values() -> None:
    low, high = wilson_interval(np.array([0.0, 0.5, 0.9]), np.array([10, 10, 10]))
    # Newcombe 1998, method 3: 0/10 -> 0 to 0.2775; 5/10 -> 0.2366 to 0.7634; 9/10 -> 0.5958 to 0.9821.
    np.testing.assert_allclose(low, [0, 0.2366, 0.5958], atol=6e-5)
    np.testing.assert_allclose(high, [0.2775, 0.7634, 0.9821], atol=6e-5)


def test_subgroups_set_all_normals_against_one_subtype() -> None:
    rows = random_films(120)
    result = evaluate(rows, THRESHOLD, resamples=50)
    assert list(result["subgroups"]) == ["bacterial", "viral"]
    viral = [row for row in rows if not row.is_pneumonia or row.subtype == "viral"]
    alone = evaluate(viral, THRESHOLD, resamples=50)
    assert result["subgroups"]["viral"] == {key: alone[key] for key in result["subgroups"]["viral"]}
    bare = [replace(row, answer=replace(row.answer, subtype="")) for row in rows]
    assert evaluate(bare, THRESHOLD, resamples=0)["subgroups"] == {}


def test_unfamiliar_films_are_counted_by_their_own_band() -> None:
    rows = [
        replace(row, answer=replace(row.answer, scope="unfamiliar" if number % 2 else "familiar"))
        for number, row in enumerate(random_films(50))
    ]
    found = evaluate(rows, THRESHOLD, 0, 0, (THRESHOLD, THRESHOLD), (0.0, 1.0))
    assert found["uncertain"]["n"] == 25
    assert evaluate(rows, THRESHOLD, 0, 0, (THRESHOLD, THRESHOLD))["uncertain"]["n"] == 0


def test_uncertain_films_are_counted_apart_and_the_figures_ignore_the_band() -> None:
    rows = random_films(50)
    low, high = sorted(row.probability for row in rows)[17:28:10]
    found = evaluate(rows, THRESHOLD, resamples=0, uncertain_band=(low, high))
    rest = [row for row in rows if not low <= row.probability < high]
    right = [row.answer.decision == row.answer.truth for row in rest]
    n = 50 - len(rest)
    assert n > 0
    assert found["uncertain"] == {
        "n": n,
        "share": n / 50,
        "accuracy_of_the_rest": sum(right) / len(rest),
    }
    assert {name: found[name]["value"] for name in FIGURES} == figures(rows, resamples=0)
    none_left = evaluate(rows, THRESHOLD, resamples=0, uncertain_band=(0.0, 1.0))
    assert none_left["uncertain"]["accuracy_of_the_rest"] is None


def test_bare_figures_follow_keras_at_one_half() -> None:
    # 0.5 itself is not above 0.5, and a loss of 1e-7 is Keras's bound for a certain and right answer.
    rows = [film(0, True, 0.5), film(1, True, 1.0), film(2, False, 0.0), film(3, False, 0.6)]
    found = bare_figures(rows)
    loss = (-math.log(0.5) - 2 * math.log(1 - 1e-7) - math.log(0.4)) / 4
    assert found == pytest.approx(
        {"loss": loss, "accuracy": 0.5, "precision": 0.5, "recall": 0.5, "auc": 0.75}
    )
    assert bare_figures(rows[2:])["auc"] is None


# --- Undefined figures


@pytest.mark.parametrize(
    ("rows", "undefined"),
    [
        # normals only: nothing that needs a pneumonia film
        ([film(0, False, 0.1), film(1, False, 0.9)], {"sensitivity", "roc_auc", "average_precision"}),
        # pneumonia only
        ([film(0, True, 0.1), film(1, True, 0.9)], {"specificity", "roc_auc", "average_precision"}),
        # both classes, no positive decision
        ([film(0, False, 0.1), film(1, True, 0.2)], {"precision"}),
        # both classes, no negative decision
        ([film(0, False, 0.8), film(1, True, 0.9)], {"npv"}),
        # normals only, all called normal
        ([film(0, False, 0.1)], {"sensitivity", "precision", "f1", "roc_auc", "average_precision"}),
    ],
)
def test_undefined_figures_are_null(rows: list[ScoredFilm], undefined: set[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(rows, THRESHOLD, resamples=100)
    assert {name for name in FIGURES if result[name]["value"] is None} == undefined
    assert all(result[name] == {"value": None, "ci95": None} for name in undefined)


def test_one_patient_group_has_no_interval() -> None:
    result = evaluate([film(0, False, 0.1, "one"), film(1, True, 0.9, "one")], THRESHOLD, resamples=100)
    assert result["accuracy"] == {"value": 1.0, "ci95": None}


def test_resamples_without_a_figure_are_left_out_of_its_interval() -> None:
    # One pneumonia film among four: a third of the resamples lack it.
    rows = [film(0, True, 0.9), film(1, False, 0.1), film(2, False, 0.95), film(3, False, 0.2)]
    y_true, y_prob = labels_and_probabilities(rows)
    spread = resampled_figures(y_true, y_prob, [row.patient for row in rows], THRESHOLD, 500, 3)["roc_auc"]
    assert 0.2 < np.isnan(spread).mean() < 0.45
    interval = evaluate(rows, THRESHOLD, resamples=500, seed=3)["roc_auc"]["ci95"]
    assert interval == pytest.approx(np.nanpercentile(spread, [2.5, 97.5]).tolist())


def test_nothing_to_evaluate_and_wrong_settings_are_told() -> None:
    with pytest.raises(DataError, match="There is no film to evaluate"):
        evaluate([], THRESHOLD)
    with pytest.raises(DataError, match="There is no film to evaluate"):
        bare_figures([])
    with pytest.raises(UsageError, match="resamples is -1, which is below 0"):
        evaluate(random_films(10), THRESHOLD, resamples=-1)


# --- Intervals


@pytest.mark.parametrize("digits", [1, 12], ids=["many ties", "no ties"])
def test_weighted_figures_are_those_of_scikit_learn(digits: int) -> None:
    y_true, y_prob = labels_and_probabilities(random_films(90, seed=4, digits=digits))
    y_prob[:2] = 0.0, 1.0  # log loss has a bound there
    weights = np.random.default_rng(5).poisson(1.0, (25, 90)).astype(float)
    found = weighted_figures(y_true, y_prob, weights, THRESHOLD)
    assert list(found) == list(FIGURES)
    for index, row in enumerate(weights):
        wanted = slow_figures(y_true, y_prob, row)
        for name in FIGURES:
            assert found[name][index] == pytest.approx(wanted[name], abs=1e-9, nan_ok=True), name


def test_intervals_are_those_of_a_loop_over_the_same_resamples() -> None:
    rows = random_films(60, seed=6, per_patient=3, digits=1)
    y_true, y_prob = labels_and_probabilities(rows)
    weights = np.concatenate(list(group_weights([row.patient for row in rows], 80, seed=7)))
    loop = [slow_figures(y_true, y_prob, row) for row in weights]
    result = evaluate(rows, THRESHOLD, resamples=80, seed=7)
    for name in FIGURES:
        wanted = np.nanpercentile([values[name] for values in loop], [2.5, 97.5])
        assert result[name]["ci95"] == pytest.approx(wanted.tolist(), abs=1e-9), name
        assert result[name]["value"] == pytest.approx(
            slow_figures(y_true, y_prob, np.ones(60))[name], abs=1e-9
        )


def test_auc_interval_lies_near_delongs() -> None:
    """DeLong, DeLong and Clarke-Pearson 1988, for films that are independent."""
    rows = random_films(400, seed=8, per_patient=1, digits=12)
    y_true, y_prob = labels_and_probabilities(rows)
    pairs = (np.sign(y_prob[y_true == 1][:, None] - y_prob[y_true == 0][None, :]) + 1) / 2
    of_pneumonia, of_normal = pairs.mean(axis=1), pairs.mean(axis=0)
    error = math.sqrt(of_pneumonia.var(ddof=1) / len(of_pneumonia) + of_normal.var(ddof=1) / len(of_normal))
    wanted = [pairs.mean() - 1.96 * error, pairs.mean() + 1.96 * error]
    assert evaluate(rows, THRESHOLD)["roc_auc"]["ci95"] == pytest.approx(wanted, abs=0.006)


def test_copies_in_one_group_widen_the_interval_as_far_as_they_add_nothing() -> None:
    once = random_films(150, seed=9, per_patient=1)
    copies = [
        replace(row, answer=replace(row.answer, file=f"{k}{row.file}")) for row in once for k in range(4)
    ]
    separate = [
        replace(row, answer=replace(row.answer, patient=f"{k}{row.patient}")) for k, row in enumerate(copies)
    ]

    def width(rows: list[ScoredFilm]) -> float:
        low, high = evaluate(rows, THRESHOLD, resamples=600)["roc_auc"]["ci95"]
        return float(high - low)

    assert width(copies) == pytest.approx(width(once), rel=1e-9)
    assert width(copies) > 1.6 * width(separate)  # in truth twice as wide


def test_resamples_draw_whole_groups_as_many_as_there_are() -> None:
    groups = ["a", "a", "b", "c", "c", "c"]
    weights = np.concatenate(list(group_weights(groups, 300, seed=0)))
    assert weights.shape == (300, 6)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 3], weights[:, 5])
    np.testing.assert_array_equal(weights[:, [0, 2, 3]].sum(axis=1), 3)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.15)


def test_intervals_are_reproducible_and_depend_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_films(60)
    first = evaluate(rows, THRESHOLD, resamples=100, seed=1)
    assert first == evaluate(rows, THRESHOLD, resamples=100, seed=1)
    assert first["accuracy"]["ci95"] != evaluate(rows, THRESHOLD, resamples=100, seed=2)["accuracy"]["ci95"]
    monkeypatch.setattr("evaluation.resampling._CELLS_PER_BLOCK", 700)  # several blocks, the same draws
    again = evaluate(rows, THRESHOLD, resamples=100, seed=1)
    assert all(again[name]["ci95"] == pytest.approx(first[name]["ci95"], abs=1e-12) for name in FIGURES)


# --- Predictions


class ConstantBackend:
    """A network whose logits are given."""

    size = 32

    def __init__(self, logits: Sequence[float]) -> None:
        self._logits = np.array(logits)

    def outputs(self, batch: InputBatch) -> Outputs:
        return Outputs(self._logits[: len(batch)], np.zeros((len(batch), 1), np.float32))

    def evidence(self, batch: InputBatch) -> tuple[Outputs, EvidenceMap]:
        raise NotImplementedError


def predictor_with(logits: Sequence[float]) -> Predictor:
    decision = DecisionSpec(temperature=2.0, threshold=0.5, rule="given", uncertain_band=(0.4, 0.6))
    preprocess = PreprocessSpec(size=32, resample="box")
    return Predictor(ConstantBackend(logits), preprocess, decision, ModelIdentity("given", "", "", ""))


def loaded_films(n: int) -> LoadedFilms:
    films = [Film(f"test/PNEUMONIA/{i}.png", "test", "PNEUMONIA", "viral", f"p{i}") for i in range(n)]
    return LoadedFilms(films, np.zeros((n, 32, 32), np.uint8))


def test_films_are_scored_by_the_predictors_own_calibration_and_decision() -> None:
    rows = score_films(predictor_with([-4.0, 0.1, 4.0]), loaded_films(3))
    assert [row.answer.decision for row in rows] == ["NORMAL", "UNCERTAIN", "PNEUMONIA"]
    assert [row.probability for row in rows] == pytest.approx(
        [1 / (1 + math.exp(-x / 2)) for x in (-4, 0.1, 4)]
    )
    assert rows[0] == scored_film(
        "test/PNEUMONIA/0.png", "p0", "PNEUMONIA", "viral", rows[0].probability, "NORMAL"
    )
    assert score_films(predictor_with([]), loaded_films(0)) == []


def test_a_network_that_gives_no_number_is_no_normal_film() -> None:
    with pytest.raises(BundleError, match="The network answers NaN or infinity"):
        score_films(predictor_with([0.0, float("nan")]), loaded_films(2))


def test_predictions_come_back_exactly(tmp_path: Path) -> None:
    rows = random_films(40, digits=17)
    odd = scored_film('=odd, "name" é.jpeg', "'-p", "PNEUMONIA", "", 5e-324, "NORMAL")
    refused = ScoredFilm(Answer("r", "p", "NORMAL", scope="refused", warnings=("blank",)), 1 / 3)
    rows = [odd, refused, *rows[2:]]
    write_predictions(tmp_path / "predictions.csv", rows)
    assert read_predictions(tmp_path / "predictions.csv") == rows
    assert evaluate(read_predictions(tmp_path / "predictions.csv"), 0.5, 20) == evaluate(rows, 0.5, 20)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"\(none\)"),
        (b"file,label\n", "the columns file,label"),
        (b"file,patient,label,subtype,probability,decision\na,b,NORMAL,,0.5\n", "Line 2 .* cells"),
        (b"file,patient,label,subtype,probability,decision\na,b,NORMAL,,0.5,NORMAL,x\n", "Line 2 .* cells"),
        (
            b"file,patient,label,subtype,probability,decision\na,b,normal,,0.5,NORMAL\n",
            "truth.*'NORMAL' or 'PNEUMONIA'",
        ),
        (b"file,patient,label,subtype,probability,decision\na,b,NORMAL,,0.5,YES\n", "decision"),
        (b"file,patient,label,subtype,probability,decision\na,b,NORMAL,,nan,NORMAL\n", "finite"),
        (
            b"file,patient,label,subtype,probability,decision\na,b,NORMAL,,1.5,NORMAL\n",
            "Line 2.*less than or equal to 1",
        ),
        (b"file,patient,label,subtype,probability,decision\na,b,NORMAL,,high,NORMAL\n", "a valid number"),
        (b'file,patient,label,subtype,probability,decision\n"a"b,b,NORMAL,,0.5,NORMAL\n', "not valid CSV"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_another_file_is_told_apart(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        read_predictions(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv cannot be read: No such file"):
        read_predictions(tmp_path / "none.csv")


def test_worst_errors_are_ranked_by_their_distance_from_the_threshold() -> None:
    rows = [
        film(0, True, 0.40),
        film(1, False, 0.999),
        film(2, True, 0.001),
        film(3, False, 0.2),
        film(4, True, 0.9),
    ]
    assert [row.file[5] for row in worst_errors(rows, THRESHOLD, 10)] == ["1", "2", "0"]
    assert len(worst_errors(rows, THRESHOLD, 1)) == 1


def test_a_share_of_all_or_none_has_an_interval_with_a_width() -> None:
    rows = [film(n, False, 0.1, f"n{n}") for n in range(60)]
    rows += [film(60 + n, True, 0.9, f"p{n // 2}") for n in range(60)]
    found = evaluate(rows, 0.5, 50, 0)
    assert found["specificity"]["ci95"] == pytest.approx((0.940, 1), abs=5e-4), "60 of 60, by Wilson"
    assert found["sensitivity"]["ci95"] == pytest.approx((0.886, 1), abs=5e-4), "60 films of 30 patients"
    assert found["precision"]["ci95"] == found["sensitivity"]["ci95"]
    assert found["accuracy"]["ci95"][0] == pytest.approx(0.959, abs=5e-4), "90 patients"
