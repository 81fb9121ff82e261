"""Many films: a list of files, or one .zip, as an iterator of answers; and their table as CSV.

One bad file is one row with its reason and never stops the rest. Memory does not grow with the number of films:
a few are being decoded while a few wait for the network.
"""

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from zipfile import ZipInfo

from cxr.data.archive import Archive, is_archive
from cxr.data.films import is_clutter
from cxr.errors import DataError, ImageError, RequestError
from cxr.imaging.decode import GrayImage, decode, decode_file
from cxr.model.decision import Label
from cxr.model.predictor import Prediction, Predictor
from cxr.threads import cpu_count

MAX_FILMS = 1000
MAX_BATCH_BYTES = 2 * 2**30
"""What the films of one batch may hold in all, unpacked."""
_FILMS_AT_ONCE, _PIXELS_AT_ONCE = 16, 64_000_000
_CALLED = "the file"  # in messages: its name stands beside them
COLUMNS = (
    "file",
    "label",
    "probability",
    "threshold",
    "accepted",
    "warnings",
    "error_code",
    "error",
)


@dataclass(frozen=True, eq=False)
class BatchRow:
    """The answer for one file.

    file: its name without folders. film: the decoded radiograph, for a thumbnail; not to be kept. prediction and
    film are None where the file was not read; then `error` has a code and a line in English.
    """

    file: str
    film: GrayImage | None = None
    prediction: Prediction | None = None
    error: ImageError | None = None

    @property
    def label(self) -> Label | None:
        return self.prediction.label if self.prediction else None

    @property
    def probability(self) -> float | None:
        return self.prediction.probability if self.prediction else None

    @property
    def accepted(self) -> bool:
        return self.prediction is not None and self.prediction.accepted

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.prediction.warnings if self.prediction else ()

    def cells(self) -> tuple[str, ...]:
        """The row as text, by COLUMNS; empty where there is nothing to tell."""
        found, error = self.prediction, self.error
        return (
            self.file,
            self.label or "",
            f"{found.probability:.6f}" if found else "",
            f"{found.threshold:.6f}" if found else "",
            str(self.accepted).lower(),
            " ".join(self.warnings),
            error.code if error else "",
            str(error) if error else "",
        )


class Batch:
    """Films to be read: files, or one .zip of them at any depth. Use it in a `with` statement.

        with Batch(paths) as batch:
            for row in batch.rows(predictor):  # len(batch) of them, in order, as they come
                ...

    Raises RequestError, before anything is decoded: "no_file" where there is none, "too_many_files",
    "batch_too_large", "bad_archive".
    """

    def __init__(self, paths: Sequence[Path | str]) -> None:
        files = [Path(path) for path in paths]
        self._archive: Archive | None = None
        self._films: list[tuple[str, Callable[[], GrayImage]]]
        if len(files) == 1 and is_archive(files[0]):
            sizes = self._take_archive(files[0])
        else:
            self._films = [(path.name, partial(decode_file, path, _CALLED)) for path in files]
            sizes = [path.stat().st_size for path in files]
        try:
            _check_limits(sizes)
        except RequestError:
            self.close()
            raise

    def _take_archive(self, path: Path) -> list[int]:
        try:
            archive = Archive(path)
        except DataError as error:
            raise RequestError("bad_archive", error.expected, error.received, error.hint) from error
        members = [member for member in archive.members if not is_clutter(member.filename)]
        self._archive = archive
        self._films = [(_name(member), partial(_read_member, archive, member)) for member in members]
        return [member.file_size for member in members]

    def __len__(self) -> int:
        return len(self._films)

    def __enter__(self) -> "Batch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the archive, where there is one."""
        if self._archive:
            self._archive.close()

    def rows(self, predictor: Predictor) -> Iterator[BatchRow]:
        """A row for each film, in order: decoded on threads, read by the network a few at a time."""
        waiting: list[BatchRow] = []
        pixels = 0
        for row in self._decoded():
            waiting.append(row)
            pixels += row.film.pixels.size if row.film else 0
            if len(waiting) == _FILMS_AT_ONCE or pixels >= _PIXELS_AT_ONCE:
                yield from _answered(waiting, predictor)
                waiting, pixels = [], 0
        yield from _answered(waiting, predictor)

    def _decoded(self) -> Iterator[BatchRow]:
        threads = cpu_count()
        with ThreadPoolExecutor(threads) as pool:
            running: deque[Future[BatchRow]] = deque()
            try:
                for name, read in self._films:
                    running.append(pool.submit(_decode, name, read))
                    # As many again may be done and wait their turn behind a slow one.
                    if len(running) >= 2 * threads:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                for late in running:  # the caller went away
                    late.cancel()


def csv_table(rows: Sequence[Sequence[str]]) -> str:
    """COLUMNS and rows as CSV (RFC 4180, but with line feeds); no cell is a formula to a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return stream.getvalue()


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet takes for text: a file's name comes from whoever made it (OWASP, CSV injection)."""
    return f"'{cell}" if cell.lstrip().startswith(("=", "+", "-", "@")) or cell[:1].isspace() else cell


def _name(member: ZipInfo) -> str:
    # An archive made on Windows may have the other slash.
    return PurePosixPath(member.filename.replace("\\", "/")).name


def _read_member(archive: Archive, member: ZipInfo) -> GrayImage:
    try:
        content = archive.read(member)
    except DataError as error:
        raise ImageError(
            "damaged_image",
            "an undamaged file",
            f"{_CALLED}, which is damaged or encrypted in the .zip",
            error.hint,
        ) from error
    return decode(content, _CALLED)


def _decode(name: str, read: Callable[[], GrayImage]) -> BatchRow:
    try:
        return BatchRow(name, read())
    except ImageError as error:
        return BatchRow(name, error=error)


def _answered(rows: Sequence[BatchRow], predictor: Predictor) -> Iterator[BatchRow]:
    predictions = iter(predictor.predict_many([row.film for row in rows if row.film]))
    for row in rows:
        yield BatchRow(row.file, row.film, next(predictions)) if row.film else row


def _check_limits(sizes: Sequence[int]) -> None:
    if not sizes:
        raise RequestError("no_file", "films, or a .zip of films", "none", "choose some")
    if len(sizes) > MAX_FILMS:
        raise RequestError(
            "too_many_files",
            f"at most {MAX_FILMS:,} films at a time",
            f"{len(sizes):,}",
            "read them in parts",
        )
    if sum(sizes) > MAX_BATCH_BYTES:
        raise RequestError(
            "batch_too_large",
            f"films of at most {MAX_BATCH_BYTES / 2**30:g} GiB in all",
            f"{sum(sizes) / 2**30:.1f} GiB",
            "read them in parts",
        )
