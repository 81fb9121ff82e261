"""predictions.csv: one model's answer for each labelled film, from which every figure can be recomputed."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from cxr.data.loading import LoadedFilms
from cxr.errors import DataError
from cxr.files import write_text
from cxr.model.decision import DecisionSpec, Label, logit
from cxr.model.predictor import Predictor
from cxr.types import CLASSES, PNEUMONIA, UNCERTAIN, Probabilities


@dataclass(frozen=True)
class ScoredFilm:
    """One labelled film with a model's answer: a row of predictions.csv.

    file: its path inside the data set; patient: the group that the bootstrap resamples as a whole;
    label: the truth, NORMAL or PNEUMONIA; subtype: "bacterial", "viral" or "";
    probability: calibrated P(PNEUMONIA) in [0, 1]; decision: NORMAL, PNEUMONIA or UNCERTAIN, as without the input
    gate; accepted: whether the gate lets the film pass.
    """

    file: str
    patient: str
    label: str
    subtype: str
    probability: float
    decision: Label
    accepted: bool = True

    @property
    def is_pneumonia(self) -> bool:
        return self.label == PNEUMONIA


COLUMNS = tuple(field.name for field in fields(ScoredFilm))


def score_films(predictor: Predictor, loaded: LoadedFilms) -> list[ScoredFilm]:
    """The predictor's answers, in the films' order. `loaded` was preprocessed by `predictor.preprocess`.

    Raises BundleError where an answer is not a number.
    """
    decision, found = predictor.decision, predictor.outputs(loaded.pixels)
    judged = predictor.assess(loaded.pixels, found.features)
    accepted = [word.accepted for word in judged]
    return as_rows(loaded, decision, decision.probabilities(found.logits), accepted)


def as_rows(
    loaded: LoadedFilms, decision: DecisionSpec, y_prob: Probabilities, accepted: Sequence[bool] | None = None
) -> list[ScoredFilm]:
    """Rows of films and their probabilities (n,); accepted: by the input gate, all without it."""
    passed = accepted if accepted is not None else [True] * len(y_prob)
    return [
        ScoredFilm(film.path, film.patient, film.label, film.subtype, value, decision.label(value), word)
        for film, value, word in zip(loaded.films, y_prob.tolist(), passed, strict=True)
    ]


def labels_and_probabilities(rows: Sequence[ScoredFilm]) -> tuple[np.ndarray, Probabilities]:
    """y_true uint8 (n,), 1 is PNEUMONIA; y_prob float64 (n,)."""
    y_true = np.array([row.is_pneumonia for row in rows], np.uint8)
    return y_true, np.array([row.probability for row in rows], np.float64)


def worst_errors(rows: Sequence[ScoredFilm], threshold: float, at_most: int) -> list[ScoredFilm]:
    """The films on the wrong side of `threshold`, those whose log-odds lie farthest from it first."""
    wrong = [row for row in rows if (row.probability >= threshold) != row.is_pneumonia]
    centre = float(logit(np.array([threshold]))[0])

    def margin(row: ScoredFilm) -> float:
        return abs(float(logit(np.array([row.probability]))[0]) - centre)

    return sorted(wrong, key=lambda row: (-margin(row), row.file))[:at_most]


def write_predictions(path: Path, rows: Sequence[ScoredFilm]) -> None:
    """Write predictions.csv; probabilities are written so that reading gives back the same float64."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) | {"probability": repr(row.probability)} for row in rows)
    write_text(path, stream.getvalue())


def read_predictions(path: Path) -> list[ScoredFilm]:
    """Read predictions.csv. Raises DataError where the file is missing or is not one of ours."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not UTF-8 text"
        raise _unfit("a readable predictions.csv", f"{path.name} ({reason})") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        # Bundles from before the input gate have no column for it: every film passed.
        if tuple(reader.fieldnames or ()) not in (COLUMNS, COLUMNS[:-1]):
            raise _unfit(f"columns {','.join(COLUMNS)}", ",".join(reader.fieldnames or ()) or "an empty file")
        return [_parse(values, reader.line_num, len(reader.fieldnames or ())) for values in reader]
    except csv.Error as error:
        raise _unfit("a predictions.csv in CSV", f"{path.name} ({error})") from error


def _parse(values: dict[str, str], line: int, cells: int) -> ScoredFilm:
    # DictReader files surplus cells under None and fills missing ones with None.
    if None in values or None in values.values():
        raise _unfit(f"{cells} cells in line {line}", "another number of them")
    if values["label"] not in CLASSES:
        raise _unfit(f"label {' or '.join(CLASSES)} in line {line}", repr(values["label"]))
    if values["decision"] not in (*CLASSES, UNCERTAIN):
        raise _unfit(f"decision {', '.join((*CLASSES, UNCERTAIN))} in line {line}", repr(values["decision"]))
    try:
        probability = float(values["probability"])
    except ValueError:
        probability = float("nan")
    if not 0 <= probability <= 1:
        raise _unfit(f"a probability from 0 to 1 in line {line}", repr(values["probability"]))
    accepted = values.get("accepted", str(True))
    if accepted not in (str(True), str(False)):
        raise _unfit(f"accepted True or False in line {line}", repr(accepted))
    return ScoredFilm(**{**values, "probability": probability, "accepted": accepted == str(True)})  # type: ignore[arg-type]


def _unfit(expected: str, received: str) -> DataError:
    return DataError(
        expected, received, "pass a predictions.csv that python -m evaluation or the trainer wrote"
    )
