"""What a JPEG's own header tells, and grayscale JPEG of 12 bits, which Pillow reads inside a TIFF only.

Pillow's wheels bring a libtiff on libjpeg-turbo 3, which decodes JPEG of 8 and of 12 bits; Pillow's own JPEG reader
knows 8. So a 12-bit stream is put behind a TIFF header of one strip and read by the former: no decoder more
(docs/decisions/0013-decoding.md).
"""

import io
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

START = b"\xff\xd8"
_END = b"\xff\xd9"
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)  # Huffman tables and the like, among the numbers of the frame headers
_DCT = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_SHORT, _LONG = 3, 4


class Header(NamedTuple):
    """The first frame header. `is_dct`: of the lossy kinds, baseline, extended or progressive."""

    bits: int
    height: int
    width: int
    channels: int
    is_dct: bool


def jpeg_header(stream: bytes) -> Header | None:
    """The header of JPEG or JPEG-LS (ITU-T T.81, B.2.2), or None where the stream has none."""
    at = _frame_header_at(stream)
    if at is None:
        return None
    bits, height, width, channels = struct.unpack_from(">BHHB", stream, at + 4)
    return Header(bits, height, width, channels, stream[at + 1] in _DCT)


def frame_marker(stream: bytes) -> int | None:
    """The second byte of the first frame header's marker, which tells the kind of JPEG; None without one."""
    at = _frame_header_at(stream)
    return None if at is None else stream[at + 1]


def _frame_header_at(stream: bytes) -> int | None:
    at = 2
    while at + 10 <= len(stream):
        start, marker, length = struct.unpack_from(">BBH", stream, at)
        if start != 0xFF:
            return None
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER):
            return at
        at += 2 + length
    return None


def is_12_bit_gray(stream: bytes) -> bool:
    """Whether these are the bytes of a lossy grayscale JPEG of 12 bits."""
    if not stream.startswith(START):
        return False
    header = jpeg_header(stream)
    return header is not None and header.bits == 12 and header.channels == 1 and header.is_dct


def decode_12_bit(stream: bytes) -> NDArray[np.uint16]:
    """Pixels (height, width), at most 4095, of a grayscale JPEG of 12 bits whose size was checked.

    Raises:
        OSError: the stream is damaged or cut short, or this Pillow's libtiff knows no 12 bits.
    """
    header = jpeg_header(stream)
    assert header is not None
    if _END not in stream[-16:]:  # libjpeg would fill what is missing with gray
        raise OSError("the JPEG stream is cut short")
    even = header._replace(width=header.width + header.width % 2)
    with Image.open(io.BytesIO(_as_tiff(_with_width(stream, even.width), even)), formats=("TIFF",)) as opened:
        return np.asarray(opened)[:, : header.width].astype(np.uint16)


def _with_width(stream: bytes, width: int) -> bytes:
    """The same JPEG, of an even width, one more than it says: libtiff drops the last of an odd number of columns.

    Blocks are 8 columns wide, so the column is there.
    """
    at = _frame_header_at(stream)
    assert at is not None
    return stream[: at + 7] + struct.pack(">H", width) + stream[at + 9 :]


def _as_tiff(stream: bytes, header: Header) -> bytes:
    """The JPEG as the only strip of a TIFF (TIFF 6.0, and its Technical Note 2 for compression 7)."""
    tags = [
        (256, _LONG, header.width),
        (257, _LONG, header.height),
        (258, _SHORT, header.bits),
        (259, _SHORT, 7),  # compression: JPEG
        (262, _SHORT, 1),  # black is zero
        (273, _LONG, 0),  # where the strip is
        (277, _SHORT, 1),
        (278, _LONG, header.height),
        (279, _LONG, len(stream)),
    ]
    strip_at = 8 + 2 + 12 * len(tags) + 4
    directory = b"".join(
        struct.pack("<HHI", tag, kind, 1)
        + (struct.pack("<I", strip_at if tag == 273 else value))  # a short is padded to the right: the same
        for tag, kind, value in tags
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + struct.pack("<I", 0) + stream
