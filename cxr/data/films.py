"""Films of a labelled data set: what a file's place and name say of it, and the manifest.

The data set is laid out as Kaggle's "Chest X-Ray Images (Pneumonia)": train, val and test, each with the folders
NORMAL and PNEUMONIA; or bare, with these two at the top (one split, "all"). File names carry patient and pathogen:
`person<patient>_<bacteria|virus>_<n>.jpeg`, `IM-<study>-...` and `NORMAL2-IM-<study>-...`.
"""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath

from cxr.errors import DataError
from cxr.files import write_text
from cxr.imaging.decode import SUFFIXES
from cxr.imaging.dicom import is_dicom
from cxr.types import CLASSES, PNEUMONIA

SPLITS = ("train", "val", "test")
BARE_SPLIT = "all"
SUBTYPES = {"bacteria": "bacterial", "virus": "viral"}
_PNEUMONIA_NAME = re.compile(r"person(\d+)_(bacteria|virus)_\d+")
_NORMAL_NAME = re.compile(r"(?:NORMAL2-)?IM-(\d+)-\d+")


@dataclass(frozen=True)
class Film:
    """One labelled radiograph: a row of the manifest.

    path: inside the data set, with "/"; patient: the group that must not stand on both sides of a split;
    subtype: "bacterial", "viral", or "" where the name does not say; sha256: of the file's bytes.
    """

    path: str
    split: str
    label: str
    subtype: str
    patient: str
    sha256: str = ""

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def is_pneumonia(self) -> bool:
        return self.label == PNEUMONIA


def describe(path: str, split: str, label: str) -> Film:
    """A Film from its place and file name. A name of another form makes the film a patient of its own.

    Where in doubt, films share a group: the same person number with a bacterial and a viral film, and the same
    study number with and without the NORMAL2 prefix, are kept together.
    """
    stem = PurePosixPath(path).stem
    if match := _PNEUMONIA_NAME.match(stem):
        return Film(path, split, label, SUBTYPES[match[2]], f"person{int(match[1])}")
    if match := _NORMAL_NAME.match(stem):
        return Film(path, split, label, "", f"study{int(match[1])}")
    return Film(path, split, label, "", f"film:{path}")


def find_films(
    paths: Iterable[str], begins: Callable[[str], bytes] = lambda path: b""
) -> tuple[list[Film], Counter[str]]:
    """The films among the paths of a tree (with "/"), and how many other files were passed over, by suffix.

    begins: gives the first bytes of a file. It is asked where the name has no suffix, or ends as a DICOM UID does:
    such a file is a film if it is DICOM.

    The layout is looked for at any depth, since Kaggle's archive nests a folder chest_xray; where several places
    hold it, the one nearest to the top counts. Raises DataError where there is none.
    """
    visible = sorted(path for path in paths if not is_clutter(path))
    root, split_level = _find_layout(visible)
    films: list[Film] = []
    passed_over: Counter[str] = Counter()
    for path in visible:
        parts = PurePosixPath(path).parts[len(root) :]
        if PurePosixPath(path).parts[: len(root)] != root or not _is_in_layout(parts, split_level):
            continue
        suffix = PurePosixPath(path).suffix.lower()
        unnamed = not suffix.strip(".0123456789")
        if suffix in SUFFIXES or (unnamed and is_dicom(begins(path))):
            films.append(describe(path, parts[0] if split_level else BARE_SPLIT, parts[split_level]))
        else:
            passed_over[PurePosixPath(path).suffix or "(no suffix)"] += 1
    return films, passed_over


def is_clutter(path: str) -> bool:
    """True for what operating systems leave in folders and archives: hidden files, __MACOSX, Thumbs.db."""
    parts = PurePosixPath(path).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1] == "Thumbs.db"


def _is_in_layout(parts: tuple[str, ...], split_level: int) -> bool:
    if len(parts) != split_level + 2:
        return False
    return (not split_level or parts[0] in SPLITS) and parts[split_level] in CLASSES


def _find_layout(paths: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """(folders above the layout, 1 with split folders or 0 without), nearest to the top first."""
    found: set[tuple[int, int, tuple[str, ...]]] = set()
    for path in paths:
        parts = PurePosixPath(path).parts
        if len(parts) >= 3 and parts[-2] in CLASSES and parts[-3] in SPLITS:
            found.add((len(parts) - 3, 0, parts[:-3]))
        elif len(parts) >= 2 and parts[-2] in CLASSES:
            found.add((len(parts) - 2, 1, parts[:-2]))
    if not found:
        raise DataError(
            "folders train, val, test with NORMAL and PNEUMONIA in each, or NORMAL and PNEUMONIA at the top",
            "a data set with neither",
            "pass the folder that Kaggle's archive unpacks to, or the archive itself",
        )
    _, bare, root = min(found)
    return root, 1 - bare


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


def require_both_classes(films: Sequence[Film], where: str) -> None:
    """Raise DataError unless both classes have films."""
    counts = Counter(film.label for film in films)
    missing = [name for name in CLASSES if not counts[name]]
    if missing:
        raise DataError(
            f"films of both classes in {where}",
            f"{counts[CLASSES[0]]} {CLASSES[0]} and {counts[CLASSES[1]]} {CLASSES[1]}",
            f"put radiographs into its folder {' and '.join(missing)}",
        )


def write_manifest(path: Path, films: Sequence[Film]) -> None:
    """Write manifest.csv: one row a film, columns as the fields of Film."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(Film)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(film) for film in films)
    write_text(path, stream.getvalue())


def read_manifest(path: Path) -> list[Film]:
    """What `write_manifest` wrote. Raises DataError where the file is missing or something else."""
    names = [field.name for field in fields(Film)]
    try:
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
        return [Film(**{name: row[name] for name in names}) for row in rows]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(
            f"a manifest at {path.name}", "none that can be read", "fetch the whole bundle again"
        ) from error
