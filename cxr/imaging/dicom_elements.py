"""The elements of a DICOM file that tell its pixels and how to show them. No other element is parsed or kept.

Attributes that the standard requires and a file lacks get the one sensible value there is; numbers with a decimal
comma are read. Both are told by the note "dicom_repaired". What cannot be mended is refused by the element's name,
never by its value.
"""

import io
import math
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from cxr.errors import ImageError
from cxr.imaging.jpeg import Header
from cxr.imaging.pydicom_calls import pydicom_call
from cxr.types import WarningCode

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

MARKER, MARKER_AT = b"DICM", 128
REPAIRED: Final = "dicom_repaired"
DEFLATED = "1.2.840.10008.1.2.1.99"
GRAY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTES = tuple(
    f"{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for part in ("Descriptor", "Data")
)
_FLOATING = ("FloatPixelData", "DoubleFloatPixelData")
_DECIMALS = ("RescaleIntercept", "RescaleSlope", "WindowCenter", "WindowWidth")
_INTEGERS = (
    "SamplesPerPixel",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
ELEMENTS = (
    "PhotometricInterpretation",
    *_INTEGERS,
    *_DECIMALS,
    *PALETTES,
    "ModalityLUTSequence",
    "LUTDescriptor",
    "LUTData",
    "VOILUTSequence",
    "VOILUTFunction",
    *_FLOATING,
    "PixelData",
)
_VOI_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
MOST_INFLATED = 160 * 2**20
"""Bytes: the most pixels that are read, of 16 bits, and what stands beside them."""


def parse(content: bytes, name: str) -> "tuple[Dataset, UID]":
    """The data set, of which only ELEMENTS are kept, and its transfer syntax.

    Raises:
        ImageError: the file is damaged, or inflates to more than MOST_INFLATED.
    """
    from pydicom.filereader import read_dataset
    from pydicom.tag import Tag
    from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    stream = io.BytesIO(content)
    stream.seek(MARKER_AT + 4 if content[MARKER_AT : MARKER_AT + 4] == MARKER else 0)
    with pydicom_call(damaged(name)):
        header = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag.group != 2)
        syntax = UID(str(header.get("TransferSyntaxUID") or ""))
    body = stream.read()
    if not syntax:
        syntax = (
            ExplicitVRLittleEndian if body[4:6].isalpha() and body[4:6].isupper() else ImplicitVRLittleEndian
        )
    if syntax == DEFLATED:
        body = _inflated(body, name)
    if not syntax.is_transfer_syntax:
        raise undecodable(name, "its transfer syntax is unknown")
    implicit, little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    tags: list[Any] = [Tag(element) for element in ELEMENTS]
    with pydicom_call(damaged(name)):
        data = read_dataset(io.BytesIO(body), implicit, little_endian, specific_tags=tags)
    data.set_original_encoding(implicit, little_endian)
    return data, syntax


def _inflated(body: bytes, name: str) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = unpacker.decompress(body, MOST_INFLATED)
    except zlib.error:
        raise damaged(name) from None
    if unpacker.unconsumed_tail:
        raise ImageError(
            "too_many_bytes",
            f"{name} is a deflated DICOM file and unpacks to more than {MOST_INFLATED // 2**20} MiB. "
            "Export the radiograph at a lower resolution.",
        )
    if not unpacker.eof:
        raise damaged(name)
    return inflated


def require_one_image(data: "Dataset", name: str) -> None:
    """Raises:
    ImageError: the file holds no pixels, several frames, or pixels in floating point."""
    present = [element for element in ("PixelData", *_FLOATING) if element in data]
    if not present:
        raise ImageError(
            "dicom_no_image",
            f"{name} is a DICOM file without an image: a report, a directory or another object. "
            "Choose the file of the radiograph.",
        )
    if (_integer(data, "NumberOfFrames", name) or 1) > 1:
        raise ImageError(
            "multi_frame",
            f"{name} holds several images, and only files with one are read. Export one of them as PNG or JPEG.",
        )
    if present != ["PixelData"]:
        raise undecodable(name, "its pixels are in floating point")


