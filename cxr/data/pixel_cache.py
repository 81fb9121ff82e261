"""Model pixels on disk, decoded once and read through a memory map: for data that does not fit in memory.

A folder holds one store for each preprocessing, which all runs share:

    <hash of the spec>/spec.json   the preprocessing
                       pixels.u8   one film after the other, size * size bytes each
                       films.bin   for each: the SHA-256 of its file, its width and height as decoded, and the
                                   notes of decoding

A film is known by the bytes of its file, so that renamed or copied films are not decoded again. Films are only ever
added; what a kill has cut short is cut off by the next run.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cxr.data.films import Film
from cxr.errors import UsageError
from cxr.files import sha256_of, write_text
from cxr.imaging.preprocess import PreprocessSpec
from cxr.types import ModelPixels, WarningCode

if sys.platform != "win32":
    import fcntl

_ENTRY = np.dtype([("sha256", "V32"), ("width", "<u4"), ("height", "<u4"), ("notes", "<u4")])
_NOTES: tuple[WarningCode, ...] = (
    "colour",
    "transparency",
    "rotated_by_exif",
    "white_is_zero",
    "first_of_several",
    "dicom_repaired",
)
"""What decoding notes; the place of each is its bit in `notes`, and never changes."""
_TOGETHER = 256
"""Films that are written, and read from the map, in one go."""


_Told = tuple[tuple[int, int], tuple[WarningCode, ...]]
"""Width and height of a film as decoded, and the notes of decoding."""


class PixelCache:
    """One store, open for reading and adding; another run that opens it waits until this one closes it."""

    def __init__(self, folder: Path, spec: PreprocessSpec) -> None:
        """Open or begin the store of a preprocessing.

        Args:
            folder: The cache.
            spec: The preprocessing.

        Raises:
            UsageError: The folder is a file.
            OSError: It cannot be written.
        """
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--cache {folder} is a file. Name a folder.")
        described = spec.model_dump_json()
        self.folder = folder / sha256_of(described.encode())[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._size = spec.size
        self._pixels, self._index = ((self.folder / name).open("ab") for name in ("pixels.u8", "films.bin"))
        try:
            _lock(self._index)
            write_text(self.folder / "spec.json", described + "\n")
            self._rows, self._told = self._read_index()
        except BaseException:
            self.close()
            raise
        self._waiting: list[tuple[bytes, _Told, ModelPixels]] = []

    def __enter__(self) -> "PixelCache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others in."""
        self._pixels.close()
        self._index.close()

    def find(self, sha256: str) -> tuple[int, tuple[int, int], tuple[WarningCode, ...]] | None:
        """Row, width and height, and notes of decoding of the file with this hash; None where it is not here."""
        row = self._rows.get(bytes.fromhex(sha256))
        return None if row is None else (row, *self._told[row])

    def add(self, film: Film, pixels: ModelPixels) -> int:
        """Add a film that has been read, unless it is here; returns its row. Written by `flush` at last.

        Args:
            film: With its sha256, size and notes.
            pixels: uint8 (spec.size, spec.size).
        """
        key = bytes.fromhex(film.sha256)
        if key not in self._rows:
            told = (film.size or (0, 0), film.notes)
            self._told.append(told)  # before the row is known to other threads
            self._rows[key] = len(self._told) - 1
            self._waiting.append((key, told, pixels))
            if len(self._waiting) == _TOGETHER:
                self.flush()
        return self._rows[key]

    def flush(self) -> None:
        """Write what was added: the pixels are on the disk before the index names them."""
        entries = np.array([(key, *size, _bits(notes)) for key, (size, notes), _ in self._waiting], _ENTRY)
        _write(self._pixels, b"".join(np.ascontiguousarray(film).tobytes() for _, _, film in self._waiting))
        _write(self._index, entries.tobytes())
        self._waiting.clear()

    def pixels(self, rows: Sequence[int]) -> ModelPixels:
        """The films of these rows, uint8 (n, size, size), read only; on disk, not in memory."""
        self.flush()
        if not len(rows):
            return np.empty((0, self._size, self._size), np.uint8)
        store = np.memmap(
            self.folder / "pixels.u8", np.uint8, "r", shape=(len(self._told), self._size, self._size)
        )
        return gathered(store, np.asarray(rows), self.folder)

    def _read_index(self) -> tuple[dict[bytes, int], list[_Told]]:
        """What the store holds; what belongs to no whole film is cut off."""
        film = self._size * self._size
        index, pixels = self.folder / "films.bin", self.folder / "pixels.u8"
        count = min(index.stat().st_size // _ENTRY.itemsize, pixels.stat().st_size // film)
        os.truncate(index, count * _ENTRY.itemsize)
        os.truncate(pixels, count * film)
        entries = np.fromfile(index, _ENTRY)
        told: list[_Told] = [
            ((int(entry["width"]), int(entry["height"])), _of_bits(int(entry["notes"]))) for entry in entries
        ]
        return {entry["sha256"].tobytes(): row for row, entry in enumerate(entries)}, told


def _bits(notes: Sequence[WarningCode]) -> int:
    return sum(1 << _NOTES.index(note) for note in notes)


def _of_bits(bits: int) -> tuple[WarningCode, ...]:
    return tuple(note for place, note in enumerate(_NOTES) if bits >> place & 1)


def gathered(pixels: ModelPixels, rows: NDArray[np.intp], folder: Path) -> ModelPixels:
    """Some rows of a memory map as a memory map: a part of it where they follow each other, else a temporary file.

    Args:
        pixels: uint8 (n, size, size).
        rows: Which of them, in which order.
        folder: Where the temporary file is; it has no name, and goes with the array.
    """
    first = int(rows[0]) if len(rows) else 0
    if np.array_equal(rows, np.arange(first, first + len(rows))):
        return pixels[first : first + len(rows)]
    with tempfile.TemporaryFile(dir=folder) as file:
        for start in range(0, len(rows), _TOGETHER):
            _write(file, pixels[rows[start : start + _TOGETHER]].tobytes(), sync=False)
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=(len(rows), *pixels.shape[1:]))


def _write(file: BinaryIO, content: bytes, sync: bool = True) -> None:
    file.write(content)
    file.flush()
    if sync:
        os.fsync(file.fileno())


def _lock(file: BinaryIO) -> None:
    """Wait until no other run writes the store. Where the file system or the platform knows no locks, do without."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # some network drives
        return
