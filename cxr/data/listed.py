"""The rows of a table -> films: files found, words understood, duplicates and contradictions told apart."""

import os
import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from cxr.data.archive import Archive
from cxr.data.base import Reading
from cxr.data.films import Film, describe
from cxr.data.finding import read_file
from cxr.data.names import PassedOver, note_of_passed_over, printable, settle, suffix_of
from cxr.data.table import Row
from cxr.data.words import BARE_SPLIT, class_of, split_of, subtype_of
from cxr.errors import DataError
from cxr.imaging.decode import SUFFIXES
from cxr.types import PNEUMONIA


class Files(Protocol):
    """Where the files of a table lie. A key stands for one file, however a table spells it."""

    def find(self, cell: str) -> str | None:
        """The key of the file that a cell names, or None where there is none."""

    def names(self, keys: Sequence[str]) -> list[str]:
        """What films call the files of different keys, in their order: paths with "/", none of them twice."""

    def read(self, key: str) -> bytes:
        """The bytes of a file. Raises DataError."""


_Listing = tuple[dict[str, str], dict[str, str]]
"""Paths of the files of a folder, and of its folders, by their names as a table may spell them."""


class DiskFiles:
    """Files on disk, looked for from the table's folder. A key is the absolute path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._listings: dict[str, _Listing] = {}

    def find(self, cell: str) -> str | None:
        for spelling in _spellings(cell):
            path = os.path.normpath(self._folder / spelling)
            if os.path.isfile(path):  # noqa: PTH113  Path.is_file raises where a name is too long
                return path
        folder, name = os.path.split(os.path.normpath(self._folder / cell.replace("\\", "/")))
        files, _ = self._listing(self._meant_folder(folder))
        return files.get(_plain(name))

    def _meant_folder(self, folder: str) -> str:
        """The folder, or where it lies below the table's and does not exist, the one whose name has another case."""
        if os.path.isdir(folder) or not folder.startswith(f"{self._folder}{os.sep}"):  # noqa: PTH112
            return folder
        parent, name = os.path.split(folder)
        _, folders = self._listing(self._meant_folder(parent))
        return folders.get(_plain(name), folder)

    def _listing(self, folder: str) -> _Listing:
        """The files of a folder, by their names as a table may spell them, and its folders."""
        if folder not in self._listings:
            try:
                with os.scandir(folder) as found:
                    entries = [(entry.name, entry.path, entry.is_dir()) for entry in found]
            except (OSError, ValueError):
                entries = []
            files = _by_spelling({name: path for name, path, is_folder in entries if not is_folder})
            self._listings[folder] = files, {_plain(name): path for name, path, inner in entries if inner}
        return self._listings[folder]

    def names(self, keys: Sequence[str]) -> list[str]:
        """Relative to the table, or where some lie elsewhere, to the folder that holds all of them."""
        if not keys:
            return []
        folders = {os.path.dirname(key) for key in keys}  # noqa: PTH120
        base = str(self._folder)
        if os.path.commonpath([base, *folders]) != base:
            base = os.path.commonpath(folders)
        return list(settle(os.path.relpath(key, base).replace(os.sep, "/") for key in keys))

    def read(self, key: str) -> bytes:
        return read_file(Path(key))


class MemberFiles:
    """Files in a .zip, looked for from the table's folder in it. A key is the member's name."""

    def __init__(self, archive: Archive, folder: str) -> None:
        self._archive, self._folder = archive, folder
        names = [member.filename for member in archive.members]
        self._names = frozenset(names)
        self._by_spelling = _by_spelling(dict(zip(names, names, strict=True)))

    def find(self, cell: str) -> str | None:
        path = posixpath.normpath(posixpath.join(self._folder, cell.replace("\\", "/")))
        return path if path in self._names else self._by_spelling.get(_plain(path))

    def names(self, keys: Sequence[str]) -> list[str]:
        return list(keys)

    def read(self, key: str) -> bytes:
        return self._archive.read(key)


def _by_spelling(keys: Mapping[str, str]) -> dict[str, str]:
    """Keys by the names of files in lower case, and without the suffix of an image where that leaves one file only."""
    bare: dict[str, list[str]] = defaultdict(list)
    for name, key in keys.items():
        suffix = suffix_of(name)
        if suffix in SUFFIXES:
            bare[_plain(name)[: -len(suffix)]].append(key)
    alone = {stem: found[0] for stem, found in bare.items() if len(found) == 1}
    return alone | {_plain(name): key for name, key in keys.items()}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()


def _spellings(cell: str) -> Iterator[str]:
    """A name as it stands, and as other systems would have it."""
    yield cell
    slashed = cell.replace("\\", "/")
    if slashed != cell:
        yield slashed
    if not cell.isascii():
        yield unicodedata.normalize("NFC", slashed)
        yield unicodedata.normalize("NFD", slashed)
        yield os.fsdecode(slashed.encode("cp1252", "replace"))


