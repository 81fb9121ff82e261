"""Stored values -> gray levels as the file would have them shown.

Stored value -> modality LUT, or rescale slope and intercept -> VOI LUT, or window: the order of DICOM PS3.4 N.2. Each
step maps single values, so all of them are done once, on a table of every stored value. Windows are pydicom's
function; LUT sequences are looked up here (docs/decisions/0013-decoding.md says why, with figures).
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr.imaging.dicom_elements import PALETTES, bad_value
from cxr.imaging.dicom_frames import Stored
from cxr.imaging.pydicom_calls import pydicom_call

if TYPE_CHECKING:
    from pydicom import Dataset

_LARGEST = 2.0**40


class Lut(NamedTuple):
    """The stored value of the first entry, the entries, and the bits that the file gives them."""

    first: int
    table: NDArray[np.uint16]
    bits: int

    def of(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """Entries of values, of those before the first and after the last as well (DICOM PS3.3, C.11.1.1)."""
        index = np.rint(values).astype(np.int64) - self.first
        return self.table[np.clip(index, 0, len(self.table) - 1)]


def every_value(data: "Dataset") -> NDArray[np.int32]:
    """All values that the stored bits can hold, in order."""
    low = -(2 ** (data.BitsStored - 1)) if data.PixelRepresentation else 0
    return np.arange(low, low + 2**data.BitsStored, dtype=np.int32)


def index_of(stored: Stored, every: NDArray[np.int32]) -> NDArray[np.int32]:
    """Places of stored values in the table of all; JPEG-LS and JPEG 2000 may hold more bits than the data set tells."""
    return np.clip(stored.astype(np.int32), every[0], every[-1]) - every[0]


def modality_levels(data: "Dataset", every: NDArray[np.int32], name: str) -> NDArray[np.float64]:
    """Every stored value after the modality transformation."""
    lut = _first_item(data, "ModalityLUTSequence", name)
    if lut is not None:
        return lut.of(every).astype(np.float64)
    slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
    return np.clip(every * slope + intercept, -_LARGEST, _LARGEST)


def has_modality_lut(data: "Dataset") -> bool:
    return bool(data.get("ModalityLUTSequence"))


def shown_levels(data: "Dataset", levels: NDArray[np.float64], name: str) -> NDArray[np.float64] | None:
    """Gray in [0, 1] by the first VOI LUT, else by the first window (DICOM PS3.3, C.11.2.1); None without either."""
    lut = _first_item(data, "VOILUTSequence", name)
    if lut is not None:
        white = max(2**lut.bits - 1, int(lut.table.max()))  # some tables hold more than they tell
        return lut.of(levels) / white
    if "WindowWidth" not in data:
        return None
    return _windowed(data, levels, name)


def _windowed(data: "Dataset", levels: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """By pydicom, without what it would add for the film's own range: a window maps to [0, 1] here."""
    from pydicom import Dataset
    from pydicom.pixels.processing import apply_windowing

    window = Dataset()
    window.PhotometricInterpretation, window.PixelRepresentation, window.BitsStored = "MONOCHROME2", 0, 16
    window.VOILUTFunction = data.VOILUTFunction
    window.WindowCenter, window.WindowWidth = data.WindowCenter, data.WindowWidth
    with pydicom_call(bad_value(name, "WindowWidth", "cannot be used")), np.errstate(over="ignore"):
        return apply_windowing(levels, window) / 65535


def _first_item(data: "Dataset", keyword: str, name: str) -> Lut | None:
    """The first LUT of a sequence, or None."""
    with pydicom_call(bad_value(name, keyword, "cannot be read")):
        items = data.get(keyword)
        if not items:
            return None
        descriptor, content = items[0].LUTDescriptor, items[0].LUTData
    return _lut(data, descriptor, content, keyword, name)


def palette(data: "Dataset", every: NDArray[np.int32], name: str) -> NDArray[np.uint16] | NDArray[np.uint8]:
    """RGB (n, 3) of every stored value, uint8 or uint16 (DICOM PS3.3, C.7.6.3.1.5)."""
    with pydicom_call(bad_value(name, "the palette", "cannot be read")):
        parts = [data[keyword].value for keyword in PALETTES]
    luts = [_lut(data, parts[at], parts[at + 1], "the palette", name) for at in (0, 2, 4)]
    rgb = np.stack([lut.of(every) for lut in luts], axis=-1)
    return rgb.astype(np.uint8) if rgb.max() < 256 else rgb


def _lut(data: "Dataset", descriptor: Any, content: Any, keyword: str, name: str) -> Lut:
    try:
        entries, first, bits = (int(value) for value in descriptor)
    except (TypeError, ValueError):
        raise bad_value(name, keyword, "has no descriptor of three numbers") from None
    entries = entries or 2**16
    if isinstance(content, bytes):
        wide = len(content) > entries + 1
        content = content[: len(content) // 2 * 2] if wide else content
        table = np.frombuffer(content, ("<u2" if data.original_encoding[1] else ">u2") if wide else "u1")
    else:
        with pydicom_call(bad_value(name, keyword, "is not of whole numbers")):
            table = np.atleast_1d(np.asarray(content, np.uint16))
    if not len(table) or not 0 < bits <= 16:
        raise bad_value(name, keyword, "is empty or of more than 16 bits")
    return Lut(first, table[:entries].astype(np.uint16), bits)
