"""One actor: a warm predictor that answers for the films of a part, on one processor."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from cxr.errors import BundleError, DataError, ImageError
from cxr.imaging.decode import MAX_BYTES, GrayImage, decode
from cxr.model.answer_csv import cells_of, csv_lines
from cxr.serving.batch import FilmFile
from cxr.serving.opening import open_model
from cxr.threads import VARIABLE
from evaluation.cluster.addresses import is_address, open_place
from evaluation.score import answer_films, film_in_file, outcome

_FETCHED = 16
"""Films that are fetched at once from a remote place, while those before them are decoded."""


class Worker:
    """Answers for parts, one after the other. Ray makes one in each of its worker processes."""

    def __init__(self, model: str, sha256: str) -> None:
        """Load the model.

        Args:
            model: MODEL, as the driver opened it.
            sha256: Of the driver's model; another one under the same name must not answer.

        Raises:
            BundleError: It does not verify, or is another one.
        """
        os.environ[VARIABLE] = "1"
        self._predictor = open_model(model).predictor
        if self._predictor.identity.sha256 != sha256:
            raise BundleError(
                f"{model} on a worker is not the model that the command opened. Put the same one on every machine."
            )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The lines of the CSV for one part: `part` is its name, `films` are their names (`packed`)."""
        counts: Counter[str] = Counter()
        lines = []
        for answers in answer_films(self._predictor, films_of(unpacked(batch["films"][0]))):
            counts.update(map(outcome, answers))
            lines.append(csv_lines(map(cells_of, answers)))
        return {"part": batch["part"], "lines": [b"".join(lines)], "counts": [json.dumps(counts)]}


def packed(names: Iterable[str]) -> bytes:
    """Names of films as bytes; a name on disk need not be text."""
    return b"\0".join(map(os.fsencode, names))


def unpacked(films: bytes) -> list[str]:
    """The names that were packed."""
    return [os.fsdecode(name) for name in films.split(b"\0")]


def films_of(names: Sequence[str]) -> Iterator[FilmFile]:
    """Films by their paths or addresses, all of one place.

    Raises:
        DataError: Of several films in a row none can be read: it is not the films that are broken.
    """
    if not is_address(names[0]):
        yield from (film_in_file(Path(name)) for name in names)
        return
    system, _ = open_place(names[0])
    chunks = [names[start : start + _FETCHED] for start in range(0, len(names), _FETCHED)]
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(_fetch, system, chunks[0])
        for chunk, following in zip_longest(chunks, chunks[1:]):
            contents = coming.result()
            if following:
                coming = pool.submit(_fetch, system, following)
            for name, content in zip(chunk, contents, strict=True):
                yield FilmFile(name, partial(_decode_fetched, name, content))


def _fetch(system: Any, names: Sequence[str]) -> list[bytes | OSError]:
    """The bytes of films, cut where they are too many anyway, or why one cannot be read."""
    found = system.cat_ranges(list(names), 0, MAX_BYTES + 1, on_error="return")
    contents = [
        # Once more and alone: a file without bytes has no first one, and connections break.
        _fetch_one(system, name) if isinstance(content, Exception) else content
        for name, content in zip(names, found, strict=True)
    ]
    failures = [content for content in contents if isinstance(content, OSError)]
    if len(failures) == len(names) > 1:
        raise DataError(
            f"None of {len(names)} films in a row can be read, beginning with {names[0]} ({failures[0]}). "
            "Check the access to them, then run the command again to go on."
        )
    return contents


def _fetch_one(system: Any, name: str) -> bytes | OSError:
    try:
        with system.open(name, "rb") as stream:
            content: bytes = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return error
    return content


def _decode_fetched(name: str, content: bytes | OSError) -> GrayImage:
    short = name.rpartition("/")[2]
    if isinstance(content, OSError):
        raise ImageError("unreadable_file", f"{short} cannot be read ({content}). Check its permissions.")
    return decode(content, short)
