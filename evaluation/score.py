"""python -m evaluation score: answers for unlabelled files, any number of them, in a CSV that grows as they come.

Memory does not grow with the films, but for a hash of each one's name, by which none is answered twice.
"""

import csv
import glob
import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from cxr.errors import DataError, ImageError, UsageError
from cxr.files import write_json
from cxr.imaging.decode import SUFFIXES, GrayImage, decode_file
from cxr.model.answer import Answer, Failure
from cxr.model.answer_csv import COLUMNS, cells_of, csv_header, csv_lines, plain_cell
from cxr.model.predictor import Predictor
from cxr.serving.opening import open_model
from cxr.threads import cpu_count
from evaluation.config import ScoreConfig

CHUNK = 16
"""Files that one thread reads, decodes and answers in one go."""
_MAX_CHUNK_PIXELS = 32_000_000
"""Decoded pixels after which a thread lets the network answer before it goes on, so that memory stays bounded."""
_DICOM = (".dcm", ".dicom", "")  # scanners write files without a suffix


def score(config: ScoreConfig) -> Counter[str]:
    """Answer for every file that `config.out` does not name yet. Returns how many were what.

    Raises UsageError or DataError before anything is written, BundleError where the model cannot be had. Files that
    cannot be read as one radiograph are rows with an error.
    """
    total = _count(config.files)
    return score_with(open_model(config.model).predictor, config, total)


def score_with(predictor: Predictor, config: ScoreConfig, total: int) -> Counter[str]:
    """As `score`, with a model that is loaded; total: how many files there are, for the bar."""
    counts: Counter[str] = Counter()
    with Answers(config.out, predictor) as answers, tqdm(total=total, unit=" films", disable=None) as bar:
        wanted = (path for path in find_files(config.files) if answers.claim(path))
        for rows in answer_files(predictor, wanted):
            answers.append(rows)
            counts.update(map(_outcome, rows))
            bar.update(len(rows))
        earlier = answers.earlier
    print(f"{counts.total():,} of {total:,} files answered now ({earlier:,} rows before): {config.out}")
    for outcome, count in counts.most_common():
        print(f"{count:>9,}  {outcome}")
    return counts


# --- Files


def find_files(files: str) -> Iterator[Path]:
    """The files of a folder (images and DICOM by name, visible, at any depth, in order), of a glob, or one file."""
    if os.path.isdir(files):  # noqa: PTH112
        for folder, folders, names in os.walk(files):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(folder, name) for name in sorted(names) if _is_image_name(name))
    elif os.path.isfile(files):  # noqa: PTH113
        yield Path(files)
    else:
        found = map(Path, glob.iglob(files, recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
        yield from (path for path in found if path.is_file())


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in (*SUFFIXES, *_DICOM)


def _count(files: str) -> int:
    count = sum(1 for _ in find_files(files))
    if not count:
        raise UsageError(
            "--files to be a folder with radiographs, a glob that finds some, or a file",
            f"{files!r}, where there is none",
            "check the path, and put a glob in quotation marks",
        )
    return count


# --- Answers


def answer_files(predictor: Predictor, paths: Iterable[Path]) -> Iterator[list[Answer]]:
    """Answers in the paths' order, chunk by chunk; all cores decode and compute."""
    rest = iter(paths)
    chunks = iter(lambda: list(islice(rest, CHUNK)), [])
    cores = cpu_count()
    waiting: deque[Future[list[Answer]]] = deque()
    # Threads, not processes: decoding, resizing and the network all run without the interpreter's lock.
    pool = ThreadPoolExecutor(cores)
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_answer_chunk, predictor, chunk))
            if len(waiting) > 2 * cores:  # not pool.map, which would take all paths at once
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _answer_chunk(predictor: Predictor, paths: Iterable[Path]) -> list[Answer]:
    answers: dict[str, Answer] = {}
    films: dict[str, GrayImage] = {}

    def answer_films() -> None:
        predictions = predictor.predict_many(list(films.values()))
        answers.update(
            (name, replace(found, file=name)) for name, found in zip(films, predictions, strict=True)
        )
        films.clear()

    names = []
    for path in paths:
        name = shown(path)
        names.append(name)
        try:
            films[name] = decode_file(path)
        except ImageError as error:
            answers[name] = Answer(name, error=Failure(error.code, str(error)))
        if sum(film.width * film.height for film in films.values()) > _MAX_CHUNK_PIXELS:
            answer_films()
    answer_films()
    return [answers[name] for name in names]


