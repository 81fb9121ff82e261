"""FILES as names of films: on this machine's file system, or at any address that fsspec knows."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
from fsspec.core import url_to_fs

from cxr.data.finding import find_film_files
from cxr.data.names import PassedOver, is_clutter, is_film, kind_of_other
from cxr.errors import DataError, UsageError
from cxr.imaging.dicom import PEEK

LOCAL = "file://"


def is_address(files: str) -> bool:
    """Whether FILES is an address (s3://bucket/films) and not a path."""
    return "://" in files


def find_films(files: str, passed_over: PassedOver) -> Iterator[str]:
    """The films of FILES in an order that stays the same: paths, or whole addresses.

    Args:
        files: A folder, a glob or one file; as a path, or as an address of any file system that fsspec knows.
        passed_over: Is told of every file that is left out, by kind, as the iterator goes on.

    Raises:
        UsageError: There is no such file system, or its library is not installed.
        DataError: The place cannot be listed.
    """
    if files.startswith(LOCAL):
        files = files.removeprefix(LOCAL)
    if is_address(files):
        yield from _find_remote(files, passed_over)
    else:
        yield from map(str, find_film_files(files, passed_over))


def open_place(files: str) -> tuple["fsspec.AbstractFileSystem", str]:
    """The file system of an address, and its path in it. Raises UsageError."""
    try:
        system, path = url_to_fs(files)
    except (ImportError, ValueError) as error:
        raise UsageError(f"--files {files} cannot be opened: {error}.") from error
    return system, path


def _find_remote(files: str, passed_over: PassedOver) -> Iterator[str]:
    system, path = open_place(files)
    try:
        listed = system.glob(path) if any(sign in path for sign in "*?[") else system.find(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"--files {files} cannot be listed: {error}. Check the address and the access."
        ) from error

    def begins(name: str) -> bytes:
        try:
            start: bytes = system.cat_file(name, start=0, end=PEEK)
        except OSError as error:
            raise DataError(f"{Path(name).name} cannot be read ({error}).") from error
        return start

    root = path.rstrip("/") + "/"
    for name in sorted(listed):
        if is_clutter(name.removeprefix(root)):
            passed_over["hidden"] += 1
        elif is_film(name, begins):
            yield system.unstrip_protocol(name)
        else:
            passed_over[kind_of_other(name)] += 1
