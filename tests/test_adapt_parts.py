"""What adapting is made of: the refitted head, the folds, the place's gate, the comparison and its words."""

from dataclasses import replace

import numpy as np
import pytest
from test_gate import TRUNK, darker, judge_all, phantoms

from cxr.data.films import describe
from cxr.data.loading import LoadedFilms
from cxr.imaging.preprocess import to_input_batch
from cxr.model.input_gate import InputGate, load_gate, save_gate
from cxr.model.keras_backend import KerasBackend
from cxr.model.networks import build_network
from evaluation.comparison import Judged, compare, verdict
from trainer.adapt_folds import held_out_logits, patient_folds, settle
from trainer.adapt_gate import gate_of_place
from trainer.adapt_head import Change, apply_change, fit_change, read_by_head
from trainer.gating import GateFilms, fit_gate

RNG = np.random.default_rng(0)
N = 200
Y_TRUE = np.arange(N, dtype=np.uint8) % 2
USEFUL = Y_TRUE + RNG.normal(0, 0.6, N)
FEATURES = np.column_stack([5 + 3 * USEFUL, RNG.normal(size=(N, 4))])
PARENT = RNG.normal(0, 2, N)  # knows nothing here


def test_few_free_weights_leave_the_parents_ranking():
    change = fit_change(PARENT, FEATURES, Y_TRUE, strength=1e-9)
    assert (np.argsort(change.logits(PARENT, FEATURES)) == np.argsort(PARENT)).mean() > 0.95


def test_a_feature_that_tells_the_classes_apart_is_found_whatever_its_scale():
    change = fit_change(PARENT, FEATURES, Y_TRUE, strength=1.0)
    logits = change.logits(PARENT, FEATURES)
    assert np.mean((logits > 0) == Y_TRUE) > 0.75
    rescaled = fit_change(PARENT, FEATURES * [100, 1, 1, 1, 1], Y_TRUE, strength=1.0)
    np.testing.assert_allclose(
        rescaled.logits(PARENT, FEATURES * [100, 1, 1, 1, 1]), logits, rtol=1e-2, atol=1e-2
    )


def test_the_parent_is_never_turned_round():
    change = fit_change(-4 * USEFUL, np.zeros((N, 0)), Y_TRUE, strength=1.0)
    assert change.scale > 0


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("residual_cnn", {"stem": 8, "widths": [8, 12], "blocks": 1}),
        ("efficientnet_lite0", {"head": "joint", "width": 16}),
        ("efficientnet_lite0", {"head": "evidence", "width": 16}),
    ],
    ids=["dense head", "map with a whole-film part", "map alone"],
)
def test_the_change_is_in_the_weights_and_the_map_shows_the_same_places(name, params):
    batch = to_input_batch(RNG.integers(0, 256, (3, 64, 64), np.uint8))
    model = build_network(name, params, 64)
    before, old_maps = KerasBackend(model).evidence(batch)
    features = read_by_head(before, model)
    change = Change(1.5, RNG.normal(0, 0.05, features.shape[1]), -0.4)
    apply_change(model, change)
    after, maps = KerasBackend(model).evidence(batch)
    np.testing.assert_allclose(after.logits, change.logits(before.logits, features), rtol=1e-3, atol=1e-3)
    if name == "efficientnet_lite0":
        shift = maps - 1.5 * old_maps
        assert np.ptp(shift, axis=(1, 2)).max() < 1e-3, "every place is scaled, raised or lowered alike"


def test_no_patient_is_in_two_folds():
    patients = [f"p{number // 3}" for number in range(N)]
    folds = patient_folds(Y_TRUE, patients, 5, seed=0)
    assert sorted(np.concatenate(folds)) == list(range(N))
    groups = [{patients[at] for at in fold} for fold in folds]
    assert sum(len(group) for group in groups) == len(set(patients))


def test_few_patients_make_fewer_folds():
    assert len(patient_folds(Y_TRUE[:6], list("abcdef"), 5, seed=0)) == 3


def test_held_out_logits_are_of_a_fit_without_the_fold():
    folds = [np.arange(0, 3), np.arange(3, 6)]
    seen = held_out_logits([lambda fitted: lambda held: np.full(len(held), fitted.min())], folds)
    assert seen.tolist() == [[3, 3, 3, 0, 0, 0]]


def test_what_is_settled_on_the_other_folds_decides():
    folds = patient_folds(Y_TRUE, [str(n) for n in range(N)], 5, seed=0)
    good = 4 * (USEFUL - 0.5)
    settled = settle(Y_TRUE, np.stack([PARENT, good]), folds)
    assert settled.choice == 1
    called = settled.y_prob >= settled.decision.threshold
    assert called[Y_TRUE == 1].mean() > 0.9
    assert np.corrcoef(settled.y_prob, good)[0, 1] > 0.8


