"""Films of a labelled data set, the checks before any training, and the manifest."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cxr.data.patients import UNKNOWN, Naming, patient_by_name, subtype_by_name
from cxr.data.words import BARE_SPLIT, SPLITS
from cxr.errors import DataError
from cxr.files import write_text
from cxr.types import CLASSES, PNEUMONIA, WarningCode

__all__ = ["BARE_SPLIT", "SPLITS"]  # as many rooms know them from here


class Box(NamedTuple):
    """Where an opacity lies on the original film: left, top, width and height in its pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Film:
    """One labelled radiograph: a row of the manifest.

    path: inside the data set, with "/"; patient: the group that must not stand on both sides of a split;
    subtype: "bacterial", "viral", or "" where nothing says; sha256: of the file's bytes; source: the name of the
    DATA that it came from. Where a table tells: age in years, sex and view, as text, "" where unknown.
    pair: a normal and a pneumonia film of one pair are alike in what must not decide, such as exposure and view.
    boxes: where opacities were drawn. Once it has been read: size, (width, height) of the original in pixels; notes,
    what decoding had to do.
    """

    path: str
    split: str
    label: str
    subtype: str
    patient: str
    sha256: str = ""
    source: str = ""
    age: str = ""
    sex: str = ""
    view: str = ""
    pair: str = ""
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None
    notes: tuple[WarningCode, ...] = ()

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def is_pneumonia(self) -> bool:
        return self.label == PNEUMONIA

    @property
    def has_known_patient(self) -> bool:
        return not self.patient.startswith(UNKNOWN)


def describe(
    path: str,
    split: str,
    label: str,
    subtype: str = "",
    patient_of: Naming = patient_by_name,
    source: str = "",
) -> Film:
    """A Film from its place and file name. Where `patient_of` finds no patient, the film is a patient of its own.

    subtype: what folders say; else the file's name is asked.
    """
    patient = patient_of(path) or f"{UNKNOWN}{path}"
    return Film(path, split, label, subtype or subtype_by_name(path), patient, source=source)


def join_duplicates(films: Sequence[Film]) -> list[Film]:
    """Give films with identical bytes one patient group, and with them all films of their groups."""
    leader: dict[str, str] = {}

    def find(group: str) -> str:
        while leader.setdefault(group, group) != group:
            group = leader[group]
        return group

    first_of: dict[str, str] = {}
    for film in films:
        if film.sha256:
            first = first_of.setdefault(film.sha256, film.patient)
            low, high = sorted((find(first), find(film.patient)))
            leader[high] = low
    return [replace(film, patient=find(film.patient)) for film in films]


@dataclass(frozen=True)
class DataChecks:
    """What the checks before any training found.

    counts: films by (split, class); duplicates_within, duplicates_across: sets of files with identical bytes in
    one split, or in several; groups_on_two_sides: patient groups whose name occurs in several splits.
    """

    counts: dict[str, dict[str, int]]
    duplicates_within: list[list[str]]
    duplicates_across: list[list[str]]
    groups_on_two_sides: dict[str, list[str]]

    def lines(self, shown: int = 3) -> list[str]:
        """The findings in words, a line each, with at most `shown` examples."""
        rows = [
            f"{split:>10}: " + ", ".join(f"{n:,} {name}" for name, n in by_class.items())
            for split, by_class in self.counts.items()
        ]
        for what, sets in (
            ("within a split", self.duplicates_within),
            ("across splits", self.duplicates_across),
        ):
            examples = "".join(f"\n            {' = '.join(names)}" for names in sets[:shown])
            rows.append(f"exact duplicates {what}: {len(sets)}{examples}")
        names = ", ".join(list(self.groups_on_two_sides)[:shown])
        rows.append(
            f"patient groups named in several splits: {len(self.groups_on_two_sides)}"
            + (f" ({names}, ...)" if names else "")
        )
        return rows


def check_films(films: Sequence[Film]) -> DataChecks:
    """Count films and look for duplicates and for groups on two sides. Needs sha256."""
    counts: dict[str, dict[str, int]] = {}
    same_bytes: dict[str, list[Film]] = defaultdict(list)
    splits_of: dict[str, set[str]] = defaultdict(set)
    for film in films:
        counts.setdefault(film.split, dict.fromkeys(CLASSES, 0))[film.label] += 1
        same_bytes[film.sha256].append(film)
        splits_of[film.patient].add(film.split)
    repeated = [group for group in same_bytes.values() if len(group) > 1]
    across = [group for group in repeated if len({film.split for film in group}) > 1]
    within = [group for group in repeated if group not in across]
    return DataChecks(
        counts,
        [[film.path for film in group] for group in within],
        [[film.path for film in group] for group in across],
        {name: sorted(splits) for name, splits in sorted(splits_of.items()) if len(splits) > 1},
    )


def require_both_classes(films: Iterable[Film], where: str) -> None:
    """Raise DataError unless both classes have films. where: what was looked at, such as "the split train"."""
    counts = Counter(film.label for film in films)
    missing = [name for name in CLASSES if not counts[name]]
    if len(missing) == len(CLASSES):
        raise DataError(f"No film is left in {where}: there is nothing to learn or to measure.", "no_film")
    if missing:
        there = next(name for name in CLASSES if counts[name])
        raise DataError(
            f"Both classes are needed, but {where} holds {counts[there]:,} {there} and 0 {missing[0]} films. "
            f"Add {missing[0]} films.",
            "one_class",
            count=counts[there],
            there=there,
            missing=missing[0],
        )


# --- The manifest

_COLUMNS = ("path", "sha256", "patient", "label", "subtype", "source", "split")
_TOLD = ("age", "sex", "view", "pair")
_OPTIONAL = (*_TOLD, "boxes", "width", "height")
_OLDEST = frozenset(_COLUMNS) - {"source"}
"""What every manifest has; bundles up to 0.3 have no more."""


def write_manifest(path: Path, films: Sequence[Film]) -> None:
    """Write manifest.csv: one row a film; columns for what only some data sets tell where a film has it."""
    rows = [_as_row(film) for film in films]
    columns = [*_COLUMNS, *(name for name in _OPTIONAL if any(row[name] for row in rows))]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def read_manifest(path: Path) -> list[Film]:
    """What `write_manifest` wrote, now or in an older version. Raises DataError where there is no such file."""
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
        if not set(reader.fieldnames or ()) >= _OLDEST:
            raise ValueError("other columns")
        return [_as_film(row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path.name} is missing or is no manifest. Fetch the whole bundle again.") from error


def _as_row(film: Film) -> dict[str, str]:
    row = {name: getattr(film, name) for name in (*_COLUMNS, *_TOLD)}
    if film.boxes:
        row["boxes"] = ";".join(" ".join(f"{edge:.10g}" for edge in box) for box in film.boxes)
    width, height = film.size if film.boxes and film.size else ("", "")
    return dict.fromkeys(_OPTIONAL, "") | row | {"width": str(width), "height": str(height)}


def _as_film(row: dict[str, str]) -> Film:
    if None in row or None in row.values():  # how csv.DictReader tells of too many cells, and of too few
        raise ValueError("another number of cells")
    told: dict[str, Any] = {name: row[name] for name in (*_COLUMNS, *_TOLD) if name in row}
    boxes = tuple(Box(*map(float, box.split())) for box in row.get("boxes", "").split(";") if box)
    size = (int(row["width"]), int(row["height"])) if row.get("width") else None
    return Film(**told, boxes=boxes, size=size)
