"""Augmentation: each setting changes films, none leaves the range, and the draws come from the seed alone."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment import augment, mix
from trainer.recipes import DEFAULT, Augmentation

STRENGTH = {
    name: getattr(DEFAULT.augmentation, name)
    for name in Augmentation.model_fields
    if name not in ("mixup", "style")  # they take from other films, and here all are the same
}


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    ramp = np.linspace(0.1, 0.9, 40, dtype=np.float32)
    film = np.outer(ramp, ramp)
    film[10:14, 5:9] = 1.0
    return np.repeat(film[None, ..., None], 24, axis=0)


def run(films: np.ndarray, settings: Augmentation, seed: tuple[int, int] = (1, 2)) -> np.ndarray:
    return augment(tf.constant(films), tf.constant(seed, tf.int32), settings).numpy()


def test_no_setting_no_change(films):
    np.testing.assert_array_equal(run(films, Augmentation()), films)


@pytest.mark.parametrize("name", STRENGTH)
def test_each_setting_changes_films_by_its_own_draw(films, name):
    assert STRENGTH[name] > 0, "the default recipe leaves it off, so nothing is tested"
    changed = run(films, Augmentation(**{name: STRENGTH[name]}))
    assert changed.shape == films.shape and changed.dtype == np.float32
    assert changed.min() >= 0 and changed.max() <= 1
    distinct = {row.tobytes() for row in changed}
    assert len(distinct) >= 2, "every film of the batch got the same draw"
    assert 0.0005 < np.abs(changed - films).mean() < 0.3


def test_same_seed_same_films_and_another_seed_others(films):
    first = run(films, DEFAULT.augmentation)
    np.testing.assert_array_equal(first, run(films, DEFAULT.augmentation))
    assert np.abs(first - run(films, DEFAULT.augmentation, (1, 3))).mean() > 0.01
    assert np.abs(first - run(films, DEFAULT.augmentation, (2, 2))).mean() > 0.01


def test_flip_alone_mirrors_about_the_middle(films):
    mirrored = run(films, Augmentation(flip=1.0))
    np.testing.assert_allclose(mirrored, films[:, :, ::-1], atol=1e-5)


def test_mixup_blends_films_and_targets_alike():
    films = tf.constant(np.stack([np.zeros((4, 4, 1)), np.ones((4, 4, 1))]).astype(np.float32))
    targets = tf.constant([[0.0], [1.0]])
    mixed, mixed_targets = mix(films, targets, tf.constant([0, 1], tf.int32), 0.4)
    np.testing.assert_allclose(mixed.numpy()[:, 0, 0], mixed_targets.numpy(), atol=1e-6)
    assert 0 < mixed_targets.numpy()[0, 0] < 1


def test_style_takes_coarse_brightness_from_other_films_and_leaves_what_is_fine():
    rng = np.random.default_rng(0)
    ramp = np.linspace(-1, 1, 64, dtype=np.float32)
    slopes = np.array([0.0, 0.1, 0.2, 0.3], np.float32)[:, None, None]
    coarse = 0.5 + slopes * np.cos(np.pi * ramp)[None, :, None]
    fine = 0.03 * rng.standard_normal((4, 64, 64)).astype(np.float32)
    films = np.clip(coarse + fine, 0, 1)[..., None]
    changed = run(films, Augmentation(style=1.0))
    assert changed.shape == films.shape and changed.dtype == np.float32

    def slope(of):
        return np.abs(np.fft.rfft2(of[..., 0])[:, 1, 0])

    before, after = slope(films), slope(changed)
    assert (np.abs(after - before) > 0.02 * before.max()).sum() >= 2
    assert after.min() > before.min() - 1 and after.max() < before.max() + 1, "not between those of two films"
    high = np.abs(np.fft.rfft2(changed[..., 0] - films[..., 0]))[:, 10:-10, 10:]
    assert high.max() < 0.2 * np.abs(np.fft.rfft2(films[..., 0]))[:, 10:-10, 10:].mean()


def test_style_of_films_that_are_the_same_changes_nothing(films):
    np.testing.assert_allclose(run(films, Augmentation(style=1.0)), films, atol=1e-5)
