"""All layers of a network, tuned from a bundle's weights to films of one place.

Batch norms keep their statistics, which some hundred films of one place would spoil; everything else may change, at a
low rate, on films changed at random as in training.
"""

import json
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cxr.imaging.preprocess import to_input_batch
from cxr.model.bundle import Bundle
from cxr.model.keras_backend import KerasBackend
from cxr.types import Logits, ModelPixels
from trainer.augment import augment
from trainer.optimizers import adamw
from trainer.recipes import DEFAULT, Augmentation, Recipe
from trainer.weighting import balanced_weights

EPOCHS, BATCH, RATE, DECAY = 8, 16, 1e-4, 0.01
_SCORED_AT_ONCE = 64


def parents_model(bundle: Bundle) -> keras.Model:
    """The parent's network, as a Keras model of our own with its weights."""
    described = bundle.description
    return KerasBackend.from_weights(bundle.model_path, described.network, described.preprocess.size).model


def parents_augmentation(bundle: Bundle) -> Augmentation:
    """How the parent's training films were changed; the default recipe's where the bundle does not say."""
    path = bundle.folder / "recipe.json"
    if not path.is_file():
        return DEFAULT.augmentation
    return Recipe.model_validate(json.loads(path.read_text(encoding="utf-8"))).augmentation


def tune(
    model: keras.Model, pixels: ModelPixels, y_true: np.ndarray, changes: Augmentation, seed: int
) -> None:
    """Tune `model` in place on films uint8 (n, size, size) with labels (n,), both classes weighing the same."""
    keras.utils.set_random_seed(seed)
    steps = math.ceil(len(y_true) / BATCH) * EPOCHS
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=RATE, warmup_steps=steps // 10 + 1
    )
    optimizer = adamw(rate, DECAY)
    optimizer.build(model.trainable_variables)
    weight = len(y_true) * balanced_weights(y_true)
    rng = np.random.default_rng(seed)

    @tf.function(reduce_retracing=True)
    def step(films: Any, targets: Any, weights: Any) -> None:
        with tf.GradientTape() as tape:
            # Not in training mode: dropout and batch statistics are for networks that start from nothing.
            found = model(films, training=False)
            loss = tf.reduce_mean(weights * keras.losses.binary_crossentropy(targets, found))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    for epoch in range(EPOCHS):
        order = rng.permutation(len(y_true))
        for number, start in enumerate(range(0, len(order), BATCH)):
            rows = order[start : start + BATCH]
            films = augment(
                tf.constant(to_input_batch(pixels[rows])),
                tf.constant([seed, epoch * 10_000 + number]),
                changes,
            )
            step(films, tf.constant(y_true[rows, None], tf.float32), tf.constant(weight[rows], tf.float32))


def logits_of(model: keras.Model, pixels: ModelPixels) -> Logits:
    """Logits (n,) of films uint8 (n, size, size)."""
    backend = KerasBackend(model)
    starts = range(0, len(pixels), _SCORED_AT_ONCE)
    parts = [backend.outputs(to_input_batch(pixels[at : at + _SCORED_AT_ONCE])).logits for at in starts]
    return np.concatenate(parts)
