"""Labelled films -> model pixels, decoded once, on all cores. The trainer's cache and evaluation's input."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cxr.data.films import Film, join_duplicates
from cxr.data.pixel_cache import PixelCache, gathered
from cxr.data.sources import FilmSource
from cxr.errors import DataError, ImageError
from cxr.files import sha256_of
from cxr.imaging.decode import decode
from cxr.imaging.preprocess import PreprocessSpec, to_model_pixels
from cxr.threads import cpu_count
from cxr.types import ModelPixels

_Read = tuple[Film, ModelPixels | int]
"""A film with what its file told (hash, size, notes), and its model pixels, or their row in the cache."""
_LISTED = 20
"""Unreadable films that a message names."""


@dataclass(frozen=True, eq=False)
class LoadedFilms:
    """Films with their model pixels, uint8 (n, size, size), in the same order.

    Each film's sha256, size and notes are known. Where `scratch` is a folder, the pixels are a memory map
    (`pixel_cache`), and what is taken of them is another one there.
    """

    films: list[Film]
    pixels: ModelPixels
    scratch: Path | None = None

    def take(self, keep: Sequence[bool] | NDArray[np.bool_]) -> "LoadedFilms":
        """The films for which `keep` is true."""
        chosen = np.asarray(keep, bool)
        films = [film for film, kept in zip(self.films, chosen, strict=True) if kept]
        if self.scratch is None:
            return LoadedFilms(films, self.pixels[chosen])
        return LoadedFilms(films, gathered(self.pixels, np.flatnonzero(chosen), self.scratch), self.scratch)

    @property
    def y_true(self) -> NDArray[np.uint8]:
        """Labels, uint8 (n,): 1 is PNEUMONIA."""
        return np.array([film.is_pneumonia for film in self.films], np.uint8)


@dataclass(frozen=True)
class Unreadable:
    """A film that could not be read, and why; as text, one line."""

    film: Film
    error: ImageError | DataError

    def __str__(self) -> str:
        return f"{self.film.path}: {self.error}"


def load_films(
    source: FilmSource,
    films: Sequence[Film],
    spec: PreprocessSpec,
    skip_unreadable: bool = False,
    progress: bool = True,
    cache: Path | None = None,
) -> tuple[LoadedFilms, list[Unreadable]]:
    """Read, hash, decode and preprocess films. Films with identical bytes come back in one patient group.

    Args:
        source: Where the films are read from.
        films: Which of its films.
        spec: How they are preprocessed.
        skip_unreadable: Whether to leave out what cannot be read.
        progress: Whether to show a bar.
        cache: Folder of a `PixelCache`: films that it holds are not decoded again, and none is held in memory.

    Returns:
        The films, in order, and those that were skipped.

    Raises:
        DataError: Films cannot be read; the message lists them. Not with `skip_unreadable`.
    """
    if cache is None:
        return _load(source, films, spec, skip_unreadable, progress, _Memory(spec))
    with PixelCache(cache, spec) as store:
        return _load(source, films, spec, skip_unreadable, progress, store)


def _load(
    source: FilmSource,
    films: Sequence[Film],
    spec: PreprocessSpec,
    skip_unreadable: bool,
    progress: bool,
    store: "PixelCache | _Memory",
) -> tuple[LoadedFilms, list[Unreadable]]:
    loaded: list[Film] = []
    rows: list[int] = []
    unreadable: list[Unreadable] = []
    for result in _read_all(source, films, spec, progress, store):
        if isinstance(result, Unreadable):
            unreadable.append(result)
            continue
        film, pixels = result
        loaded.append(film)
        rows.append(pixels if isinstance(pixels, int) else store.add(film, pixels))
    if unreadable and not skip_unreadable:
        raise DataError(_complaint(unreadable, len(films)))
    return LoadedFilms(join_duplicates(loaded), store.pixels(rows), store.folder), unreadable


class _Memory:
    """What `PixelCache` is, in memory and for one set of films."""

    folder = None

    def __init__(self, spec: PreprocessSpec) -> None:
        self._size = spec.size
        self._films: list[ModelPixels] = []

    def find(self, sha256: str) -> None:
        """Nothing is known beforehand."""

    def add(self, film: Film, pixels: ModelPixels) -> int:
        """Keep a film; returns its row."""
        self._films.append(pixels)
        return len(self._films) - 1

    def pixels(self, rows: Sequence[int]) -> ModelPixels:
        """All films, uint8 (n, size, size)."""
        return np.stack(self._films) if rows else np.empty((0, self._size, self._size), np.uint8)


def _complaint(unreadable: Sequence[Unreadable], total: int) -> str:
    advice = "Mend or remove them, or leave them out by --skip-unreadable."
    if len(unreadable) == 1:
        return f"1 of {total:,} films cannot be read: {unreadable[0]} {advice}"
    listed = "".join(f"\n  {line}" for line in unreadable[:_LISTED])
    more = f"\n  and {len(unreadable) - _LISTED:,} more" if len(unreadable) > _LISTED else ""
    return f"{len(unreadable):,} of {total:,} films cannot be read. {advice}{listed}{more}"


def _read_all(
    source: FilmSource,
    films: Sequence[Film],
    spec: PreprocessSpec,
    progress: bool,
    store: "PixelCache | _Memory",
) -> Iterable[_Read | Unreadable]:
    def read(film: Film) -> _Read | Unreadable:
        try:
            content = source.read(film)
            sha256 = sha256_of(content)
            if (found := store.find(sha256)) is not None:
                row, size, notes = found
                return replace(film, sha256=sha256, size=size, notes=notes), row
            image = decode(content, name=film.name)
        except (ImageError, DataError) as error:
            return Unreadable(film, error)
        told = replace(film, sha256=sha256, size=(image.width, image.height), notes=image.notes)
        return told, to_model_pixels(image, spec)

    # Threads, not processes: Pillow decodes and resizes without holding the interpreter's lock.
    with ThreadPoolExecutor(cpu_count()) as pool:
        results = pool.map(read, films)
        yield from tqdm(results, "decoding", len(films), unit=" films", disable=None if progress else True)
