"""The CSV that `python -m evaluation score` adds to: one row a file, never the answers of two models or two runs."""

import csv
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cxr.errors import DataError, UsageError
from cxr.files import write_json
from cxr.model.answer import Answer
from cxr.model.answer_csv import COLUMNS, cells_of, csv_header, csv_lines, harmless_cell
from cxr.model.predictor import Predictor

if sys.platform != "win32":
    import fcntl

_NOTE_KEYS = {"sha256", "version", "decision"}
_BLOCK = 4096


class AnswersFile:
    """The CSV of answers, open for more. Every row is one line: written whole or, by a kill, cut short.

    The model that answers is noted beside it, and the CSV is locked while it is open; the lock goes with the process,
    whatever ends it. Nothing is written before the file is known to be a CSV of answers by this very model.
    """

    def __init__(self, path: Path, predictor: Predictor) -> None:
        """Open or begin the CSV, and drop a last line that was cut short.

        Args:
            path: The CSV. A link stands for the file that it leads to.
            predictor: The model that will answer.

        Raises:
            UsageError: Another run is writing the file, another model wrote it, or it is no place for a CSV.
            DataError: It is not a CSV of answers.
        """
        self._known = Names()
        self._path = Path(os.path.realpath(path))
        self._note = note_of(self._path)
        model = model_record(predictor)
        if self._path.exists() and not self._path.is_file():
            raise UsageError(f"--out {path} is not a file. Name a CSV file.")
        fresh = not self._path.exists()
        _require_own_note(self._note)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered, in append mode: what a call has written is the operating system's, even if we are killed.
        self._stream = self._path.open("ab", buffering=0)
        try:
            lock(self._stream, path)
            self._check_and_begin(path.name, model)
        except BaseException:
            self._stream.close()
            if fresh and not self._path.stat().st_size:
                self._path.unlink()
            raise

    @property
    def earlier(self) -> int:
        """Rows that earlier runs wrote."""
        return self._earlier

    def __enter__(self) -> "AnswersFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def is_own(self, path: Path) -> bool:
        """Whether a path names the CSV itself or the note beside it, which are no films."""
        return Path(os.path.realpath(path)) in (self._path, self._note)

    def claim(self, name: str) -> bool:
        """True for a film that has no row yet, the first time that it is asked for; `name` as in its row."""
        return self._known.claim(harmless_cell(name))

    def append(self, rows: Iterable[Answer]) -> None:
        """Add rows to the file's end."""
        self._write(csv_lines(map(cells_of, rows)))

    def _check_and_begin(self, name: str, model: dict[str, Any]) -> None:
        whole = _whole_lines(self._path)
        started = self._path.stat().st_size > 0
        if started:
            self._require_answers(name)
            _require_model(self._note, name, model)
            self._read_earlier(name, whole)
        self._earlier = len(self._known)
        if started and whole < self._path.stat().st_size:
            os.truncate(self._path, whole)
        if not self._earlier:
            write_json(self._note, model)
        if not whole:
            self._write(csv_header())

    def _require_answers(self, name: str) -> None:
        header = csv_header()
        with self._path.open("rb") as stream:
            start = stream.read(len(header))
        # A run that was killed while it began has written a part of the header.
        if not header.startswith(start):
            raise _not_answers(name, f"it does not begin with the columns {','.join(COLUMNS)}")

    def _read_earlier(self, name: str, whole: int) -> None:
        with self._path.open("rb") as stream:
            try:
                reader = csv.reader(_lines(stream, whole), strict=True)
                next(reader, None)  # the header
                for row in reader:
                    if len(row) != len(COLUMNS):
                        raise _not_answers(name, f"line {reader.line_num} has {len(row)} cells")
                    self._known.claim(row[0])
            except (csv.Error, UnicodeDecodeError) as error:
                raise _not_answers(name, str(error)) from error

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[self._stream.write(left) :]


def _lines(stream: BinaryIO, whole: int) -> Iterator[str]:
    """The lines of the first `whole` bytes."""
    for line in stream:
        whole -= len(line)
        if whole < 0:
            return
        yield line.decode()


def note_of(path: Path) -> Path:
    """Where the model that wrote a CSV of answers is noted."""
    return path.with_name(f"{path.name}.model.json")


def row_name(path: Path) -> str:
    """A path as the CSV names it: in one line, and bytes that are no UTF-8 as \\xNN."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text.replace("\r", "\\r").replace("\n", "\\n").replace("\0", "\\0")


class Names:
    """Names of films, kept as hashes."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def claim(self, name: str) -> bool:
        """Add a name; True unless it was there."""
        key = hashlib.blake2b(name.encode(), digest_size=16).digest()
        fresh = key not in self._keys
        self._keys.add(key)
        return fresh


def lock(stream: Any, path: Path) -> None:
    """Lock an open file for this process. Where the file system or the platform knows no locks, do without."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"Another run is writing {path}. Wait for it, or name another --out.") from error
    except OSError:  # some network drives
        return


def _whole_lines(path: Path) -> int:
    """How many bytes of a file belong to lines that are whole."""
    with path.open("rb") as stream:
        keep = stream.seek(0, os.SEEK_END)
        while keep:
            start = max(0, keep - _BLOCK)
            stream.seek(start)
            at = stream.read(keep - start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
            keep = start
    return 0


def model_record(predictor: Predictor) -> dict[str, Any]:
    """What is noted of the model beside its answers."""
    identity = predictor.identity
    decision = predictor.decision.model_dump(mode="json")
    return {"sha256": identity.sha256, "version": identity.version, "decision": decision}


def read_note(note: Path) -> dict[str, Any] | None:
    """What is noted, or None where it is not one of ours."""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return noted if isinstance(noted, dict) and set(noted) == _NOTE_KEYS else None


def _require_own_note(note: Path) -> None:
    if os.path.lexists(note) and (note.is_symlink() or read_note(note) is None):
        raise UsageError(
            f"{note.name} beside --out is not ours and would be overwritten. Name another --out."
        )


def _require_model(note: Path, name: str, model: dict[str, Any]) -> None:
    noted = read_note(note)
    if noted is None:
        raise _not_answers(name, f"{note.name}, which names the model that wrote it, is missing")
    if noted != model:
        wrote, now = str(noted["sha256"])[:12], model["sha256"][:12]
        raise UsageError(
            f"{name} holds the answers of another model or decision rule ({wrote}, now {now}): name another --out."
        )


def _not_answers(name: str, reason: str) -> DataError:
    return DataError(f"{name} is not a CSV of answers that can be added to: {reason}. Name another --out.")
