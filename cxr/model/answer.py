"""The one answer: what is said of one image, from the predictor to the page, the API, every CSV and the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from cxr.errors import ImageRule
from cxr.model.decision import DecisionSpec
from cxr.model.input_gate import Assessment
from cxr.types import Decision, WarningCode

Scope = Literal["familiar", "unfamiliar", "refused"]
"""How an image relates to those on which the model was measured, by the input gate.

familiar: a frontal chest radiograph like them. unfamiliar: a frontal chest radiograph of another kind, on which the
model's figures were not measured. refused: not a frontal chest radiograph, or not one the right way round.
"""

SCHEMA_VERSION: Final = "2"
"""Of the API's JSON."""


class Failure(NamedTuple):
    """Why a file could not be read as one radiograph: a stable code, and a sentence in English."""

    code: ImageRule | Literal["report_not_stored"]
    message: str


@dataclass(frozen=True)
class Answer:
    """What is said of one image.

    Attributes:
        file: Name or path of the image, "" where it has none.
        patient: Group of images of one person, "" where unknown.
        truth: What the label says, NORMAL or PNEUMONIA; "" for an image without a label.
        subtype: Kind of pneumonia that the label tells, "bacterial" or "viral"; else "".
        source: Data set that the image belongs to, where several are used; else "".
        decision: What the model says; None where the image was refused or could not be read.
        probability: Calibrated P(PNEUMONIA) in [0, 1]; None exactly where `decision` is.
        scope: What the input gate says; None where the image could not be read.
        warnings: Codes of decoding and of the gate; for a refused image the reason is among them.
        error: Why the file could not be read, else None.
    """

    file: str = ""
    patient: str = ""
    truth: str = ""
    subtype: str = ""
    source: str = ""
    decision: Decision | None = None
    probability: float | None = None
    scope: Scope | None = None
    warnings: tuple[WarningCode, ...] = ()
    error: Failure | None = None

    @property
    def refused(self) -> bool:
        """Whether the image was read, and the input gate refused it."""
        return self.scope == "refused"

    @property
    def answered(self) -> bool:
        """Whether there is a decision: the image was read and not refused."""
        return self.decision is not None


def scope_of(assessment: Assessment) -> Scope:
    """The scope that the input gate's assessment stands for."""
    if not assessment.accepted:
        return "refused"
    return "unfamiliar" if assessment.code == "unlike_training" else "familiar"


def judge(decision: DecisionSpec, probability: float, assessment: Assessment) -> Answer:
    """The answer for an image of a calibrated probability in [0, 1] that the input gate has assessed."""
    scope = scope_of(assessment)
    warnings: tuple[WarningCode, ...] = (assessment.code,) if assessment.code else ()
    if scope == "refused":
        return Answer(scope=scope, warnings=warnings)
    return Answer(
        decision=decision.decide(probability, familiar=scope == "familiar"),
        probability=probability,
        scope=scope,
        warnings=warnings,
    )


def answer_json(
    answer: Answer,
    identity: Mapping[str, str],
    threshold: float,
    seconds: float,
    message_of: Callable[[WarningCode], str],
) -> dict[str, Any]:
    """The API's answer for one image, by schema_version 2 of docs/api.md.

    Args:
        answer: Of an image that could be read.
        identity: Which model answered: source, revision, version and sha256.
        threshold: The model's operating point, in (0, 1).
        seconds: From decoded image to decision.
        message_of: The words for a warning.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        **_judgement(answer, threshold, message_of),
        "model": dict(identity),
        "seconds": seconds,
    }


def row_json(answer: Answer, threshold: float, message_of: Callable[[WarningCode], str]) -> dict[str, Any]:
    """The API's answer for one of many images, with its file name, and its error where it could not be read."""
    error = answer.error
    return {
        "file": answer.file,
        **_judgement(answer, threshold, message_of),
        "error": {"code": error.code, "message": error.message} if error else None,
    }


def _judgement(answer: Answer, threshold: float, message_of: Callable[[WarningCode], str]) -> dict[str, Any]:
    return {
        "decision": answer.decision,
        "probability": answer.probability,
        "threshold": threshold,
        "scope": answer.scope,
        "warnings": [{"code": code, "message": message_of(code)} for code in answer.warnings],
    }
