"""Bytes -> one validated grayscale radiograph. JPEG, PNG, TIFF, WebP and DICOM (`cxr.imaging.dicom`); no TensorFlow.

Bit depth is handled by rule, never by saturation:

- 8-bit films are taken as they are.
- Films stored in 16 bits use the scale of 8, 10, 12, 14 or 16 bits, whichever is the smallest that holds their
  brightest pixel, since a 12-bit detector's film is commonly stored in a 16-bit file without saying so.
- Floating-point TIFFs must lie in [0, 1], and 1 is white.
- 16-bit films have one gray channel; 16-bit colour is refused.
- Colour of 8 bits is reduced to luma (ITU-R BT.601, as Pillow's mode "L"); equal channels come out unchanged.
- Transparency is laid over black; EXIF orientation and "white is zero" are undone. Each such step is noted.
"""

import io
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from cxr.errors import ImageError
from cxr.imaging.dicom import DicomFilm, is_dicom, read_dicom
from cxr.types import GrayPixels, WarningCode

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", ".dcm", ".dicom"})
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 64_000_000
MIN_SIDE = 32
_DEPTHS = (8, 10, 12, 14, 16)
_TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_EXIF_ORIENTATION, _UPRIGHT = 274, 1
# What Pillow's decoders raise on a broken file; anything else is a fault of ours and stays visible.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
# Pillow lists 16-bit "white is zero" TIFFs of one byte order only, and reads both.
TiffImagePlugin.OPEN_INFO.setdefault((TiffImagePlugin.MM, 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))


