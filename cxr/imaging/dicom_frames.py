"""The stored values of a DICOM image, in whatever encoding they come.

A compressed frame whose own header tells another size than the data set is refused before it is decoded: decoders
believe the frame. JPEG and JPEG 2000 go through Pillow, whose decoders have met more hostile files, the rest through
GDCM, and RLE is unpacked here, since it must stop when the image is full.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr.errors import ImageError
from cxr.imaging.dicom_elements import DEFLATED, damaged, undecodable, unpack_at
from cxr.imaging.gray import is_coloured
from cxr.imaging.jpeg import START, Header, decode_12_bit, is_12_bit_gray, jpeg_header
from cxr.imaging.pydicom_calls import pydicom_call

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

Stored = NDArray[np.integer[Any]]

_RLE = "1.2.840.10008.1.2.5"
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_BY_PILLOW = (
    _JPEG_BASELINE,
    _JPEG_EXTENDED,
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
)
_VIDEO = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))  # MPEG2, MPEG-4, HEVC
_J2K_START = b"\xff\x4f\xff\x51"


def frame_of(data: "Dataset", syntax: "UID", name: str) -> bytes | None:
    """The one compressed frame, or None where the pixels are not compressed.

    Raises:
        ImageError: the pixels are a video, or cannot be told apart.
    """
    from pydicom.encaps import get_frame

    if any(syntax == video or syntax.startswith(f"{video}.") for video in _VIDEO):
        raise ImageError(
            "video", f"The DICOM file {name} is a video (MPEG). Export one picture of it as PNG or JPEG."
        )
    if not syntax.is_compressed or syntax == DEFLATED:
        return None
    with pydicom_call(damaged(name)):
        return get_frame(data.PixelData, 0, number_of_frames=1)


def codestream_header(frame: bytes | None, syntax: str, name: str) -> Header | None:
    """What a frame in JPEG, JPEG-LS or JPEG 2000 tells of itself; None for other pixels.

    Raises:
        ImageError: the frame has no header.
    """
    if frame is None or syntax == _RLE:
        return None
    header = jpeg_header(frame) if frame.startswith(START) else _j2k_header(frame)
    if header is None:
        raise damaged(name)
    return header


def quiet_gdcm() -> None:
    """GDCM writes what it reads to standard error. It has one switch for the whole process."""
    import gdcm

    for switch in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
        switch()


def stored_values(
    data: "Dataset", syntax: "UID", frame: bytes | None, header: Header | None, name: str
) -> Stored:
    """Stored values (height, width), or RGB (height, width, 3), of a settled data set.

    Raises:
        ImageError: the pixels are damaged, or in an encoding that we do not read.
    """
    from pydicom.pixels.decoders.base import get_decoder

    if header is not None:
        _check_header(data, syntax, header, name)
    if frame is not None and syntax == _RLE:
        return _in_rgb(_unpacked(frame, data, name), data, name)
    if frame is not None and syntax == _JPEG_EXTENDED and is_12_bit_gray(frame):
        with pydicom_call(damaged(name)):
            values = decode_12_bit(frame)
        return (values << 4).view(np.int16) >> 4 if data.PixelRepresentation else values
    with pydicom_call(undecodable(name, "no decoder knows its transfer syntax")):
        decoder = get_decoder(syntax)
    if not decoder.is_available:
        raise undecodable(name, "no decoder knows its transfer syntax")
    plugin = "pillow" if syntax in _BY_PILLOW else ""
    with pydicom_call(damaged(name)):
        decoded, _ = decoder.as_array(data, index=0, raw=data.SamplesPerPixel == 1, decoding_plugin=plugin)
    return _as_meant(decoded, name) if syntax == _JPEG_BASELINE else decoded


def _check_header(data: "Dataset", syntax: str, header: Header, name: str) -> None:
    """Compare the frame's header with the data set."""
    if (header.height, header.width, header.channels) != (data.Rows, data.Columns, data.SamplesPerPixel):
        raise damaged(name)
    if header.bits > (12 if syntax == _JPEG_EXTENDED else 16):
        raise undecodable(name, f"its compressed pixels have {header.bits} bits")
    if syntax == _JPEG_EXTENDED and header.bits == 12 and header.channels != 1:
        raise undecodable(name, "JPEG of 12 bits is read with one gray channel")


def _j2k_header(frame: bytes) -> Header | None:
    """From the SIZ segment of JPEG 2000 (ISO/IEC 15444-1, A.5.1)."""
    at = frame.find(_J2K_START)
    if at < 0 or at + 43 > len(frame):
        return None
    right, bottom, left, top = (int.from_bytes(frame[at + k : at + k + 4], "big") for k in (8, 12, 16, 20))
    channels = int.from_bytes(frame[at + 40 : at + 42], "big")
    return Header((frame[at + 42] & 0x7F) + 1, bottom - top, right - left, channels, False)


def _unpacked(frame: bytes, data: "Dataset", name: str) -> Stored:
    """RLE (DICOM PS3.5, annex G): a segment for each byte of a value and each sample, the highest byte first."""
    count, *offsets = unpack_at("<16I", frame, 0, name)
    size, samples = data.BitsAllocated // 8, data.SamplesPerPixel
    if count != size * samples:
        raise damaged(name)
    ends = [*offsets[1:count], len(frame)]
    planes = [
        _run_lengths(frame[start:end], data.Rows * data.Columns, name)
        for start, end in zip(offsets[:count], ends, strict=True)
    ]
    kind = "i" if data.PixelRepresentation else "u"
    values = [_from_bytes(planes[at : at + size], kind, data) for at in range(0, count, size)]
    return values[0] if samples == 1 else np.stack(values, axis=-1)


def _from_bytes(planes: Sequence[bytes], kind: str, data: "Dataset") -> Stored:
    size = len(planes)
    packed = np.frombuffer(b"".join(planes), np.uint8).reshape(size, -1).T
    values = np.ascontiguousarray(packed).view(f">{kind}{size}").reshape(data.Rows, data.Columns)
    # As in the other encodings, what lies above the stored bits is not part of the value.
    unused = 8 * size - data.BitsStored
    native = values.astype(f"{kind}{size}")
    return (native << unused) >> unused


def _run_lengths(segment: bytes, size: int, name: str) -> bytes:
    """The first `size` bytes of a segment. Raises ImageError where it ends before."""
    out = bytearray()
    at = 0
    while len(out) < size:
        if at >= len(segment):
            raise damaged(name)
        head = segment[at]
        if head < 128:
            out += segment[at + 1 : at + 2 + head]
            at += 2 + head
        else:
            if head > 128:
                out += segment[at + 1 : at + 2] * (257 - head)
            at += 1 if head == 128 else 2
    return bytes(out[:size])


def _in_rgb(values: Stored, data: "Dataset", name: str) -> Stored:
    return _from_ybr(values, name) if data.PhotometricInterpretation.startswith("YBR") else values


def _as_meant(values: Stored, name: str) -> Stored:
    """Some encoders leave RGB in the data set of pixels that JPEG stored as YBR: then these are gray, and those not."""
    if values.ndim == 2 or not is_coloured(values.astype(np.uint8)):
        return values
    converted = _from_ybr(values, name)
    return values if is_coloured(converted.astype(np.uint8)) else converted


def _from_ybr(values: Stored, name: str) -> Stored:
    from pydicom.pixels.processing import convert_color_space

    with pydicom_call(undecodable(name, "its colours are of an unknown kind")):
        return convert_color_space(values, "YBR_FULL", "RGB")
