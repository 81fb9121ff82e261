"""Decoding: one golden value per kind of file, what is refused and how, and nothing else for any bytes at all."""

import io
import pickle
import re
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from dicom_files import JPEG_12_BIT, compressed, dicom_bytes, smooth
from PIL import Image, TiffImagePlugin
from pydicom import dcmread
from pydicom.encaps import get_frame

from cxr import phantom
from cxr.errors import ImageError, RequestError
from cxr.imaging.decode import MAX_BYTES, GrayImage, decode, decode_file, from_array
from cxr.imaging.preprocess import PreprocessSpec, to_model_pixels

# Pillow warns of odd metadata in files that it then reads, or refuses by an exception; both are looked at here.
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning"
)


# Not square and in no way symmetric, so that a turn or a mirroring shows.
FILM = (np.add.outer(np.arange(40) * 5, np.arange(36)) % 251).astype(np.uint8)
FILM[3:9, 20:30] = 7
# On the scale of 12 bits: at most 4095, and more than 1023.
DEEP = FILM.astype(np.uint16) * 16 + 5


def encode(pixels: np.ndarray | Image.Image, form: str, **options: object) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def raw_tiff(
    pixels: np.ndarray,
    white_is_zero: bool = False,
    order: Literal["<", ">"] = "<",
    orientation: int | None = None,
    next_ifd: int = 0,
) -> bytes:
    """An uncompressed grayscale TIFF, written here since Pillow does not write all kinds that it reads."""
    values = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(order)))
    short, long = 3, 4
    tags = [
        (256, short, values.shape[1]),
        (257, short, values.shape[0]),
        (258, short, values.dtype.itemsize * 8),
        (259, short, 1),
        (262, short, 0 if white_is_zero else 1),
        (273, long, 0),
        *([(274, short, orientation)] if orientation else []),
        (277, short, 1),
        (278, short, values.shape[0]),
        (279, long, values.nbytes),
        (339, short, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]),
    ]
    data_at = 8 + 2 + 12 * len(tags) + 4
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    for tag, kind, value in tags:
        number = data_at if tag == 273 else value
        packed = struct.pack(order + "HH", number, 0) if kind == short else struct.pack(order + "I", number)
        head += struct.pack(order + "HHI", tag, kind, 1) + packed
    return head + struct.pack(order + "I", next_ifd) + values.tobytes()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def two_bit_png(levels: np.ndarray) -> bytes:
    """A PNG of the gray levels 0 to 3, four pixels a byte."""
    height, width = levels.shape
    packed = levels.reshape(height, width // 4, 4) @ np.array([64, 16, 4, 1])
    rows = np.hstack([np.zeros((height, 1)), packed]).astype(np.uint8).tobytes()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 2, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def rgba(pixels: np.ndarray, alpha: np.ndarray | int) -> np.ndarray:
    return np.dstack([pixels, pixels, pixels, np.broadcast_to(np.uint8(alpha), pixels.shape)])


def palette(transparent: int | bytes | None = None) -> bytes:
    """A PNG with a palette whose entry i is the gray 250 - i."""
    image = Image.fromarray(FILM).convert("P")
    image.putpalette([250 - i if i < 250 else 0 for i in range(256) for _ in range(3)])
    return encode(image, "PNG", **({} if transparent is None else {"transparency": transparent}))


def below_alpha(pixels: np.ndarray, alpha: int) -> np.ndarray:
    """`pixels` with this opacity over black."""
    return np.round(pixels * (alpha / 255)).astype(np.uint8)


FLAT = np.full((40, 36), 100, np.uint8)
HALF = np.where(np.arange(36) < 18, 255, 0).astype(np.uint8) + np.zeros((40, 1), np.uint8)
UNIT = (FILM / np.float32(255)).astype(np.float32)
RGB = np.dstack([FILM, FILM, FILM])

LOSSLESS = [
    # PNG of one channel
    ("PNG gray", encode(FILM, "PNG"), FILM, 8, ()),
    # A screenshot or an export of a viewer: three equal channels
    ("PNG RGB", encode(RGB, "PNG"), FILM, 8, ()),
    # Opaque alpha says nothing
    ("PNG RGBA opaque", encode(rgba(FILM, 255), "PNG"), FILM, 8, ()),
    # Half of the film seen through: over black
    ("PNG RGBA", encode(rgba(FILM, HALF), "PNG"), np.where(HALF > 0, FILM, 0), 8, ("transparency",)),
    # Partly transparent
    ("PNG RGBA 128", encode(rgba(FLAT, 128), "PNG"), below_alpha(FLAT, 128), 8, ("transparency",)),
    # Gray with alpha
    (
        "PNG LA",
        encode(Image.merge("LA", [Image.fromarray(FILM), Image.fromarray(HALF)]), "PNG"),
        np.where(HALF > 0, FILM, 0),
        8,
        ("transparency",),
    ),
    # Palette: the indices are not the gray values
    ("PNG palette", palette(), np.where(FILM < 250, 250 - FILM.astype(int), 0), 8, ()),
    # One palette entry seen through: black there
    (
        "PNG palette with transparency",
        palette(transparent=7),
        np.where(FILM == 7, 0, np.where(FILM < 250, 250 - FILM.astype(int), 0)),
        8,
        ("transparency",),
    ),
    # An opacity for each palette entry
    (
        "PNG palette with opacities",
        palette(transparent=bytes(0 if entry < 100 else 255 for entry in range(256))),
        np.where(FILM < 100, 0, 250 - FILM.astype(int).clip(max=250)),
        8,
        ("transparency",),
    ),
    # One gray value seen through
    (
        "PNG gray with transparency",
        encode(FILM, "PNG", transparency=200),
        np.where(FILM == 200, 0, FILM),
        8,
        ("transparency",),
    ),
    # One bit: 0 and 255, not 0 and 1
    ("PNG 1 bit", encode(FILM > 100, "PNG"), np.where(FILM > 100, 255, 0), 8, ()),
    # Two bits, stretched over the whole scale
    ("PNG 2 bits", two_bit_png(FILM // 64), FILM // 64 * 85, 8, ()),
    # 16 bits, all used
    ("PNG 16 bits", encode(FILM.astype(np.uint16) * 257, "PNG"), FILM.astype(int) * 257, 16, ()),
    # A 12-bit detector's film in 16 bits: the values stay, the scale is that of 12 bits
    ("PNG 12 in 16 bits", encode(DEEP, "PNG"), DEEP, 12, ()),
    # A film of 8 bits that was stored in 16
    ("PNG 8 in 16 bits", encode(FILM.astype(np.uint16), "PNG"), FILM, 8, ()),
    ("TIFF 8 bits", encode(FILM, "TIFF"), FILM, 8, ()),
    ("TIFF 8 bits LZW", encode(FILM, "TIFF", compression="tiff_lzw"), FILM, 8, ()),
    ("TIFF RGB", encode(RGB, "TIFF"), FILM, 8, ()),
    ("TIFF 8 bits, white is zero", raw_tiff(FILM, True), 255 - FILM, 8, ("white_is_zero",)),
    ("TIFF 8 bits, white is zero, big", raw_tiff(FILM, True, ">"), 255 - FILM, 8, ("white_is_zero",)),
    ("TIFF 16 bits", raw_tiff(DEEP), DEEP, 12, ()),
    ("TIFF 16 bits, big", raw_tiff(DEEP, order=">"), DEEP, 12, ()),
    ("TIFF 16 bits deflated", encode(DEEP, "TIFF", compression="tiff_adobe_deflate"), DEEP, 12, ()),
    # Inverted on the scale of 12 bits, not of 16
    ("TIFF 16 bits, white is zero", raw_tiff(DEEP, True), 4095 - DEEP, 12, ("white_is_zero",)),
    ("TIFF 16 bits, white is zero, big", raw_tiff(DEEP, True, ">"), 4095 - DEEP, 12, ("white_is_zero",)),
    # Integers of 32 bits that 16 would have held
    ("TIFF 32-bit integers", raw_tiff(DEEP.astype(np.int32)), DEEP, 12, ()),
    ("TIFF 32-bit integers, big", raw_tiff(DEEP.astype(np.int32), order=">"), DEEP, 12, ()),
    ("TIFF 32-bit integers, unsigned", raw_tiff(DEEP.astype(np.uint32)), DEEP, 12, ()),
    # Floats: 1 is white, so v / 255 is v * 257 on the scale of 16 bits
    ("TIFF floats", raw_tiff(UNIT), FILM.astype(int) * 257, 16, ()),
    ("TIFF floats, big", raw_tiff(UNIT, order=">"), FILM.astype(int) * 257, 16, ()),
    # A dark one is not brightened: its scale is known
    ("TIFF dark floats", raw_tiff(UNIT / 16), np.round(UNIT / 16 * 65535), 16, ()),
    ("WebP lossless", encode(RGB, "WEBP", lossless=True), FILM, 8, ()),
    (
        "WebP lossless with alpha",
        encode(rgba(FILM, HALF), "WEBP", lossless=True),
        np.where(HALF > 0, FILM, 0),
        8,
        ("transparency",),
    ),
]


@pytest.mark.parametrize(
    ("content", "pixels", "bits", "notes"), [row[1:] for row in LOSSLESS], ids=[row[0] for row in LOSSLESS]
)
def test_lossless_files_give_exact_pixels(
    content: bytes, pixels: np.ndarray, bits: int, notes: tuple[str, ...]
) -> None:
    image = decode(content)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.bits, image.notes) == (bits, notes)
    assert (image.height, image.width) == (40, 36)


@pytest.mark.parametrize(
    "content",
    [
        encode(FLAT, "JPEG", quality=95),  # one channel
        encode(np.dstack([FLAT] * 3), "JPEG", quality=95),  # YCbCr, as the Kaggle copies
        encode(np.dstack([FLAT] * 3), "JPEG", quality=95, progressive=True),
        encode(Image.fromarray(np.dstack([FLAT] * 3)).convert("CMYK"), "JPEG", quality=95),
        encode(np.dstack([FLAT] * 3), "WEBP", quality=95),
    ],
    ids=["gray", "RGB", "progressive", "CMYK", "WebP lossy"],
)
def test_lossy_files_keep_the_gray_value(content: bytes) -> None:
    image = decode(content)
    assert abs(image.pixels.astype(int) - 100).max() <= 1
    assert (image.pixels.shape, image.bits, image.notes) == ((40, 36), 8, ())


def test_a_jpeg_gives_what_pillow_gives() -> None:
    content = phantom.phantom_jpeg(phantom.phantom_split(12)[0])
    expected = np.asarray(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(decode(content).pixels, expected)


# How Image.Transpose undoes each EXIF orientation, written as NumPy operations on the stored pixels.
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.T,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].T,
    8: lambda stored: np.rot90(stored),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "TIFF16", "PNG16", "WEBP"])
