"""Labelled films -> model pixels, decoded once, on all cores. The trainer's cache and evaluation's input."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cxr.data.films import Film, join_duplicates
from cxr.data.sources import FilmSource
from cxr.errors import DataError, ImageError
from cxr.files import sha256_of
from cxr.imaging.decode import decode
from cxr.imaging.preprocess import PreprocessSpec, to_model_pixels
from cxr.threads import cpu_count
from cxr.types import ModelPixels

_Read = tuple[str, tuple[int, int], ModelPixels]
"""SHA-256 of a file, its width and height as decoded, and its model pixels."""
_LISTED = 20
"""Unreadable films that a message names."""


@dataclass(frozen=True, eq=False)
class LoadedFilms:
    """Films with their model pixels, uint8 (n, size, size), in the same order.

    Each film's sha256 and size are known.
    """

    films: list[Film]
    pixels: ModelPixels

    def take(self, keep: Sequence[bool] | NDArray[np.bool_]) -> "LoadedFilms":
        """The films for which `keep` is true."""
        chosen = np.asarray(keep, bool)
        return LoadedFilms(
            [film for film, kept in zip(self.films, chosen, strict=True) if kept], self.pixels[chosen]
        )

    @property
    def y_true(self) -> NDArray[np.uint8]:
        """Labels, uint8 (n,): 1 is PNEUMONIA."""
        return np.array([film.is_pneumonia for film in self.films], np.uint8)


def load_films(
    source: FilmSource,
    films: Sequence[Film],
    spec: PreprocessSpec,
    skip_unreadable: bool = False,
    progress: bool = True,
) -> tuple[LoadedFilms, list[str]]:
    """Read, hash, decode and preprocess films. Returns them and a line for each that was skipped.

    Raises DataError that lists the unreadable files, unless `skip_unreadable`. Films with identical bytes come
    back in one patient group.
    """
    loaded: list[Film] = []
    rows: list[ModelPixels] = []
    unreadable: list[str] = []
    for film, result in _read_all(source, films, spec, progress):
        if isinstance(result, ImageError | DataError):
            unreadable.append(f"{film.path}: {result}")
            continue
        sha256, size, pixels = result
        loaded.append(replace(film, sha256=sha256, size=size))
        rows.append(pixels)
    if unreadable and not skip_unreadable:
        raise DataError(_complaint(unreadable, len(films)))
    pixels = np.stack(rows) if rows else np.empty((0, spec.size, spec.size), np.uint8)
    return LoadedFilms(join_duplicates(loaded), pixels), unreadable


def _complaint(unreadable: Sequence[str], total: int) -> str:
    advice = "Mend or remove them, or leave them out by --skip-unreadable."
    if len(unreadable) == 1:
        return f"1 of {total:,} films cannot be read: {unreadable[0]} {advice}"
    listed = "".join(f"\n  {line}" for line in unreadable[:_LISTED])
    more = f"\n  and {len(unreadable) - _LISTED:,} more" if len(unreadable) > _LISTED else ""
    return f"{len(unreadable):,} of {total:,} films cannot be read. {advice}{listed}{more}"


def _read_all(
    source: FilmSource, films: Sequence[Film], spec: PreprocessSpec, progress: bool
) -> Iterable[tuple[Film, _Read | ImageError | DataError]]:
    def read(film: Film) -> _Read | ImageError | DataError:
        try:
            content = source.read(film)
            image = decode(content, name=film.name)
            return sha256_of(content), (image.width, image.height), to_model_pixels(image, spec)
        except (ImageError, DataError) as error:
            return error

    # Threads, not processes: Pillow decodes and resizes without holding the interpreter's lock.
    with ThreadPoolExecutor(cpu_count()) as pool:
        results = pool.map(read, films)
        bar = tqdm(results, "decoding", len(films), unit=" films", disable=None if progress else True)
        yield from zip(films, bar, strict=True)
