"""Bytes -> one validated grayscale radiograph. JPEG, PNG, TIFF, WebP and DICOM, told apart by content; no TensorFlow.

`cxr.imaging.raster` reads images, `cxr.imaging.dicom` reads DICOM, and `cxr.imaging.gray` has the result's type and
the limits of size.
"""

from pathlib import Path

from cxr.errors import ImageError
from cxr.imaging.dicom import is_dicom, read_dicom
from cxr.imaging.gray import MAX_ASPECT, MAX_BYTES, MAX_PIXELS, MIN_SIDE, GrayImage, from_array
from cxr.imaging.raster import read_raster

__all__ = [
    "MAX_ASPECT",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "SUFFIXES",
    "GrayImage",
    "decode",
    "decode_file",
    "from_array",
]

SUFFIXES = frozenset(
    {".jpeg", ".jpg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".webp", ".dcm", ".dicom"}
)


def decode_file(path: Path, name: str | None = None) -> GrayImage:
    """Decode the radiograph in a file.

    Args:
        path: the file.
        name: what messages call it, unless by its own name.

    Raises:
        ImageError: as `decode`, and where the file cannot be opened.
    """
    name = path.name if name is None else name
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(
            "unreadable_file", f"{name} cannot be opened ({error.strerror}). Check its path and permissions."
        ) from error
    return decode(content, name)


def decode(content: bytes, name: str = "the file") -> GrayImage:
    """Decode one radiograph from the bytes of a JPEG, PNG, TIFF, WebP or DICOM file, told apart by their content.

    Args:
        content: the whole file.
        name: what messages call it.

    Raises:
        ImageError: the bytes are no such file, are damaged or cut short, hold several images, or an image that is
            smaller than 32 pixels on a side, three times longer than wide, or larger than 64 million pixels or 64 MiB.
    """
    if not content:
        raise ImageError("empty_file", f"{name} is empty. Export or copy it again.")
    if len(content) > MAX_BYTES:
        raise ImageError(
            "too_many_bytes",
            f"{name} is larger than {MAX_BYTES // 2**20} MiB. Export the radiograph at a lower resolution.",
        )
    return read_dicom(content, name) if is_dicom(content) else read_raster(content, name)
