"""python -m evaluation score --files dicomweb:URL: answers for a PACS's films; with --store, reports back to it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydicom import dcmwrite
from pydicom.filebase import DicomBytesIO
from tqdm import tqdm

from cxr.errors import ImageError, UsageError
from cxr.imaging.decode import GrayImage, decode
from cxr.model.answer import Answer, Failure
from cxr.model.predictor import Predictor
from cxr.serving.batch import in_order
from cxr.serving.opening import open_model
from cxr.threads import cpu_count
from evaluation.answers_file import AnswersFile
from evaluation.config import ScoreConfig
from evaluation.pacs.address import parse_address
from evaluation.pacs.archive import FilmReference, InstanceError, Pacs
from evaluation.pacs.capture import map_capture
from evaluation.pacs.report import structured_report
from evaluation.score import outcome, tell_counts

if TYPE_CHECKING:
    from pydicom import Dataset

_CALLED = "the film"  # in messages: its name is the row's UID
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def score_pacs(config: ScoreConfig) -> Counter[str]:
    """Answer for the frontal chest radiographs of a PACS that `config.out` does not name yet.

    The CSV names a film by its SOP Instance UID, and holds nothing else of the data set. With `config.store` each
    film's study gets a report, and a picture of the evidence map where the film was not refused, before the film has
    its row: a run that was interrupted repeats a report under the same UID, and loses none.

    Returns:
        How many films had which outcome.

    Raises:
        UsageError: The address is none, or another run or model wrote `config.out`.
        DataError: The PACS does not answer, is too slow, or refuses access; rows that are written stay.
        BundleError: The model cannot be loaded.
    """
    pacs = Pacs(parse_address(config.files), config.patience)
    studies = pacs.studies()
    if not studies:
        raise UsageError("--files dicomweb:URL?query matches no study. Check the query.")
    predictor = open_model(config.model).predictor
    counts: Counter[str] = Counter()
    with (
        AnswersFile(config.out, predictor) as answers,
        tqdm(total=len(studies), unit=" studies", disable=None) as bar,
    ):
        wanted = _wanted(pacs, studies, answers, bar)
        # Twice as many threads as cores: while the network computes for one film, others travel.
        for row in in_order(
            lambda film: answer_film(pacs, predictor, film, config.store), wanted, 2 * cpu_count()
        ):
            answers.append([row])
            counts[outcome(row)] += 1
        earlier = answers.earlier
    tell_counts(counts, f"films of {len(studies):,} studies", earlier, config.out)
    return counts


def answer_film(pacs: Pacs, predictor: Predictor, film: FilmReference, store: bool) -> Answer:
    """The row for one film; a film or a report that fails alone is a row with an error. Raises DataError."""
    try:
        data = pacs.film(film)
        image = decode(_bytes_of(data), _CALLED)
    except InstanceError as error:
        return Answer(film.instance, error=Failure("unreadable_file", str(error)))
    except ImageError as error:
        return Answer(film.instance, error=Failure(error.code, str(error)))
    if not store:
        return replace(predictor.predict(image), file=film.instance)
    answer, instances = _report(predictor, data, image)
    try:
        pacs.store(film.study, instances)
    except InstanceError as error:
        return replace(answer, file=film.instance, error=Failure("report_not_stored", str(error)))
    return replace(answer, file=film.instance)


def _report(predictor: Predictor, data: "Dataset", image: GrayImage) -> "tuple[Answer, list[Dataset]]":
    """The answer and what is stored of it: the report, and the map unless the film was refused."""
    explanation = predictor.explain(image)
    answer, model, rule = explanation.answer, predictor.identity, predictor.decision
    instances: list[Dataset] = [structured_report(data, answer, model, rule)]
    if answer.answered:
        instances.append(map_capture(data, image, explanation, model, rule.temperature))
    return answer, instances


def _bytes_of(data: "Dataset") -> bytes:
    """The data set as a file, which is what `decode` reads. Raises InstanceError."""
    missing = [keyword for keyword in _NEEDED if not data.get(keyword)]
    if missing:
        raise InstanceError(f"the film has no {missing[0]}")
    stream = DicomBytesIO()
    try:
        dcmwrite(stream, data, enforce_file_format=True)
    except (ValueError, TypeError, AttributeError, LookupError, NotImplementedError):
        raise InstanceError("the film is damaged") from None  # its words may quote the data set
    content: bytes = stream.getvalue()
    return content


def _wanted(
    pacs: Pacs, studies: Iterable[str], answers: AnswersFile, bar: "tqdm[Any]"
) -> Iterator[FilmReference]:
    for study in studies:
        yield from (film for film in pacs.films(study) if answers.claim(film.instance))
        bar.update()
