"""Grayscale lossless JPEG and JPEG-LS outside DICOM, as film digitisers write them: by GDCM, as inside DICOM."""

import numpy as np

from cxr.errors import ImageError
from cxr.imaging.dicom_frames import quiet_gdcm, stored_values
from cxr.imaging.gray import GrayImage, check_size, from_array
from cxr.imaging.jpeg import START, frame_marker, jpeg_header

_SYNTAXES = {0xC3: "1.2.840.10008.1.2.4.57", 0xF7: "1.2.840.10008.1.2.4.80"}
"""The frame header's marker (ITU-T T.81, table B.1; T.87) -> the transfer syntax of the same stream in a DICOM."""


def is_lossless_gray(content: bytes) -> bool:
    """Whether these are the bytes of a lossless JPEG or a JPEG-LS of one channel."""
    header = jpeg_header(content) if content.startswith(START) else None
    return header is not None and header.channels == 1 and frame_marker(content) in _SYNTAXES


def read_lossless(content: bytes, name: str) -> GrayImage:
    """The film of such a file, its depth by the rule of `cxr.imaging.gray`: encoders state 16 bits for less.

    Raises:
        ImageError: it is damaged, cut short, or of a size that we do not take.
    """
    from pydicom import Dataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    header, syntax = jpeg_header(content), _SYNTAXES[frame_marker(content) or 0]
    assert header is not None
    check_size(header.width, header.height, name)
    data = Dataset()
    data.Rows, data.Columns, data.SamplesPerPixel = header.height, header.width, 1
    data.BitsAllocated, data.BitsStored, data.HighBit = (
        8 if header.bits <= 8 else 16,
        header.bits,
        header.bits - 1,
    )
    data.PixelRepresentation, data.PhotometricInterpretation = 0, "MONOCHROME2"
    data.PixelData = encapsulate([content])
    quiet_gdcm()
    try:
        values = stored_values(data, UID(syntax), content, header, name)
    except ImageError as error:
        raise ImageError(
            "damaged_image", f"{name} is a lossless JPEG that is damaged or cut short. Export it as PNG."
        ) from error
    return from_array(values.astype(np.uint8) if header.bits <= 8 else values.astype(np.uint16))
