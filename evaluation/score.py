"""python -m evaluation score: answers for unlabelled files, any number of them, in a CSV that grows as they come.

Memory does not grow with the films, but for a hash of each one's name, by which none is answered twice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from tqdm import tqdm

from cxr.data.finding import find_film_files
from cxr.data.names import PassedOver, note_of_passed_over
from cxr.errors import UsageError
from cxr.imaging.decode import decode_file
from cxr.model.answer import Answer
from cxr.model.predictor import Predictor
from cxr.serving.batch import Answered, FilmFile, answer_files
from cxr.serving.opening import open_model
from evaluation.answers_file import AnswersFile, row_name
from evaluation.config import ScoreConfig


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
    for line in note_of_passed_over(passed_over):
        print(line)
    return score_with(open_model(config.model).predictor, config, total)


def score_with(predictor: Predictor, config: ScoreConfig, total: int) -> Counter[str]:
    """As `score`, with a model that is loaded; total: how many files there are, for the bar."""
    counts: Counter[str] = Counter()
    with AnswersFile(config.out, predictor) as answers, tqdm(total=total, unit=" films", disable=None) as bar:
        files = (path for path in find_film_files(config.files, PassedOver()) if not answers.is_own(path))
        wanted = (film_in_file(path) for path in files if answers.claim(row_name(path)))
        for rows in answer_films(predictor, wanted):
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
        others = f": {note_of_passed_over(passed_over)[0]}" if passed_over else ""
        raise UsageError(
            f"--files {files!r} holds no radiograph{others}. Name a folder, a glob in quotation marks, or one file."
        )
    return count, passed_over


# --- Answers


def film_in_file(path: Path) -> FilmFile:
    """The film in a file, by the name that its row gets."""
    return FilmFile(row_name(path), partial(decode_file, path))


def answer_films(predictor: Predictor, films: Iterable[FilmFile]) -> Iterator[list[Answer]]:
    """Answers in the films' order, chunk by chunk."""
    chunks: Iterator[list[Answered[None]]] = answer_files(predictor, films)
    for chunk in chunks:
        yield [answered.answer for answered in chunk]


def outcome(answer: Answer) -> str:
    """What an answer counts as: its decision, "refused", "unreadable", or "report not stored"."""
    if answer.error:
        return "report not stored" if answer.error.code == "report_not_stored" else "unreadable"
    return answer.decision or "refused"
