"""DICOM -> stored pixels and how to show them. Only what is needed for that is parsed; no other element is kept.

Stored value -> modality LUT, or rescale slope and intercept -> VOI LUT, or window -> MONOCHROME1 inverted: the order
of DICOM PS3.4 N.2. Each step maps single values, so all of them are done once, on a table of every stored value.
A film with neither window nor VOI LUT is read as a PNG of the same pixels is: the same scale by the same rule, hence
the same model input. Pixel padding becomes black.

No text of a file reaches a message or a log: pydicom's warnings, logs and exceptions may quote values, so the first
two are silenced and the last are replaced.
"""

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr.errors import ImageError

if TYPE_CHECKING:
    from pydicom import Dataset

Stored = NDArray[np.integer[Any]]

PEEK = 256
"""As many bytes of a file tell whether it is DICOM."""
_MARKER, _MARKER_AT = b"DICM", 128
_META_START = struct.pack("<HH2sHI", 2, 0, b"UL", 4, 0)[
    :8
]  # (0002,0000) UL of 4 bytes: a header without preamble
_FIRST_ELEMENTS = (
    0x0000,
    0x0001,
    0x0005,
    0x0008,
    0x0012,
    0x0016,
    0x0018,
)  # of group 0008, with which bare files begin
_NEXT_GROUPS = (b"\x08\x00", b"\x10\x00")
_EXPLICIT = (b"UL", b"CS", b"DA", b"TM", b"UI", b"SH", b"LO")
_FLOATING = ("FloatPixelData", "DoubleFloatPixelData")
_ELEMENTS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
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
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "LUTDescriptor",
    "LUTData",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    *_FLOATING,
    "PixelData",
)
_DEFLATED = "1.2.840.10008.1.2.1.99"
_RLE = "1.2.840.10008.1.2.5"
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_BY_PILLOW = (  # the others, by GDCM; Pillow's decoders have met more hostile files
    "1.2.840.10008.1.2.4.50",
    _JPEG_EXTENDED,
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
)
_JPEG_START, _J2K_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)  # Huffman tables and the like, among the numbers of the frame headers
_GRAY = ("MONOCHROME1", "MONOCHROME2")
_MOST_INFLATED = 160 * 2**20  # the most pixels that are read, of 16 bits, and what stands beside them
# What pydicom, its plugins and the arithmetic raise on a broken file; anything else is a fault of ours.
_BROKEN = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,  # RecursionError included
    AssertionError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class DicomFilm:
    """A single gray frame as DICOM would have it shown.

    values: uint8, or uint16 whose scale `cxr.imaging.decode` finds by its rule, (height, width).
    inverted: whether 0 is white. padding: where the file says that there is no image, or None.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    inverted: bool
    padding: NDArray[np.bool_] | None


def is_dicom(content: bytes) -> bool:
    """True for a DICOM file, told by its first bytes (PEEK of them, if it is longer).

    It has a preamble and the marker; or no preamble, but begins with the file header or as a bare data set does.
    """
    if content[_MARKER_AT : _MARKER_AT + 4] == _MARKER or content.startswith(_META_START):
        return True
    if len(content) < 64:
        return False
    group, element, representation, length = struct.unpack("<HH2sH", content[:8])
    if group != 8 or element not in _FIRST_ELEMENTS:
        return False
    if representation not in _EXPLICIT:  # implicit: these two bytes are the length's
        (length,) = struct.unpack("<I", content[4:8])
    return length <= 64 and content[8 + length : 10 + length] in _NEXT_GROUPS


def read_dicom(content: bytes, name: str, check_size: Callable[[int, int, str], None]) -> DicomFilm:
    """The film of a DICOM file. `check_size(width, height, name)` is asked before anything is decompressed.

    Raises ImageError: several frames, colour, no image, an encoding that we cannot read, damage.
    """
    _silence()
    try:
        data, syntax = _parse(content, name)
        check_size(*_size(data, name), name)
        return _shown(data, _stored_values(data, syntax, name))
    except _BROKEN:
        # Not its words, nor itself as the cause: both may quote the file.
        raise _damaged(name) from None


def _silence() -> None:
    """Let pydicom and GDCM say nothing, since they quote what they read."""
    import gdcm
    from pydicom import config

    # Each time, since whoever uses warnings.catch_warnings takes it away again.
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    config.settings.reading_validation_mode = config.IGNORE
    for name in ("pydicom", "pydicom.pixels.decoders.base", "pydicom.pixels.utils"):
        logging.getLogger(name).disabled = True
    for channel in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
        channel()


def _parse(content: bytes, name: str) -> "tuple[Dataset, str]":
    """The data set, of which only `_ELEMENTS` are kept, and its transfer syntax."""
    from pydicom.filereader import read_dataset
    from pydicom.tag import Tag
    from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    stream = io.BytesIO(content)
    stream.seek(_MARKER_AT + 4 if content[_MARKER_AT : _MARKER_AT + 4] == _MARKER else 0)
    header = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag.group != 2)
    body = stream.read()
    syntax = UID(str(header.get("TransferSyntaxUID") or ""))
    if not syntax:
        syntax = (
            ExplicitVRLittleEndian if body[4:6].isalpha() and body[4:6].isupper() else ImplicitVRLittleEndian
        )
    if syntax == _DEFLATED:
        body = _inflated(body, name)
    if not syntax.is_transfer_syntax:
        raise _not_decodable(name)
    implicit, little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    data = read_dataset(
        io.BytesIO(body), implicit, little_endian, specific_tags=[Tag(element) for element in _ELEMENTS]
    )
    data.set_original_encoding(implicit, little_endian)
    return data, str(syntax)


def _inflated(body: bytes, name: str) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = unpacker.decompress(body, _MOST_INFLATED)
    if unpacker.unconsumed_tail:
        raise ImageError(
            "too_many_bytes",
            f"a deflated DICOM file of at most {_MOST_INFLATED // 2**20} MiB",
            f"{name} with more",
            "export the radiograph at a lower resolution",
        )
    if not unpacker.eof:
        raise _damaged(name)
    return inflated


def _size(data: "Dataset", name: str) -> tuple[int, int]:
    """(width, height) of a single gray frame that we can decode."""
    present = [element for element in ("PixelData", *_FLOATING) if element in data]
    if not present or not data.get("Rows") or not data.get("Columns"):
        raise ImageError(
            "dicom_no_image",
            "a DICOM object with an image",
            f"{name} without one",
            "choose the file of the radiograph",
        )
    if int(data.get("NumberOfFrames") or 1) > 1:
        raise ImageError(
            "multi_frame", "a single image", f"{name} with several frames", "export one frame as PNG or JPEG"
        )
    if data.get("SamplesPerPixel", 1) != 1 or data.get("PhotometricInterpretation") not in _GRAY:
        raise ImageError(
            "dicom_colour",
            "a DICOM image in gray (MONOCHROME1 or MONOCHROME2)",
            f"{name} in colour",
            "choose a radiograph",
        )
    bits = data.get("BitsStored")
    if present != ["PixelData"] or bits not in range(8, 17) or data.get("BitsAllocated") not in (8, 16):
        raise _not_decodable(name)
    if bits > data.BitsAllocated or data.get("HighBit", bits - 1) != bits - 1:
        raise _not_decodable(name)
    return int(data.Columns), int(data.Rows)


def _stored_values(data: "Dataset", syntax: str, name: str) -> Stored:
    """Stored values, (height, width)."""
    from pydicom.encaps import get_frame
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    shape = (int(data.Rows), int(data.Columns))
    if UID(syntax).is_compressed and syntax != _DEFLATED:
        frame = get_frame(data.PixelData, 0, number_of_frames=1)
        if syntax == _RLE:
            return _unpacked(frame, shape, data)
        _check_codestream(frame, syntax, shape, name)
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        raise _not_decodable(name) from None
    if not decoder.is_available:
        raise _not_decodable(name)
    plugin = "pillow" if syntax in _BY_PILLOW else ""
    values, _ = decoder.as_array(data, index=0, raw=True, decoding_plugin=plugin)
    return values


def _check_codestream(frame: bytes, syntax: str, shape: tuple[int, int], name: str) -> None:
    """Refuse a codestream whose own header tells another size than the data set: decoders believe the codestream."""
    precision, height, width, channels = (
        _jpeg_header(frame) if frame[:2] == _JPEG_START else _j2k_header(frame)
    )
    if (height, width) != shape or channels != 1:
        raise _damaged(name)
    # JPEG Extended of 12 bits: GDCM gives white for some files that it wrote itself, without an error.
    if precision > (8 if syntax == _JPEG_EXTENDED else 16):
        raise _not_decodable(name)


def _jpeg_header(frame: bytes) -> tuple[int, int, int, int]:
    """(bits, height, width, channels) of JPEG and JPEG-LS, from the first frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while True:
        start, marker, length = struct.unpack_from(">BBH", frame, at)
        if start != 0xFF:
            raise ValueError("no marker")
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER):
            bits, height, width, channels = struct.unpack_from(">BHHB", frame, at + 4)
            return bits, height, width, channels
        at += 2 + length