def test_exif_orientation_is_undone(form: str, orientation: int) -> None:
    stored = DEEP if form.endswith("16") else FILM
    match form:
        case "TIFF" | "TIFF16":
            content = raw_tiff(stored, orientation=orientation, order=">")
        case "WEBP":
            content = encode(RGB, form, lossless=True, exif=exif(orientation).tobytes())
        case _:
            content = encode(stored, form.removesuffix("16"), exif=exif(orientation))
    if form == "JPEG":
        stored = np.asarray(Image.open(io.BytesIO(content)))
    image = decode(content)
    np.testing.assert_array_equal(image.pixels, UPRIGHT[orientation](stored))
    assert image.notes == (() if orientation == 1 else ("rotated_by_exif",))


def test_an_unknown_orientation_is_left_alone() -> None:
    image = decode(encode(FILM, "PNG", exif=exif(9)))
    np.testing.assert_array_equal(image.pixels, FILM)
    assert image.notes == ()


# --- Films as cameras, scanners and programs write them


def test_of_a_cameras_pictures_the_first_is_read() -> None:
    """MPO: the photograph first, then another view or a preview."""
    first, second = Image.fromarray(RGB), Image.fromarray(255 - RGB)
    several = encode(first, "MPO", save_all=True, append_images=[second], quality=95)
    image = decode(several)
    np.testing.assert_array_equal(image.pixels, decode(encode(first, "JPEG", quality=95)).pixels)
    assert image.notes == ("first_of_several",)


