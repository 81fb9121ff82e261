"""Networks trained apart and joined into one that answers with their mean."""

import numpy as np
import pytest

from cxr.imaging.preprocess import to_input_batch
from cxr.model.keras_backend import KerasBackend
from cxr.model.networks import build_network
from cxr.model.predictor import ModelIdentity, Predictor
from evaluation.metrics import evaluate
from evaluation.predictions import score_films
from tests.test_fit import TINY, run_of, striped_films
from trainer.calibrate import HALF, fit_decision
from trainer.fit import Fitted, fit
from trainer.members import fit_members, joined_network, members_alone
from trainer.training_run import SEED_STRIDE

PAIR = TINY.model_copy(update={"members": 2, "epochs": 2})


@pytest.fixture(scope="module")
def films():
    return striped_films(60, 0), striped_films(30, 1)


@pytest.fixture(scope="module")
def pair(films, tmp_path_factory):
    return fit_members(run_of(PAIR, films, tmp_path_factory.mktemp("pair")))


def test_joined_network_answers_with_the_mean_of_its_members(pair, films, tmp_path):
    batch = to_input_batch(films[1].pixels)
    single = PAIR.model_copy(update={"members": 1})
    logits, maps = [], []
    for member in range(2):
        seed = 3 + SEED_STRIDE * member
        one = fit(run_of(single, films, tmp_path / str(member), seed=seed))
        outputs, evidence = KerasBackend(one.model).evidence(batch)
        logits.append(outputs.logits)
        maps.append(evidence)
    assert not np.allclose(logits[0], logits[1])
    outputs, evidence = KerasBackend(pair.model).evidence(batch)
    np.testing.assert_allclose(outputs.logits, np.mean(logits, axis=0), atol=1e-5)
    np.testing.assert_allclose(evidence, np.mean(maps, axis=0), atol=1e-5)


def test_history_names_the_member(pair):
    assert [(row["member"], row["epoch"]) for row in pair.history] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert len(pair.best_epochs) == 2


def test_joined_network_is_built_by_name(pair):
    network = joined_network(PAIR)
    assert network.params["towers"] == 2
    rebuilt = build_network(network.name, network.params, PAIR.preprocess.size)
    assert [weight.shape for weight in rebuilt.weights] == [weight.shape for weight in pair.model.weights]


def test_interrupted_pair_goes_on_with_the_same_history(pair, films, tmp_path, monkeypatch):
    from trainer import members

    def once(*arguments):
        fitted = fit(*arguments)
        monkeypatch.setattr(members, "fit", stopped)
        return fitted

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(members, "fit", once)
    with pytest.raises(KeyboardInterrupt):
        fit_members(run_of(PAIR, films, tmp_path))
    monkeypatch.setattr(members, "fit", fit)
    assert fit_members(run_of(PAIR, films, tmp_path)).history == pair.history


def calibrated(fitted: Fitted, films) -> Predictor:
    draft = Predictor(KerasBackend(fitted.model), PAIR.preprocess, HALF, ModelIdentity("", "", "", ""))
    decision = fit_decision(films.y_true, draft.logits(films.pixels))
    return Predictor(draft.backend, PAIR.preprocess, decision, draft.identity)


def test_figures_of_each_member_are_those_of_the_network_trained_alone(pair, films, tmp_path):
    tuning, scored = films[1], films[0]
    head = pair.model.layers[-1].get_weights()[0]
    found = members_alone(calibrated(pair, tuning), head, 2, tuning, scored)
    single = PAIR.model_copy(update={"members": 1})
    for member in range(2):
        one = fit(run_of(single, films, tmp_path / str(member), seed=3 + SEED_STRIDE * member))
        alone = calibrated(one, tuning)
        expected = evaluate(score_films(alone, scored), alone.decision.threshold, resamples=0)
        for name in ("roc_auc", "accuracy", "sensitivity", "brier", "ece"):
            value = expected.figure(name).value
            assert found["figures"][name]["each"][member] == pytest.approx(value, abs=1e-3), name
    brier = found["figures"]["brier"]
    assert brier["each"][0] != brier["each"][1]
    assert brier["mean"] == pytest.approx(np.mean(brier["each"]))
    assert brier["sd"] == pytest.approx(abs(brier["each"][0] - brier["each"][1]) / np.sqrt(2))
