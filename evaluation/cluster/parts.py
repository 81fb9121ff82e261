"""The folder of answers: parts of some films each, as CSV and as Parquet, whole or not there.

The CSV is the truth: a film is answered when its row is in a part's CSV. Parquet is made of it, and made anew where a
kill came between the two.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from cxr.errors import DataError, UsageError
from cxr.files import write_bytes, write_json
from cxr.model.answer_csv import COLUMNS, csv_header, harmless_cell, plain_cell
from cxr.model.predictor import Predictor
from evaluation.answers_file import Names, lock, model_record, read_note

MODEL = "model.json"
"""Which model wrote the parts; as the note beside a CSV of answers."""
_LOCK = ".lock"
_PROBABILITY = "probability"
_SCHEMA = pa.schema([(name, pa.float64() if name == _PROBABILITY else pa.string()) for name in COLUMNS])


class PartsFolder:
    """A folder of answers, open for more; locked while it is open."""

    def __init__(self, folder: Path, predictor: Predictor) -> None:
        """Open or begin the folder, and read which films have a row.

        Args:
            folder: New, empty, or written by an earlier run of the same model.
            predictor: The model that will answer.

        Raises:
            UsageError: It holds other files, another run is writing it, or another model wrote it.
            DataError: A part in it is not a CSV of answers.
        """
        self._folder, self._known = folder, Names()
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--out {folder} is a file. With --engine ray, name a folder.")
        self._require_own(model_record(predictor))
        folder.mkdir(parents=True, exist_ok=True)
        self._lock: BinaryIO = (folder / _LOCK).open("ab")
        try:
            lock(self._lock, folder)
            write_json(folder / MODEL, model_record(predictor))
            self._read_earlier()
        except BaseException:
            self._lock.close()
            raise
        self.earlier = len(self._known)

    def __enter__(self) -> "PartsFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def claim(self, name: str) -> bool:
        """True for a film that has no row yet, the first time that it is asked for; `name` as in its row."""
        return self._known.claim(harmless_cell(name))

    def write(self, part: str, lines: bytes) -> None:
        """Add a part: the lines of its CSV, without the header."""
        path = self._folder / f"{part}.csv"
        write_bytes(path, csv_header() + lines)
        _write_parquet(path)

    def rows(self) -> Iterator[dict[str, str]]:
        """Every row, part by part, as the CSV has it."""
        for path in sorted(self._folder.glob("part-*.csv")):
            yield from _rows(path)

    def _require_own(self, model: dict[str, object]) -> None:
        folder = self._folder
        if not folder.exists() or not any(folder.iterdir()):
            return
        noted = read_note(folder / MODEL)
        if noted is None and any(path.name != _LOCK for path in folder.iterdir()):
            raise UsageError(f"--out {folder} holds other files. Name a folder that is new or empty.")
        if noted is not None and noted != model:
            wrote, now = str(noted["sha256"])[:12], str(model["sha256"])[:12]
            raise UsageError(
                f"{folder} holds the answers of another model or decision rule ({wrote}, now {now}). "
                "Name another --out."
            )

    def _read_earlier(self) -> None:
        for path in sorted(self._folder.glob("part-*.csv")):
            for row in _rows(path):
                self._known.claim(row["file"])
            if not path.with_suffix(".parquet").exists():
                _write_parquet(path)


def part_name(names: Iterable[str]) -> str:
    """The name of the part that holds these films."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return f"part-{digest.hexdigest()[:20]}"


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise DataError(
                    f"{path.name} is not a CSV of answers. Remove it; its films are answered again."
                )
            yield from reader
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{path.name} is damaged ({error}). Remove it; its films are answered again."
        ) from error


def _write_parquet(path: Path) -> None:
    """The Parquet file of a part: the same columns, names as they are, and the probability as a number."""
    columns: dict[str, list[str | float | None]] = {name: [] for name in COLUMNS}
    for row in _rows(path):
        for name in COLUMNS:
            columns[name].append(plain_cell(row[name]) if row[name] else None)
    columns[_PROBABILITY] = [None if value is None else float(value) for value in columns[_PROBABILITY]]
    stream = io.BytesIO()
    pq.write_table(pa.table(columns, schema=_SCHEMA), stream)
    write_bytes(path.with_suffix(".parquet"), stream.getvalue())