def png_with(*chunks: bytes) -> bytes:
    whole = encode(FILM, "PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"tEXt", b"Comment\0" + b"long " * 10**6),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20 * 2**20))),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b" " * 2**22)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b" " * 2**22),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(2**22))),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(2**22))),
        chunk(b"zTXt", b"Comment\0\0no stream") * 1000,
        chunk(b"tEXt", b""),
    ],
    ids=["tEXt", "zTXt", "iTXt packed", "iTXt", "EXIF", "ICC", "many", "empty"],
)
def test_texts_of_a_png_do_not_matter_however_large(added: bytes) -> None:
    np.testing.assert_array_equal(decode(png_with(added)).pixels, FILM)


def test_orientation_in_the_texts_of_a_png_is_undone() -> None:
    """As ImageMagick and Adobe's programs write it."""
    packed = b"\nexif\n%8d\n%s\n" % (len(exif(6).tobytes()), exif(6).tobytes().hex().encode())
    magick = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(packed))
    adobe = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>')
    for added in (magick, adobe):
        np.testing.assert_array_equal(decode(png_with(added)).pixels, np.rot90(FILM, -1))


def tiff_pages(*pages: tuple[np.ndarray, int]) -> bytes:
    """A TIFF of (pixels, NewSubfileType) in this order."""
    images = []
    for pixels, kind in pages:
        image = Image.fromarray(pixels)
        image.encoderinfo = {"tiffinfo": {254: kind}}
        images.append(image)
    stream = io.BytesIO()
    images[0].save(stream, "TIFF", save_all=True, append_images=images[1:], tiffinfo={254: pages[0][1]})
    return stream.getvalue()


