"""What is particular to TIFF: which page is the film, floating-point pixels, "white is zero".

Floating-point pixels have no scale of their own. By this rule they get one:

- the range that the file states (SMinSampleValue and SMaxSampleValue), black to white;
- else pixels in [0, 1]: 1 is white;
- else pixels from 0 to 65535 that are whole numbers, or whose brightest is at least 128: as integers, with the bit
  depth found by the rule of `cxr.imaging.gray`.

Others (standardised values, Hounsfield units, NaN) are refused by name: a wrong guess would darken the film silently.
"""

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import II, MM, OPEN_INFO, ImageFileDirectory_v2, TiffImageFile

from cxr.errors import ImageError

__all__ = [
    "TiffImageFile",
    "choose_page",
    "from_floats",
    "is_half_float",
    "is_white_zero",
    "several_pictures",
    "stated_range",
    "unread_kind",
]

_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _SAMPLE_FORMAT, _LEAST, _MOST = 254, 258, 262, 339, 340, 341
_COMPRESSION, _CHANNELS = 259, 277
_FORMATS = {3: " in floating point", 5: " of complex integers", 6: " of complex numbers"}
_USUAL = (1, 2, 3, 4, 5, 7, 8, 32773, 32946)  # none, CCITT, LZW, JPEG, Deflate, PackBits
_METHODS = {
    6: "JPEG of the older kind",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "DNG JPEG",
    50000: "Zstandard",
}
_REDUCED_OR_MASK = 1 | 4  # bits of NewSubfileType: a smaller copy of another page, a transparency mask
_WHITE_IS_ZERO, _IS_FLOAT = 0, 3
_MOST_PAGES = 16
_LEAST_INTEGER_WHITE = 128

# Layouts that Pillow does not list, and reads all the same: 16-bit "white is zero" of the other byte order; 16-bit
# floats, taken for integers here and seen as floats afterwards; 64-bit floats.
OPEN_INFO.setdefault((MM, 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))
for _photometric in (0, 1):
    OPEN_INFO.setdefault((II, _photometric, (3,), 1, (16,), ()), ("I;16", "I;16"))
    OPEN_INFO.setdefault((MM, _photometric, (3,), 1, (16,), ()), ("I;16B", "I;16B"))
    OPEN_INFO.setdefault((II, _photometric, (3,), 1, (64,), ()), ("F", "F;64F"))
    OPEN_INFO.setdefault((MM, _photometric, (3,), 1, (64,), ()), ("F", "F;64BF"))


def choose_page(opened: TiffImageFile, name: str) -> None:
    """Turn to the only page that is no smaller copy (thumbnail) of another, nor a mask.

    Raises:
        ImageError: there are several such pages, or more than are looked at.
    """
    pages = []
    for page in range(_MOST_PAGES + 1):
        try:
            opened.seek(page)
        except EOFError:
            break
        if not int(opened.tag_v2.get(_SUBFILE_TYPE, 0)) & _REDUCED_OR_MASK:
            pages.append(page)
        if len(pages) > 1 or page == _MOST_PAGES:
            raise several_pictures(name)
    opened.seek(pages[0] if pages else 0)


def unread_kind(content: bytes) -> str | None:
    """What a TIFF is that Pillow does not take: its bits, channels and compression; None where it is no whole TIFF."""
    header = content[: 16 if content[2:3] == b"\x2b" else 8]  # BigTIFF has the longer one
    try:
        tags = ImageFileDirectory_v2(header)
        stream = io.BytesIO(content)
        stream.seek(tags.next)
        tags.load(stream)
        bits, channels = max(map(int, tags[_BITS])), int(tags.get(_CHANNELS, 1))
        packed, form = int(tags.get(_COMPRESSION, 1)), int(tags.get(_SAMPLE_FORMAT, (1,))[0])
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
        return None
    method = "" if packed in _USUAL else f", packed as {_METHODS.get(packed, f'number {packed}')}"
    several = "one channel" if channels == 1 else f"{channels} channels"
    return f"a TIFF with {several} of {bits} bits{_FORMATS.get(form, '')}{method}"


def several_pictures(name: str) -> ImageError:
    """The error for a file of several pictures."""
    return ImageError(
        "multi_frame",
        f"{name} holds several images, and only files with one are read. Export one of them as PNG or JPEG.",
    )


def is_white_zero(opened: Image.Image) -> bool:
    return isinstance(opened, TiffImageFile) and opened.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def is_half_float(opened: Image.Image) -> bool:
    """Whether the pixels, which Pillow gives as 16-bit integers, are floats of 16 bits."""
    return (
        isinstance(opened, TiffImageFile)
        and opened.tag_v2.get(_SAMPLE_FORMAT, (1,))[0] == _IS_FLOAT
        and opened.tag_v2.get(_BITS, (1,))[0] == 16
    )


def stated_range(opened: Image.Image) -> tuple[float, float] | None:
    """Black and white as the file states them, or None."""
    if not isinstance(opened, TiffImageFile):
        return None
    low, high = (_number(opened.tag_v2.get(tag)) for tag in (_LEAST, _MOST))
    return (low, high) if low is not None and high is not None and low < high else None


def _number(value: Any) -> float | None:
    first = value[0] if isinstance(value, tuple) and value else value
    return float(first) if isinstance(first, int | float) and np.isfinite(first) else None


def from_floats(
    values: NDArray[np.float32], stated: tuple[float, float] | None, name: str
) -> tuple[NDArray[np.uint16], int | None]:
    """Integer pixels (height, width) by the rule above, and their bit depth, None where it is still to be found.

    Raises:
        ImageError: no range is given that the pixels fit.
    """
    low, high = float(values.min()), float(values.max())  # NaN where any is, and then no comparison holds
    if stated is not None and low >= stated[0] and high <= stated[1]:
        return _on_16_bits((values - stated[0]) / (stated[1] - stated[0])), 16
    if low >= 0 and high <= 1:
        return _on_16_bits(values), 16
    whole = low >= 0 and high <= 65535 and bool((values == np.round(values)).all())
    if whole or (low >= 0 and _LEAST_INTEGER_WHITE <= high <= 65535):
        return np.round(values).astype(np.uint16), None
    raise ImageError(
        "float_range",
        f"{name} has floating-point pixels from {low:g} to {high:g} and does not say which are black and white. "
        "Export it as 16-bit PNG.",
    )


def _on_16_bits(unit: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.round(unit * 65535).astype(np.uint16)
