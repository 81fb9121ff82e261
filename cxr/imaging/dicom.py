"""DICOM -> one grayscale radiograph, as the file would have it shown.

    dicom_elements   bytes -> the few elements that are needed, complete and possible
    dicom_frames     their pixels, in whatever encoding -> stored values
    dicom_levels     stored values -> modality LUT or rescale -> VOI LUT or window
    this file        MONOCHROME1 inverted, padding made black, gray taken out of RGB and palettes

A film with neither window nor VOI LUT is read as a PNG of the same pixels is: the same scale by the same rule, hence
the same model input. Gray stored as RGB likewise. No text of a file reaches a message or a log.
"""

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.errors import ImageError
from cxr.imaging.dicom_elements import (
    GRAY,
    MARKER,
    MARKER_AT,
    PALETTE,
    damaged,
    padding_range,
    parse,
    require_one_image,
    settle,
)
from cxr.imaging.dicom_frames import Stored, codestream_header, frame_of, quiet_gdcm, stored_values
from cxr.imaging.dicom_levels import (
    every_value,
    has_modality_lut,
    index_of,
    modality_levels,
    palette,
    shown_levels,
)
from cxr.imaging.gray import GrayImage, check_size, from_array, is_coloured, luma
from cxr.types import WarningCode

if TYPE_CHECKING:
    from pydicom import Dataset

PEEK = 256
"""As many bytes of a file tell whether it is DICOM."""
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


def is_dicom(content: bytes) -> bool:
    """True for a DICOM file, told by its first bytes (PEEK of them, if it is longer).

    It has a preamble and the marker; or no preamble, but begins with the file header or as a bare data set does.
    """
    if content[MARKER_AT : MARKER_AT + 4] == MARKER or content.startswith(_META_START):
        return True
    if len(content) < 64:
        return False
    group, element, representation, length = struct.unpack("<HH2sH", content[:8])
    if group != 8 or element not in _FIRST_ELEMENTS:
        return False
    if representation not in _EXPLICIT:  # implicit: these two bytes are the length's
        (length,) = struct.unpack("<I", content[4:8])
    return length <= 64 and content[8 + length : 10 + length] in _NEXT_GROUPS


def read_dicom(content: bytes, name: str) -> GrayImage:
    """The film of a DICOM file. Its size is checked before anything is decompressed.

    Args:
        content: the whole file.
        name: what messages call it.

    Raises:
        ImageError: it holds several frames, a video, colour, no image, pixels in an encoding that we do not read, an
            element that cannot be read, or is damaged.
    """
    data, syntax = parse(content, name)
    quiet_gdcm()
    frame = frame_of(data, syntax, name) if "PixelData" in data else None
    require_one_image(data, name)
    header = codestream_header(frame, syntax, name)
    notes = settle(data, header, name)
    check_size(data.Columns, data.Rows, name)
    stored = stored_values(data, syntax, frame, header, name)
    if stored.shape[:2] != (data.Rows, data.Columns):
        raise damaged(name)
    if data.PhotometricInterpretation in GRAY:
        return _gray(data, stored, notes, name)
    if data.PhotometricInterpretation == PALETTE:
        every = every_value(data)
        stored = palette(data, every, name)[index_of(stored, every)]
    return _gray_of_rgb(stored, notes, name)


def _gray(data: "Dataset", stored: Stored, notes: tuple[WarningCode, ...], name: str) -> GrayImage:
    """Through modality and VOI transformation."""
    every = every_value(data)
    index = index_of(stored, every)
    padding = _padding(data, stored, name)
    levels = modality_levels(data, every, name)
    inverted = data.PhotometricInterpretation == "MONOCHROME1"
    gray = shown_levels(data, levels, name)
    if gray is not None:
        values: NDArray[np.uint8] | NDArray[np.uint16] = np.floor(gray * 255 + 0.5).astype(np.uint8)[index]
    else:
        # Without a window, straight lines do not matter but for their direction.
        inverted ^= data.get("RescaleSlope", 1) < 0 and not has_modality_lut(data)
        values = _unwindowed(
            levels.astype(np.int32) if has_modality_lut(data) else every, index, padding, data
        )
    notes = (*notes, "white_is_zero") if inverted else notes
    shown = from_array(values, notes, white_is_zero=inverted)
    if padding is None:
        return shown
    pixels = shown.pixels.copy()
    pixels[padding] = 0
    return replace(shown, pixels=pixels)


def _padding(data: "Dataset", stored: Stored, name: str) -> NDArray[np.bool_] | None:
    """Where the file says that there is no image, or None."""
    limits = padding_range(data, name)
    return None if limits is None else (stored >= limits[0]) & (stored <= limits[1])


def _unwindowed(
    levels: NDArray[np.int32], index: NDArray[np.int32], padding: NDArray[np.bool_] | None, data: "Dataset"
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Levels as they are; signed ones from their darkest on. Padding has no part in that."""
    values = levels[index]
    darkest = int(values.min() if padding is None or padding.all() else values[~padding].min())
    values = np.maximum(values - min(darkest, 0), 0)
    if padding is not None:
        values[padding] = 0
    if data.BitsStored == 8 and values.max() < 256:
        return values.astype(np.uint8)
    return values.astype(np.uint16)


def _gray_of_rgb(rgb: Stored, notes: tuple[WarningCode, ...], name: str) -> GrayImage:
    """Gray that was stored as RGB (height, width, 3), as the PNG of the same pixels reads. Colour is refused."""
    if is_coloured((rgb >> 8).astype(np.uint8) if rgb.dtype == np.uint16 else rgb.astype(np.uint8)):
        raise ImageError(
            "dicom_colour", f"The DICOM file {name} is in colour. Choose a radiograph, which is gray."
        )
    if rgb.dtype != np.uint8:
        if not (rgb == rgb[..., :1]).all():
            raise ImageError(
                "colour_16_bit", f"The DICOM file {name} has 16 bits and several channels. Export it as gray."
            )
        return from_array(rgb[..., 0].astype(np.uint16), notes)
    return from_array(luma(Image.fromarray(np.ascontiguousarray(rgb))), notes)