THUMBNAIL, MASK = 1, 4


@pytest.mark.parametrize(
    "pages",
    [
        [(FILM, 0), (RGB[::4, ::4], THUMBNAIL)],
        [(RGB[::4, ::4], THUMBNAIL), (FILM, 0)],
        [(FILM, 0), (FILM[::2, ::2], THUMBNAIL), (FILM[::4, ::4], THUMBNAIL)],
        [(FILM, 0), ((FILM > 9).astype(np.uint8), MASK)],
    ],
    ids=["after", "before", "pyramid", "mask"],
)
def test_a_tiff_with_thumbnails_is_one_film(pages: list[tuple[np.ndarray, int]]) -> None:
    image = decode(tiff_pages(*pages))
    np.testing.assert_array_equal(image.pixels, FILM)
    assert image.notes == ()


def test_a_tiff_of_two_films_and_a_thumbnail_is_several() -> None:
    with pytest.raises(ImageError, match="holds several images"):
        decode(tiff_pages((FILM, 0), (FILM[::4, ::4], THUMBNAIL), (FILM, 0)))


def test_a_jpeg_of_12_bits_is_read() -> None:
    image = decode(JPEG_12_BIT)
    assert (image.bits, image.notes) == (12, ())
    assert np.abs(image.pixels.astype(int) - smooth(33, 37, 4095)).max() <= 2
    with pytest.raises(ImageError, match="is damaged or cut short"):
        decode(JPEG_12_BIT[:-40])


def jpeg_stream(folder: Path, pixels: np.ndarray, bits: int, kind: str) -> bytes:
    """The bare stream of a DICOM file that GDCM compressed."""
    data = dcmread(io.BytesIO(compressed(dicom_bytes(pixels, bits), folder, kind)))
    return get_frame(data.PixelData, 0, number_of_frames=1)


@pytest.mark.parametrize("kind", ["JPEGLosslessProcess14_1", "JPEGLosslessProcess14", "JPEGLSLossless"])
@pytest.mark.parametrize(
    ("top", "bits", "depth"),
    [(255, 8, 8), (1023, 10, 10), (4095, 12, 12), (65535, 16, 16), (900, 16, 10)],
)
def test_lossless_jpeg_outside_dicom_is_read(
    tmp_path: Path, kind: str, top: int, bits: int, depth: int
) -> None:
    pixels = smooth(34, 37, top).astype(np.uint8 if bits == 8 else np.uint16)
    content = jpeg_stream(tmp_path, pixels, bits, kind)
    assert content.startswith(b"\xff\xd8\xff")
    image = decode(content)
    assert image.bits == depth
    assert np.array_equal(image.pixels, pixels)


