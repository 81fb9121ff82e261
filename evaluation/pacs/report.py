"""One answer as a DICOM Structured Report: TID 1500, Measurement Report (DICOM PS3.16), in the film's own study.

It holds the algorithm with its version, the finding "pneumonia" as present, absent or undetermined, the calibrated
probability, and in words what the answer is not. Of the patient it repeats only what makes it part of the study.
"""

import uuid
from typing import TYPE_CHECKING, TypeVar

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    EnhancedSR,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from cxr.model.answer import Answer
from cxr.model.decision import DecisionSpec
from cxr.model.predictor import ModelIdentity
from cxr.types import NORMAL, PNEUMONIA, UNCERTAIN
from evaluation.config import DISCLAIMER

if TYPE_CHECKING:
    from pydicom import Dataset

Report = TypeVar("Report", bound="Dataset")
MANUFACTURER = "cxr-pneumonia (open source)"
SERIES_NUMBER = 9500
FINDING = CodedConcept("233604007", "SCT", "Pneumonia")
PROBABILITY = CodedConcept("probability-pneumonia", "99CXR", "Calibrated probability of pneumonia")
_PROCEDURE = CodedConcept("399208008", "SCT", "Plain chest X-ray")
_ONE = CodedConcept("1", "UCUM", "no units")
_PRESENCE = {
    PNEUMONIA: codes.DCM.Present,
    NORMAL: codes.DCM.Absent,
    UNCERTAIN: codes.DCM.PresenceUndetermined,
}
# Type 1 and 2 elements of Patient and General Study, and those by which a PACS tells two patients apart.
_OF_THE_STUDY = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
)
_BLANK = (
    *(keyword for keyword in _OF_THE_STUDY if keyword not in ("SpecificCharacterSet", "IssuerOfPatientID")),
)
_OWN_CODES = CodingSchemeIdentificationItem("99CXR", name=MANUFACTURER)


def structured_report(
    film: "Dataset", answer: Answer, model: ModelIdentity, rule: DecisionSpec
) -> EnhancedSR:
    """The report on one film.

    Args:
        film: The film's data set; its pixels are not read.
        answer: What the model says of it; refused films too have a report, without finding and probability.
        model: Which model answered.
        rule: The model's decision rule.

    Returns:
        An Enhanced SR. Film and model give its UIDs, so that to store it twice makes no second report.
    """
    observer = ObserverContext(
        codes.DCM.Device,
        DeviceObserverIdentifyingAttributes(
            uid=derived_uid(model.sha256),
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=_short(model.source),
        ),
    )
    content = MeasurementReport(
        ObservationContext(observer_device_context=observer),
        _PROCEDURE,
        [_measurements(film, answer, model, rule)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    for line in comments(answer):
        content[0].ContentSequence.append(
            TextContentItem(codes.DCM.Comment, line, RelationshipTypeValues.CONTAINS)
        )
    report = EnhancedSR(
        [_anonymous(film)],
        content[0],
        series_instance_uid=derived_uid(film.StudyInstanceUID, model.sha256, "report"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=derived_uid(film.SOPInstanceUID, model.sha256, "report"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        coding_schemes=[_OWN_CODES],
        series_description="Pneumonia classifier: reports",
        manufacturer_model_name=_short(model.source),
        software_versions=model.version or model.sha256[:12],
    )
    return join_study(report, film)


def comments(answer: Answer) -> list[str]:
    """What a reader has to know beside finding and probability, in English."""
    lines = [DISCLAIMER]
    if answer.scope == "refused":
        lines.append("No answer: the model does not take this image for a frontal chest radiograph.")
    if answer.scope == "unfamiliar":
        lines.append("The model's figures were not measured on radiographs of this kind.")
    if answer.warnings:
        lines.append(f"Warnings: {', '.join(code.replace('_', ' ') for code in answer.warnings)}.")
    return lines


def derived_uid(*parts: str) -> str:
    """A UID that the same parts always give (ITU-T X.667: 2.25 and a UUID, here of version 5)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(parts)).int}"


def join_study(report: Report, film: "Dataset") -> Report:
    """Make `report` part of the film's study: the same patient and study elements, as they stand in the film."""
    for keyword in _OF_THE_STUDY:
        if keyword in film:
            report[keyword] = film[keyword]
    return report


def _anonymous(film: "Dataset") -> "Dataset":
    """What highdicom needs of the film, without its patient: it checks names, and logs what it finds odd."""
    from pydicom import Dataset

    referred = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(referred, keyword, film[keyword].value)
    for keyword in _BLANK:
        setattr(referred, keyword, "")
    return referred


def _measurements(
    film: "Dataset", answer: Answer, model: ModelIdentity, rule: DecisionSpec
) -> MeasurementsAndQualitativeEvaluations:
    """TID 1501: the finding on one film."""
    evaluations, measurements = [], []
    if answer.decision is not None and answer.probability is not None:
        evaluations = [QualitativeEvaluation(codes.DCM.PresenceOfProperty, _PRESENCE[answer.decision])]
        measurements = [Measurement(PROBABILITY, answer.probability, _ONE)]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid(film.SOPInstanceUID, model.sha256, "finding"), identifier="Pneumonia"
        ),
        finding_type=FINDING,
        algorithm_id=AlgorithmIdentification(
            name=_short(model.source),
            version=model.version or model.sha256[:12],
            parameters=[f"operating threshold {rule.threshold:.6f}", f"weights sha256 {model.sha256}"],
        ),
        measurements=measurements,
        qualitative_evaluations=evaluations,
        source_images=[SourceImageForMeasurementGroup(film.SOPClassUID, film.SOPInstanceUID)],
    )


def _short(text: str) -> str:
    """A text for an element of VR LO: 64 characters, without backslash."""
    return text.replace("\\", "/")[-64:]