def _j2k_header(frame: bytes) -> tuple[int, int, int, int]:
    """The same of JPEG 2000, from its SIZ segment (ISO/IEC 15444-1, A.5.1)."""
    at = frame.index(_J2K_START)
    right, bottom, left, top = struct.unpack_from(">IIII", frame, at + 8)
    channels, bits = struct.unpack_from(">HB", frame, at + 40)
    return (bits & 0x7F) + 1, bottom - top, right - left, channels


def _unpacked(frame: bytes, shape: tuple[int, int], data: "Dataset") -> Stored:
    """RLE (DICOM PS3.5, annex G): one segment a byte of the values, the highest byte first. Stops when full."""
    count, *offsets = struct.unpack_from("<16I", frame)
    size = int(data.BitsAllocated) // 8
    if count != size:
        raise ValueError("another number of segments")
    ends = [*offsets[1:count], len(frame)]
    planes = [
        _run_lengths(frame[start:end], shape[0] * shape[1])
        for start, end in zip(offsets[:count], ends, strict=True)
    ]
    packed = np.frombuffer(b"".join(planes), np.uint8).reshape(size, -1).T
    kind = "i" if data.get("PixelRepresentation") else "u"
    values = np.ascontiguousarray(packed).view(f">{kind}{size}").reshape(shape)
    # As in the other encodings, what lies above the stored bits is not part of the value.
    unused = 8 * size - int(data.BitsStored)
    native = values.astype(f"{kind}{size}")
    return (native << unused) >> unused


