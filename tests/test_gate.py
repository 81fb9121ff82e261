"""The input gate: films like those of training pass, and what is none is refused with the reason."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cxr.errors import BundleError
from cxr.imaging.decode import from_array
from cxr.imaging.preprocess import PreprocessSpec, to_model_pixels
from cxr.model.backend import Outputs
from cxr.model.input_gate import InputGate, _direction, _octant, load_gate, look, rows_of, save_gate
from cxr.phantom import make_phantom
from trainer.gating import GateFilms, fit_cloud, fit_gate

KINDS = ("normal", "bacterial", "viral")
SPEC = PreprocessSpec(size=96, resample="bilinear")


class _MeanAndSpread:
    """Stands for a network: its features are brightness and contrast of the film's quarters."""

    def outputs(self, pixels: np.ndarray) -> Outputs:
        quarters = pixels.reshape(len(pixels), 2, SPEC.size // 2, 2, SPEC.size // 2).astype(np.float64)
        features = [quarters.mean(axis=(2, 4)), quarters.std(axis=(2, 4))]
        joined = np.concatenate([part.reshape(len(pixels), -1) for part in features], axis=1)
        return Outputs(np.zeros(len(pixels)), joined.astype(np.float32))


NETWORK = _MeanAndSpread()


def phantoms(seeds: range) -> np.ndarray:
    films = [make_phantom(seed, KINDS[seed % len(KINDS)]) for seed in seeds]
    return np.stack([to_model_pixels(from_array(film.pixels), SPEC) for film in films])


@pytest.fixture(scope="module")
def gate() -> InputGate:
    home = GateFilms("phantoms", phantoms(range(300)), phantoms(range(300, 400)))
    return fit_gate(NETWORK, home)  # type: ignore[arg-type]


def assess(gate: InputGate, film: np.ndarray):
    return gate.assess(film[None], NETWORK.outputs(film[None]), NETWORK.outputs)[0]


def test_films_of_the_same_kind_pass(gate):
    judged = [assess(gate, film) for film in phantoms(range(400, 480))]
    assert np.mean([word.accepted for word in judged]) >= 0.95
    assert {word.code for word in judged if word.accepted} <= {"", "unlike_training"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda film: 255 - film, "inverted"),
        (lambda film: np.rot90(film, 1), "rotated"),
        (lambda film: np.rot90(film, 2), "rotated"),
        (lambda film: np.rot90(film, 3), "rotated"),
        (lambda film: np.full_like(film, 90), "blank"),
        (
            lambda film: np.random.default_rng(0).permutation(film.ravel()).reshape(film.shape),
            "not_frontal_chest",
        ),
        (lambda film: np.kron(film[30:54, 30:54], np.ones((4, 4), np.uint8)), "not_frontal_chest"),
    ],
    ids=["inverted", "left side up", "upside down", "right side up", "blank", "shuffled", "detail"],
)
def test_changed_film_is_refused_with_the_reason(gate, change, code):
    judged = [assess(gate, np.ascontiguousarray(change(film))) for film in phantoms(range(400, 420))]
    assert not any(word.accepted for word in judged)
    assert np.mean([word.code == code for word in judged]) >= 0.9


def photographs() -> np.ndarray:
    from skimage import data
    from sklearn.datasets import load_sample_images

    pictures = [
        *load_sample_images().images,
        data.camera(),
        data.coins(),
        data.page(),
        data.astronaut(),
        data.moon(),
    ]
    gray = [picture.mean(axis=2).astype(np.uint8) if picture.ndim == 3 else picture for picture in pictures]
    return np.stack([to_model_pixels(from_array(picture), SPEC) for picture in gray])


def test_photographs_are_refused(gate):
    assert not any(assess(gate, picture).accepted for picture in photographs())


def test_scores_say_which_view_objects(gate):
    word = assess(gate, 255 - phantoms(range(1))[0])
    assert set(word.scores) == {"layout", "edges", "features"}
    assert max(word.scores.values()) > 1


