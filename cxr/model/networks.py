"""Networks by name. A bundle names its network; we build it from here and load weights only.

Contract of every network: input float32 (n, size, size, 1) in [0, 1]; output float32 (n, 1), P(PNEUMONIA) before
calibration. The head is a Dense layer of one unit with a sigmoid.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import layers

from cxr.errors import BundleError
from cxr.model.applications import keras_application
from cxr.model.efficientnet_lite import efficientnet_lite


def build_network(name: str, params: dict[str, Any], size: int, dtype: str = "float32") -> keras.Model:
    """Build a registered network with fresh weights.

    params: the network's own settings, as recorded in bundle.json; size: side of the input in pixels;
    dtype: a Keras dtype policy; "mixed_bfloat16" computes in bfloat16 and keeps weights and output in float32.
    Raises BundleError for a name or a setting that is not registered.
    """
    if name not in _BUILDERS:
        raise BundleError(
            f"The network {name} is not known, only {', '.join(sorted(_BUILDERS))}. Update the project or the bundle."
        )
    try:
        return _BUILDERS[name](size=size, dtype=dtype, **params)
    except TypeError as error:
        raise BundleError(
            f"The network {name} cannot be built with {params}: {error}. Update the project or the bundle."
        ) from error


def seed_cnn(size: int, dtype: str) -> keras.Model:
    """The original student project's network: four blocks of convolution and pooling, one dense layer.

    At 150 x 150 it has 1,993,729 parameters.
    """
    inputs = keras.Input((size, size, 1), name="radiograph")
    x = inputs
    for number, width in enumerate((32, 64, 128, 256), start=1):
        x = layers.Conv2D(width, 3, activation="relu", dtype=dtype, name=f"convolution_{number}")(x)
        x = layers.MaxPooling2D(2, dtype=dtype, name=f"pooling_{number}")(x)
    x = layers.Flatten(dtype=dtype, name="flatten")(x)
    x = layers.Dense(128, activation="relu", dtype=dtype, name="dense")(x)
    x = layers.Dropout(0.5, dtype=dtype, name="dropout")(x)
    outputs = layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(x)
    return keras.Model(inputs, outputs, name="seed_cnn")


def residual_cnn(
    size: int,
    dtype: str,
    stem: int = 24,
    stem_stride: int = 2,
    widths: tuple[int, ...] = (48, 96, 160),
    blocks: int = 2,
    dropout: float = 0.3,
    instance_norm_stages: int = 0,
    towers: int = 1,
) -> keras.Model:
    """A small residual network (He et al. 2016) with a pooled head.

    Global average pooling and one dense unit make the class activation map (Zhou et al. 2016) exact: the mean of
    the map plus the bias is the logit. With `instance_norm_stages`, the first stages normalise half their
    channels per film instead of per batch, which removes a film's own contrast and sharpness statistics
    (IBN-Net, Pan et al. 2018). With several `towers`, as many networks stand side by side, and the head reads the
    features of all: networks that were trained apart and answer with their mean.
    """
    inputs = keras.Input((size, size, 1), name="radiograph")

    def tower(prefix: str) -> Any:
        parts = _Parts(dtype, prefix)
        x = parts.convolve(inputs, stem, 2 * stem_stride + 1, stem_stride, "stem")
        x = parts.activate(parts.normalise(x, "stem", instance_norm_stages > 0), "stem")
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stride = 2 if block == 0 and (stage > 0 or stem_stride == 2) else 1
                name = f"stage{stage + 1}_block{block + 1}"
                x = parts.residual_block(x, width, stride, name, stage < instance_norm_stages)
        return x

    if towers == 1:
        x = tower("")
    else:
        beside = [tower(tower_prefix(number)) for number in range(1, towers + 1)]
        x = layers.Concatenate(dtype=dtype, name="towers")(beside)
    x = layers.GlobalAveragePooling2D(dtype="float32", name="pooling")(x)
    x = layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    outputs = layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(x)
    return keras.Model(inputs, outputs, name="residual_cnn")


def tower_prefix(number: int) -> str:
    """What the names of a tower's layers begin with, counted from 1."""
    return f"tower{number}_"


class _Parts:
    """The parts of a residual network, each layer with a name of its own.

    Keras's automatic names count up through a process, and so would end up in the file's bytes.
    """

    def __init__(self, dtype: str, prefix: str) -> None:
        self._dtype = dtype
        self._prefix = prefix

    def residual_block(self, x: Any, width: int, stride: int, name: str, instance_norm: bool) -> Any:
        pool_name, add_name = f"{self._prefix}{name}_shortcut_pool", f"{self._prefix}{name}_add"
        shortcut = x
        if stride > 1:
            # Average pooling before a 1x1 convolution: a strided 1x1 would drop three pixels out of four.
            pooling = layers.AveragePooling2D(stride, padding="same", dtype=self._dtype, name=pool_name)
            shortcut = pooling(x)
        if stride > 1 or x.shape[-1] != width:
            shortcut = self.normalise(
                self.convolve(shortcut, width, 1, 1, f"{name}_shortcut"), f"{name}_shortcut", False
            )
        y = self.convolve(x, width, 3, stride, f"{name}_first")
        y = self.activate(self.normalise(y, f"{name}_first", instance_norm), f"{name}_first")
        y = self.normalise(self.convolve(y, width, 3, 1, f"{name}_second"), f"{name}_second", False)
        return self.activate(layers.Add(dtype=self._dtype, name=add_name)([shortcut, y]), f"{name}_second")

    def convolve(self, x: Any, width: int, kernel: int, stride: int, name: str) -> Any:
        return layers.Conv2D(
            width,
            kernel,
            stride,
            "same",
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=self._dtype,
            name=f"{self._prefix}{name}_convolution",
        )(x)

    def activate(self, x: Any, name: str) -> Any:
        return layers.Activation("relu", dtype=self._dtype, name=f"{self._prefix}{name}_relu")(x)

    def normalise(self, x: Any, name: str, instance_norm: bool) -> Any:
        name = self._prefix + name
        batch = layers.BatchNormalization(momentum=0.95, dtype=self._dtype, name=f"{name}_norm")
        if not instance_norm:
            return batch(x)
        half = x.shape[-1] // 2
        # One group a channel; not LayerNormalization over places, whose axes Keras forgets when it reads HDF5.
        per_film = layers.GroupNormalization(
            -1, center=False, scale=False, dtype=self._dtype, name=f"{name}_film_norm"
        )
        joined = layers.Concatenate(dtype=self._dtype, name=f"{name}_join")
        first = self._channels(x, 0, half, f"{name}_film")
        return joined([per_film(first), batch(self._channels(x, half, x.shape[-1], f"{name}_batch"))])

    def _channels(self, x: Any, start: int, stop: int, name: str) -> Any:
        """Some of the channels, by layers alone: Keras cannot read a sliced tensor back from HDF5."""
        _, height, width, channels = x.shape
        deep = layers.Reshape((height, width, channels, 1), dtype=self._dtype, name=f"{name}_deep")(x)
        cut = ((0, 0), (0, 0), (start, channels - stop))
        kept = layers.Cropping3D(cut, dtype=self._dtype, name=f"{name}_channels")(deep)
        return layers.Reshape((height, width, stop - start), dtype=self._dtype, name=f"{name}_flat")(kept)


_BUILDERS: dict[str, Callable[..., keras.Model]] = {
    **{f"efficientnet_lite{variant}": partial(efficientnet_lite, variant=variant) for variant in (0, 1, 2)},
    "keras_application": keras_application,
    "residual_cnn": residual_cnn,
    "seed_cnn": seed_cnn,
}
