"""One grayscale radiograph in memory, and the sizes that we take. The bottom of this room.

Bit depth is handled by rule, never by saturation: films stored in 16 bits use the scale of 8, 10, 12, 14 or 16 bits,
whichever is the smallest that holds their brightest pixel, since a 12-bit detector's film is commonly stored in a
16-bit file without saying so.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.errors import ImageError
from cxr.types import GrayPixels, WarningCode

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 64_000_000
MIN_SIDE = 32
MAX_ASPECT = 3
"""Longest side over shortest. Chest films measure 0.8 to 2.6 in width over height (docs/decisions/0013-decoding.md)."""
_DEPTHS = (8, 10, 12, 14, 16)


@dataclass(frozen=True, eq=False)
class GrayImage:
    """One radiograph.

    Attributes:
        pixels: uint8 (bits == 8) or uint16 (height, width), read-only; 0 is black, 2**bits - 1 is white.
        bits: depth of the scale, one of 8, 10, 12, 14, 16.
        notes: what decoding had to do: "colour", "transparency", "rotated_by_exif", "white_is_zero",
            "first_of_several", "dicom_repaired".
    """

    pixels: GrayPixels
    bits: int
    notes: tuple[WarningCode, ...] = ()

    def __post_init__(self) -> None:
        dtype = np.uint8 if self.bits == 8 else np.uint16
        if self.bits not in _DEPTHS or self.pixels.dtype != dtype or self.pixels.ndim != 2:
            raise ValueError(
                f"not a grayscale image: {self.pixels.dtype} {self.pixels.shape} of {self.bits} bits"
            )
        self.pixels.setflags(write=False)

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    def to_8bit(self) -> NDArray[np.uint8]:
        """The film on the 8-bit scale, rounded to nearest; an 8-bit film and its 16-bit copy give the same."""
        if self.bits == 8:
            return self.pixels.astype(np.uint8, copy=False)
        white = 2**self.bits - 1
        table = ((np.arange(white + 1, dtype=np.uint32) * 255 + white // 2) // white).astype(np.uint8)
        return table[self.pixels]


def from_array(
    values: NDArray[np.uint16] | NDArray[np.uint8],
    notes: tuple[WarningCode, ...] = (),
    white_is_zero: bool = False,
    bits: int | None = None,
) -> GrayImage:
    """A GrayImage from 8-bit or 16-bit pixels (height, width), its depth found by the rule above unless given."""
    if bits is None:
        brightest = int(values.max())
        bits = 8 if values.dtype == np.uint8 else next(depth for depth in _DEPTHS if brightest < 2**depth)
    # A copy, since the values may be a view of a decoder's buffer: a GrayImage owns its pixels.
    pixels: GrayPixels = np.array(values, np.uint8) if bits == 8 else np.array(values, np.uint16)
    return GrayImage(
        np.subtract(2**bits - 1, pixels, dtype=pixels.dtype) if white_is_zero else pixels, bits, notes
    )


def luma(rgb: Image.Image) -> NDArray[np.uint8]:
    """Luma (height, width) of an image in mode RGB (ITU-R BT.601); equal channels come out unchanged."""
    return np.asarray(rgb.convert("L"))


def is_coloured(rgb: NDArray[np.uint8], tolerance: int = 8, share: float = 0.01) -> bool:
    """True if more than `share` of the pixels (height, width, 3) have channels further apart than `tolerance` levels.

    JPEG's chroma rounding moves gray pixels by a few levels only.
    """
    # A sample of rows is enough for a share, and this stands in the path of every film.
    red, green, blue = (rgb[:: max(1, len(rgb) // 64), :, channel].astype(np.int16) for channel in range(3))
    spread = np.maximum(abs(red - green), abs(green - blue))
    return bool((spread > tolerance).mean() > share)


def check_size(width: int, height: int, name: str) -> None:
    """Raise ImageError for an image that is too large, too small or too long; `name` is for the message."""
    if width * height > MAX_PIXELS:
        raise too_large(name, f"{width} x {height} pixels")
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            "too_small",
            f"{name} has {width} x {height} pixels, but each side needs at least {MIN_SIDE}. "
            "Use the original radiograph, not a thumbnail.",
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            "extreme_aspect",
            f"{name} has {width} x {height} pixels: one side is more than {MAX_ASPECT} times the other, "
            "as on no chest radiograph. Export it without stretching or cropping.",
        )


def too_large(name: str, pixels: str) -> ImageError:
    """The error for an image of more pixels than are read."""
    return ImageError(
        "too_many_pixels",
        f"{name} has {pixels}, but at most {MAX_PIXELS // 10**6} million are read. "
        "Export the radiograph at a lower resolution.",
    )
