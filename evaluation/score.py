"""python -m evaluation score: answers for unlabelled files, any number of them, in a CSV that grows as they come.

Memory does not grow with the films, but for a hash of each one's name, by which none is answered twice.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from cxr.data.finding import find_film_files
from cxr.data.names import PassedOver, told
from cxr.errors import ImageError, UsageError
from cxr.imaging.decode import GrayImage, decode_file
from cxr.model.answer import Answer, Failure
from cxr.model.predictor import Predictor
from cxr.serving.opening import open_model
from cxr.threads import cpu_count
from evaluation.answers_file import AnswersFile, shown
from evaluation.config import ScoreConfig

CHUNK = 16
"""Files that one thread reads, decodes and answers in one go."""
_MAX_CHUNK_PIXELS = 32_000_000
"""Decoded pixels after which a thread lets the network answer before it goes on, so that memory stays bounded."""


def score(config: ScoreConfig) -> Counter[str]:
    """Answer for every file that `config.out` does not name yet; unreadable files are rows with an error.

    Returns:
        How many files had which outcome.

    Raises:
        UsageError: There are no files, another run is writing `config.out`, or another model wrote it.
        DataError: `config.out` is not a CSV of answers; its bytes stay as they are.
        BundleError: The model cannot be loaded.
    """
    total, passed_over = _count(config.files)
    for line in told(passed_over):
        print(line)
    return score_with(open_model(config.model).predictor, config, total)


def score_with(predictor: Predictor, config: ScoreConfig, total: int) -> Counter[str]:
    """As `score`, with a model that is loaded; total: how many files there are, for the bar."""
    counts: Counter[str] = Counter()
    with AnswersFile(config.out, predictor) as answers, tqdm(total=total, unit=" films", disable=None) as bar:
        files = (path for path in find_film_files(config.files, PassedOver()) if not answers.is_own(path))
        wanted = (path for path in files if answers.claim(shown(path)))
        for rows in answer_files(predictor, wanted):
            answers.append(rows)
            counts.update(map(outcome, rows))
            bar.update(len(rows))
        earlier = answers.earlier
    tell_counts(counts, f"of {total:,} files", earlier, config.out)
    return counts


def tell_counts(counts: Counter[str], what: str, earlier: int, out: Path) -> None:
    """Print how a run ended."""
    print(f"{counts.total():,} {what} answered now ({earlier:,} rows before): {out}")
    for kind, count in counts.most_common():
        print(f"{count:>9,}  {kind}")


# --- Files


def _count(files: str) -> tuple[int, PassedOver]:
    """How many films there are, and what else, by kind."""
    passed_over = PassedOver()
    count = sum(1 for _ in find_film_files(files, passed_over))
    if not count:
        raise UsageError(
            f"--files {files!r} holds no radiograph{': ' + told(passed_over)[0] if passed_over else ''}. "
            "Name a folder, a glob in quotation marks, or one file."
        )
    return count, passed_over


# --- Answers


Film = tuple[str, Callable[[], GrayImage]]
"""A film by the name that its row gets, and what reads it; that may raise ImageError."""


def film_in_file(path: Path) -> Film:
    """The film in a file."""
    return shown(path), partial(decode_file, path)


def answer_files(predictor: Predictor, paths: Iterable[Path]) -> Iterator[list[Answer]]:
    """`answer_films` for files."""
    return answer_films(predictor, map(film_in_file, paths))


def answer_films(predictor: Predictor, films: Iterable[Film]) -> Iterator[list[Answer]]:
    """Answers in the films' order, chunk by chunk; all cores decode and compute."""
    rest = iter(films)
    chunks = iter(lambda: list(islice(rest, CHUNK)), [])
    cores = cpu_count()
    waiting: deque[Future[list[Answer]]] = deque()
    # Threads, not processes: decoding, resizing and the network all run without the interpreter's lock.
    pool = ThreadPoolExecutor(cores)
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_answer_chunk, predictor, chunk))
            if len(waiting) > 2 * cores:  # not pool.map, which would take all films at once
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _answer_chunk(predictor: Predictor, chunk: Sequence[Film]) -> list[Answer]:
    answers: dict[str, Answer] = {}
    films: dict[str, GrayImage] = {}

    def answer_decoded() -> None:
        predictions = predictor.predict_many(list(films.values()))
        answers.update(
            (name, replace(found, file=name)) for name, found in zip(films, predictions, strict=True)
        )
        films.clear()

    for name, read in chunk:
        try:
            films[name] = read()
        except ImageError as error:
            answers[name] = Answer(name, error=Failure(error.code, str(error)))
        if sum(film.width * film.height for film in films.values()) > _MAX_CHUNK_PIXELS:
            answer_decoded()
    answer_decoded()
    return [answers[name] for name, _ in chunk]


def outcome(answer: Answer) -> str:
    """What an answer counts as: its decision, "refused", "unreadable", or "report not stored"."""
    if answer.error:
        return "report not stored" if answer.error.code == "report_not_stored" else "unreadable"
    return answer.decision or "refused"
