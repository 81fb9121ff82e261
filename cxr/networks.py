"""Networks by name. A bundle names its network; we build it from here and load weights only.

Contract of every network: input float32 (n, size, size, 1) in [0, 1]; output float32 (n, 1), P(PNEUMONIA) before
calibration. The head is a Dense layer of one unit with a sigmoid.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from cxr.errors import BundleError


def build_network(name: str, params: dict[str, Any], size: int, dtype: str = "float32") -> keras.Model:
    """Build a registered network with fresh weights.

    params: the network's own settings, as recorded in bundle.json; size: side of the input in pixels;
    dtype: a Keras dtype policy; "mixed_bfloat16" computes in bfloat16 and keeps weights and output in float32.
    Raises BundleError for a name or a setting that is not registered.
    """
    if name not in _BUILDERS:
        raise BundleError(
            f"a network among {sorted(_BUILDERS)}", repr(name), "update the project or the bundle"
        )
    try:
        return _BUILDERS[name](size=size, dtype=dtype, **params)
    except TypeError as error:
        raise BundleError(
            f"settings that {name} knows", f"{params} ({error})", "update the project or the bundle"
        ) from error


def seed_cnn(size: int, dtype: str) -> keras.Model:
    """The original student project's network: four blocks of convolution and pooling, one dense layer.

    At 150 x 150 it has 1,993,729 parameters.
    """
    inputs = keras.Input((size, size, 1), name="radiograph")
    x = inputs
    for width in (32, 64, 128, 256):
        x = layers.Conv2D(width, 3, activation="relu", dtype=dtype)(x)
        x = layers.MaxPooling2D(2, dtype=dtype)(x)
    x = layers.Flatten(dtype=dtype)(x)
    x = layers.Dense(128, activation="relu", dtype=dtype)(x)
    x = layers.Dropout(0.5, dtype=dtype)(x)
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
) -> keras.Model:
    """A small residual network (He et al. 2016, pre-activation order of norms kept simple) with a pooled head.

    Global average pooling and one dense unit make the class activation map (Zhou et al. 2016) exact: the mean of
    the map plus the bias is the logit. With `instance_norm_stages`, the first stages normalise half their
    channels per film instead of per batch, which removes a film's own contrast and sharpness statistics
    (IBN-Net, Pan et al. 2018).
    """
    inputs = keras.Input((size, size, 1), name="radiograph")
    x = _convolve(inputs, stem, 2 * stem_stride + 1, stem_stride, dtype)
    x = layers.Activation("relu", dtype=dtype)(_normalise(x, instance_norm_stages > 0, dtype))
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if block == 0 and (stage > 0 or stem_stride == 2) else 1
            x = _residual_block(x, width, stride, stage < instance_norm_stages, dtype)
    x = layers.GlobalAveragePooling2D(dtype="float32")(x)
    x = layers.Dropout(dropout, dtype="float32")(x)
    outputs = layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(x)
    return keras.Model(inputs, outputs, name="residual_cnn")


def _residual_block(x: Any, width: int, stride: int, instance_norm: bool, dtype: str) -> Any:
    shortcut = x
    if stride > 1 or x.shape[-1] != width:
        # Average pooling before a 1x1 convolution: a strided 1x1 would drop three pixels out of four.
        shortcut = layers.AveragePooling2D(stride, padding="same", dtype=dtype)(x) if stride > 1 else x
        shortcut = _normalise(_convolve(shortcut, width, 1, 1, dtype), False, dtype)
    y = _normalise(_convolve(x, width, 3, stride, dtype), instance_norm, dtype)
    y = layers.Activation("relu", dtype=dtype)(y)
    y = _normalise(_convolve(y, width, 3, 1, dtype), False, dtype)
    return layers.Activation("relu", dtype=dtype)(layers.Add(dtype=dtype)([shortcut, y]))


def _convolve(x: Any, width: int, kernel: int, stride: int, dtype: str) -> Any:
    return layers.Conv2D(
        width, kernel, stride, "same", use_bias=False, kernel_initializer="he_normal", dtype=dtype
    )(x)


def _normalise(x: Any, instance_norm: bool, dtype: str) -> Any:
    batch = layers.BatchNormalization(momentum=0.95, dtype=dtype)
    if not instance_norm:
        return batch(x)
    half = x.shape[-1] // 2
    first = layers.LayerNormalization(axis=(1, 2), center=False, scale=False, dtype=dtype)(x[..., :half])
    return layers.Concatenate(dtype=dtype)([first, batch(x[..., half:])])


_BUILDERS: dict[str, Callable[..., keras.Model]] = {"seed_cnn": seed_cnn, "residual_cnn": residual_cnn}