def _outcome(answer: Answer) -> str:
    if answer.error:
        return "unreadable"
    return answer.decision or "refused"


# --- The CSV


class Answers:
    """The CSV of answers, open for more. Every row is one line: written whole or, by a kill, cut short.

    The model that answers is noted beside it, so that one CSV never mixes the answers of two.
    """

    def __init__(self, path: Path, predictor: Predictor) -> None:
        """Open or begin the CSV, and drop a last line that was cut short.

        Raises UsageError where another model wrote it, DataError where it is no CSV of answers.
        """
        self._known: set[bytes] = set()
        self._read_earlier(path)
        self.earlier = len(self._known)
        _note_model(path.with_name(f"{path.name}.model.json"), predictor, begin=not self.earlier)
        # Unbuffered, in append mode: what a call has written is the operating system's, even if we are killed.
        self._stream = path.open("ab", buffering=0)
        if not self._stream.tell():
            self._write(csv_header())

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def claim(self, path: Path) -> bool:
        """True for a file that has no row yet, the first time that it is asked for."""
        key = _key(shown(path))
        fresh = key not in self._known
        self._known.add(key)
        return fresh

    def append(self, rows: Iterable[Answer]) -> None:
        """Add rows to the file's end."""
        self._write(csv_lines(map(cells_of, rows)))

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[self._stream.write(left) :]

    def _read_earlier(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            return
        _drop_torn_line(path)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            try:
                reader = csv.reader(stream, strict=True)
                header = next(reader, list(COLUMNS))
                if tuple(header) != COLUMNS:
                    raise _no_answers(path, ",".join(header)[:80])
                for row in reader:
                    if len(row) != len(COLUMNS):
                        raise _no_answers(path, f"{len(row)} cells in line {reader.line_num}")
                    self._known.add(_key(plain_cell(row[0])))
            except (csv.Error, UnicodeDecodeError) as error:
                raise _no_answers(path, str(error)) from error


def shown(path: Path) -> str:
    """A path as the CSV names it: in one line, and bytes that are no UTF-8 as \\xNN."""
    return _one_line(os.fsencode(path).decode("utf-8", "backslashreplace"))


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n").replace("\0", "\\0")


def _key(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def _drop_torn_line(path: Path) -> None:
    with path.open("rb+") as stream:
        end = stream.seek(0, os.SEEK_END)
        keep = end
        while keep:
            start = max(0, keep - 4096)
            stream.seek(start)
            found = stream.read(keep - start).rfind(b"\n")
            keep = start + found + 1 if found >= 0 else start
            if found >= 0:
                break
        if keep < end:
            stream.truncate(keep)


def _note_model(path: Path, predictor: Predictor, begin: bool) -> None:
    sha256 = predictor.identity.sha256
    model = {
        "sha256": sha256,
        "version": predictor.identity.version,
        "decision": predictor.decision.model_dump(mode="json"),
    }
    if begin:
        write_json(path, model)
        return
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path.name} beside the CSV", "none that can be read", "name another --out"
        ) from error
    if noted != model:
        raise UsageError(
            f"the model that wrote the CSV ({str(noted.get('sha256'))[:12]})",
            f"another, or another decision rule ({sha256[:12]})",
            "name another --out",
        )


def _no_answers(path: Path, received: str) -> DataError:
    return DataError(
        f"a CSV with columns {','.join(COLUMNS)}", f"{path.name} ({received})", "name another --out"
    )
