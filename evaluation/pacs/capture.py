"""The evidence map over its film as a Secondary Capture, a picture that every DICOM viewer shows."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from highdicom.sc import SCImage
from PIL import Image, ImageDraw, ImageFont
from pydicom.uid import ExplicitVRLittleEndian

from cxr.imaging.decode import GrayImage
from cxr.imaging.heat_map import overlay
from cxr.model.predictor import Explanation, ModelIdentity
from evaluation.config import DISCLAIMER
from evaluation.pacs.report import MANUFACTURER, SERIES_NUMBER, derived_uid, join_study

if TYPE_CHECKING:
    from pydicom import Dataset

_LONGEST_SIDE = 1024
"""Some 3 MB in the PACS for each film."""
_NOTE = f"Where the model found evidence for pneumonia. {DISCLAIMER}"


def map_capture(
    film: "Dataset", image: GrayImage, explanation: Explanation, model: ModelIdentity, temperature: float
) -> SCImage:
    """The film with its evidence map in colour, and a line below that says what it is.

    Args:
        film: The film's data set; its pixels are not read.
        image: The same film, decoded.
        explanation: Its answer and evidence map.
        model: Which model answered.
        temperature: The decision rule's.

    Returns:
        An RGB Secondary Capture in the film's study, whose source image is the film.
    """
    picture = _with_note(overlay(image, explanation.evidence, temperature))
    capture = SCImage(
        np.asarray(picture),
        "RGB",
        8,
        coordinate_system="PATIENT",
        study_instance_uid=film.StudyInstanceUID,
        series_instance_uid=derived_uid(film.StudyInstanceUID, model.sha256, "map"),
        series_number=SERIES_NUMBER + 1,
        sop_instance_uid=derived_uid(film.SOPInstanceUID, model.sha256, "map"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        patient_id="",
        patient_name="",
        patient_birth_date="",
        patient_sex="",
        accession_number="",
        study_id="",
        study_date="",
        study_time="",
        referring_physician_name="",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description="Pneumonia classifier: evidence maps",
    )
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.BurnedInAnnotation = "NO"  # of the patient there is none; the line is ours
    capture.DerivationDescription = _NOTE
    capture.SourceImageSequence = [_reference(film)]
    return join_study(capture, film)


def _with_note(picture: Image.Image) -> Image.Image:
    """The picture, reduced to `_LONGEST_SIDE`, with `_NOTE` in a black strip below it."""
    shown = picture.copy()
    shown.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    size = max(10, shown.width // 50)
    font = ImageFont.load_default(size)
    lines = textwrap.fill(_NOTE, width=max(20, round(shown.width / (0.6 * size))))
    height = size * 2 + round(ImageDraw.Draw(shown).multiline_textbbox((0, 0), lines, font)[3])
    whole = Image.new("RGB", (shown.width, shown.height + height))
    whole.paste(shown)
    ImageDraw.Draw(whole).multiline_text((size, shown.height + size), lines, fill="white", font=font)
    return whole


def _reference(film: "Dataset") -> "Dataset":
    from pydicom import Dataset

    source = Dataset()
    source.ReferencedSOPClassUID = film.SOPClassUID
    source.ReferencedSOPInstanceUID = film.SOPInstanceUID
    return source
