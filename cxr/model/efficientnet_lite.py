"""EfficientNet-Lite 0, 1 and 2 (Tan and Le 2019; Liu 2020), for one gray channel, under heads of our own.

The Lite networks have neither squeeze-and-excitation nor swish: plain convolutions, batch norms and ReLU6, which
HDF5 and ONNX keep as they are. Weights from ImageNet are set by the trainer (`trainer.pretrained`).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import layers

HEAD_WIDTH = 1280
STAGES = 7
FINE_STAGE = 5
"""The evidence is made of the last feature maps and of this stage's, which have twice their resolution."""
TRUNK_READ = (3, 4, 5)
"""Of these stages the input gate's features are taken: mean and deviation of each channel over places."""
EVIDENCE = "evidence"
"""Name of a layer (n, height, width, 1) that holds the log-odds of each place: a map by design."""
POOLED = "pooling"
"""Name of the layer (n, 1) that holds the map's weighted mean."""
FILM = "film"
"""Name of the layer (n, channels) of a joint head that the film as a whole is read from."""
CONTEXT = "context"
"""Name of the layer of a joint head that reads them, and gives the log-odds of the film as a whole."""
MIXED = "mixed_relu"
"""Name of the layer whose channels the evidence is made of."""
_EVIDENCE_BIAS = -2.0  # most places of most films show nothing


@dataclass(frozen=True)
class _Stage:
    """Blocks of one kind; the first has the stride, the others 1."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_BASE = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_SCALES = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Width and depth, as factors of Lite0's, by variant."""


def stages(variant: int) -> tuple[_Stage, ...]:
    """The seven stages of a variant. The first and the last are not made deeper."""
    width, depth = _SCALES[variant]

    def scaled(number: int, stage: _Stage) -> _Stage:
        repeats = stage.repeats if number in (1, STAGES) else math.ceil(depth * stage.repeats)
        return _Stage(repeats, stage.kernel, stage.stride, stage.expansion, _rounded(stage.channels * width))

    return tuple(scaled(number, stage) for number, stage in enumerate(_BASE, 1))


def _rounded(channels: float) -> int:
    """The nearest multiple of 8 that loses at most a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class _Parts:
    """The layers of a network, each with a name of its own, at one dtype policy."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def convolve(self, x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
        layer = layers.Conv2D(
            channels,
            kernel,
            stride,
            "same",
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=self.dtype,
            name=f"{name}_convolution",
        )
        return self._normalise(layer(x), name)

    def convolve_each(self, x: Any, kernel: int, stride: int, name: str) -> Any:
        """Each channel by a kernel of its own."""
        layer = layers.DepthwiseConv2D(
            kernel,
            stride,
            "same",
            use_bias=False,
            depthwise_initializer="he_normal",
            dtype=self.dtype,
            name=f"{name}_convolution",
        )
        return self._normalise(layer(x), name)

    def activate(self, x: Any, name: str) -> Any:
        return layers.ReLU(6.0, dtype=self.dtype, name=f"{name}_relu")(x)

    def _normalise(self, x: Any, name: str) -> Any:
        # TensorFlow's epsilon of this family; the momentum suits runs of some hundred steps.
        layer = layers.BatchNormalization(momentum=0.97, epsilon=1e-3, dtype=self.dtype, name=f"{name}_norm")
        return layer(x)

    def block(self, x: Any, stage: _Stage, stride: int, name: str) -> Any:
        """Inverted residual (Sandler et al. 2018): widen, convolve each channel, narrow, add."""
        y, width = x, x.shape[-1]
        if stage.expansion > 1:
            y = self.convolve(y, width * stage.expansion, 1, 1, f"{name}_expand")
            y = self.activate(y, f"{name}_expand")
        y = self.activate(
            self.convolve_each(y, stage.kernel, stride, f"{name}_depthwise"), f"{name}_depthwise"
        )
        y = self.convolve(y, stage.channels, 1, 1, f"{name}_project")
        if stride == 1 and width == stage.channels:
            y = layers.Add(dtype=self.dtype, name=f"{name}_add")([x, y])
        return y