def settle(data: "Dataset", codestream: Header | None, name: str) -> tuple[WarningCode, ...]:
    """Make every element that the next steps read present, of its type, and possible.

    Args:
        data: changed in place.
        codestream: what compressed pixels tell of themselves; stands in where the data set is silent.
        name: of the file, for messages.

    Returns:
        Notes: ("dicom_repaired",) where something was added or read against the standard, or ().

    Raises:
        ImageError: an element cannot be read, or tells an image of a kind that we do not read.
    """
    repaired = [_settle_kind(data, codestream, name)]
    repaired.append(_settle_shape(data, codestream, name))
    repaired.append(_settle_depth(data, codestream, name))
    repaired += [_settle_decimal(data, keyword, name) for keyword in _DECIMALS]
    _settle_rescale(data)
    _settle_window(data)
    return (REPAIRED,) if any(repaired) else ()


def _settle_kind(data: "Dataset", codestream: Header | None, name: str) -> bool:
    """Samples and photometric interpretation, each from the other; without both the film is gray."""
    samples = _integer(data, "SamplesPerPixel", name)
    said = _value(data, "PhotometricInterpretation", name)
    kind = str(said or "").strip().upper()
    missing = samples is None or not kind
    if samples is None:
        samples = 3 if kind in COLOUR else (codestream.channels if codestream and not kind else 1)
    if not kind:
        kind = "MONOCHROME2" if samples == 1 else "RGB"
    if samples != (3 if kind in COLOUR else 1) or kind not in (*GRAY, *COLOUR, PALETTE):
        raise undecodable(name, "its pixels are neither gray, RGB, YBR nor of a palette")
    planar = _integer(data, "PlanarConfiguration", name)
    data.SamplesPerPixel, data.PhotometricInterpretation = samples, kind
    if samples == 3:
        data.PlanarConfiguration = planar or 0
    return missing or (samples == 3 and planar is None)


def _settle_shape(data: "Dataset", codestream: Header | None, name: str) -> bool:
    rows, columns = _integer(data, "Rows", name), _integer(data, "Columns", name)
    missing = not rows or not columns
    if missing and codestream is not None:
        rows, columns = codestream.height, codestream.width
    if not rows or not columns:
        raise bad_value(name, "Rows" if not rows else "Columns", "is missing")
    data.Rows, data.Columns = rows, columns
    return missing


def _settle_depth(data: "Dataset", codestream: Header | None, name: str) -> bool:
    """Bits and sign: what is missing follows from what is there, at last from the size of the pixels."""
    allocated, stored = _integer(data, "BitsAllocated", name), _integer(data, "BitsStored", name)
    high, sign = _integer(data, "HighBit", name), _integer(data, "PixelRepresentation", name)
    missing = None in (allocated, stored, high, sign)
    if stored is None and high is not None:
        stored = high + 1
    if stored is None and codestream is not None:
        stored = codestream.bits
    if allocated is None:
        allocated = _allocated(data, stored)
    if stored is None:
        stored = allocated
    if high is None:
        high = stored - 1
    if allocated not in (8, 16) or not 8 <= stored <= allocated:
        raise undecodable(name, f"its pixels have {stored} bits in {allocated}; 8 to 16 bits are read")
    if high != stored - 1:
        raise undecodable(name, f"its {stored} bits do not end at the lowest (HighBit is {high})")
    if sign not in (None, 0, 1):
        raise bad_value(name, "PixelRepresentation", "is neither 0 nor 1")
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = (
        allocated,
        stored,
        high,
        sign or 0,
    )
    return missing


def _allocated(data: "Dataset", stored: int | None) -> int:
    if stored is not None:
        return 8 if stored <= 8 else 16
    values = data.Rows * data.Columns * data.SamplesPerPixel
    return 8 if len(data.get_item("PixelData").value) < 2 * values else 16