@dataclass(frozen=True)
class Listed:
    """The films of a table. keys: of the files that exist, by the films' paths; notes: for people."""

    films: list[Film]
    keys: dict[str, str]
    passed_over: PassedOver
    notes: tuple[str, ...]


def list_films(rows: Iterable[Row], files: Files, table: str, reading: Reading) -> Listed:
    """The films of a table's rows. table: its name, for messages.

    A row that is no film of the two classes is left out and counted. A file that does not exist stays a film, which
    cannot be read. Raises DataError where rows contradict each other, or no row names a film that exists.
    """
    rows = list(rows)
    passed_over = PassedOver()
    chosen = _distinct(_understood(rows, passed_over), files, table, passed_over)
    found = [one for one in chosen if one.key is not None]
    if not found:
        raise _nothing(rows, chosen, table, passed_over)
    names = dict(zip((one.key for one in found), files.names([one.key or "" for one in found]), strict=True))
    films = [_film(one, names.get(one.key) or printable(one.row.cells["file"]), reading) for one in chosen]
    keys = {film.path: one.key for film, one in zip(films, chosen, strict=True) if one.key is not None}
    strange = [
        word for one in chosen if (word := one.row.cells.get("subtype", "")) and subtype_of(word) is None
    ]
    note = f"{len(strange):,} films have a subtype other than bacterial or viral, such as {strange[:1]}; it is not used"
    return Listed(films, keys, passed_over, (note,) if strange else ())


@dataclass(frozen=True)
class _Understood:
    """A row, with its split, its class and its subtype in our words; key: of its file, where that exists."""

    row: Row
    split: str
    label: str
    subtype: str
    key: str | None = None


def _understood(rows: Sequence[Row], passed_over: PassedOver) -> Iterator[_Understood]:
    has_splits = any(row.cells.get("split") for row in rows)
    for row in rows:
        label, split = row.cells.get("label", ""), row.cells.get("split", "")
        found = class_of(label)
        place = (BARE_SPLIT if split.lower() == BARE_SPLIT else split_of(split)) if has_splits else BARE_SPLIT
        if not row.cells.get("file"):
            passed_over["rows without a file"] += 1
        elif found is None:
            passed_over[f"with the label {label}" if label else "without a label"] += 1
        elif place is None:
            passed_over[f"in the split {split}" if split else "without a split"] += 1
        else:
            subtype = subtype_of(row.cells.get("subtype", "")) or found[1]
            yield _Understood(row, place, found[0], subtype if found[0] == PNEUMONIA else "")


def _distinct(
    rows: Iterable[_Understood], files: Files, table: str, passed_over: PassedOver
) -> list[_Understood]:
    """Each file once, with its key. Raises DataError where two rows say different things of one file."""
    first: dict[str, _Understood] = {}
    for row in rows:
        file = row.row.cells["file"]
        key = files.find(file)
        earlier = first.setdefault(key or file, replace(row, key=key))
        if (earlier.label, earlier.split) != (row.label, row.split):
            raise DataError(
                f"{table} names {printable(file)} twice, in line {earlier.row.line} as {earlier.label} in "
                f"{earlier.split} and in line {row.row.line} as {row.label} in {row.split}. Correct one of them.",
                "table_contradiction",
                table=table,
                file=printable(file),
                first=earlier.row.line,
                second=row.row.line,
            )
        if earlier.row is not row.row:
            passed_over["named twice in the table"] += 1
    return list(first.values())


def _film(one: _Understood, path: str, reading: Reading) -> Film:
    cells = one.row.cells
    film = describe(path, one.split, one.label, one.subtype, reading.patient_of)
    return replace(
        film,
        patient=cells.get("patient") or film.patient,
        source=cells.get("source", ""),
        age="" if cells.get("age", "") == "-1" else cells.get("age", ""),
        sex=cells.get("sex", ""),
        view=cells.get("view", ""),
        pair=cells.get("pair", ""),
    )


def _nothing(
    rows: Sequence[Row], chosen: Sequence[_Understood], table: str, passed_over: PassedOver
) -> DataError:
    if chosen:
        file = printable(chosen[0].row.cells["file"])
        return DataError(
            f"None of the {len(chosen):,} files that {table} names exists, such as {file}. "
            "They are looked for beside the table.",
            "table_without_files",
            table=table,
            count=len(chosen),
            file=file,
        )
    return DataError(
        f"None of the {len(rows):,} rows of {table} is a film of NORMAL or PNEUMONIA"
        f"{': ' + note_of_passed_over(passed_over)[0] if passed_over else ''}.",
        "table_without_classes",
        table=table,
        count=len(rows),
    )
