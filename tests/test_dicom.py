"""DICOM: the same as a PNG of its pixels, how it is shown, every encoding, what is refused; and no tag comes out."""

import io
import logging
import re
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import JPEG_12_BIT, SECRETS, compressed, dataset, dicom_bytes, encapsulated, smooth, written
from fake_model import fake_predictor
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from cxr.data.loading import load_films
from cxr.data.sources import open_data
from cxr.errors import ImageError
from cxr.imaging import decode as image
from cxr.imaging import dicom, dicom_elements
from cxr.imaging.decode import GrayImage, decode
from cxr.imaging.preprocess import PreprocessSpec, to_model_pixels
from cxr.phantom import make_phantom

SPEC = PreprocessSpec(size=64, resample="bicubic", window=(1, 99))
PHANTOM = make_phantom(5, "bacterial").pixels
DEEP = (PHANTOM.astype(np.uint16) << 4) + (PHANTOM & 15)  # 12 bits
SHOWN_8 = {"WindowCenter": 128, "WindowWidth": 256}  # each level as it is
SHOWN_12 = {"WindowCenter": 2048, "WindowWidth": 4096}


def png(pixels: NDArray[Any]) -> GrayImage:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return decode(stream.getvalue())


def same_input(one: GrayImage, other: GrayImage) -> bool:
    return bool(np.array_equal(to_model_pixels(one, SPEC), to_model_pixels(other, SPEC)))


def refused(content: bytes) -> str:
    """The code of the refusal, whose message holds none of the file's texts."""
    with pytest.raises(ImageError) as caught:
        decode(content)
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert caught.value.__cause__ is None
    return caught.value.code


# --- The same pixels as PNG and as DICOM


@pytest.mark.parametrize(
    ("pixels", "bits", "elements"),
    [
        (PHANTOM, 8, {}),
        (PHANTOM, 8, SHOWN_8),
        (PHANTOM.astype(np.uint16), 8, {}),  # 8 bits stored in 16
        (DEEP, 12, {}),
        (DEEP, 12, SHOWN_12),
        (DEEP, 16, {}),  # 12 bits that do not say so
        (PHANTOM.astype(np.uint16) * 257, 16, {}),
        (PHANTOM.astype(np.uint16) * 257, 16, {"WindowCenter": 32768, "WindowWidth": 65536}),
        (DEEP, 12, {"RescaleSlope": 1, "RescaleIntercept": 0}),
        (DEEP.astype(np.int16), 16, {}),  # signed, with nothing below 0
    ],
)
def test_the_same_pixels_give_the_same_model_input(
    pixels: NDArray[Any], bits: int, elements: dict[str, Any]
) -> None:
    film = decode(dicom_bytes(pixels, bits, **elements))
    twin = png(pixels.astype(np.uint16) if pixels.dtype.kind == "i" else pixels)
    assert np.array_equal(film.to_8bit(), twin.to_8bit())
    assert same_input(film, twin)
    assert film.notes == ()


def test_the_same_pixels_give_the_same_probability(tmp_path: Path) -> None:
    predictor = fake_predictor(tmp_path, gallery=1)
    film, twin = decode(dicom_bytes(DEEP, 12, **SHOWN_12)), png(DEEP)
    assert predictor.predict(film).probability == predictor.predict(twin).probability


def test_monochrome1_is_inverted_and_noted() -> None:
    negative = dicom_bytes(4095 - DEEP, 12, PhotometricInterpretation="MONOCHROME1", **SHOWN_12)
    film = decode(negative)
    assert film.notes == ("white_is_zero",)
    assert same_input(film, png(DEEP))