def _settle_decimal(data: "Dataset", keyword: str, name: str) -> bool:
    """Leave a finite number, the first of several, or no element. True where commas were read as decimal points."""
    comma = _replace_commas(data, keyword)
    value = _value(data, keyword, name)
    several = isinstance(value, Sequence) and not isinstance(value, str)
    first = next(iter(value), None) if several else value
    if first is None or first == "":
        data.pop(keyword, None)
        return comma
    try:
        number = float(first)
    except (TypeError, ValueError):
        raise bad_value(name, keyword, "is not a number") from None
    if not math.isfinite(number):
        raise bad_value(name, keyword, "is not a number")
    with pydicom_call(bad_value(name, keyword, "is not a number")):
        setattr(data, keyword, _decimal(number))
    return comma


def _decimal(number: float) -> Any:
    """A value that pydicom takes for a decimal string, whose text has 16 characters at most."""
    from pydicom.valuerep import DSfloat

    return DSfloat(number, auto_format=True)


def _replace_commas(data: "Dataset", keyword: str) -> bool:
    """In the bytes of the file, before pydicom reads them as numbers."""
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    tag = Tag(keyword)
    raw = data.get_item(tag) if tag in data else None
    if not isinstance(raw, RawDataElement) or not raw.value or b"," not in raw.value or b"." in raw.value:
        return False
    data[tag] = raw._replace(value=raw.value.replace(b",", b"."))
    return True


def _settle_rescale(data: "Dataset") -> None:
    """Slope and intercept, both or none; a slope of 0 would leave nothing to see."""
    if "RescaleSlope" not in data and "RescaleIntercept" not in data:
        return
    if not data.get("RescaleSlope"):
        data.RescaleSlope = 1
    if "RescaleIntercept" not in data:
        data.RescaleIntercept = 0


def _settle_window(data: "Dataset") -> None:
    """Center and width, both or none, with a function of the standard's. A window of no width is none."""
    if data.get("VOILUTFunction") not in _VOI_FUNCTIONS:
        data.VOILUTFunction = "LINEAR"
    center, width = data.get("WindowCenter"), data.get("WindowWidth")
    if center is None or width is None or width <= 0:
        data.pop("WindowCenter", None)
        data.pop("WindowWidth", None)
    elif width < 1 and data.VOILUTFunction == "LINEAR":
        data.WindowWidth = 1  # a threshold: the function takes 1 from the width


def _integer(data: "Dataset", keyword: str, name: str) -> int | None:
    value = _value(data, keyword, name)
    if value is None or value == "" or value == b"":
        return None
    if not isinstance(value, int):
        raise bad_value(name, keyword, "is not a whole number")
    return int(value)


def _value(data: "Dataset", keyword: str, name: str) -> Any:
    """An element's value, None where it is missing or empty. Raises ImageError where it cannot be read."""
    with pydicom_call(bad_value(name, keyword, "cannot be read")):
        return data.get(keyword)


def padding_range(data: "Dataset", name: str) -> tuple[int, int] | None:
    """The lowest and highest stored value of pixel padding (DICOM PS3.3, C.7.5.1.1.2), or None."""
    value = _integer(data, "PixelPaddingValue", name)
    if value is None:
        return None
    limit = _integer(data, "PixelPaddingRangeLimit", name)
    low, high = sorted((value, value if limit is None else limit))
    return low, high


def bad_value(name: str, keyword: str, trouble: str) -> ImageError:
    """The error for an element that cannot be used. The value itself is not said."""
    return ImageError(
        "dicom_bad_value",
        f"In the DICOM file {name} {keyword} {trouble}. Correct it, or export the radiograph as PNG.",
    )


def undecodable(name: str, reason: str) -> ImageError:
    """The error for pixels in an encoding that we do not read."""
    return ImageError(
        "dicom_encoding",
        f"The pixels of the DICOM file {name} cannot be read here: {reason}. Export it uncompressed, or as PNG.",
    )


def damaged(name: str) -> ImageError:
    """The error for a file that is no whole DICOM file."""
    return ImageError(
        "dicom_damaged", f"The DICOM file {name} is damaged or cut short. Export or copy it again."
    )


def unpack_at(form: str, content: bytes, at: int, name: str) -> tuple[int, ...]:
    """Integers at a place of the file. Raises ImageError where it ends before."""
    if at < 0 or at + struct.calcsize(form) > len(content):
        raise damaged(name)
    return struct.unpack_from(form, content, at)
