"""The loss of a network whose map is supervised: the answer, the map's own answer, and each place of the map."""

from typing import Any

import keras
import tensorflow as tf

from cxr.model.efficientnet_lite import EVIDENCE, POOLED
from trainer.recipes import Planting

Tensor = Any
_OUTSIDE = 0.5  # weight of the places outside the lungs of a film with pneumonia, which show none
_OPACITY = 4.0  # weight of a place in an opacity, of which a film has few


def supervised(network: keras.Model) -> keras.Model:
    """The same network, giving probabilities (n, 1), log-odds of places (n, h, w, 1) and their weighted mean (n, 1)."""
    places, alone = (network.get_layer(name).output for name in (EVIDENCE, POOLED))
    return keras.Model(network.inputs, [network.outputs[0], places, alone])


def map_loss(
    outputs: list[Tensor],
    targets: Tensor,
    planes: Tensor,
    told: Tensor,
    weight: Tensor,
    planting: Planting,
    label_smoothing: float,
) -> Tensor:
    """The mean loss of a step.

    Every place of a normal film is negative, and every place of a planted one is as its opacity says; of a film with
    pneumonia only places outside the lungs are known. A place counts as far as the opacity covers it.

    Args:
        outputs: of `supervised`.
        targets: float32 (n, 1).
        planes: float32 (n, size, size, 2), opacity and lungs, moved along with the films.
        told: float32 (n,), 1 where all places are known.
        weight: float32 (n,), of the films' classes.
        planting: with the weights of the parts.
        label_smoothing: share of each class given to the other, halved.

    Returns:
        A scalar.
    """
    probability, places, alone = outputs
    smooth = targets * (1 - label_smoothing) + label_smoothing / 2
    answer = keras.losses.binary_crossentropy(smooth, probability)
    of_map = keras.losses.binary_crossentropy(smooth, alone, from_logits=True)
    total = tf.reduce_sum(weight * (answer + planting.map_alone * of_map)) / tf.reduce_sum(weight)
    return total + planting.map_weight * _of_places(places, planes, told)


def _of_places(places: Tensor, planes: Tensor, told: Tensor) -> Tensor:
    cell = planes.shape[1] // places.shape[1]
    coarse = tf.nn.avg_pool2d(planes, cell, cell, "VALID")
    opacity, lungs = coarse[..., :1], coarse[..., 1:]
    target = tf.clip_by_value(1.5 * opacity, 0.0, 1.0)
    known = tf.where(told[:, None, None, None] > 0, 1.0, _OUTSIDE * tf.cast(lungs < 0.02, tf.float32))
    losses = tf.nn.sigmoid_cross_entropy_with_logits(target, places)
    return tf.reduce_mean(known * (1 + _OPACITY * target) * losses)
