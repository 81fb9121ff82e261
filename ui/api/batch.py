"""Many films that somebody sent: a list of files, or one .zip, within limits."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, overload
from zipfile import ZipInfo

from cxr.data.archive import Archive, is_archive
from cxr.errors import DataError, ImageError, RequestError
from cxr.imaging.decode import GrayImage, decode, decode_file
from cxr.model.predictor import Predictor
from cxr.serving.batch import Answered, FilmFile, Kept, answer_files

MAX_FILMS = 1000
MAX_BATCH_BYTES = 2 * 2**30
"""What the films of one batch may hold in all, unpacked."""
_CHUNK = 4
"""Few at a time: somebody waits for the first answers."""
_CALLED = "the file"  # in messages: its name stands beside them


class Batch:
    """Films to be read: files, or one .zip of them at any depth. Use it in a `with` statement.

        with Batch(paths) as batch:
            for row in batch.rows(predictor):  # len(batch) of them, in order, as they come
                ...

    Raises RequestError, before anything is decoded: "no_file" where there is none, "too_many_files",
    "batch_too_large", "bad_archive".
    """

    def __init__(self, paths: Sequence[Path | str]) -> None:
        self._paths = files = [Path(path) for path in paths]
        self._archive: Archive | None = None
        self._films: list[FilmFile]
        if len(files) == 1 and is_archive(files[0]):
            sizes = self._take_archive(files[0])
        else:
            self._films = [FilmFile(path.name, partial(decode_file, path, _CALLED)) for path in files]
            sizes = [path.stat().st_size for path in files]
        try:
            _check_limits(sizes)
        except RequestError:
            self.close()
            raise

    def readers(self) -> list[tuple[str, Callable[[], GrayImage]]]:
        """Name of each film, and how it is read again once this batch is closed: raises as `decode_file`.

        FileNotFoundError, where the upload has been deleted meanwhile.
        """
        if self._archive is None:
            return [(path.name, partial(_read_file_again, path)) for path in self._paths]
        return [
            (_name(member), partial(_read_member_again, self._paths[0], member.filename))
            for member in self._archive.members
        ]

    def _take_archive(self, path: Path) -> list[int]:
        try:
            archive = Archive(path)
        except DataError as error:
            raise RequestError("bad_archive", str(error)) from error
        self._archive = archive
        self._films = [FilmFile(_name(one), partial(_read_member, archive, one)) for one in archive.members]
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

    @overload
    def rows(self, predictor: Predictor) -> Iterator[Answered[None]]: ...

    @overload
    def rows(self, predictor: Predictor, keep: Callable[[GrayImage], Kept]) -> Iterator[Answered[Kept]]: ...

    def rows(self, predictor: Predictor, keep: Callable[[GrayImage], Any] | None = None) -> Iterator[Any]:
        """An answer for each file, in order, by its name without folders, and what `keep` made of its image."""
        for chunk in answer_files(predictor, self._films, keep, _CHUNK):
            yield from chunk


def _name(member: ZipInfo) -> str:
    return PurePosixPath(member.filename).name


def _read_file_again(path: Path) -> GrayImage:
    if not path.is_file():
        raise FileNotFoundError(path.name)
    return decode_file(path, _CALLED)


def _read_member_again(path: Path, member: str) -> GrayImage:
    if not path.is_file():
        raise FileNotFoundError(path.name)
    archive = Archive(path)
    try:
        return _read_member(archive, member)
    finally:
        archive.close()


def _read_member(archive: Archive, member: ZipInfo | str) -> GrayImage:
    try:
        content = archive.read(member)
    except DataError as error:
        raise ImageError(
            "damaged_image", f"{_CALLED} is damaged or encrypted in the .zip. Make the archive again."
        ) from error
    return decode(content, _CALLED)


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
