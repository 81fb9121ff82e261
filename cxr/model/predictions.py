"""predictions.csv: one model's answer for each labelled film, from which every figure can be computed again."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cxr.errors import DataError, first_problem
from cxr.files import write_bytes
from cxr.model.answer import Answer, Scope
from cxr.model.answer_csv import COLUMNS, cells_of, csv_header, csv_lines, plain_cell
from cxr.types import PNEUMONIA, Decision, WarningCode

PREDICTIONS_FILE: Final = "predictions.csv"
UNGATED: Final = "ungated_probability"
"""The column after those of every CSV of answers: the calibrated probability of refused films, too, unrounded.

Figures count every labelled film, and are computed from it. Six digits would not do: they make ties, which moves the
AUC, and turn a confident error of 1 - 1e-7 into a certain one, which moves the log loss.
"""
_COLUMNS = (*COLUMNS, UNGATED)
# Bundles up to 0.3.0; the oldest have no column for the input gate, which let every film pass.
_OLD_COLUMNS = ("file", "patient", "label", "subtype", "probability", "decision", "accepted")
_OLD_SCOPES = {"True": "familiar", "False": "refused", None: "familiar"}


@dataclass(frozen=True)
class ScoredFilm:
    """A labelled film with a model's answer: a row of predictions.csv.

    Attributes:
        answer: What the model says of the film; its `truth` is NORMAL or PNEUMONIA.
        probability: Calibrated P(PNEUMONIA) in [0, 1] as without the input gate: figures count refused films, too.
    """

    answer: Answer
    probability: float

    @property
    def file(self) -> str:
        """Its path inside the data set."""
        return self.answer.file

    @property
    def patient(self) -> str:
        """The group that the bootstrap draws as a whole."""
        return self.answer.patient

    @property
    def subtype(self) -> str:
        """Kind of pneumonia, "" where unknown."""
        return self.answer.subtype

    @property
    def is_pneumonia(self) -> bool:
        """Whether the label says PNEUMONIA."""
        return self.answer.truth == PNEUMONIA


class _Row(BaseModel):
    """A line of predictions.csv, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    patient: str
    truth: Literal["NORMAL", "PNEUMONIA"]
    subtype: str
    source: str = ""
    decision: Decision | None
    scope: Scope
    warnings: tuple[WarningCode, ...] = ()
    ungated_probability: float = Field(ge=0, le=1, allow_inf_nan=False)

    def film(self) -> ScoredFilm:
        refused = self.scope == "refused"
        answer = Answer(
            self.file,
            self.patient,
            self.truth,
            self.subtype,
            self.source,
            None if refused else self.decision,
            None if refused else self.ungated_probability,
            self.scope,
            self.warnings,
        )
        return ScoredFilm(answer, self.ungated_probability)


def write_predictions(path: Path, films: Sequence[ScoredFilm], unreadable: Sequence[Answer] = ()) -> None:
    """Write predictions.csv; reading gives back the same films.

    Args:
        path: The file.
        films: Labelled films with their answers.
        unreadable: Rows of films that could not be read, for the record; they come last.
    """
    rows = [[*cells_of(film.answer), repr(film.probability)] for film in films]
    rows += [[*cells_of(answer), ""] for answer in unreadable]
    write_bytes(path, csv_header(_COLUMNS) + csv_lines(rows))


def read_predictions(path: Path) -> list[ScoredFilm]:
    """Read the films of predictions.csv that have an answer, also as bundles up to 0.3.0 have it.

    Raises:
        DataError: The file is missing, or is not one of ours.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8 text"
        raise DataError(f"{path.name} cannot be read: {reason}.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    columns = tuple(reader.fieldnames or ())
    if columns not in (_COLUMNS, _OLD_COLUMNS, _OLD_COLUMNS[:-1]):
        raise DataError(
            f"{path.name} has the columns {','.join(columns) or '(none)'}, but predictions have {','.join(_COLUMNS)}."
        )
    try:
        return [
            _film(line, path.name, reader.line_num, columns == _COLUMNS)
            for line in reader
            if not line.get("error")
        ]
    except csv.Error as error:
        raise DataError(f"{path.name} is not valid CSV: {error}.") from error


def _film(line: Mapping[str | None, Any], name: str, number: int, new: bool) -> ScoredFilm:
    # DictReader files surplus cells under None and fills missing ones with None.
    if None in line or None in line.values():
        raise DataError(f"Line {number} of {name} has too many or too few cells.")
    cells = {str(key): plain_cell(value) for key, value in line.items()}
    try:
        return _Row.model_validate(_new_fields(cells) if new else _old_fields(cells)).film()
    except ValidationError as error:
        raise DataError(f"Line {number} of {name} is not a prediction: {first_problem(error)}.") from error


def _new_fields(cells: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {key: cells[key] for key in _COLUMNS if key not in ("probability", "error")}
    return fields | {
        "decision": cells["decision"] or None,
        "warnings": tuple(filter(None, cells["warnings"].split(";"))),
    }


def _old_fields(cells: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {key: cells[key] for key in ("file", "patient", "subtype", "decision")}
    accepted = cells.get("accepted")
    return fields | {
        "truth": cells["label"],
        "scope": _OLD_SCOPES.get(accepted, accepted),
        UNGATED: cells["probability"],
    }
