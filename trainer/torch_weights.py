"""Reads tensors out of a file of PyTorch's legacy format, without PyTorch and without running what the file says.

The format: three pickles (magic number, protocol, system), one of an ordered dictionary of tensors that refer to
storages, one of the list of the storages' keys, and then for each key its number of values and the values. A pickle
can name any function to be called; the unpickler here knows the three things that a dictionary of tensors needs, and
stops at any other.
"""

import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr.errors import TrainingError

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "LongStorage": "<i8", "IntStorage": "<i4"}
_FAULTS = (pickle.UnpicklingError, struct.error, EOFError, ValueError, TypeError, AttributeError, KeyError)


class _Storage(NamedTuple):
    key: str
    dtype: str


class _Tensor(NamedTuple):
    """Where a tensor lies: strides and offset count values, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a PyTorch file by name. Raises TrainingError where it holds anything else, or is damaged."""
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except _FAULTS as error:
        raise TrainingError(
            f"{path.name} is not a PyTorch file of plain tensors ({error}). Install the package that ships it again."
        ) from error


def _read(stream: BinaryIO) -> dict[str, NDArray[Any]]:
    magic, _, _ = (_TensorUnpickler(stream).load() for _ in range(3))
    if magic != _MAGIC:
        raise ValueError("it does not begin with PyTorch's magic number")
    tensors: dict[str, _Tensor] = _TensorUnpickler(stream).load()
    dtypes = {tensor.storage.key: np.dtype(tensor.storage.dtype) for tensor in tensors.values()}
    values = {key: _values(stream, dtypes[key]) for key in _TensorUnpickler(stream).load()}
    return {name: _array(tensor, values[tensor.storage.key]) for name, tensor in tensors.items()}


def _values(stream: BinaryIO, dtype: np.dtype) -> NDArray[Any]:
    (count,) = struct.unpack("<q", stream.read(8))
    content = stream.read(count * dtype.itemsize)
    if count < 0 or len(content) != count * dtype.itemsize:
        raise EOFError("it ends within a tensor")
    return np.frombuffer(content, dtype)


def _array(tensor: _Tensor, values: NDArray[Any]) -> NDArray[Any]:
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if min(tensor.offset, *tensor.shape, *tensor.strides, 0) < 0 or last >= len(values):
        raise ValueError("a tensor lies outside its storage")
    steps = [step * values.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, steps).copy()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _TensorUnpickler(pickle.Unpickler):
    """Knows dictionaries, tensors and their storages, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, reference: Any) -> _Storage:
        kind, dtype, key, *_ = reference
        if kind != "storage" or dtype not in _DTYPES.values():
            raise pickle.UnpicklingError(f"it refers to a {kind}")
        return _Storage(str(key), dtype)
