"""Many films: a list of files, or one .zip, as an iterator of answers.

One bad file is one row with its reason and never stops the rest. Memory does not grow with the number of films:
a few are being decoded while a few wait for the network.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from zipfile import ZipInfo

from cxr.data.archive import Archive, is_archive
from cxr.errors import DataError, ImageError, RequestError
from cxr.imaging.decode import GrayImage, decode, decode_file
from cxr.model.answer import Answer, Failure
from cxr.model.predictor import Predictor
from cxr.threads import cpu_count

MAX_FILMS = 1000
MAX_BATCH_BYTES = 2 * 2**30
"""What the films of one batch may hold in all, unpacked."""
_FILMS_AT_ONCE, _PIXELS_AT_ONCE = 16, 64_000_000
_CALLED = "the file"  # in messages: its name stands beside them


@dataclass(frozen=True, eq=False)
class BatchRow:
    """The answer for one file.

    answer: its file is the name without folders. film: the decoded radiograph, for a thumbnail, None where the file
    was not read; not to be kept.
    """

    answer: Answer
    film: GrayImage | None = None


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
            raise RequestError("bad_archive", str(error)) from error
        self._archive = archive
        self._films = [(_name(member), partial(_read_member, archive, member)) for member in archive.members]
        return [member.file_size for member in archive.members]

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


def _name(member: ZipInfo) -> str:
    return PurePosixPath(member.filename).name


def _read_member(archive: Archive, member: ZipInfo) -> GrayImage:
    try:
        content = archive.read(member)
    except DataError as error:
        raise ImageError(
            "damaged_image", f"{_CALLED} is damaged or encrypted in the .zip. Make the archive again."
        ) from error
    return decode(content, _CALLED)


def _decode(name: str, read: Callable[[], GrayImage]) -> BatchRow:
    try:
        return BatchRow(Answer(name), read())
    except ImageError as error:
        return BatchRow(Answer(name, error=Failure(error.code, str(error))))


def _answered(rows: Sequence[BatchRow], predictor: Predictor) -> Iterator[BatchRow]:
    answers = iter(predictor.predict_many([row.film for row in rows if row.film]))
    for row in rows:
        yield BatchRow(replace(next(answers), file=row.answer.file), row.film) if row.film else row


def _check_limits(sizes: Sequence[int]) -> None:
    if not sizes:
        raise RequestError("no_file", "There is no radiograph. Choose files, or one .zip of them.")
    if len(sizes) > MAX_FILMS:
        raise RequestError(
            "too_many_files",
            f"There are {len(sizes):,} files, but at most {MAX_FILMS:,} are read at a time. Send them in parts.",
        )
    if sum(sizes) > MAX_BATCH_BYTES:
        raise RequestError(
            "batch_too_large",
            f"The files have {sum(sizes) / 2**30:.1f} GiB in all, but at most {MAX_BATCH_BYTES / 2**30:g} GiB are read "
            "at a time. Send them in parts.",
        )
