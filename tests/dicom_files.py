"""DICOM files for the tests, of phantoms and noise; full of a made-up person's data, none of which may come out."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

SECRETS = ("Quixote", "Alonso^Quixote", "19470213", "LAMANCHA-7", "Sancho", "Dulcinea")
"""Texts of the files' elements: if one of them shows anywhere, a tag was let out."""

JPEG_12_BIT = base64.b85decode(
    b"|JeWF01!$>Nk#wx0RR9200961|JwjV00RO70|EjA0|NsD0|NvF2n7WM1O*BQ2L=cX3JeSj3JVJj4iXRz4iOFu3lJ6%"
    b"5fc;@6%`B*7Z?^47!ni}6#u~h3k(1u03`td5di<h02crO0RaI30000000000000073=0ka!~h}?000L70s#d800000"
    b"0000000j#tGNj=nH$nm=F*AYx+5iXv0RR9$0OzO>Cnpxdjs$`P<l@*-z>YwioLdSw5(rb1i(y9s32JhD9brcWC`2jA"
    b"#jvA+9DzAFwiIwA5GN-V!j1%T1mxn_QNV&&oSz3+QNc<P0&<aTDBwsSPEIX_90=qI%0;lFfgpuBIJOjUAeN^m?fSxw"
    b"3Q$NBl#5|U0zm?Dacn5yNFYv5ErlEi<O#{eu%m$lwK+Zxu%m-ZvJW4?jzRP22?RbNAcMppmi+_&*#"
)
"""`smooth(33, 37, 4095)` as JPEG Extended of 12 bits, of an odd width, by libjpeg-turbo 3."""


def dataset(pixels: NDArray[Any], bits: int | None = None, **elements: Any) -> Dataset:
    """A data set with these pixels, uint8, uint16 or int16, and other elements as given."""
    data = Dataset()
    data.SOPClassUID = DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    data.PatientName = "Alonso^Quixote"
    data.PatientID = "LAMANCHA-7"
    data.PatientBirthDate = "19470213"
    data.InstitutionName = "Dulcinea"
    data.ReferringPhysicianName = "Sancho"
    data.ImageComments = "Quixote"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    data["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
    for name, value in elements.items():
        setattr(data, name, value)
    return data


def dicom_bytes(
    pixels: NDArray[Any], bits: int | None = None, syntax: UID = ExplicitVRLittleEndian, **elements: Any
) -> bytes:
    """A DICOM file, uncompressed or deflated."""
    return written(dataset(pixels, bits, **elements), syntax)


def encapsulated(data: Dataset, frame: bytes, syntax: UID) -> bytes:
    """A DICOM file whose one frame is compressed already."""
    data.PixelData = encapsulate([frame])
    data["PixelData"].is_undefined_length = True
    data["PixelData"].VR = "OB"
    return written(data, syntax)


def compressed(content: bytes, folder: Path, kind: str) -> bytes:
    """The same DICOM file in another transfer syntax of GDCM, by its name there: "JPEGLosslessProcess14_1" ..."""
    import gdcm

    before, after = folder / "before.dcm", folder / "after.dcm"
    before.write_bytes(content)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(before))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(after))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return after.read_bytes()


def written(data: Dataset, syntax: UID) -> bytes:
    """The file of a data set."""
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.get("SOPClassUID", DigitalXRayImageStorageForPresentation)
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    stream = io.BytesIO()
    dcmwrite(stream, data, enforce_file_format=True)
    return stream.getvalue()


def smooth(height: int = 96, width: int = 80, top: int = 255) -> NDArray[np.uint16]:
    """A pattern with every level from 0 to `top` or nearly."""
    y, x = np.mgrid[:height, :width]
    return np.round((y * width + x) / (height * width - 1) * top).astype(np.uint16)