@dataclass(frozen=True, eq=False)
class GrayImage:
    """One radiograph.

    pixels: uint8 (bits == 8) or uint16 (height, width), read-only; 0 is black, 2**bits - 1 is white.
    bits: depth of the scale, one of 8, 10, 12, 14, 16.
    notes: what decoding had to do: "colour", "transparency", "rotated_by_exif", "white_is_zero".
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


def decode_file(path: Path, name: str | None = None) -> GrayImage:
    """Decode the radiograph in a file; errors as in `decode`, a file that cannot be opened included.

    name: what messages call the file, unless by its own name.
    """
    name = path.name if name is None else name
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(
            "unreadable_file",
            "a file that can be read",
            f"{name} ({error.strerror})",
            "check its path and permissions",
        ) from error
    return decode(content, name)


def decode(content: bytes, name: str = "the file") -> GrayImage:
    """Decode one radiograph from the bytes of a JPEG, PNG, TIFF, WebP or DICOM file, told apart by their content.

    Raises ImageError where the bytes are no such file, are damaged or cut short, hold several frames, are smaller
    than 32 pixels on a side, or larger than 64 million pixels or 64 MiB. `name` is for its message only.
    """
    if not content:
        raise ImageError("empty_file", "an image file", f"{name}, which is empty", "export or copy it again")
    if len(content) > MAX_BYTES:
        raise ImageError(
            "too_many_bytes",
            f"a file of at most {MAX_BYTES // 2**20} MiB",
            f"{name} with more",
            "export the radiograph at a lower resolution",
        )
    if is_dicom(content):
        return _from_dicom(read_dicom(content, name, _check_size))
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            _check_geometry(opened, name)
            _refuse_deep_colour(opened, name)  # first, since loading the pixels clears what it reads
            return _to_gray(opened, name)
    except UnidentifiedImageError as error:
        raise ImageError(
            "not_an_image",
            "a JPEG, PNG, TIFF, WebP or DICOM image",
            f"{name}, which is none of them or damaged",
            "export the radiograph as PNG or JPEG",
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large(name, "many more") from error
    except _BROKEN as error:
        raise ImageError(
            "damaged_image",
            "an undamaged image file",
            f"{name} ({error})",
            "export or copy the file again",
        ) from error


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


def _check_geometry(opened: Image.Image, name: str) -> None:
    _check_size(*opened.size, name)
    # Not n_frames: counting the frames of a TIFF made to hold very many takes very long.
    if getattr(opened, "is_animated", False):
        raise ImageError(
            "multi_frame", "a single image", f"{name} with several frames", "export one frame as PNG or JPEG"
        )


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width} x {height}")
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            "too_small",
            f"at least {MIN_SIDE} pixels on each side",
            f"{name} with {width} x {height}",
            "use the original radiograph, not a thumbnail",
        )


def _from_dicom(film: DicomFilm) -> GrayImage:
    shown = from_array(film.values, ("white_is_zero",) if film.inverted else (), white_is_zero=film.inverted)
    if film.padding is None:
        return shown
    return replace(shown, pixels=np.where(film.padding, shown.pixels.dtype.type(0), shown.pixels))


def _too_large(name: str, pixels: str) -> ImageError:
    return ImageError(
        "too_many_pixels",
        f"at most {MAX_PIXELS // 10**6} million pixels",
        f"{name} with {pixels}",
        "export the radiograph at a lower resolution",
    )


def _to_gray(opened: Image.Image, name: str) -> GrayImage:
    notes: list[WarningCode] = []
    inverted = opened.format == "TIFF" and opened.getexif().get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO
    orientation = opened.getexif().get(_EXIF_ORIENTATION, _UPRIGHT)
    image = ImageOps.exif_transpose(opened)
    if orientation in range(2, 9):
        notes.append("rotated_by_exif")
    if inverted:
        notes.append("white_is_zero")
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        bits = 16 if image.mode == "F" else None
        # Pillow has undone "white is zero" in films of 8 bits, and leaves it to us in deeper ones.
        return from_array(_deep_values(image, name), tuple(notes), white_is_zero=inverted, bits=bits)
    return from_array(_shallow_values(image, notes), tuple(notes))


def _refuse_deep_colour(opened: Image.Image, name: str) -> None:
    """Of 16-bit colour Pillow keeps the high byte, which would turn a 12-bit film nearly black without a word."""
    layout = str(getattr(opened, "tile", ""))
    if opened.mode in ("RGB", "RGBA", "RGBX", "LA", "CMYK") and ";16" in layout:
        raise ImageError(
            "colour_16_bit",
            "16-bit films with one gray channel and no transparency",
            f"{name} with several",
            "export it as gray",
        )


def _deep_values(image: Image.Image, name: str) -> NDArray[np.uint16]:
    values = np.asarray(image)
    if image.mode == "F":
        if not (values.min() >= 0 and values.max() <= 1):  # NaN is neither
            raise ImageError(
                "float_range",
                "floating-point pixels in [0, 1]",
                f"{name} with others",
                "export it as 16-bit PNG",
            )
        return np.round(values * 65535).astype(np.uint16)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            "beyond_16_bit",
            "integer pixels of at most 16 bits",
            f"{name} with values from {values.min()} to {values.max()}",
            "export it as 16-bit PNG",
        )
    return values.astype(np.uint16)


def _shallow_values(image: Image.Image, notes: list[WarningCode]) -> NDArray[np.uint8]:
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        if layered.getchannel("A").getextrema()[0] != 255:
            notes.append("transparency")
            black = Image.new("RGBA", layered.size, (0, 0, 0, 255))
            layered = Image.alpha_composite(black, layered)
        image = layered.convert("RGB")
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode != "RGB":  # CMYK, YCbCr, LAB, HSV
        image = image.convert("RGB")
    if _is_coloured(np.asarray(image)):
        notes.append("colour")
    return np.asarray(image.convert("L"))


def _is_coloured(rgb: NDArray[np.uint8], tolerance: int = 8, share: float = 0.01) -> bool:
    """True if more than `share` of the pixels have channels further apart than `tolerance` levels.

    JPEG's chroma rounding moves gray pixels by a few levels only.
    """
    # A sample of rows is enough for a share, and this stands in the path of every film.
    red, green, blue = (rgb[:: max(1, len(rgb) // 64), :, channel].astype(np.int16) for channel in range(3))
    spread = np.maximum(abs(red - green), abs(green - blue))
    return bool((spread > tolerance).mean() > share)