def test_without_references_what_is_familiar_lies_inside_of_what_is_accepted(gate):
    assert all(gate.familiar[view].limit < border.limit for view, border in gate.accepted.items())


@pytest.mark.parametrize("view", ["layout", "edges"])
def test_views_do_not_depend_on_exposure(view):
    film = phantoms(range(1))[0] // 2 + 40
    brighter = film + 30
    np.testing.assert_allclose(look(view, film[None]), look(view, brighter[None]), atol=0.02)


def test_distance_is_mahalanobis_where_all_directions_are_free():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 6)) @ rng.normal(size=(6, 6))
    cloud = fit_cloud(rows, directions=5)
    centred = rows - rows.mean(axis=0)
    expected = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(centred.T @ centred / len(rows)), centred) / 6
    np.testing.assert_allclose(cloud.distance(rows), expected, rtol=1e-6)


def test_saved_gate_judges_as_before(gate, tmp_path):
    save_gate(tmp_path / "gate.npz", gate)
    again = load_gate(tmp_path / "gate.npz")
    for film in phantoms(range(400, 405)):
        before, after = assess(gate, film), assess(again, film)
        assert (before.accepted, before.code) == (after.accepted, after.code)
        assert after.scores == pytest.approx(before.scores, rel=1e-4)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text"])
def test_file_that_is_no_gate_is_one_clear_error(content, tmp_path):
    (tmp_path / "gate.npz").write_bytes(content)
    with pytest.raises(
        BundleError, match=r"^gate\.npz does not hold an input gate that this version can read \("
    ):
        load_gate(tmp_path / "gate.npz")


def test_archive_of_other_arrays_is_one_clear_error(tmp_path):
    np.savez(tmp_path / "gate.npz", layout_mean=np.zeros(3))
    with pytest.raises(
        BundleError, match=r"^gate\.npz does not hold an input gate that this version can read \("
    ):
        load_gate(tmp_path / "gate.npz")


class _WithTrunk(_MeanAndSpread):
    """A network with a frozen part: a coarse picture of the film."""

    def outputs(self, pixels: np.ndarray) -> Outputs:
        found = super().outputs(pixels)
        coarse = look("layout", np.asarray(pixels, np.uint8))
        return found._replace(trunk=np.concatenate([coarse, found.features], axis=1).astype(np.float32))


TRUNK = _WithTrunk()


def darker(films: np.ndarray) -> np.ndarray:
    """Films as another hospital might process them."""
    return (255 * (films / 255) ** 1.8).astype(np.uint8)


@pytest.fixture(scope="module")
def gate_of_two() -> InputGate:
    home = GateFilms("home", phantoms(range(200)), phantoms(range(200, 300)))
    elsewhere = GateFilms("elsewhere", darker(phantoms(range(300, 500))), darker(phantoms(range(500, 560))))
    return fit_gate(TRUNK, home, [elsewhere])  # type: ignore[arg-type]


def judge_all(gate: InputGate, films: np.ndarray):
    return gate.assess(films, TRUNK.outputs(films), TRUNK.outputs)


def test_films_of_another_hospital_are_accepted_but_unfamiliar(gate_of_two):
    home = judge_all(gate_of_two, phantoms(range(600, 640)))
    elsewhere = judge_all(gate_of_two, darker(phantoms(range(600, 640))))
    assert np.mean([word.accepted for word in home]) >= 0.95
    assert np.mean([word.code == "" for word in home]) >= 0.9
    assert np.mean([word.accepted for word in elsewhere]) >= 0.95
    assert np.mean([word.code == "unlike_training" for word in elsewhere]) >= 0.9


