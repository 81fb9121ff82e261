"""Validation films as another machine might have taken them."""

import numpy as np

from tests.test_fit import TINY, striped_films
from trainer.perturb import perturb, tuning_films
from trainer.recipes import Augmentation

FILMS = striped_films(20, 0)


def test_copies_differ_from_the_films_and_from_each_other():
    copies = perturb(FILMS.pixels, TINY.augmentation, seed=1, draws=2)
    assert copies.dtype == np.uint8 and copies.shape == (40, *FILMS.pixels.shape[1:])
    first, second = copies[:20], copies[20:]
    assert (first != second).any(axis=(1, 2)).all()
    assert (first != FILMS.pixels).any(axis=(1, 2)).all()


def test_same_seed_gives_the_same_copies():
    again = [perturb(FILMS.pixels, TINY.augmentation, seed, 1) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(again[0], again[1])
    assert (again[0] != again[2]).any()


def test_nothing_to_change_gives_the_films_back():
    np.testing.assert_array_equal(perturb(FILMS.pixels, Augmentation(), 1, 1), FILMS.pixels)


def test_tuning_films_keep_their_labels():
    recipe = TINY.model_copy(update={"perturbed": 3})
    tuning = tuning_films(recipe, FILMS, seed=0)
    np.testing.assert_array_equal(tuning.y_true, np.tile(FILMS.y_true, 3))
    assert tuning_films(TINY, FILMS, seed=0) is FILMS


def test_tuning_films_take_nothing_over_from_each_other():
    recipe = TINY.model_copy(update={"perturbed": 1})
    styled = recipe.model_copy(update={"augmentation": recipe.augmentation.model_copy(update={"style": 1.0})})
    np.testing.assert_array_equal(
        tuning_films(styled, FILMS, seed=0).pixels, tuning_films(recipe, FILMS, seed=0).pixels
    )
