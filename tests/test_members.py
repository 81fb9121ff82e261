"""Networks trained apart and joined into one that answers with their mean."""

import numpy as np
import pytest

from cxr.keras_backend import KerasBackend
from cxr.networks import build_network
from cxr.preprocess import to_input_batch
from tests.test_fit import TINY, striped_films
from trainer.fit import fit
from trainer.members import SEED_STRIDE, fit_members, joined_network

PAIR = TINY.model_copy(update={"members": 2, "epochs": 2})


@pytest.fixture(scope="module")
def films():
    return striped_films(60, 0), striped_films(30, 1)


@pytest.fixture(scope="module")
def pair(films, tmp_path_factory):
    return fit_members(PAIR, *films, 3, "float32", tmp_path_factory.mktemp("pair"))


def test_joined_network_answers_with_the_mean_of_its_members(pair, films, tmp_path):
    batch = to_input_batch(films[1].pixels)
    single = PAIR.model_copy(update={"members": 1})
    logits, maps = [], []
    for member in range(2):
        seed = 3 + SEED_STRIDE * member
        one = fit(single, *films, seed, "float32", tmp_path / str(member))
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
        fit_members(PAIR, *films, 3, "float32", tmp_path)
    monkeypatch.setattr(members, "fit", fit)
    assert fit_members(PAIR, *films, 3, "float32", tmp_path).history == pair.history
