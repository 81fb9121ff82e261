"""Many films: decoded and answered on all cores, in order, in memory that does not grow with their number.

One pipeline for `python -m evaluation score`, the page and /predict_batch. An unreadable file is an answer with its
error and never stops the rest.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Generic, TypeVar

from cxr.errors import ImageError
from cxr.imaging.gray import GrayImage
from cxr.model.answer import Answer, Failure
from cxr.model.predictor import Predictor
from cxr.threads import cpu_count

CHUNK = 16
"""Files that one thread reads, decodes and answers in one go."""
_MAX_CHUNK_PIXELS = 32_000_000
"""Decoded pixels after which a thread lets the network answer before it goes on, so that memory stays bounded."""

Kept = TypeVar("Kept")
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class FilmFile:
    """A file to be answered for.

    Attributes:
        name: What it is called in its answer.
        read: Decodes it; called once, on a thread of the pipeline. Raises ImageError where it is no radiograph.
    """

    name: str
    read: Callable[[], GrayImage]


@dataclass(frozen=True, eq=False)
class Answered(Generic[Kept]):
    """The answer for one file, and what `keep` made of its image; None where the file was not read."""

    answer: Answer
    kept: Kept | None = None


def answer_files(
    predictor: Predictor,
    files: Iterable[FilmFile],
    keep: Callable[[GrayImage], Kept] | None = None,
    chunk: int = CHUNK,
) -> Iterator[list[Answered[Kept]]]:
    """Answers in the files' order, chunk by chunk; files are taken as they are needed.

    Args:
        predictor: The model.
        files: Any number of them.
        keep: What to keep of a decoded image, such as a thumbnail; runs on the thread that decoded it.
        chunk: Files that one thread answers in one go: many for speed, few where somebody waits for the first.

    Raises:
        BundleError: The network answers no number.
    """
    rest = iter(files)
    chunks = iter(lambda: list(islice(rest, chunk)), [])
    return in_order(lambda some: _answer_chunk(predictor, some, keep), chunks, cpu_count())


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """`work` for each item on threads, results in the items' order; few items are taken ahead of the results.

    Threads, not processes: decoding, resizing and the network all run without the interpreter's lock. What `work`
    raises is raised here, and the rest is given up; so it is where the caller stops early.
    """
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:  # not pool.map, which would take all items at once
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _answer_chunk(
    predictor: Predictor, files: Sequence[FilmFile], keep: Callable[[GrayImage], Kept] | None
) -> list[Answered[Kept]]:
    answered: dict[int, Answered[Kept]] = {}
    images: dict[int, GrayImage] = {}

    def answer_images() -> None:
        answers = predictor.predict_many(list(images.values()))
        for (place, image), answer in zip(images.items(), answers, strict=True):
            named = replace(answer, file=files[place].name)
            answered[place] = Answered(named, keep(image) if keep else None)
        images.clear()

    for place, file in enumerate(files):
        try:
            images[place] = file.read()
        except ImageError as error:
            answered[place] = Answered(Answer(file.name, error=Failure(error.code, str(error))))
        if sum(image.width * image.height for image in images.values()) > _MAX_CHUNK_PIXELS:
            answer_images()
    answer_images()
    return [answered[place] for place in range(len(files))]
