"""ONNX file -> the same without the weights that model.h5 holds, which it then names by their place in that file.

ONNX lets a tensor lie in another file, at an offset (its "external data"). Keras writes each weight to HDF5 as one
plain block of float32, so that a bundle need not hold its weights twice. The converter turns a convolution's axes
and multiplies its kernel with the scale of the normalisation behind it; the graph does both to the weights as they
were saved, and ONNX Runtime computes that once, at load.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
from numpy.typing import NDArray

_LEAST_BYTES = 2048
"""What is smaller than this stays in the ONNX file: naming it would take nearly as much."""
_AXES = {2: ((0, 1), (1, 0)), 4: ((3, 2, 0, 1), (2, 3, 0, 1), (0, 1, 2, 3))}
"""By the number of axes, the orders in which ONNX may hold a weight; of four: a convolution's, a depthwise one's."""
_ROUNDING = 1e-6  # of the largest weight: what is left of a float32 product


@dataclass(frozen=True)
class _Block:
    """A weight in the HDF5 file, and in which order of axes ONNX holds it."""

    offset: int
    saved: NDArray[np.float32]
    axes: tuple[int, ...]

    @property
    def turned(self) -> NDArray[np.float32]:
        return self.saved.transpose(self.axes)


def without_weights(content: bytes, weights: Path) -> bytes:
    """The ONNX file `content` with every large constant that comes from the HDF5 file `weights` named, not held."""
    loaded = onnx.load_from_string(content)
    blocks = _blocks(weights)
    nodes, constants = [], []
    for constant in loaded.graph.initializer:
        found = _found(onnx.numpy_helper.to_array(constant), blocks)
        if found is None:
            constants.append(constant)
            continue
        block, scale = found
        saved, turned = f"{constant.name}_saved", f"{constant.name}_turned"
        constants.append(_elsewhere(saved, block, weights.name))
        end = constant.name if scale is None else turned
        nodes.append(
            onnx.helper.make_node("Transpose", [saved], [end], f"turn_{constant.name}", perm=block.axes)
        )
        if scale is not None:
            constants.append(onnx.numpy_helper.from_array(scale, f"{constant.name}_scale"))
            factors = [turned, f"{constant.name}_scale"]
            nodes.append(onnx.helper.make_node("Mul", factors, [constant.name], f"scale_{constant.name}"))
    nodes += loaded.graph.node
    ends = loaded.graph.input, loaded.graph.output
    loaded.graph.CopyFrom(onnx.helper.make_graph(nodes, loaded.graph.name, *ends, constants))
    return bytes(loaded.SerializeToString(deterministic=True))


def _blocks(weights: Path) -> list[_Block]:
    with h5py.File(weights, "r") as file:
        items: list[Any] = []
        file.visititems(lambda _, item: items.append(item) if isinstance(item, h5py.Dataset) else None)
        return [
            _Block(item.id.get_offset(), item[()], axes)
            for item in items
            if item.dtype == np.dtype("<f4")
            and item.nbytes >= _LEAST_BYTES
            and item.id.get_offset() is not None
            for axes in _AXES.get(item.ndim, ())
        ]


def _found(value: np.ndarray, blocks: Sequence[_Block]) -> tuple[_Block, NDArray[np.float32] | None] | None:
    """The block that a constant comes from, and its scale for each output channel, None for 1."""
    if value.dtype != np.float32 or value.nbytes < _LEAST_BYTES:
        return None
    alike = [block for block in blocks if block.turned.shape == value.shape]
    for block in alike:
        if np.array_equal(block.turned, value):
            return block, None
    for block in alike:
        inner = tuple(range(1, value.ndim))
        power = (block.turned**2).sum(inner, keepdims=True, dtype=np.float64)
        product = (block.turned * value).sum(inner, keepdims=True, dtype=np.float64)
        scale = (product / np.maximum(power, 1e-30)).astype(np.float32)
        if np.abs(block.turned * scale - value).max() <= _ROUNDING * np.abs(value).max():
            return block, scale
    return None


def _elsewhere(name: str, block: _Block, file: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=block.saved.shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", block.offset), ("length", block.saved.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