def test_monochrome1_without_a_window_is_inverted_on_its_scale() -> None:
    pixels = smooth(top=4095)
    film = decode(dicom_bytes(4095 - pixels, 12, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(film.to_8bit(), png(pixels).to_8bit())


# --- How it is to be shown


def by_pydicom(content: bytes) -> NDArray[np.uint8]:
    """The same through pydicom's own functions, on its output range."""
    data = pydicom.dcmread(io.BytesIO(content))
    values = apply_voi_lut(apply_modality_lut(data.pixel_array, data), data)
    bits, slope = data.BitsStored, float(data.get("RescaleSlope", 1))
    low = -(2 ** (bits - 1)) if data.PixelRepresentation else 0
    low, high = (edge * slope + float(data.get("RescaleIntercept", 0)) for edge in (low, low + 2**bits - 1))
    return np.floor((values - low) / (high - low) * 255 + 0.5).astype(np.uint8)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(
    ("pixels", "bits", "elements"),
    [
        (smooth(top=4095), 12, {"WindowCenter": 1800, "WindowWidth": 900}),
        (smooth(top=4095), 12, {"WindowCenter": [1800, 5], "WindowWidth": [900, 5]}),  # the first of several
        (smooth(top=1023), 10, {"WindowCenter": 300, "WindowWidth": 700}),
        (smooth(top=255).astype(np.uint8), 8, {"WindowCenter": 100, "WindowWidth": 90}),
        (
            (smooth(top=4095).astype(np.int16) - 2000),
            16,
            {"WindowCenter": 40, "WindowWidth": 400, "RescaleSlope": 1, "RescaleIntercept": -24},
        ),
        (
            smooth(top=4095),
            12,
            {"WindowCenter": 0.7, "WindowWidth": 1.3, "RescaleSlope": 0.0005, "RescaleIntercept": 0.1},
        ),
    ],
)
def test_windows_agree_with_pydicom(
    pixels: NDArray[Any], bits: int, elements: dict[str, Any], function: str
) -> None:
    if elements["WindowWidth"] == 1.3 and function == "LINEAR":
        elements = {**elements, "WindowWidth": 2.3}  # the function takes 1 from the width
    content = dicom_bytes(pixels, bits, VOILUTFunction=function, **elements)
    film = decode(content)
    assert film.bits == 8
    assert np.abs(film.pixels.astype(int) - by_pydicom(content)).max() <= 1  # their ranges round differently
    assert np.ptp(film.pixels) > 100


def lut(first: int, values: NDArray[Any], depth: int, ow: bool = False) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(values) % 65536, first, depth]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = values.astype("<u2").tobytes() if ow else values.tolist()
    item["LUTData"].VR = "OW" if ow else "US"
    return item


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("ow", [True, False])
def test_a_voi_lut_goes_before_a_window(ow: bool, syntax: Any) -> None:
    pixels = smooth(top=4095)
    table = np.round((np.arange(3000) / 2999) ** 2 * 4095).astype(np.uint16)
    content = dicom_bytes(
        pixels,
        12,
        syntax,
        VOILUTSequence=[lut(500, table, 12, ow)],
        WindowCenter=1,
        WindowWidth=2,
    )
    mapped = table[np.clip(pixels.astype(int) - 500, 0, 2999)]
    assert np.array_equal(decode(content).pixels, np.floor(mapped / 4095 * 255 + 0.5))


def test_a_modality_lut_comes_first() -> None:
    pixels = smooth(top=255).astype(np.uint8)
    falling = lut(0, np.arange(256, dtype=np.uint16)[::-1] * 16, 12)
    film = decode(dicom_bytes(pixels, 8, ModalityLUTSequence=[falling], **SHOWN_12))
    mapped = (255 - pixels.astype(int)) * 16
    assert np.array_equal(film.pixels, np.floor(mapped / 4095 * 255 + 0.5))
    plain = decode(dicom_bytes(pixels, 8, ModalityLUTSequence=[falling]))
    assert np.array_equal(plain.to_8bit(), png(mapped.astype(np.uint16)).to_8bit())


def test_a_negative_slope_without_a_window_inverts() -> None:
    pixels = smooth(top=4095)
    film = decode(dicom_bytes(pixels, 12, RescaleSlope=-1, RescaleIntercept=4095))
    assert np.array_equal(film.to_8bit(), png(4095 - pixels).to_8bit())


def test_signed_pixels_without_a_window_begin_at_their_darkest() -> None:
    pixels = smooth(top=4095)
    film = decode(dicom_bytes(pixels.astype(np.int16) - 1000, 16))
    assert np.array_equal(film.to_8bit(), png(pixels).to_8bit())


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_set_the_scale(kind: str) -> None:
    pixels = smooth(top=1000)
    inside = np.zeros(pixels.shape, bool)
    inside[10:-10, 10:-10] = True
    padded = np.where(inside, pixels, 4000).astype(np.uint16)
    elements = {"PixelPaddingValue": 3990, "PixelPaddingRangeLimit": 4095, "PhotometricInterpretation": kind}
    film = decode(dicom_bytes(padded, 12, **elements))
    shown = 1023 - pixels if kind == "MONOCHROME1" else pixels
    assert not film.pixels[~inside].any()
    assert film.bits == 10
    assert np.array_equal(film.pixels[inside], shown[inside])


def test_a_window_of_no_width_is_no_window() -> None:
    assert same_input(decode(dicom_bytes(DEEP, 12, WindowCenter=5, WindowWidth=0)), png(DEEP))


# --- Encodings

GDCM = [
    "ImplicitVRLittleEndian",
    "JPEGLosslessProcess14",
    "JPEGLosslessProcess14_1",
    "JPEGLSLossless",
    "JPEG2000Lossless",
    "RLELossless",
]


@pytest.mark.parametrize("kind", GDCM)
@pytest.mark.parametrize(
    ("pixels", "bits"),
    [
        (smooth(top=255).astype(np.uint8), 8),
        (smooth(top=1023), 10),
        (smooth(top=4095), 12),
        (smooth(top=65535), 16),
        ((smooth(top=4095).astype(np.int16) - 2048), 16),
    ],
    ids=["8", "10", "12", "16", "signed"],
)
def test_lossless_encodings_change_nothing(
    tmp_path: Path, kind: str, pixels: NDArray[Any], bits: int
) -> None:
    plain = dicom_bytes(pixels, bits, WindowCenter=100, WindowWidth=200)
    film = decode(compressed(plain, tmp_path, kind))
    assert np.array_equal(film.pixels, decode(plain).pixels)


@pytest.mark.parametrize(
    "kind", ["JPEGBaselineProcess1", "JPEGExtendedProcess2_4", "JPEG2000", "JPEGLSNearLossless"]
)
def test_lossy_encodings_change_little(tmp_path: Path, kind: str) -> None:
    film = decode(compressed(dicom_bytes(PHANTOM), tmp_path, kind))
    assert np.abs(film.pixels.astype(int) - PHANTOM).mean() < 2


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_deflated_and_big_endian(syntax: Any) -> None:
    pixels = DEEP.byteswap() if syntax == ExplicitVRBigEndian else DEEP
    assert same_input(decode(dicom_bytes(pixels, 12, syntax, **SHOWN_12)), png(DEEP))


def test_odd_sizes_and_bits_above_the_stored_ones() -> None:
    pixels = smooth(33, 35, 255).astype(np.uint8)
    assert np.array_equal(decode(dicom_bytes(pixels)).pixels, pixels)
    overlaid = DEEP | (DEEP & 1) << 15  # an old overlay in the unused bits
    assert same_input(decode(dicom_bytes(overlaid, 12, **SHOWN_12)), png(DEEP))


def test_rle_overlays_are_cut_off(tmp_path: Path) -> None:
    plain = dicom_bytes(DEEP | np.uint16(0x8000), 12, **SHOWN_12)
    assert same_input(decode(compressed(plain, tmp_path, "RLELossless")), png(DEEP))


# --- What is DICOM


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_file_without_preamble_is_known(syntax: Any) -> None:
    whole = dicom_bytes(DEEP, 12, syntax, **SHOWN_12)
    headed = whole[132:]  # the header first
    header = 132 + 12 + struct.unpack("<I", whole[140:144])[0]
    bare = whole[header:]  # no header either
    for content in (whole, headed, bare):
        assert dicom.is_dicom(content)
        assert dicom.is_dicom(content[: dicom.PEEK])
        assert same_input(decode(content), png(DEEP))


def test_other_files_are_not_taken_for_dicom() -> None:
    for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"):
        stream = io.BytesIO()
        Image.fromarray(PHANTOM).save(stream, kind)
        assert not dicom.is_dicom(stream.getvalue())
    noise = np.random.default_rng(0)
    assert not any(dicom.is_dicom(b"\x08\x00" + noise.bytes(300)) for _ in range(2000))
    assert not dicom.is_dicom(b"") and not dicom.is_dicom(b"\x08\x00\x05\x00")


def test_data_sets_of_dicom_files(tmp_path: Path) -> None:
    """By suffix; and by content where the name has none or is a UID."""
    content = dicom_bytes(DEEP, 12, **SHOWN_12)
    names = ["a.dcm", "b.DICOM", "IM0001", "1.2.840.113619.2.5"]
    for place in ("NORMAL", "PNEUMONIA"):
        (tmp_path / "data" / place).mkdir(parents=True)
        for name in names:
            (tmp_path / "data" / place / name).write_bytes(content)
        (tmp_path / "data" / place / "README").write_text("no film")
    source = open_data(str(tmp_path / "data"))
    assert sorted(film.name for film in source.films) == sorted(names * 2)
    assert "2 (no suffix)" in source.identity.notes[0]
    films, unreadable = load_films(source, source.films, SPEC, progress=False)
    assert unreadable == []
    assert all(np.array_equal(pixels, to_model_pixels(png(DEEP), SPEC)) for pixels in films.pixels)
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for path in sorted((tmp_path / "data").rglob("*")):
            if path.is_file():
                stream.write(path, path.relative_to(tmp_path / "data"))
    assert [film.path for film in open_data(str(archive)).films] == [film.path for film in source.films]


# --- What is read against the standard, and noted


@pytest.mark.parametrize(
    "missing",
    [
        ["PhotometricInterpretation"],
        ["SamplesPerPixel"],
        ["PhotometricInterpretation", "SamplesPerPixel"],
        ["PixelRepresentation"],
        ["BitsStored"],
        ["HighBit"],
        ["BitsAllocated"],
        ["BitsAllocated", "BitsStored", "HighBit"],
        ["PhotometricInterpretation", "SamplesPerPixel", "PixelRepresentation", "BitsAllocated", "HighBit"],
    ],
    ids="+".join,
)
@pytest.mark.parametrize(("pixels", "bits"), [(PHANTOM, 8), (DEEP, 12)], ids=["8", "12"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_missing_attributes_that_have_one_sensible_value_get_it(
    pixels: NDArray[Any], bits: int, missing: list[str], syntax: Any
) -> None:
    shown = SHOWN_8 if bits == 8 else SHOWN_12
    data = dataset(pixels, bits, **shown)
    for element in missing:
        delattr(data, element)
    film = decode(written(data, syntax))
    assert np.array_equal(film.to_8bit(), png(pixels).to_8bit())
    assert film.notes == ("dicom_repaired",)


@pytest.mark.parametrize("kind", ["JPEGLosslessProcess14_1", "JPEG2000Lossless", "JPEGLSLossless"])
def test_compressed_pixels_tell_what_the_data_set_leaves_out(tmp_path: Path, kind: str) -> None:
    data = pydicom.dcmread(io.BytesIO(compressed(dicom_bytes(DEEP, 12, **SHOWN_12), tmp_path, kind)))
    for element in ("BitsAllocated", "BitsStored", "HighBit", "Rows", "Columns", "SamplesPerPixel"):
        delattr(data, element)
    film = decode(written(data, data.file_meta.TransferSyntaxUID))
    assert np.array_equal(film.to_8bit(), png(DEEP).to_8bit())
    assert film.notes == ("dicom_repaired",)


def test_rows_that_are_missing_are_named() -> None:
    data = dataset(PHANTOM)
    del data.Rows
    content = written(data, ExplicitVRLittleEndian)
    assert refused(content) == "dicom_bad_value"
    with pytest.raises(ImageError, match=r"film\.dcm Rows is missing"):
        decode(content, "film.dcm")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_decimal_comma_is_a_decimal_point(syntax: Any) -> None:
    window = {
        "WindowCenter": "1800.5",
        "WindowWidth": "0900.5",
        "RescaleSlope": "1.0",
        "RescaleIntercept": "-4.5",
    }
    pointed = dicom_bytes(DEEP, 12, syntax, **window)
    commas = pointed
    for value in window.values():
        commas = commas.replace(value.encode(), value.replace(".", ",").encode())
    assert commas != pointed
    film = decode(commas)
    assert np.array_equal(film.pixels, decode(pointed).pixels)
    assert film.notes == ("dicom_repaired",)


@pytest.mark.parametrize("value", [b"Quixote ", b"1,8.00.5", b"nan     ", b"1e999   "])
def test_a_number_that_is_none_is_named_and_not_quoted(value: bytes) -> None:
    content = dicom_bytes(DEEP, 12, WindowCenter="1800.250", WindowWidth=900).replace(b"1800.250", value)
    assert refused(content) == "dicom_bad_value"
    with pytest.raises(ImageError, match=r"WindowCenter (is not a number|cannot be read)"):
        decode(content)


# --- Gray in three channels or in a palette

RGB = np.dstack([PHANTOM] * 3)


def rgb_dataset(rgb: NDArray[Any] = RGB, planar: int = 0, **elements: Any) -> Dataset:
    kind = elements.pop("PhotometricInterpretation", "RGB")
    data = dataset(
        rgb, SamplesPerPixel=3, PhotometricInterpretation=kind, PlanarConfiguration=planar, **elements
    )
    if planar:
        data.PixelData = np.ascontiguousarray(rgb.transpose(2, 0, 1)).tobytes()
    return data


@pytest.mark.parametrize("planar", [0, 1])
def test_gray_stored_as_rgb_reads_as_the_png_of_the_same_pixels(planar: int) -> None:
    film = decode(written(rgb_dataset(planar=planar), ExplicitVRLittleEndian))
    assert same_input(film, png(RGB))
    assert film.notes == ()


@pytest.mark.parametrize(
    "kind",
    ["RLELossless", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless", "JPEGBaselineProcess1"],
)
def test_gray_stored_as_compressed_rgb(tmp_path: Path, kind: str) -> None:
    film = decode(compressed(written(rgb_dataset(), ExplicitVRLittleEndian), tmp_path, kind))
    most = 12 if kind == "JPEGBaselineProcess1" else 0
    assert np.abs(film.pixels.astype(int) - PHANTOM).max() <= most
    assert film.notes == ()


def test_gray_stored_as_ybr(tmp_path: Path) -> None:
    neutral = np.full_like(PHANTOM, 128)
    ybr = rgb_dataset(np.dstack([PHANTOM, neutral, neutral]), PhotometricInterpretation="YBR_FULL")
    plain = written(ybr, ExplicitVRLittleEndian)
    for content in (plain, compressed(plain, tmp_path, "RLELossless")):
        assert same_input(decode(content), png(PHANTOM))
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, "JPEG", quality=95)
    film = decode(
        encapsulated(
            rgb_dataset(PhotometricInterpretation="YBR_FULL_422"), stream.getvalue(), JPEGBaseline8Bit
        )
    )
    assert np.array_equal(film.pixels, decode(stream.getvalue()).pixels)


def palette_dataset(tables: list[NDArray[Any]], depth: int, indices: NDArray[Any]) -> Dataset:
    data = dataset(indices, PhotometricInterpretation="PALETTE COLOR")
    for colour, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        setattr(data, f"{colour}PaletteColorLookupTableDescriptor", [len(table) % 65536, 0, depth])
        setattr(data, f"{colour}PaletteColorLookupTableData", table.tobytes())
    return data


@pytest.mark.parametrize(("kind", "factor"), [("u1", 1), ("<u2", 257)])
def test_a_palette_of_grays_reads_as_the_png_of_the_same_pixels(kind: str, factor: int) -> None:
    grays = (250 - np.arange(256)).clip(0).astype(kind) * np.array(factor, kind)
    content = written(palette_dataset([grays] * 3, 8 * grays.itemsize, PHANTOM), ExplicitVRLittleEndian)
    assert same_input(decode(content), png((250 - PHANTOM.astype(int)).clip(0).astype(np.uint8)))


def test_a_palette_of_colours_is_refused() -> None:
    ramp = np.arange(256, dtype=np.uint8)
    content = written(palette_dataset([ramp, ramp[::-1], ramp], 8, PHANTOM), ExplicitVRLittleEndian)
    assert refused(content) == "dicom_colour"


def test_a_small_coloured_mark_is_no_colour_image_and_a_large_one_is() -> None:
    marked = RGB.copy()
    marked[100:110, 100:120] = (255, 0, 0)
    assert same_input(decode(written(rgb_dataset(marked), ExplicitVRLittleEndian)), png(marked))
    marked[100:130, 100:140] = (255, 0, 0)
    assert refused(written(rgb_dataset(marked), ExplicitVRLittleEndian)) == "dicom_colour"


def test_rgb_of_16_bits_is_read_where_the_channels_are_the_same() -> None:
    deep = np.dstack([DEEP] * 3)
    assert same_input(decode(written(rgb_dataset(deep), ExplicitVRLittleEndian)), png(DEEP))
    deep[..., 1] += 1
    assert refused(written(rgb_dataset(deep), ExplicitVRLittleEndian)) == "colour_16_bit"


# --- JPEG Extended of 12 bits


def test_jpeg_of_12_bits_is_decoded() -> None:
    data = dataset(smooth(33, 37, 4095), 12, **SHOWN_12)
    film = decode(encapsulated(data, JPEG_12_BIT, JPEGExtended12Bit))
    exact = decode(dicom_bytes(smooth(33, 37, 4095), 12, **SHOWN_12))
    assert np.abs(film.pixels.astype(int) - exact.pixels).max() <= 1  # its loss is 2 levels of 4096
    assert film.notes == ()


def test_signed_jpeg_of_12_bits() -> None:
    """The encoder saw the two's complement: 2048 stands for -2048."""
    data = dataset(smooth(33, 37, 4095).astype(np.int16), 12, **SHOWN_8)
    film = decode(encapsulated(data, JPEG_12_BIT, JPEGExtended12Bit))
    assert (film.pixels[20] == 0).all()  # -1600 and darker
    assert (film.pixels[10] == 255).all()  # 1280


def test_jpeg_of_12_bits_that_is_cut_short_is_damaged() -> None:
    data = dataset(smooth(33, 37, 4095), 12)
    assert refused(encapsulated(data, JPEG_12_BIT[:-30], JPEGExtended12Bit)) == "dicom_damaged"


# --- What is refused


def test_what_is_no_single_image_is_refused(tmp_path: Path) -> None:
    frames = dicom_bytes(np.zeros((64, 64), np.uint8), NumberOfFrames=2, PixelData=bytes(8192))
    assert refused(frames) == "multi_frame"
    assert refused(dicom_bytes(np.zeros((16, 64), np.uint8))) == "too_small"
    assert refused(dicom_bytes(np.zeros((40, 121), np.uint8))) == "extreme_aspect"
    report = dataset(PHANTOM)
    for element in ("PixelData", "Rows", "Columns"):
        delattr(report, element)
    assert refused(written(report, ExplicitVRLittleEndian)) == "dicom_no_image"


def test_other_depths_are_refused() -> None:
    wide = dataset(np.zeros((64, 64), np.uint16))
    wide.BitsAllocated = wide.BitsStored = 32
    wide.HighBit, wide.PixelData = 31, bytes(4 * 64 * 64)
    assert refused(written(wide, ExplicitVRLittleEndian)) == "dicom_encoding"
    shifted = dataset(np.zeros((64, 64), np.uint16), 12)
    shifted.HighBit = 15
    assert refused(written(shifted, ExplicitVRLittleEndian)) == "dicom_encoding"


def test_encodings_that_we_cannot_read_are_refused() -> None:
    for syntax in (pydicom.uid.MPEG2MPML, pydicom.uid.MPEG4HP41, pydicom.uid.HEVCMP51):
        assert refused(encapsulated(dataset(PHANTOM, NumberOfFrames=7), b"\0\0\1\xb3", syntax)) == "video"
    header = b"\xff\xd8" + struct.pack(">HHBHHB", 0xFFC1, 11, 16, 224, 224, 1)
    assert refused(encapsulated(dataset(DEEP, 12), header, JPEGExtended12Bit)) == "dicom_encoding"
    unknown = dicom_bytes(PHANTOM).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.2.1\0")
    assert refused(unknown) in ("dicom_encoding", "dicom_damaged")


def test_damage_is_told(tmp_path: Path) -> None:
    plain = dicom_bytes(DEEP, 12)
    lossless = compressed(plain, tmp_path, "JPEGLosslessProcess14_1")
    for content in (plain, lossless, compressed(plain, tmp_path, "JPEG2000Lossless")):
        for share in (0.2, 0.5, 0.9):
            assert refused(content[: int(len(content) * share)]) in ("dicom_damaged", "dicom_no_image")
    assert (
        refused(plain.replace(b"Alonso^Quixote", b"Alonso^Q\xff\xfe\x00\x00e\x00")[:400]) == "dicom_no_image"
    )


@pytest.mark.parametrize("seed", range(8))
def test_changed_bytes_raise_nothing_else(tmp_path: Path, seed: int) -> None:
    """Random damage to headers gives an image or an ImageError: never another exception, a log line or a warning."""
    noise = np.random.default_rng(seed)
    pixels = smooth(40, 40, 4095)
    kinds = [dicom_bytes(pixels, 12, **SHOWN_12), dicom_bytes(pixels, 12, DeflatedExplicitVRLittleEndian)]
    kinds += [dicom_bytes(pixels, 12, VOILUTSequence=[lut(0, np.arange(4096), 12)])]
    kinds += [compressed(kinds[0], tmp_path, "RLELossless")]
    for content in kinds:
        for _ in range(60):
            changed = bytearray(content)
            for at in noise.integers(132, min(len(content), 1400), noise.integers(1, 6)):
                changed[at] = noise.integers(256)
            try:
                decode(bytes(changed))
            except ImageError as error:
                assert not any(secret in str(error) for secret in SECRETS)


# --- Limits


def test_too_many_pixels_are_refused_before_they_are_unpacked() -> None:
    data = dataset(np.zeros((64, 64), np.uint8))
    data.Rows = data.Columns = 20_000
    assert refused(written(data, ExplicitVRLittleEndian)) == "too_many_pixels"


def test_a_codestream_larger_than_it_says_is_not_decoded() -> None:
    """64 x 64 by its elements, 224 x 224 inside."""
    stream = io.BytesIO()
    Image.fromarray(PHANTOM).save(stream, "JPEG")
    small = dataset(PHANTOM[:64, :64])
    assert refused(encapsulated(small, stream.getvalue(), JPEGBaseline8Bit)) == "dicom_damaged"
    stream = io.BytesIO()
    Image.fromarray(PHANTOM).save(stream, "JPEG2000", no_jp2=True)
    assert (
        refused(encapsulated(dataset(PHANTOM[:64, :64]), stream.getvalue(), JPEG2000Lossless))
        == "dicom_damaged"
    )
    whole = decode(encapsulated(dataset(PHANTOM), stream.getvalue(), JPEG2000Lossless))
    assert np.array_equal(whole.pixels, PHANTOM)


def test_rle_stops_when_the_image_is_full() -> None:
    header = struct.pack("<16I", 1, 64, *[0] * 14)
    runs = b"\x81\x07" * 500_000  # 64 MB when unpacked
    film = decode(encapsulated(dataset(np.zeros((64, 64), np.uint8)), header + runs, RLELossless))
    assert (film.pixels == 7).all()


def test_a_deflated_file_that_swells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_elements, "MOST_INFLATED", 20_000)
    content = dicom_bytes(np.zeros((200, 200), np.uint8), 8, DeflatedExplicitVRLittleEndian)
    assert len(content) < 2000
    assert refused(content) == "too_many_bytes"


def test_a_cut_deflated_file_is_damaged() -> None:
    content = dicom_bytes(PHANTOM, 8, DeflatedExplicitVRLittleEndian)
    assert refused(content[:-2000]) == "dicom_damaged"
    assert zlib.crc32(content)  # the file itself is whole
    decode(content)


# --- Privacy


def test_no_tag_comes_out(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in what is kept, not in messages, not in logs, warnings or output; of broken elements neither."""
    broken = dicom_bytes(DEEP, 12, **SHOWN_12)
    broken = broken.replace(b"19470213", b"Quixote ").replace(b"ISO_IR", b"Sancho")
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        film = decode(broken)
        cut = dicom_bytes(DEEP, 12)[:5000]
        refused(cut)
        refused(
            dicom_bytes(DEEP, 12, WindowCenter="1800.250", WindowWidth=9).replace(b"1800.250", b"Quixote ")
        )
    assert "".join(capfd.readouterr()) + "".join(str(warning.message) for warning in caught) == ""
    assert all(record.name.startswith("cxr.") for record in caplog.records)
    assert not any(secret in caplog.text + repr(vars(film)) for secret in SECRETS)


def test_the_log_says_what_was_raised_and_where(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cxr")
    refused(dicom_bytes(DEEP, 12)[:5000])
    assert re.fullmatch(
        r"DICOM refused \(dicom_damaged\): \w+ at \w+/\w+\.py:\d+", caplog.records[-1].getMessage()
    )


def test_pydicom_speaks_to_others_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    """Its loggers, warnings and settings are as they were, for everybody but our own calls."""
    decode(dicom_bytes(PHANTOM))
    for name in ("pydicom", "pydicom.pixels.decoders.base", "pydicom.pixels.utils"):
        assert not logging.getLogger(name).disabled
    assert pydicom.config.settings.reading_validation_mode == pydicom.config.WARN
    with pytest.warns(UserWarning, match="Invalid value for VR AS"):
        Dataset().PatientAge = "of no use"
    assert "Invalid value for VR AS" in caplog.text


def test_a_fault_of_ours_is_no_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: Any) -> None:
        raise ValueError("a fault in our arithmetic")

    for name in ("modality_levels", "shown_levels", "settle", "stored_values"):
        with monkeypatch.context() as patched, pytest.raises(ValueError, match="in our arithmetic"):
            patched.setattr(dicom, name, faulty)
            decode(dicom_bytes(PHANTOM))


def test_only_the_elements_that_are_needed_are_parsed() -> None:
    data, _ = dicom_elements.parse(dicom_bytes(DEEP, 12, **SHOWN_12), "film")
    assert not any(secret in str(data) for secret in SECRETS)
    assert {element.keyword for element in data} <= {*dicom_elements.ELEMENTS, "SpecificCharacterSet"}


def test_pydicom_is_imported_only_for_dicom() -> None:
    assert image.is_dicom is dicom.is_dicom
    code = (
        "import sys, io, numpy as np\nfrom PIL import Image\nfrom cxr.imaging.decode import decode\n"
        "s = io.BytesIO(); Image.fromarray(np.zeros((64, 64), np.uint8)).save(s, 'PNG'); decode(s.getvalue())\n"
        "print(*sorted({'pydicom', 'gdcm'} & set(sys.modules)))"
    )
    root = Path(image.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
