"""What a .h5 of unknown origin holds, read without Keras: nothing that it describes is run to find out.

Needs h5py, which comes with Keras.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cxr.errors import BundleError

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LFS_SIGNATURE = b"version https://git-lfs"
_ORIGINAL = frozenset({"InputLayer", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dropout"})
"""The layers of the original's kind of network."""
_MODELS = frozenset({"Functional", "Sequential", "Model"})
_LAYERS = _ORIGINAL | frozenset(
    [
        "Activation",
        "Add",
        "Average",
        "AveragePooling2D",
        "BatchNormalization",
        "Concatenate",
        "Cropping2D",
        "Cropping3D",
        "DepthwiseConv2D",
        "Dot",
        "ELU",
        "GaussianDropout",
        "GaussianNoise",
        "GetItem",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling2D",
        "GroupNormalization",
        "Identity",
        "LayerNormalization",
        "LeakyReLU",
        "Maximum",
        "Minimum",
        "Multiply",
        "Normalization",
        "PReLU",
        "Permute",
        "ReLU",
        "Rescaling",
        "Reshape",
        "SeparableConv2D",
        "Softmax",
        "SpatialDropout2D",
        "Subtract",
        "UpSampling2D",
        "ZeroPadding2D",
    ]
)
_PARTS = frozenset(
    # What layers are configured with: initialisers, regularisers, constraints, number formats, and Keras's own marks.
    [
        "Constant",
        "GlorotNormal",
        "GlorotUniform",
        "HeNormal",
        "HeUniform",
        "Identity",
        "LecunNormal",
        "LecunUniform",
        "Ones",
        "Orthogonal",
        "RandomNormal",
        "RandomUniform",
        "TruncatedNormal",
        "VarianceScaling",
        "Zeros",
        "L1",
        "L2",
        "L1L2",
        "OrthogonalRegularizer",
        "MaxNorm",
        "MinMaxNorm",
        "NonNeg",
        "UnitNorm",
        "DTypePolicy",
        "Policy",
        "FloatDTypePolicy",
        "__keras_tensor__",
        "__tensor__",
        "slice",
    ]
)
_ACTIVATIONS = frozenset(
    [
        "linear",
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "gelu",
        "celu",
        "sigmoid",
        "hard_sigmoid",
        "silu",
        "swish",
        "hard_silu",
        "hard_swish",
        "tanh",
        "softmax",
        "log_softmax",
        "softplus",
        "softsign",
        "exponential",
        "mish",
    ]
)


def require_plain_layers(path: Path) -> None:
    """Raise BundleError, in one clear line, for a file that Keras had better not open."""
    require_hdf5(path)
    for _ in _layer_kinds(_model_config(path), path.name):
        pass


def is_of_the_originals_kind(path: Path) -> bool:
    """Whether the network is convolutions, poolings and dense layers alone, as the original's. Raises as above."""
    require_hdf5(path)
    return set(_layer_kinds(_model_config(path), path.name)) <= _ORIGINAL | _MODELS


def require_hdf5(path: Path) -> None:
    """Raise BundleError for a file that does not begin as HDF5 does, a Git LFS pointer among them."""
    with path.open("rb") as stream:
        start = stream.read(len(_LFS_SIGNATURE))
    if start.startswith(_HDF5_SIGNATURE):
        return
    if start.startswith(_LFS_SIGNATURE):
        raise BundleError(f"{path.name} is only a Git LFS pointer to the model. Run git lfs pull.")
    raise BundleError(f"{path.name} is not an HDF5 file. Name the .h5 that Keras saved.")


def _model_config(path: Path) -> dict[str, Any]:
    """The network's description, from a file that is whole and refers to no other."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _require_no_links(file, path.name)
            text = file.attrs.get("model_config")
        config = json.loads(text) if text is not None else None
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise BundleError(f"{path.name} is damaged: {reason}. Copy or download it again.") from error
    if not isinstance(config, dict):
        raise BundleError(
            f"{path.name} does not describe its network, as a file of weights alone. Save the model with model.save."
        )
    return config


def _require_no_links(group: Any, name: str) -> None:
    """Keras writes hard links alone; anything else leads out of the file or round in it."""
    import h5py

    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise _refused(name, f"a link at {key}")
        found = group[key]
        if isinstance(found, h5py.Group):
            if h5py.h5o.get_info(found.id).rc > 1:
                raise _refused(name, f"several links to {key}")
            _require_no_links(found, name)
        elif found.external or found.is_virtual:
            raise _refused(name, f"data outside the file at {key}")


def _layer_kinds(config: dict[str, Any], name: str) -> Iterator[str]:
    """The class names of the model and all its layers, nested ones too. Raises for any that is not Keras's own."""
    kind, settings = str(config.get("class_name")), config.get("config")
    if kind not in _LAYERS | _MODELS:
        raise _refused(name, f"the layer {kind}")
    registered = config.get("registered_name")
    if registered not in (None, "", kind):
        raise _refused(name, f"the custom object {registered}")
    yield kind
    layers = settings.get("layers", []) if isinstance(settings, dict) else settings or []
    if kind in _MODELS:
        for layer in layers:
            yield from _layer_kinds(layer, name)
    else:
        _require_known_parts(settings, name)


def _require_known_parts(value: Any, name: str) -> None:
    if isinstance(value, list):
        for part in value:
            _require_known_parts(part, name)
    if not isinstance(value, dict):
        return
    kind, module = value.get("class_name"), str(value.get("module") or "keras")
    if kind is not None:
        function = kind == "function" and module == "keras.activations"
        if not (function or kind in _PARTS) or module.split(".")[0] not in ("keras", "builtins"):
            raise _refused(name, f"the custom object {value.get('config') if kind == 'function' else kind}")
    for key, part in value.items():
        if key.endswith("activation") and isinstance(part, str) and part not in _ACTIVATIONS:
            raise _refused(name, f"the activation {part}")
        _require_known_parts(part, name)


def _refused(name: str, found: str) -> BundleError:
    return BundleError(
        f"{name} has {found}, but only Keras models of plain layers, whole in their file, are opened. "
        "Rebuild the model with plain layers and save it again."
    )


_KEPT_BY_KERAS_2 = {
    "DepthwiseConv2D": ("groups",),
    "SeparableConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
}
"""Settings that Keras 2 wrote for a layer, though they say nothing of it, and that Keras 3 refuses."""


def drop_keras_2_settings(path: Path) -> bool:
    """Take out of a file of our own, a copy, what Keras 2 wrote and Keras 3 refuses. True where there was any.

    Every MobileNet and EfficientNet of Keras 2 has `groups` = 1 in its DepthwiseConv2D.
    """
    import h5py

    config = _model_config(path)
    if not _drop(config):
        return False
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
    return True


def _drop(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    dropped = [_drop(part) for part in parts]
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        settings = value["config"]
        for name in _KEPT_BY_KERAS_2.get(str(value.get("class_name")), ()):
            if name in settings and (name != "groups" or settings[name] == 1):
                del settings[name]
                dropped.append(True)
    return any(dropped)