def _run_lengths(segment: bytes, size: int) -> bytes:
    out = bytearray()
    at = 0
    while len(out) < size:
        head = segment[at]
        if head < 128:
            out += segment[at + 1 : at + 2 + head]
            at += 2 + head
        else:
            if head > 128:
                out += segment[at + 1 : at + 2] * (257 - head)
            at += 1 if head == 128 else 2
    return bytes(out[:size])


def _shown(data: "Dataset", stored: Stored) -> DicomFilm:
    """Stored values through modality and VOI transformation."""
    bits, signed = int(data.BitsStored), bool(data.get("PixelRepresentation"))
    low = -(2 ** (bits - 1)) if signed else 0
    every = np.arange(low, low + 2**bits)
    # JPEG-LS and JPEG 2000 may hold more bits than the data set tells.
    index = np.clip(stored.astype(np.int32), low, low + 2**bits - 1) - low
    padding = _padding(data, stored)
    modality, falling = _modality(data, every)
    inverted = data.PhotometricInterpretation == "MONOCHROME1"
    gray = _voi(data, modality)
    if gray is not None:
        table = np.floor(gray * 255 + 0.5).astype(np.uint8)
        return DicomFilm(table[index], inverted, padding)
    # Without a window, straight lines do not matter but for their direction.
    levels = modality.astype(np.int64) if data.get("ModalityLUTSequence") else every
    values = levels[index]
    darkest = int(values.min() if padding is None or padding.all() else values[~padding].min())
    values = np.maximum(values - min(darkest, 0), 0)  # signed values from their darkest on
    if padding is not None:
        values[padding] = 0
    kind = np.uint8 if bits == 8 and values.max() < 256 else np.uint16
    return DicomFilm(values.astype(kind), inverted != falling, padding)


def _padding(data: "Dataset", stored: Stored) -> NDArray[np.bool_] | None:
    """Where pixel padding is (DICOM PS3.3, C.7.5.1.1.2)."""
    value = data.get("PixelPaddingValue")
    if value is None:
        return None
    limit = data.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit is None else limit)))
    return (stored >= low) & (stored <= high)


def _modality(data: "Dataset", every: Stored) -> tuple[NDArray[np.float64], bool]:
    """Every stored value after the modality transformation; and whether larger values come out smaller."""
    if data.get("ModalityLUTSequence"):
        first, table, _ = _lut(data, data.ModalityLUTSequence[0])
        return table[np.clip(every - first, 0, len(table) - 1)].astype(np.float64), False
    slope, intercept = float(data.get("RescaleSlope") or 1), float(data.get("RescaleIntercept") or 0)
    return every.astype(np.float64) * slope + intercept, slope < 0


def _voi(data: "Dataset", values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Gray in [0, 1] by the first VOI LUT, else by the first window (DICOM PS3.3, C.11.2.1); None without either."""
    if data.get("VOILUTSequence"):
        first, table, depth = _lut(data, data.VOILUTSequence[0])
        white = max(2**depth - 1, int(table.max()))  # some tables hold more than they tell
        return table[np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)] / white
    center, width = _first(data.get("WindowCenter")), _first(data.get("WindowWidth"))
    if center is None or width is None or not width > 0:
        return None
    function = str(data.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -500, 500)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if width <= 1:  # a threshold
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _first(value: Any) -> float | None:
    """The first of one or several numbers."""
    if value is None or isinstance(value, str | float | int):
        return None if value is None or value == "" else float(value)
    return float(value[0]) if len(value) else None


def _lut(data: "Dataset", item: "Dataset") -> tuple[int, NDArray[np.uint16], int]:
    """(first stored value, table, bits of its values) of an item of a LUT sequence."""
    entries, first, depth = (int(value) for value in item.LUTDescriptor)
    content = item.LUTData
    if isinstance(content, bytes):
        kind = (
            "u1" if len(content) <= (entries or 2**16) + 1 else "<u2" if data.original_encoding[1] else ">u2"
        )
        table = np.frombuffer(content, kind).astype(np.uint16)
    else:
        table = np.asarray(content, np.uint16)
    return first, table[: entries or 2**16], depth


def _not_decodable(name: str) -> ImageError:
    return ImageError(
        "dicom_encoding",
        "DICOM pixels of 8 to 16 bits, uncompressed or in JPEG, JPEG-LS, JPEG 2000 or RLE",
        f"{name}, encoded otherwise",
        "export it uncompressed or as PNG",
    )


def _damaged(name: str) -> ImageError:
    return ImageError("dicom_damaged", "an undamaged DICOM file", name, "export or copy the file again")
