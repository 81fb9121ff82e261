"""rsna:DIR: the RSNA Pneumonia Detection Challenge (Shih et al. 2019) as Kaggle ships it, a folder or its .zip.

    stage_2_train_images/*.dcm           one film a patient, named by the patient's UUID
    stage_2_train_labels.csv             patientId, x, y, width, height, Target: a row a box
    stage_2_detailed_class_info.csv      patientId, class

"Lung Opacity" is PNEUMONIA, with its boxes; "Normal" is NORMAL. "No Lung Opacity / Not Normal" is left out, or with
rsna:DIR?others=normal counted as NORMAL, which it is not: it is only no pneumonia. A folder or a .zip with both tables
is read so without the prefix, too.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxr.data.base import Reading
from cxr.data.films import Box, Film, describe
from cxr.data.names import PassedOver, kind_of_other, may_be_film
from cxr.data.table import MOST_BYTES
from cxr.data.words import BARE_SPLIT
from cxr.errors import DataError
from cxr.types import NORMAL, PNEUMONIA

LABELS, CLASSES_INFO = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
_OPACITY, _NORMAL, _OTHER = "Lung Opacity", "Normal", "No Lung Opacity / Not Normal"


class ChallengeFiles(Protocol):
    """The files of the challenge in one place. name: what people call it; names: of its files, with "/"."""

    name: str

    @property
    def names(self) -> Sequence[str]: ...

    def read(self, name: str, most: int = ...) -> bytes:
        """The bytes of a file, cut after `most`. Raises DataError."""


def is_challenge(names: Sequence[str]) -> bool:
    """Whether the files of a tree are those of the challenge."""
    return {LABELS, CLASSES_INFO} <= {name.rpartition("/")[2] for name in names}


def challenge_films(
    tree: ChallengeFiles, others: bool, reading: Reading
) -> tuple[list[Film], PassedOver, tuple[str, ...]]:
    """The labelled films of the challenge, what was left out, and notes.

    Args:
        tree: its files.
        others: whether films that are neither normal nor pneumonia count as NORMAL.
        reading: how DATA is read; the patient is always the challenge's own.

    Raises:
        DataError: tables are missing, damaged or contradict each other, or no file is a film that they name.
    """
    boxes = _boxes(_rows(tree, LABELS, {"patientId", "x", "y", "width", "height", "Target"}))
    classes = {row["patientId"]: row["class"] for row in _rows(tree, CLASSES_INFO, {"patientId", "class"})}
    passed_over = PassedOver()
    films: list[Film] = []
    for name in tree.names:
        label = _label(name, classes, boxes, others, passed_over)
        if label:
            film = describe(name, BARE_SPLIT, label, patient_of=reading.patient_of)
            patient = _stem(name)
            films.append(replace(film, patient=f"rsna{patient}", boxes=tuple(boxes.get(patient, ()))))
    if not films:
        raise DataError(f"{tree.name} holds no film that {LABELS} and {CLASSES_INFO} name.")
    note = f'"{_OTHER}" counts as NORMAL here: no pneumonia, but not normal'
    return films, passed_over, (note,) if others else ()


def box_mask(film: Film, side: int) -> NDArray[np.bool_]:
    """Where the boxes of a film lie at a model's resolution, bool (side, side), as a film stretched to a square.

    A pixel that a box touches belongs to it. Raises DataError where the film's original size is not known.
    """
    if film.size is None:
        raise DataError(f"The size of {film.path} is not known, so its boxes cannot be placed.")
    across, down = side / film.size[0], side / film.size[1]
    mask = np.zeros((side, side), bool)
    for box in film.boxes:
        rows = slice(int(box.y * down), int(np.ceil((box.y + box.height) * down)))
        columns = slice(int(box.x * across), int(np.ceil((box.x + box.width) * across)))
        mask[rows, columns] = True
    return mask


def _rows(tree: ChallengeFiles, name: str, columns: set[str]) -> list[dict[str, str]]:
    """The rows of a table of the challenge, wherever in the tree it lies."""
    found = [path for path in tree.names if path.rpartition("/")[2] == name]
    if not found:
        raise DataError(f"{tree.name} has no {name}. rsna: reads the challenge's files as Kaggle ships them.")
    nearest = min(found, key=lambda path: (path.count("/"), path))
    try:
        reader = csv.DictReader(io.StringIO(tree.read(nearest, MOST_BYTES).decode("utf-8-sig")), strict=True)
        rows = [{key: value or "" for key, value in row.items() if key} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name} is no table in CSV ({error}). Download it again.") from error
    missing = sorted(columns - set(reader.fieldnames or ()))
    if missing:
        raise DataError(f"{name} has no column {', '.join(missing)}. Download it again.")
    return rows


def _boxes(rows: Sequence[dict[str, str]]) -> dict[str, list[Box]]:
    """The boxes of each patient with an opacity."""
    boxes: dict[str, list[Box]] = defaultdict(list)
    for row in rows:
        if row["Target"] != "1":
            continue
        try:
            boxes[row["patientId"]].append(Box(*(float(row[edge]) for edge in ("x", "y", "width", "height"))))
        except ValueError as error:
            raise DataError(
                f"{LABELS} has a box of {row['patientId']} that is no four numbers. Download it again."
            ) from error
    return boxes


def _label(
    name: str, classes: dict[str, str], boxes: dict[str, list[Box]], others: bool, passed_over: PassedOver
) -> str:
    """The class of a file of the tree; "", and counted, for what is no labelled film of the two classes."""
    patient = _stem(name)
    if name.rpartition("/")[2] in (LABELS, CLASSES_INFO):
        return ""
    if not name.lower().endswith(".dcm") or patient not in classes:
        passed_over["without a label" if may_be_film(name) else kind_of_other(name)] += 1
        return ""
    found = classes[patient]
    if (found == _OPACITY) != (patient in boxes):
        raise DataError(
            f"{LABELS} and {CLASSES_INFO} contradict each other about {patient}. Download them again."
        )
    if found == _OPACITY:
        return PNEUMONIA
    if found == _NORMAL or (found == _OTHER and others):
        return NORMAL
    passed_over[f"with the class {found}"] += 1
    return ""


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]
