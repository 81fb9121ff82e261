"""A network's layers in the form that exports best: the same arithmetic, in fewer operations.

Keras's GroupNormalization asks for the shape of its input anew at every call, and our way of taking some channels
(`cxr.model.networks`, a detour that HDF5 asks for) moves all of them. Exported as they are, the two take a fifth of a
film's time. Importing this module imports TensorFlow.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import layers


def exportable(model: keras.Model) -> keras.Model:
    """`model` with such layers replaced, on weights of its own; `model` itself where there are none."""
    replaced = _replacements(model)
    if not replaced:
        return model

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        return replaced.get(layer.name) or layer.__class__.from_config(layer.get_config())

    cloned = keras.models.clone_model(model, clone_function=clone)
    cloned.set_weights(model.get_weights())
    return cloned


def _replacements(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """By the replaced layer's name."""
    found: dict[str, keras.layers.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, layers.GroupNormalization) and _is_per_film(layer):
            found[layer.name] = _FilmNorm(layer.epsilon, name=layer.name)
        if isinstance(layer, layers.Cropping3D) and (around := _reshapes_around(model, layer)):
            start, dropped = layer.cropping[2]
            found[layer.name] = _Channels(start, layer.input.shape[3] - dropped, name=layer.name)
            found |= {reshape.name: layers.Identity(name=reshape.name) for reshape in around}
    return found


def _is_per_film(layer: layers.GroupNormalization) -> bool:
    channels = layer.input.shape[-1]
    return layer.groups in (-1, channels) and layer.axis in (-1, 3) and not (layer.center or layer.scale)


def _reshapes_around(model: keras.Model, crop: layers.Cropping3D) -> list[keras.layers.Layer]:
    """The two layers around a crop that make it one of channels, or none where it is another crop.

    (n, h, w, c) -> (n, h, w, c, 1) -> crop of the c -> (n, h, w, k), and nothing else reads between.
    """
    before = [layer for layer in model.layers if layer.output is crop.input]
    after = [layer for layer in model.layers if layer.input is crop.output]
    readers = [layer for layer in model.layers if layer.input is crop.input]
    around = [*before, *after]
    if len(around) == 2 and readers == [crop] and all(isinstance(layer, layers.Reshape) for layer in around):
        whole, part = before[0].input.shape, after[0].output.shape
        of_channels = crop.cropping[:2] == ((0, 0), (0, 0))
        if of_channels and crop.input.shape == (*whole, 1) and crop.output.shape == (*part, 1):
            return around
    return []


class _FilmNorm(layers.Layer):
    """Each channel of a film (n, h, w, c) less its mean, over its standard deviation."""

    def __init__(self, epsilon: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.epsilon = epsilon

    def call(self, x: Any) -> Any:
        centred = x - tf.reduce_mean(x, (1, 2), keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), (1, 2), keepdims=True)
        return centred * tf.math.rsqrt(variance + self.epsilon)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape


class _Channels(layers.Layer):
    """The channels from `start` to `stop`."""

    def __init__(self, start: int, stop: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.start, self.stop = start, stop

    def call(self, x: Any) -> Any:
        return x[..., self.start : self.stop]

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*shape[:-1], self.stop - self.start)
