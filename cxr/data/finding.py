"""Files on disk: one walk and one rule of names for every command that reads radiographs.

Hidden files and folders, and what operating systems leave behind, are no films. Links to files are files. A link to
a folder is followed once: a folder that has been walked already, under its own name or by another link, is not
walked again, so that no link leads round in a circle.
"""

import glob
import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from cxr.data.names import PassedOver, is_clutter, is_film, is_hidden_film, kind_of_other, printable
from cxr.errors import DataError
from cxr.imaging.dicom import PEEK


def find_film_files(files: str, passed_over: PassedOver) -> Iterator[Path]:
    """The films of a folder at any depth, the files that a glob names, or one file; in an order that stays the same.

    files: a path or a glob, with "**" for any depth. passed_over: is told of every file that is left out, by kind,
    as the iterator goes on. What a glob or a path names is a film by that: only folders are left out.
    """
    if os.path.isdir(files):  # noqa: PTH112  Path("") is the current folder
        root = Path(files)
        for name in walk(root, passed_over):
            if is_film(name, lambda name: peek(root / name)):
                yield root / name
            else:
                passed_over[kind_of_other(name)] += 1
    elif os.path.isfile(files):  # noqa: PTH113
        yield Path(files)
    else:
        for found in glob.iglob(files, recursive=True):  # noqa: PTH207  Path.glob takes no absolute pattern
            path = Path(found)
            if path.is_file():
                yield path
            elif "**" not in files:  # with which a glob names folders that it goes into
                passed_over[f"folder, not a file ({printable(path.name)})"] += 1


def walk(root: Path, passed_over: PassedOver) -> Iterator[str]:
    """The visible files below `root`, as the operating system names them, relative and with "/".

    First those of the folders that lie there, then those behind links, each folder once.
    """
    known: set[tuple[int, int]] = set()
    pending, links = [""], deque[str]()
    while pending or links:
        folder = pending.pop() if pending else links.popleft()
        inner: list[str] = []
        for entry in _entries(root / folder, folder, known, passed_over):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if is_clutter(entry.name):
                _count_hidden(entry, name, passed_over)
            elif _is(entry.is_dir):
                if not is_clutter(f"{entry.name}/"):  # a folder of the operating system
                    (links if entry.is_symlink() else inner).append(name)
            elif _is(entry.is_file):
                yield name
            else:
                kind = "link that leads nowhere" if entry.is_symlink() else "no file, but a pipe or a device"
                passed_over[f"{kind} ({printable(name)})"] += 1
        pending += reversed(inner)


def _entries(
    place: Path, folder: str, known: set[tuple[int, int]], passed_over: PassedOver
) -> list["os.DirEntry[str]"]:
    """What lies in a folder, in order; nothing, and counted, where it is known already or cannot be opened."""
    try:
        status = place.stat()
        if (status.st_dev, status.st_ino) in known:
            passed_over[f"link to a folder that is read already ({printable(folder)})"] += 1
            return []
        known.add((status.st_dev, status.st_ino))
        with os.scandir(place) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        passed_over[f"folder that cannot be opened ({printable(folder) or '.'}: {error.strerror})"] += 1
        return []


def _is(question: Callable[[], bool]) -> bool:
    """The entry's own answer; no, where it is a link to itself."""
    try:
        return question()
    except OSError:
        return False


def _count_hidden(entry: "os.DirEntry[str]", name: str, passed_over: PassedOver) -> None:
    if is_hidden_film(name):
        passed_over["hidden"] += 1
    elif entry.name.startswith(".") and _is(entry.is_dir):
        passed_over[f"hidden folder ({printable(name)})"] += 1


def peek(path: Path) -> bytes:
    """The first bytes of a file, as many as tell what it is. Raises DataError if it cannot be read."""
    return read_file(path, PEEK)


def read_file(path: Path, most: int = -1, name: str | None = None) -> bytes:
    """The bytes of a file, cut after `most`. name: what the message calls it. Raises DataError."""
    try:
        with path.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        raise DataError(f"{name or printable(path.name)} cannot be read ({error.strerror}).") from error
