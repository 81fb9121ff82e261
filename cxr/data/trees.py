"""A folder or a .zip as DATA: by its folders of classes, or by a table of films in it. And a table alone."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from cxr.data.archive import Archive, is_archive
from cxr.data.base import DataIdentity, Reading, identify
from cxr.data.films import Film
from cxr.data.finding import peek, read_file, walk
from cxr.data.layout import find_films, has_class_folders
from cxr.data.listed import DiskFiles, Files, Listed, MemberFiles, list_films
from cxr.data.names import PassedOver, kind_of_other, may_be_film, printable, settle, slashed, suffix_of
from cxr.data.rsna import challenge_films, is_challenge
from cxr.data.table import MOST_BYTES, SUFFIXES, read_table
from cxr.errors import DataError, UsageError

TABLE_NAMES = tuple(f"films{suffix}" for suffix in SUFFIXES)
"""What a table in the top folder is called, to be read in place of the names of folders."""
_OTHERS_NORMAL = "?others=normal"


class Tree(Protocol):
    """Files below one place. name: what people call it; names: of its files, settled, with "/"."""

    name: str
    passed_over: PassedOver

    @property
    def names(self) -> Sequence[str]: ...

    def begins(self, name: str) -> bytes:
        """The first bytes of a file. Raises DataError."""

    def read(self, name: str, most: int = ...) -> bytes:
        """The bytes of a file, cut after `most`. Raises DataError."""

    def key(self, name: str) -> str:
        """What the files of a table in it call the file."""

    def files_of(self, table: str) -> Files:
        """The files that a table in it may name."""


class FolderTree:
    """A folder on disk."""

    def __init__(self, root: Path) -> None:
        self.name = printable(root.resolve().name)
        self.passed_over = PassedOver()
        self._root = root
        self._raw = settle(walk(root, self.passed_over), slashed)
        self.names = list(self._raw)

    def begins(self, name: str) -> bytes:
        return peek(self._root / self._raw[name])

    def read(self, name: str, most: int = -1) -> bytes:
        return read_file(self._root / self._raw[name], most, name)

    def key(self, name: str) -> str:
        return os.path.normpath(self._root.absolute() / self._raw[name])

    def files_of(self, table: str) -> Files:
        return DiskFiles((self._root / self._raw[table]).parent)


class ZipTree:
    """A .zip, read in place."""

    def __init__(self, path: Path) -> None:
        self.name = printable(path.name)
        self._archive = Archive(path)
        self.passed_over = self._archive.passed_over.copy()
        self.names = [member.filename for member in self._archive.members]
        self.begins = self._archive.begins
        self.read = self._archive.read

    def key(self, name: str) -> str:
        return name

    def files_of(self, table: str) -> Files:
        return MemberFiles(self._archive, table.rpartition("/")[0])


class TreeSource:
    """The films of a tree: of the table in its top folder, of the RSNA challenge, or of its folders of classes."""

    films: list[Film]
    identity: DataIdentity

    def __init__(self, tree: Tree, reading: Reading) -> None:
        """Raises DataError where there is neither, or where they cannot be read."""
        table = _table_in(tree.names)
        notes: tuple[str, ...] = ()
        self._read: Callable[[Film], bytes]
        if table:
            rows = read_table(tree.read(table, MOST_BYTES + 1), table, reading)
            files = tree.files_of(table)
            listed = list_films(rows, files, table, reading)
            self.films, notes = listed.films, listed.notes
            passed_over = tree.passed_over + listed.passed_over + _unlisted(tree, listed, table)
            self._read = partial(_read_listed, listed, files, table)
        elif is_challenge(tree.names):
            self.films, others, notes = challenge_films(tree, False, reading)
            passed_over = tree.passed_over + others
            self._read = lambda film: tree.read(film.path)
        else:
            self.films, others = find_films(
                tree.names, tree.begins, reading.patient_of, reading.source or tree.name
            )
            passed_over = tree.passed_over + others
            self._read = lambda film: tree.read(film.path)
        self.identity = identify(tree.name, self.films, passed_over, reading, notes)

    def read(self, film: Film) -> bytes:
        return self._read(film)


class FolderSource(TreeSource):
    """A folder on disk."""

    def __init__(self, root: Path, reading: Reading | None = None) -> None:
        super().__init__(FolderTree(root), reading or Reading())


class ZipSource(TreeSource):
    """A .zip, read in place. Names that lead outside and members that swell are refused before anything is read."""

    def __init__(self, path: Path, reading: Reading | None = None) -> None:
        super().__init__(ZipTree(path), reading or Reading())


class RsnaSource:
    """rsna:DIR, the films of the RSNA Pneumonia Detection Challenge, from a folder or its .zip."""

    def __init__(self, data: str, reading: Reading) -> None:
        """Raises UsageError for a place that does not exist, DataError for one laid out otherwise."""
        place = data.removeprefix("rsna:")
        others = place.endswith(_OTHERS_NORMAL)
        path = Path(place.removesuffix(_OTHERS_NORMAL))
        if not path.exists():
            raise UsageError(
                f"DATA {data!r} does not exist. Write rsna:DIR, or rsna:DIR{_OTHERS_NORMAL} to count films that "
                "are neither normal nor pneumonia as NORMAL."
            )
        if path.is_file() and not is_archive(path):
            raise DataError(f"{path.name} is neither a folder nor a .zip.")
        tree: Tree = FolderTree(path) if path.is_dir() else ZipTree(path)
        self.films, passed_over, notes = challenge_films(tree, others, reading)
        self.identity = identify(
            f"rsna:{tree.name}", self.films, tree.passed_over + passed_over, reading, notes
        )
        self._tree = tree

    def read(self, film: Film) -> bytes:
        return self._tree.read(film.path)


class TableSource:
    """The films that a table on disk names, wherever they lie."""

    def __init__(self, path: Path, reading: Reading) -> None:
        """Raises DataError where it is no table of films."""
        table = printable(path.name)
        files = DiskFiles(path.parent)
        listed = list_films(read_table(read_file(path), table, reading), files, table, reading)
        self.films = listed.films
        self.identity = identify(table, self.films, listed.passed_over, reading, listed.notes)
        self._read = partial(_read_listed, listed, files, table)

    def read(self, film: Film) -> bytes:
        return self._read(film)


def _table_in(names: Sequence[str]) -> str | None:
    """The table by which a tree is read: films.csv in its top folder, or the only table there where no folder names
    a class. The top folder is the one that holds everything."""
    if not names:
        return None
    top = os.path.commonpath({name.rpartition("/")[0] for name in names})
    tables = [name for name in names if name.rpartition("/")[0] == top and suffix_of(name) in SUFFIXES]
    named = [name for name in tables if name.rpartition("/")[2].lower() in TABLE_NAMES]
    if named:
        return min(named)
    return tables[0] if len(tables) == 1 and not has_class_folders(names) else None


def _unlisted(tree: Tree, listed: Listed, table: str) -> PassedOver:
    """The files of a tree that its table does not name."""
    known = {tree.key(table), *listed.keys.values()}
    reason = f"not named in {table.rpartition('/')[2]}"
    return PassedOver(
        reason if may_be_film(name) else kind_of_other(name)
        for name in tree.names
        if tree.key(name) not in known
    )


def _read_listed(listed: Listed, files: Files, table: str, film: Film) -> bytes:
    if film.path not in listed.keys:
        message = f"{film.path} does not exist, but {table} names it."
        raise DataError(message, "table_row_without_file", table=table, file=film.path)
    return files.read(listed.keys[film.path])