def test_logits_that_say_the_contrary_become_probabilities_near_a_half():
    folds = patient_folds(Y_TRUE, [str(n) for n in range(N)], 5, seed=0)
    settled = settle(Y_TRUE, -4 * USEFUL[None], folds)
    assert np.abs(settled.decision.probabilities(-4 * USEFUL) - 0.5).max() < 0.2


# --- The gate


@pytest.fixture(scope="module")
def parents_gate() -> InputGate:
    return fit_gate(TRUNK, GateFilms("home", phantoms(range(120)), phantoms(range(120, 180))))  # type: ignore[arg-type]


@pytest.mark.parametrize("films", [40, 220], ids=["spread of the parent", "spread of its own"])
def test_films_of_the_place_are_familiar_and_those_of_the_parent_are_read(parents_gate, films, tmp_path):
    pixels = darker(phantoms(range(300, 300 + films)))
    place = LoadedFilms([describe(f"{n}.png", "all", "NORMAL") for n in range(films)], pixels)
    gate = gate_of_place(parents_gate, TRUNK, place, TRUNK.outputs(pixels))  # type: ignore[arg-type]
    save_gate(tmp_path / "gate.npz", gate)
    gate = load_gate(tmp_path / "gate.npz")
    here = judge_all(gate, darker(phantoms(range(600, 630))))
    assert np.mean([word.accepted for word in here]) >= 0.9
    assert np.mean([word.code == "" for word in here if word.accepted]) >= 0.8
    home = judge_all(gate, phantoms(range(600, 630)))
    assert np.mean([word.accepted for word in home]) >= 0.9
    noise = RNG.integers(0, 256, (5, 96, 96), np.uint8)
    assert not any(word.accepted for word in judge_all(gate, noise))


# --- The comparison


def judged(logits: np.ndarray) -> Judged:
    return Judged(1 / (1 + np.exp(-logits)), 0.5)


GROUPS = [str(number) for number in range(N)]


def test_difference_has_an_interval_of_its_own():
    found = compare(Y_TRUE, GROUPS, judged(PARENT), judged(4 * (USEFUL - 0.5)))
    gain = found["after"]["roc_auc"]["value"] - found["before"]["roc_auc"]["value"]
    assert found["difference"]["roc_auc"]["value"] == pytest.approx(gain)
    low, high = found["difference"]["roc_auc"]["ci95"]
    assert low < gain < high
    same = compare(Y_TRUE, GROUPS, judged(PARENT), judged(PARENT))
    assert same["difference"]["log_loss"] == {"value": 0.0, "ci95": [0.0, 0.0]}


@pytest.mark.parametrize(
    ("after", "kept", "words"),
    [
        (4 * (USEFUL - 0.5), slice(None), "Adapting helped: on 100 normal"),
        (5 * PARENT, slice(None), "made the answers worse; keep the parent"),
        (PARENT + RNG.normal(0, 0.05, N), slice(None), "no difference that these films show"),
        (
            PARENT + RNG.normal(0, 0.05, N),
            slice(0, 80),
            "too few films to say whether adapting helped: on 40",
        ),
        (4 * (USEFUL - 0.5), slice(0, 40), "too few films to say whether adapting helped: 20 normal"),
    ],
    ids=["helped", "worse", "none", "undecided", "too few"],
)
def test_verdict(after, kept, words):
    found = compare(Y_TRUE[kept], GROUPS[kept], judged(PARENT[kept]), judged(after[kept]))
    assert words in verdict(found)


def test_calibration_that_helps_does_not_pass_for_reading():
    found = compare(Y_TRUE, GROUPS, judged(5 * PARENT), judged(0.01 * PARENT))
    assert verdict(found).endswith("no better than chance may.")


def test_place_of_other_views_is_no_gate(parents_gate, tmp_path):
    from cxr.errors import BundleError

    one = dict(list(parents_gate.accepted.items())[:1])
    save_gate(tmp_path / "gate.npz", replace(parents_gate, place=one))
    with pytest.raises(BundleError, match="other views of the place"):
        load_gate(tmp_path / "gate.npz")


def test_features_that_hardly_vary_get_no_large_weights():
    """As behind a ReLU6: rounding of a feature that stands at 6 must not move an answer."""
    features = np.column_stack([USEFUL, np.full(N, 6.0) + 1e-6 * (np.arange(N) == 0), np.zeros(N)])
    change = fit_change(PARENT, features, Y_TRUE, 1.0)
    assert np.abs(change.weights[1:]).max() < 10 * np.abs(change.weights[0])
    assert change.weights[0] != 0
