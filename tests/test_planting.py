"""Planted opacities in training: where they lie, what a step shows, and that the map learns them."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cxr.errors import TrainingError
from cxr.model.bundle import NetworkSpec
from cxr.model.networks import build_network
from cxr.phantom import make_phantom
from tests.test_fit import TINY, run_of, striped_films
from trainer.augment import augment, augment_with
from trainer.fit import fit
from trainer.map_loss import map_loss, supervised
from trainer.plants import plant, thorax
from trainer.recipes import DEFAULT, Planting
from trainer.shown import PlantedFilms

SIDE = 96


def phantom(number: int) -> np.ndarray:
    film = Image.fromarray(make_phantom(number, "normal").pixels)
    return np.asarray(film.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def test_an_opacity_is_drawn_into_the_lungs_only_and_makes_nothing_darker():
    for number in range(20):
        film = phantom(number)
        ill, opacity = plant(film, np.random.default_rng(number))
        assert opacity.shape == film.shape and opacity.dtype == np.float32
        assert opacity.min() >= 0 and opacity.max() == pytest.approx(1)
        assert not opacity[thorax(SIDE) == 0].any()
        assert (ill >= film).all() and (ill[opacity < 1e-4] == film[opacity < 1e-4]).all()
        assert (ill.astype(int) - film)[opacity > 0.5].mean() > 3


def test_an_opacity_follows_from_the_random_numbers_alone():
    first, second, other = (plant(phantom(1), np.random.default_rng(seed))[0] for seed in (4, 4, 5))
    assert (first == second).all() and (first != other).any()


def test_planes_move_with_their_film_and_the_film_changes_as_without_them():
    films = tf.constant(np.stack([phantom(1), phantom(2)])[..., None] / np.float32(255))
    seed = tf.constant([1, 2], tf.int32)
    geometry = DEFAULT.augmentation.model_copy(
        update=dict.fromkeys(
            ("gamma", "contrast", "brightness", "field", "noise", "resolution", "sharpness"), 0.0
        )
        | {"erase": 0.0, "border": 0.0}
    )
    moved, along = augment_with(films, films, seed, geometry)
    np.testing.assert_allclose(along, moved, atol=1e-6)
    assert float(tf.reduce_max(abs(moved - films))) > 0.1
    changed, _ = augment_with(films, films, seed, DEFAULT.augmentation)
    np.testing.assert_array_equal(changed, augment(films, seed, DEFAULT.augmentation))


def test_a_step_shows_what_the_planting_says():
    train, reference = striped_films(12, seed=1), np.stack([phantom(n) for n in range(6)])
    size = train.pixels.shape[1]
    reference = reference[:, :size, :size]
    planting = Planting(planted=3, reference=2, reference_planted=1, reference_weight=0.5)
    rows = np.array([0, 1, 2, 3, 4])
    shown = PlantedFilms(planting, train, reference, seed=7).step(rows, 11)
    assert shown.pixels.shape == (11, size, size)
    assert (shown.pixels[:5] == train.pixels[rows]).all()
    assert shown.targets[:, 0].tolist() == [*train.y_true[rows], 0, 0, 1, 1, 1, 1]
    assert shown.weight.tolist() == [1.0] * 5 + [0.5] * 2 + [0.0] * 3 + [0.5]
    assert shown.told.tolist() == [1.0 - label for label in train.y_true[rows]] + [1.0] * 6
    has_opacity = shown.planes[..., 0].reshape(11, -1).max(axis=1) > 0
    assert has_opacity.tolist() == [False] * 7 + [True] * 4
    again = PlantedFilms(planting, train, reference, seed=7).step(rows, 11)
    assert (again.pixels == shown.pixels).all()
    other = PlantedFilms(planting, train, reference, seed=7).step(rows, 12)
    assert (other.pixels[5:] != shown.pixels[5:]).any()


def test_too_few_films_to_plant_are_named():
    with pytest.raises(TrainingError, match="shows 4 normal films of references a step, but there are 0"):
        PlantedFilms(Planting(reference=2, reference_planted=2), striped_films(8, seed=1), None, seed=0)


def test_the_loss_counts_places_as_far_as_they_are_known():
    """A map that is high in the opacity costs less than one that is high elsewhere; inside unknown lungs nothing."""
    planting = Planting(map_alone=0.0)
    planes = np.zeros((1, 64, 64, 2), np.float32)
    planes[:, 16:32, 16:32, 0], planes[:, 16:48, 16:48, 1] = 1, 1
    inside, outside = np.full((2, 1, 4, 4, 1), -3, np.float32)
    inside[0, 1, 1], outside[0, 0, 0] = 3, 3
    answer = (tf.constant([[0.7]]), tf.constant([[0.0]]))

    def loss(places: np.ndarray, told: float) -> float:
        outputs = [answer[0], tf.constant(places), answer[1]]
        known = [tf.constant(value, tf.float32) for value in ([[1.0]], planes, [told], [1.0])]
        return float(map_loss(outputs, *known, planting, 0.0))

    nothing = np.full((1, 4, 4, 1), -3, np.float32)
    assert loss(inside, told=1) < loss(nothing, told=1) < loss(outside, told=1)
    assert loss(inside, told=0) == pytest.approx(loss(nothing, told=0))
    assert loss(nothing, told=0) < loss(outside, told=0)


@pytest.mark.parametrize("head", ["evidence", "joint"])
def test_supervised_network_shares_its_weights_and_gives_the_answer(head):
    network = build_network("efficientnet_lite0", {"width": 8, "head": head}, 64)
    films = tf.random.stateless_uniform((2, 64, 64, 1), (1, 2))
    whole = supervised(network)
    probability, places, alone = whole(films, training=False)
    np.testing.assert_allclose(probability, network(films, training=False), atol=1e-6)
    assert places.shape == (2, 4, 4, 1) and alone.shape == (2, 1)
    assert {id(v) for v in whole.trainable_variables} == {id(v) for v in network.trainable_variables}


def test_a_run_with_planted_opacities_gives_the_same_history_again(tmp_path):
    network = NetworkSpec(name="efficientnet_lite0", params={"width": 8, "head": "joint"})
    planting = Planting(planted=2, reference=1, reference_planted=1)
    recipe = TINY.model_copy(update={"network": network, "planting": planting, "epochs": 1})
    films = striped_films(16, seed=1)

    def history(folder: str) -> list[dict[str, float]]:
        reference = films.pixels[films.y_true == 0]
        return fit(run_of(recipe, (films, films), tmp_path / folder, reference=reference)).history

    first = history("first")
    assert np.isfinite(first[0]["loss"]) and first == history("second")