def efficientnet_lite(
    size: int,
    dtype: str,
    variant: int,
    head: Literal["pooled", "evidence", "joint"] = "evidence",
    width: int = 128,
    dropout: float = 0.3,
) -> keras.Model:
    """EfficientNet-Lite `variant` from random weights; side of the input at least 32, a multiple of 32 is best.

    head "pooled": global average pooling and one dense unit, as in the original; its map is the class activation map.

    head "evidence": a map of log-odds is made first, at a sixteenth of the side, out of `width` channels in which
    the last feature maps and those of the fifth stage are joined; then the logit is a mean of that map in which
    places weigh the more the higher they are (softmax pooling, McFee et al. 2018). So one region can decide, and
    what is shown is what the decision is made of.

    head "joint": to the mean of the same map the log-odds of the film as a whole are added, a pooled head's. The map
    shows what places add, and not what the whole film does.
    """
    parts = _Parts(dtype)
    inputs = keras.Input((size, size, 1), name="radiograph")
    # ImageNet's weights were trained on (8-bit value - 127) / 128.
    x = layers.Rescaling(255 / 128, -127 / 128, dtype=dtype, name="as_pretrained")(inputs)
    x = parts.activate(parts.convolve(x, 32, 3, 2, "stem"), "stem")
    ends = []
    for number, stage in enumerate(stages(variant), 1):
        for block in range(stage.repeats):
            stride = stage.stride if block == 0 else 1
            x = parts.block(x, stage, stride, f"stage{number}_block{block + 1}")
        ends.append(x)
    x = parts.activate(parts.convolve(x, HEAD_WIDTH, 1, 1, "top"), "top")
    if head == "pooled":
        outputs = _pooled_head(x, dropout)
    else:
        outputs = _evidence_head(parts, x, ends[FINE_STAGE - 1], width, dropout, joint=head == "joint")
    return keras.Model(inputs, outputs, name=f"efficientnet_lite{variant}")


def _pooled_head(deep: Any, dropout: float) -> Any:
    x = layers.GlobalAveragePooling2D(dtype="float32", name="pooling")(deep)
    x = layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    return layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(x)


def _evidence_head(parts: _Parts, deep: Any, fine: Any, width: int, dropout: float, joint: bool) -> Any:
    dtype = parts.dtype
    drop = layers.SpatialDropout2D(dropout, dtype=dtype, name="dropout")
    coarse = parts.convolve(drop(deep), width, 1, 1, "coarse")
    coarse = layers.UpSampling2D(2, interpolation="bilinear", dtype=dtype, name="coarse_wide")(coarse)
    joined = layers.Add(dtype=dtype, name="joined")([coarse, parts.convolve(fine, width, 1, 1, "fine")])
    x = parts.convolve_each(parts.activate(joined, "joined"), 3, 1, "around")
    x = parts.activate(parts.convolve(x, width, 1, 1, "mixed"), "mixed")
    bias = keras.initializers.Constant(_EVIDENCE_BIAS)
    evidence = layers.Conv2D(1, 1, bias_initializer=bias, dtype="float32", name=EVIDENCE)(x)
    places = layers.Flatten(dtype="float32", name="places")(evidence)
    weights = layers.Softmax(dtype="float32", name="weights")(places)
    logit = layers.Dot(1, dtype="float32", name=POOLED)([weights, places])
    if joint:
        logit = layers.Add(dtype="float32", name="with_film")([logit, _context(deep, dropout)])
    return layers.Dense(1, "sigmoid", kernel_initializer="ones", dtype="float32", name="probability")(logit)


def _context(deep: Any, dropout: float) -> Any:
    x = layers.GlobalAveragePooling2D(dtype="float32", name=FILM)(deep)
    x = layers.Dropout(dropout, dtype="float32", name="film_dropout")(x)
    return layers.Dense(1, kernel_initializer="zeros", dtype="float32", name=CONTEXT)(x)


def trunk_stages(model: keras.Model) -> list[Any]:
    """Outputs of the stages TRUNK_READ of one of these networks; none for other networks."""
    if not model.name.startswith("efficientnet_lite"):
        return []
    return [
        [layer for layer in model.layers if layer.name.startswith(f"stage{number}_")][-1].output
        for number in TRUNK_READ
    ]


def freeze(model: keras.Model, stages_kept: int, norms_kept: bool) -> None:
    """Keep parts of one of these networks as they are in training.

    Args:
        model: not yet trained.
        stages_kept: the stem and so many first stages keep their weights and their batch statistics.
        norms_kept: the batch norms of all other stages keep scale, offset and statistics as well.
    """
    first = ("stem_", *(f"stage{number}_" for number in range(1, stages_kept + 1))) if stages_kept else ()
    body = ("stem_", "stage", "top_")
    for layer in model.layers:
        is_norm = layer.name.startswith(body) and layer.name.endswith("_norm")
        if layer.name.startswith(first) or (norms_kept and is_norm):
            layer.trainable = False
