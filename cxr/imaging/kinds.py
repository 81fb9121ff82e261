"""What a file is that is none of ours, by its first bytes, so that its refusal names the true cause."""

import struct

from cxr.errors import ImageError, ImageRule
from cxr.imaging.jpeg import START, Header, frame_marker, jpeg_header
from cxr.imaging.tiff import unread_kind

_OTHER: tuple[tuple[bytes, ImageRule, str], ...] = (
    (b"%PDF-", "document", "a PDF document"),
    (b"{\\rtf", "document", "a text document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "document", "an Office document"),
    (b"<!DOCTYPE html", "document", "a web page"),
    (b"<html", "document", "a web page"),
    (b"<svg", "other_image_format", "an SVG drawing"),
    (b"PK\x03\x04", "archive", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "archive", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive", "a 7z archive"),
    (b"Rar!\x1a\x07", "archive", "a RAR archive"),
    (b"BZh", "archive", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "archive", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "archive", "a Zstandard archive"),
    (b"GIF8", "other_image_format", "a GIF image"),
    (b"BM", "other_image_format", "a BMP image"),
    (b"8BPS", "other_image_format", "a Photoshop image"),
    (b"\0\0\0\x0cjP  ", "other_image_format", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "other_image_format", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL ", "other_image_format", "a JPEG XL image"),
    (b"\xff\x0a", "other_image_format", "a JPEG XL image"),
    (b"II\xbc", "other_image_format", "a JPEG XR image"),
    (b"\x5c\x01\0\0", "other_image_format", "a NIfTI volume"),
    (b"\x93NUMPY", "other_image_format", "a NumPy array"),
    (b"\x89HDF", "other_image_format", "an HDF5 file"),
    (b"<?xml", "document", "an XML document"),
    (b'{"', "document", "a JSON document"),
    (b"P5", "other_image_format", "a PGM image"),
    (b"P6", "other_image_format", "a PPM image"),
    (b"\x1a\x45\xdf\xa3", "video", "a Matroska or WebM video"),
    (b"FLV\x01", "video", "a Flash video"),
    (b"\0\0\x01\xba", "video", "an MPEG video"),
    (b"\0\0\x01\xb3", "video", "an MPEG video"),
    (b"0&\xb2u\x8ef\xcf\x11", "video", "a Windows Media video"),
)
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LFS_POINTER = b"version https://git-lfs"
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_PROCESSES = {
    **dict.fromkeys((0xC3, 0xF7), "lossless"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA, 0xCB), "arithmetic"),
}
_ADVICE: dict[ImageRule, str] = {
    "document": "Export the radiograph from it as PNG or JPEG.",
    "archive": "Unpack it first.",
    "video": "Export one picture as PNG or JPEG.",
    "other_image_format": "Save it as PNG or JPEG.",
}


def not_ours(content: bytes, name: str) -> ImageError:
    """The error for a file that is no JPEG, PNG, TIFF, WebP or DICOM; it says what the file is, where that shows."""
    if content.startswith(_LFS_POINTER):
        return ImageError(
            "not_an_image",
            f"{name} is a Git LFS pointer, which stands for the radiograph. Run git lfs pull, or download the file.",
        )
    found = _kind(content)
    if found is None:
        return ImageError(
            "not_an_image",
            f"{name} is not a JPEG, PNG, TIFF, WebP or DICOM image, or its beginning is damaged. "
            "Export the radiograph as PNG or JPEG.",
        )
    code, kind = found
    return ImageError(code, f"{name} is {kind}, which is not read here. {_ADVICE[code]}")


def other_archive(start: bytes) -> str | None:
    """What an archive that is no .zip is, such as "a RAR archive", by its first bytes; None for anything else."""
    found = None if start.startswith(b"PK") else _kind(start)
    return found[1] if found and found[0] == "archive" else None


def _kind(content: bytes) -> tuple[ImageRule, str] | None:
    start = content[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    for signature, code, kind in _OTHER:
        if start.startswith(signature) or content.startswith(signature):
            return code, kind
    if content.startswith(_TIFF_STARTS) and (tiff := unread_kind(content)):
        return "other_image_format", tiff
    if content[4:8] == b"ftyp":
        return _iso_kind(content)
    if content.startswith(START) and (header := jpeg_header(content)):
        return "other_image_format", _jpeg_kind(content, header)
    if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
        return "video", "an AVI video"
    if content[4:8] in (b"moov", b"mdat", b"wide"):
        return "video", "a QuickTime video"
    return None


def _jpeg_kind(content: bytes, header: Header) -> str:
    """A JPEG that its decoder did not take: of a rare process (ITU-T T.81, table B.1), depth, or number of channels."""
    marker = frame_marker(content)
    process = _PROCESSES.get(marker or 0, "progressive" if marker == 0xC2 else "usual")
    channels = "one channel" if header.channels == 1 else f"{header.channels} channels"
    return f"a JPEG of the {process} kind with {header.bits} bits and {channels}"


def _iso_kind(content: bytes) -> tuple[ImageRule, str]:
    """HEIC, AVIF, or a video in the same container, by its brands (ISO/IEC 14496-12, 4.3)."""
    (length,) = struct.unpack(">I", content[:4])
    brands = [content[8:12], *(content[at : at + 4] for at in range(16, min(length, 128), 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "other_image_format", "an AVIF image"
    if any(brand in _HEIC_BRANDS for brand in brands):
        return "other_image_format", "a HEIC image"
    return "video", "an MP4 or QuickTime video"