def narrow(films: np.ndarray) -> np.ndarray:
    """Films of chests half as wide, on black."""
    half = films[:, :, ::2]
    side = np.zeros_like(half[:, :, : half.shape[2] // 2])
    return np.concatenate([side, half, side], axis=2)


@pytest.fixture(scope="module")
def gate_with_phantoms() -> InputGate:
    """Of a home that is unlike phantoms, and of phantoms as they are."""
    home = GateFilms("home", narrow(phantoms(range(300, 500))), narrow(phantoms(range(500, 560))))
    drawn = GateFilms("phantoms", phantoms(range(200)), phantoms(range(200, 300)))
    return fit_gate(TRUNK, home, phantoms=drawn)  # type: ignore[arg-type]


def test_phantoms_are_a_group_apart(gate_with_phantoms):
    films = np.concatenate([phantoms(range(600, 640)), narrow(phantoms(range(600, 640)))])
    words = judge_all(gate_with_phantoms, films)
    without = judge_all(replace(gate_with_phantoms, phantoms=None), films)
    assert np.mean([word.accepted for word in words]) >= 0.95
    assert np.mean([word.code == "unlike_training" for word in words[:40]]) >= 0.9
    assert np.mean([word.code == "" for word in words[40:]]) >= 0.9
    assert not any(word.accepted for word in without[:40])
    # What stands between both groups is like neither.
    between = (films[:40] // 2) + (films[40:] // 2)
    halves = np.concatenate([films[:40, :64], films[40:, 64:]], axis=1)
    for mixed in (halves, 255 - between):
        assert not any(word.accepted for word in judge_all(gate_with_phantoms, mixed))


def test_gate_with_phantoms_is_read_back(gate_with_phantoms, tmp_path):
    save_gate(tmp_path / "gate.npz", gate_with_phantoms)
    again = load_gate(tmp_path / "gate.npz")
    films = np.concatenate([phantoms(range(600, 610)), 255 - phantoms(range(600, 610))])
    for before, after in zip(judge_all(gate_with_phantoms, films), judge_all(again, films), strict=True):
        assert (before.accepted, before.code) == (after.accepted, after.code)
        assert before.scores == pytest.approx(after.scores, rel=1e-4)


def test_another_hospital_within_the_spread_of_home_is_unfamiliar(gate_of_two):
    # Distance alone takes films from the edge of the other hospital's exposure for films of home.
    film = phantoms(range(600, 640))
    between = (255 * (film / 255) ** 1.4).astype(np.uint8)
    by_distance = judge_all(replace(gate_of_two, origin=None), between)
    both = judge_all(gate_of_two, between)
    assert [word.accepted for word in by_distance] == [word.accepted for word in both]
    assert np.mean([word.code == "" for word in both]) < np.mean([word.code == "" for word in by_distance])


def test_turned_and_inverted_films_are_refused_as_that(gate_of_two):
    films = phantoms(range(600, 630))
    for code, changed in (
        ("rotated", np.rot90(films, 2, axes=(1, 2))),
        ("rotated", np.rot90(films, 1, axes=(1, 2))),
        ("rotated", films[:, ::-1]),
        ("inverted", 255 - films),
        ("inverted", 255 - np.rot90(films, 3, axes=(1, 2))),
    ):
        words = judge_all(gate_of_two, np.ascontiguousarray(changed))
        assert not any(word.accepted for word in words)
        assert np.mean([word.code == code for word in words]) >= 0.9


def test_what_is_no_film_either_way_is_not_called_turned_or_inverted(gate_of_two):
    pictures = photographs()
    rows = rows_of("trunk", pictures, TRUNK.outputs(pictures))
    named = gate_of_two.posture.probabilities(rows).argmax(axis=1)
    assert np.isin(named, (1, 2)).any(), "the classifier takes no picture for a turned or an inverted film"
    assert {word.code for word in judge_all(gate_of_two, pictures)} == {"not_frontal_chest"}


def test_gate_of_several_hospitals_is_read_back(gate_of_two, tmp_path):
    save_gate(tmp_path / "gate.npz", gate_of_two)
    again = load_gate(tmp_path / "gate.npz")
    films = np.concatenate([phantoms(range(600, 610)), darker(phantoms(range(600, 610)))])
    for before, after in zip(judge_all(gate_of_two, films), judge_all(again, films), strict=True):
        assert (before.accepted, before.code) == (after.accepted, after.code)


def test_one_image_is_judged_as_in_a_batch(gate_of_two):
    films = phantoms(range(600, 605))
    together = judge_all(gate_of_two, films)
    for film, word in zip(films, together, strict=True):
        alone = judge_all(gate_of_two, film[None])[0]
        assert (alone.accepted, alone.code) == (word.accepted, word.code)
        assert alone.scores == pytest.approx(word.scores)


def test_network_without_a_trunk_does_not_fit_a_gate_that_needs_it(gate_of_two):
    film = phantoms(range(1))
    with pytest.raises(BundleError, match="frozen trunk"):
        gate_of_two.assess(film, NETWORK.outputs(film), NETWORK.outputs)


def test_gate_of_a_format_to_come_is_one_clear_error(tmp_path):
    np.savez(tmp_path / "gate.npz", format=np.array([3]))
    with pytest.raises(BundleError, match="format 3"):
        load_gate(tmp_path / "gate.npz")


def test_gate_of_the_first_format_calls_warned_images_unfamiliar(tmp_path):
    parts = {
        "mean": np.zeros(4),
        "directions": np.eye(4)[:1],
        "variances": np.ones(1),
        "scalars": np.array([1, 9, 4]),
    }
    np.savez(
        tmp_path / "gate.npz",
        **{
            f"{view}_{name}": value
            for view in ("layout", "edges", "features")
            for name, value in parts.items()
        },
    )
    gate = load_gate(tmp_path / "gate.npz")
    assert {view: border.limit for view, border in gate.accepted.items()} == dict.fromkeys(gate.accepted, 9)
    assert {view: border.limit for view, border in gate.familiar.items()} == dict.fromkeys(gate.accepted, 4)
    assert gate.posture is None


def test_refused_film_has_neither_decision_nor_probability(gate):
    from cxr.model.decision import DecisionSpec
    from cxr.model.predictor import ModelIdentity, Predictor

    backend = SimpleNamespace(
        size=SPEC.size, outputs=lambda batch: NETWORK.outputs((batch[..., 0] * 255).round())
    )
    decision = DecisionSpec(temperature=1.0, threshold=0.4, rule="made up")
    predictor = Predictor(backend, SPEC, decision, ModelIdentity("fake", "", "", ""), gate=gate)  # type: ignore[arg-type]
    film = make_phantom(400, "normal").pixels
    good, turned = predictor.predict_many(
        [from_array(film), from_array(np.ascontiguousarray(film[::-1, ::-1]))]
    )
    assert (good.scope, good.decision) == ("familiar", "PNEUMONIA")
    assert (turned.scope, turned.decision, turned.probability) == ("refused", None, None)
    assert "rotated" in turned.warnings


def test_film_smaller_than_the_input_is_warned_of(gate):
    from cxr.model.decision import DecisionSpec
    from cxr.model.predictor import ModelIdentity, Predictor

    backend = SimpleNamespace(
        size=SPEC.size, outputs=lambda batch: NETWORK.outputs((batch[..., 0] * 255).round())
    )
    decision = DecisionSpec(temperature=1.0, threshold=0.4, rule="made up")
    predictor = Predictor(backend, SPEC, decision, ModelIdentity("fake", "", "", ""))  # type: ignore[arg-type]
    assert predictor.predict(from_array(np.zeros((95, 200), np.uint8))).warnings == ("low_resolution",)
    assert predictor.predict(from_array(np.zeros((96, 200), np.uint8))).warnings == ()


def test_directions_are_those_of_the_angle():
    rng = np.random.default_rng(4)
    down, right = rng.integers(-3, 4, (2, 80, 80)).astype(np.float64) + rng.choice([0.0, 0.25], (2, 80, 80))
    np.testing.assert_array_equal(_direction(down, right), _octant(down, right))
    assert set(np.unique(_direction(down, right))) == set(range(8))
