"""JPEG, PNG, TIFF and WebP -> one grayscale radiograph, by Pillow.

- 8-bit films are taken as they are; deeper ones have one gray channel, and 16-bit colour is refused.
- Colour of 8 bits is reduced to luma (ITU-R BT.601); equal channels come out unchanged.
- Transparency is laid over black; EXIF orientation and "white is zero" are undone. Each such step is noted.
- Lossless JPEG and JPEG-LS of one channel are read by GDCM.
- Of the pictures that a camera puts into one file (MPO) the first is read, and that is noted.
"""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cxr.errors import ImageError
from cxr.imaging import tiff
from cxr.imaging.gray import GrayImage, check_size, from_array, is_coloured, luma, too_large
from cxr.imaging.jpeg import decode_12_bit, is_12_bit_gray, jpeg_header
from cxr.imaging.kinds import not_ours
from cxr.imaging.lossless_jpeg import is_lossless_gray, read_lossless
from cxr.types import WarningCode

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
_EXIF_ORIENTATION, _UPRIGHT = 274, 1
_PNG_START = b"\x89PNG\r\n\x1a\n"
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_MOST_TEXT = 2**16
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


def read_raster(content: bytes, name: str) -> GrayImage:
    """The radiograph of a JPEG, PNG, TIFF or WebP file.

    Raises:
        ImageError: as `cxr.imaging.decode.decode`.
    """
    if is_lossless_gray(content):
        return read_lossless(content, name)
    try:
        if is_12_bit_gray(content):
            return _from_12_bit_jpeg(content, name)
        with Image.open(io.BytesIO(_without_text(content)), formats=FORMATS) as opened:
            notes = _choose_picture(opened, name)
            check_size(*opened.size, name)
            _refuse_deep_colour(opened, name)  # first, since loading the pixels clears what it reads
            return _to_gray(opened, name, notes)
    except UnidentifiedImageError as error:
        raise not_ours(content, name) from error
    except Image.DecompressionBombError as error:
        raise too_large(name, "far more pixels") from error
    except _BROKEN as error:
        raise ImageError(
            "damaged_image", f"{name} is damaged or cut short ({error}). Export or copy the file again."
        ) from error


def _from_12_bit_jpeg(content: bytes, name: str) -> GrayImage:
    header = jpeg_header(content)
    assert header is not None
    check_size(header.width, header.height, name)
    return from_array(decode_12_bit(content), bits=12)


def _without_text(content: bytes) -> bytes:
    """A PNG without texts and colour profile, which are not read and whose size Pillow bounds; others as they are."""
    if not content.startswith(_PNG_START):
        return content
    kept, at = [_PNG_START], len(_PNG_START)
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if kind not in _TEXT_CHUNKS or _may_hold_orientation(kind, content[at + 8 : end - 4]):
            kept.append(content[at:end])
        at = end
    return b"".join(kept) + content[at:]


def _may_hold_orientation(kind: bytes, text: bytes) -> bool:
    """Whether a text chunk is a small one of EXIF or XMP data (PNG specification, 11.3.3)."""
    keyword, _, rest = text.partition(b"\0")
    if len(rest) > _MOST_TEXT or keyword not in (b"Raw profile type exif", b"XML:com.adobe.xmp"):
        return False
    if kind == b"zTXt":
        unpacker = zlib.decompressobj()
        unpacker.decompress(rest[1:], _MOST_TEXT)
        return not unpacker.unconsumed_tail
    return kind == b"tEXt" or rest.startswith(b"\0")  # iTXt whose text is not packed


def _choose_picture(opened: Image.Image, name: str) -> list[WarningCode]:
    """Bring the one picture that is the film to the front; notes. Raises ImageError where there are several."""
    if isinstance(opened, tiff.TiffImageFile):
        tiff.choose_page(opened, name)
        return []
    # Not n_frames, which counts the frames: that may take long.
    if not getattr(opened, "is_animated", False):
        return []
    if opened.format == "MPO":
        return ["first_of_several"]
    raise tiff.several_pictures(name)


def _to_gray(opened: Image.Image, name: str, notes: list[WarningCode]) -> GrayImage:
    inverted = tiff.is_white_zero(opened)
    ranged = tiff.stated_range(opened)
    half = tiff.is_half_float(opened)
    orientation = opened.getexif().get(_EXIF_ORIENTATION, _UPRIGHT)
    image = ImageOps.exif_transpose(opened)
    if orientation in range(2, 9):
        notes.append("rotated_by_exif")
    if inverted:
        notes.append("white_is_zero")
    if half or image.mode == "F":
        values = np.asarray(image)
        floats = values.astype(np.uint16).view(np.float16) if half else values
        pixels, bits = tiff.from_floats(floats.astype(np.float32), ranged, name)
        return from_array(pixels, tuple(notes), white_is_zero=inverted, bits=bits)
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow has undone "white is zero" in films of 8 bits, and leaves it to us in deeper ones.
        return from_array(_deep_values(image, name), tuple(notes), white_is_zero=inverted)
    return from_array(_shallow_values(image, notes), tuple(notes))


def _refuse_deep_colour(opened: Image.Image, name: str) -> None:
    """Of 16-bit colour Pillow keeps the high byte, which would turn a 12-bit film nearly black without a word."""
    layout = str(getattr(opened, "tile", ""))
    if opened.mode in ("RGB", "RGBA", "RGBX", "LA", "CMYK") and ";16" in layout:
        raise ImageError(
            "colour_16_bit",
            f"{name} has 16 bits and several channels (colour or transparency); 16-bit films are read with one gray "
            "channel. Export it as gray.",
        )


def _deep_values(image: Image.Image, name: str) -> NDArray[np.uint16]:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            "beyond_16_bit",
            f"{name} has integer pixels from {values.min()} to {values.max()}, beyond 16 bits. "
            "Export it as 16-bit PNG.",
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
    if is_coloured(np.asarray(image)):
        notes.append("colour")
    return luma(image)