def test_lossless_jpeg_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    content = jpeg_stream(tmp_path, smooth(34, 37, 4095), 16, "JPEGLosslessProcess14_1")
    with pytest.raises(ImageError, match=r"film is a lossless JPEG that is damaged or cut short"):
        decode(content[: len(content) // 3], "film")
    at = content.index(b"\xff\xc3")
    for marker, words in (
        (0xC7, "hierarchical kind with 16 bits and one channel"),
        (0xCB, "arithmetic kind with 16 bits"),
    ):
        with pytest.raises(ImageError, match=f"film is a JPEG of the {words}") as caught:
            decode(content[: at + 1] + bytes([marker]) + content[at + 2 :], "film")
        assert caught.value.code == "other_image_format"
    three = content[: at + 9] + b"\3" + content[at + 10 :]
    with pytest.raises(ImageError, match="a JPEG of the lossless kind with 16 bits and 3 channels"):
        decode(three, "film")


def test_a_git_lfs_pointer_is_named() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    with pytest.raises(ImageError, match=r"^film is a Git LFS pointer.*git lfs pull"):
        decode(pointer, "film")


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpegs_with_adobes_marker(mode: str) -> None:
    """Adobe's CMYK is stored inverted, and its grayscale is grayscale."""
    content = encode(Image.fromarray(np.dstack([FLAT] * 3)).convert(mode), "JPEG", quality=95)
    marker = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"
    image = decode(content if b"Adobe" in content else content[:2] + marker + content[2:])
    assert abs(image.pixels.astype(int) - 100).max() <= 1
    assert image.notes == ()


# --- Floating point


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("negative", [False, True])
def test_floats_of_every_width(kind: type, order: Literal["<", ">"], negative: bool) -> None:
    image = decode(raw_tiff(UNIT.astype(kind), negative, order))
    expected = 255 - FILM if negative else FILM
    assert np.abs(image.to_8bit().astype(int) - expected).max() <= (1 if kind is np.float16 else 0)
    assert image.notes == (("white_is_zero",) if negative else ())


@pytest.mark.parametrize(
    ("values", "pixels", "bits"),
    [
        # Whole numbers: the film's own values, stored as floats
        (FILM.astype(np.float32), FILM, 8),
        (DEEP.astype(np.float64), DEEP, 12),
        (np.minimum(FILM, 90).astype(np.float16), np.minimum(FILM, 90), 8),
        # Resized in floating point: between whole numbers, and bright enough to be no film in [0, 1]
        (FILM + np.float32(0.25), FILM, 8),
    ],
    ids=["8 bits", "12 bits", "dark", "resized"],
)
def test_floats_beyond_one_are_integers_where_they_look_like_it(
    values: np.ndarray, pixels: np.ndarray, bits: int
) -> None:
    image = decode(raw_tiff(values))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.bits == bits


def test_floats_have_the_range_that_the_file_states() -> None:
    stated = Image.fromarray((UNIT * 4 - 2).astype(np.float32))
    stream = io.BytesIO()
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in ((340, -2.0), (341, 2.0)):
        info.tagtype[tag] = 12  # double
        info[tag] = value
    stated.save(stream, "TIFF", tiffinfo=info)
    np.testing.assert_array_equal(decode(stream.getvalue()).to_8bit(), FILM)


@pytest.mark.parametrize(
    "values",
    [UNIT * 1.3, UNIT - 0.2, UNIT * 4 - 2, UNIT * 100 + 0.5, UNIT * 80_000, DEEP * -1.0],
    ids=["just above 1", "below 0", "standardised", "1 to 127", "above 16 bits", "negative"],
)
def test_floats_without_a_scale_are_refused_with_their_range(values: np.ndarray) -> None:
    least, most = f"{np.float32(values.min()):g}", f"{np.float32(values.max()):g}"
    with pytest.raises(ImageError, match=re.escape(f"from {least} to {most}")) as caught:
        decode(raw_tiff(values.astype(np.float32)))
    assert caught.value.code == "float_range"


# --- Bit depth

SPEC = PreprocessSpec(size=32, resample="bicubic", window=(1, 99))


def test_a_16_bit_copy_of_an_8_bit_film_gives_identical_model_pixels() -> None:
    film = phantom.make_phantom(3, "viral").pixels
    expected = to_model_pixels(decode(encode(film, "PNG")), SPEC)
    wide = film.astype(np.uint16) * 257
    for copy in (encode(wide, "PNG"), encode(wide, "TIFF"), raw_tiff((film / 255).astype(np.float32))):
        np.testing.assert_array_equal(to_model_pixels(decode(copy), SPEC), expected)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_stored_bits_never_saturate(bits: int) -> None:
    ramp = np.tile(np.linspace(0, 2**bits - 1, 64).round().astype(np.uint16), (64, 1))
    image = decode(encode(ramp, "PNG"))
    assert image.bits == bits
    eight = image.to_8bit()
    assert abs(eight.mean() - 127.5) < 0.5
    assert len(np.unique(eight)) == 64


@pytest.mark.parametrize(
    ("brightest", "bits"),
    [(255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (16383, 14), (16384, 16)],
)
def test_the_scale_is_the_smallest_that_holds_the_brightest_pixel(brightest: int, bits: int) -> None:
    pixels = np.zeros((40, 40), np.uint16)
    pixels[5, 6] = brightest
    image = decode(encode(pixels, "PNG"))
    assert image.bits == bits
    assert image.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_to_8bit_rounds_to_nearest_over_the_whole_scale(bits: int) -> None:
    white = 2**bits - 1
    values = np.arange(white + 1, dtype=np.uint16 if bits > 8 else np.uint8).reshape(32, -1)
    expected = np.floor(values.astype(np.float64) * 255 / white + 0.5)
    np.testing.assert_array_equal(GrayImage(values, bits).to_8bit(), expected)


# --- Notes


def colour_photo() -> np.ndarray:
    """Sky over grass, with grain."""
    rng = np.random.default_rng(1)
    photo = np.zeros((96, 128, 3), np.float64)
    photo[:48], photo[48:] = (90, 150, 230), (60, 140, 40)
    return np.clip(photo + rng.normal(0, 12, photo.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        encode(colour_photo(), "PNG"),
        encode(colour_photo(), "JPEG", quality=30),
        encode(Image.fromarray(colour_photo()).quantize(32), "PNG"),
        encode(Image.fromarray(colour_photo()).convert("CMYK"), "JPEG"),
    ],
    ids=["PNG", "JPEG", "palette", "CMYK"],
)
def test_a_colour_photo_is_noted(content: bytes) -> None:
    assert decode(content).notes == ("colour",)


def test_colour_is_reduced_to_luma() -> None:
    photo = colour_photo()
    luma = photo @ np.array([0.299, 0.587, 0.114])
    assert abs(decode(encode(photo, "PNG")).pixels - luma).max() <= 1


@pytest.mark.parametrize("quality", [None, 5, 20, 75])
@pytest.mark.parametrize("tint", [0, 4])
def test_a_gray_rgb_film_is_not_coloured(quality: int | None, tint: int) -> None:
    """Not even where an earlier compression has moved the channels a little apart, and a heavy one follows."""
    film = phantom.make_phantom(5, "bacterial").pixels
    rng = np.random.default_rng(2)
    noise = rng.integers(-tint, tint + 1, (*film.shape, 3))
    channels = np.clip(film[..., None].astype(int) + noise, 0, 255).astype(np.uint8)
    content = encode(channels, "JPEG", quality=quality) if quality else encode(channels, "PNG")
    assert decode(content).notes == ()


def test_a_small_coloured_mark_is_no_colour_photo() -> None:
    """A red arrow of less than one pixel in a hundred."""
    channels = np.dstack([phantom.make_phantom(5, "normal").pixels] * 3)
    marked = channels.copy()
    marked[100:110, 100:120] = (255, 0, 0)
    assert decode(encode(marked, "PNG")).notes == ()
    marked[100:130, 100:140] = (255, 0, 0)
    assert decode(encode(marked, "PNG")).notes == ("colour",)


# --- The value


@pytest.mark.parametrize("content", [row[1] for row in LOSSLESS], ids=[row[0] for row in LOSSLESS])
def test_pixels_are_read_only_and_owned(content: bytes) -> None:
    pixels = decode(content).pixels
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 1
    assert pixels.base is None  # of no decoder's buffer, which could change or be freed


def test_from_array_copies() -> None:
    values = FILM.copy()
    image = from_array(values)
    values[0, 0] = 99
    assert image.pixels[0, 0] == FILM[0, 0]
    assert values.flags.writeable


@pytest.mark.parametrize(
    ("pixels", "bits"),
    [
        (FILM, 16),  # another type than the depth's
        (DEEP, 8),
        (DEEP, 11),  # a depth that no film has
        (RGB, 8),  # three channels
        (FILM.astype(np.float32), 8),
    ],
    ids=str,
)
def test_a_gray_image_is_what_it_says(pixels: np.ndarray, bits: int) -> None:
    with pytest.raises(ValueError, match="not a grayscale image"):
        GrayImage(pixels, bits)


# --- Refusals


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def frames(form: str) -> bytes:
    first, second = Image.fromarray(RGB), Image.fromarray(255 - RGB)
    return encode(first, form, save_all=True, append_images=[second])


# What people choose by mistake, by its first bytes, and what the message calls it.
OTHER_FILES = [
    (encode(FILM, "GIF"), "other_image_format", "a GIF image"),
    (
        encode(Image.fromarray(FILM), "GIF", save_all=True, append_images=[Image.fromarray(FILM.T)]),
        "other_image_format",
        "a GIF image",
    ),
    (encode(FILM, "BMP"), "other_image_format", "a BMP image"),
    (encode(FILM, "PPM"), "other_image_format", "a PGM image"),
    (encode(FILM, "JPEG2000"), "other_image_format", "a JPEG 2000 image"),
    (encode(RGB, "AVIF"), "other_image_format", "an AVIF image"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "other_image_format", "a HEIC image"),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf" + bytes(99), "other_image_format", "a HEIC image"),
    (b"\x93NUMPY\1\0" + bytes(99), "other_image_format", "a NumPy array"),
    (b"\x89HDF\r\n\x1a\n" + bytes(99), "other_image_format", "an HDF5 file"),
    (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "document", "an XML document"),
    (b'{"error": "not found"}', "document", "a JSON document"),
    (b"BZh9" + bytes(99), "archive", "a bzip2 archive"),
    (raw_tiff(DEEP.astype(np.uint64)), "other_image_format", "a TIFF with one channel of 64 bits"),
    (
        raw_tiff(FILM).replace(
            struct.pack("<HHIHH", 259, 3, 1, 1, 0), struct.pack("<HHIHH", 259, 3, 1, 34887, 0)
        ),
        "other_image_format",
        "a TIFF with one channel of 8 bits, packed as LERC",
    ),
    (
        raw_tiff(DEEP, order=">").replace(
            struct.pack(">HHIHH", 259, 3, 1, 1, 0), struct.pack(">HHIHH", 259, 3, 1, 34712, 0)
        ),
        "other_image_format",
        "a TIFF with one channel of 16 bits, packed as JPEG 2000",
    ),
    (b"8BPS\0\1" + bytes(99), "other_image_format", "a Photoshop image"),
    (b"%PDF-1.7\n" + bytes(1000), "document", "a PDF document"),
    (b"\xef\xbb\xbf<!DOCTYPE html><html>", "document", "a web page"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(999), "document", "an Office document"),
    (b"PK\3\4" + bytes(99), "archive", "a ZIP archive or an Office document"),
    (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(99), "video", "an MP4 or QuickTime video"),
    (b"RIFF\0\0\0\0AVI LIST" + bytes(99), "video", "an AVI video"),
    (b"\x1aE\xdf\xa3" + bytes(99), "video", "a Matroska or WebM video"),
]


@pytest.mark.parametrize(("content", "code", "kind"), OTHER_FILES, ids=[row[2] for row in OTHER_FILES])
def test_what_is_no_image_of_ours_is_named(content: bytes, code: str, kind: str) -> None:
    with pytest.raises(ImageError, match=f"^film is {kind}, which is not read here") as caught:
        decode(content, "film")
    assert caught.value.code == code


@pytest.mark.parametrize("turned", [False, True])
def test_an_image_three_times_as_long_as_wide_is_read_and_a_longer_one_is_not(turned: bool) -> None:
    long = np.tile(FILM, (6, 4))[:40, :120]
    longer = np.tile(FILM, (6, 4))[:40, :121]
    if turned:
        long, longer = long.T, longer.T
    assert decode(encode(long, "PNG")).pixels.shape == long.shape
    for form in ("PNG", "JPEG", "TIFF"):
        with pytest.raises(ImageError, match="more than 3 times the other") as caught:
            decode(encode(longer, form))
        assert caught.value.code == "extreme_aspect"


REFUSED = [
    ("multi-frame TIFF", frames("TIFF"), "holds several images"),
    ("animated WebP", frames("WEBP"), "holds several images"),
    ("animated PNG", frames("PNG"), "holds several images"),
    ("text", b"this is no image\n" * 100, "is not a JPEG, PNG, TIFF, WebP or DICOM image"),
    ("DICOM without an image", bytes(128) + b"DICM" + bytes(1000), "without an image|damaged or cut short"),
    ("empty", b"", "is empty"),
    ("31 pixels high", encode(FILM[:31], "PNG"), "36 x 31 pixels.*at least 32"),
    ("31 pixels wide", encode(FILM[:, :31], "PNG"), "31 x 40 pixels.*at least 32"),
    ("64 million and some pixels", png_header(8001, 8000), "8001 x 8000 pixels.*at most 64 million"),
    # Above these, Pillow warns, and then raises an error of its own
    ("100 million pixels", png_header(10_000, 10_000), "10000 x 10000 pixels.*at most 64 million"),
    ("10,000 million pixels", png_header(100_000, 100_000), "at most 64 million"),
    ("no pixels behind the header", png_header(8000, 8000), "is damaged or cut short"),
    ("more than 64 MiB", bytes(MAX_BYTES + 1), "is larger than 64 MiB"),
    ("floats above 1", raw_tiff(UNIT * 1.5), "floating-point pixels from 0 to 1.35"),
    ("floats below 0", raw_tiff(UNIT - 0.1), "floating-point pixels from -0.1 to"),
    (
        "floats that are none",
        raw_tiff(np.where(FILM > 9, np.nan, UNIT)),
        "floating-point pixels from nan to nan",
    ),
    (
        "32-bit integers above 16 bits",
        raw_tiff(DEEP.astype(np.int32) << 8),
        "integer pixels from .* beyond 16 bits",
    ),
    ("negative integers", raw_tiff(DEEP.astype(np.int32) - 900), "integer pixels from -.* beyond 16 bits"),
]


@pytest.mark.parametrize(
    ("content", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused(content: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        decode(content, name="film.png")
    assert "film.png" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_the_largest_size_is_no_more_than_refused_and_the_smallest_is_read() -> None:
    assert decode(encode(FILM[:32, :32], "PNG")).pixels.shape == (32, 32)


def test_a_header_bomb_is_refused_at_once() -> None:
    """By the header, before room is made for the pixels; and the frames of a TIFF are not counted."""
    end = len(raw_tiff(FILM))
    directory = raw_tiff(FILM)[8 : 8 + 2 + 12 * 10]
    step = len(directory) + 4
    later = [directory + struct.pack("<I", end + step * n) for n in range(1, 20_000)]
    chain = raw_tiff(FILM, next_ifd=end) + b"".join(later) + directory + bytes(4)
    start = time.perf_counter()
    for content in (png_header(8001, 8000), png_header(100_000, 100_000), chain):
        with pytest.raises(ImageError):
            decode(content)
    assert time.perf_counter() - start < 1


# --- Damage


SMALL = {
    "PNG": encode(FILM, "PNG"),
    "PNG16": encode(DEEP, "PNG"),
    "palette": palette(),
    "JPEG": encode(RGB, "JPEG", quality=40, exif=exif(6)),
    "CMYK": encode(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=20),
    "TIFF": encode(FILM, "TIFF"),
    "TIFF16": raw_tiff(DEEP, True, ">", 6),
    "LZW": encode(RGB, "TIFF", compression="tiff_lzw"),
    "WebP": encode(RGB, "WEBP", lossless=True, exif=exif(3).tobytes()),
    "half floats": raw_tiff(UNIT.astype(np.float16)),
    "JPEG12": JPEG_12_BIT,
}


def decodes(content: bytes) -> bool:
    """True if the bytes decode, False if they are refused in order; anything else passes through and fails."""
    try:
        image = decode(content, name="film")
    except ImageError as error:
        assert str(error).startswith(("film ", "The DICOM file film "))
        return False
    assert image.pixels.dtype in (np.uint8, np.uint16)
    return True


@pytest.mark.parametrize("form", SMALL)
def test_truncated_at_any_byte(form: str) -> None:
    whole = SMALL[form]
    read = [end for end in range(len(whole)) if decodes(whole[:end])]
    assert decodes(whole)
    # What is missing where it still decodes is the end marker or padding, never a pixel.
    full = decode(whole).pixels
    for end in read:
        np.testing.assert_array_equal(decode(whole[:end]).pixels, full)
    assert min(read, default=len(whole)) >= len(whole) - 24


@pytest.mark.parametrize("form", SMALL)
def test_random_damage_raises_an_image_error_or_decodes(form: str) -> None:
    whole = SMALL[form]
    rng = np.random.default_rng(zlib.crc32(form.encode()))
    outcomes = []
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 5)):
            # Half of the hits in the first bytes, where the structure is.
            place = int(rng.integers(len(damaged) if rng.random() < 0.5 else min(200, len(damaged))))
            damaged[place] = int(rng.choice(np.array([0, 1, 127, 128, 255, rng.integers(256)])))
        outcomes.append(decodes(bytes(damaged)))
    assert False in outcomes


def test_odd_metadata_does_not_stop_a_film() -> None:
    """A TIFF tag with too many entries, and EXIF data that is cut short: Pillow warns of both."""
    content = bytearray(raw_tiff(FILM))
    count_of_first_tag = 8 + 2 + 4
    content[count_of_first_tag] = 2  # the width, twice
    broken_exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff"
    for whole in (bytes(content), encode(FILM, "JPEG", exif=broken_exif)):
        assert decode(whole).pixels.shape == (40, 36)


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (4, 2), (6, 4)], ids=["RGB", "LA", "RGBA"])
def test_16_bit_colour_is_refused_where_pillow_would_drop_the_low_byte(
    colour_type: int, channels: int
) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40, 40, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + struct.pack(">H", 1000) * 40 * channels for _ in range(40))
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    with pytest.raises(ImageError, match="one gray channel"):
        decode(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


# --- Files


def test_decode_file_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(encode(FILM, "PNG"))
    np.testing.assert_array_equal(decode_file(path).pixels, FILM)


@pytest.mark.parametrize("kind", ["missing", "a folder", "no image", "damaged", "too small"])
def test_a_message_names_the_file_and_never_its_folder(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "private" / "film.png"
    path.parent.mkdir()
    match kind:
        case "a folder":
            path.mkdir()
        case "no image":
            path.write_bytes(b"nothing")
        case "damaged":
            path.write_bytes(encode(FILM, "PNG")[:-30])
        case "too small":
            path.write_bytes(encode(FILM[:20], "PNG"))
    with pytest.raises(ImageError, match=r"film\.png") as caught:
        decode_file(path)
    assert "private" not in str(caught.value)
    assert "/" not in str(caught.value)
    assert "0x" not in str(caught.value)


def test_errors_travel_between_processes():
    for error in (
        ImageError("too_small", "The image is small."),
        RequestError("no_file", "No file was passed."),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.code, str(again)) == (type(error), error.code, str(error))
