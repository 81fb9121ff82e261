"""A visitor's own labelled films: figures, curves and a suggested threshold, by the code of `python -m evaluation`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.data.films import Film, require_both_classes
from cxr.data.loading import Unreadable, load_films
from cxr.data.sources import FilmSource, open_upload
from cxr.errors import DataError
from cxr.imaging.decode import GrayImage, decode
from cxr.model.figures import Evaluation
from cxr.model.predictions import ScoredFilm
from cxr.model.predictor import Predictor
from evaluation.metrics import evaluate
from evaluation.operating_point import Explorer
from evaluation.predictions import score_films


@dataclass(frozen=True, eq=False)
class OwnData:
    """What a model does on labelled films.

    rows: its answers; metrics: as in metrics.json; explorer: any threshold, and the one that a wished sensitivity
    asks for; skipped: the films that could not be read, each with its reason; notes: what else there is to know of the
    data; source: the films, to read one of them again.
    """

    rows: list[ScoredFilm]
    metrics: Evaluation
    explorer: Explorer
    skipped: list[Unreadable]
    notes: tuple[str, ...] = ()
    source: FilmSource | None = None

    def film(self, row: ScoredFilm) -> GrayImage:
        """The film of one of `rows`, read again. Raises DataError or ImageError."""
        assert self.source is not None
        found = next(film for film in self.source.films if film.path == row.file)
        return decode(self.source.read(found), found.name)


def check_own_data(
    predictor: Predictor,
    archive: Path,
    at_most: int,
    resamples: int = 2000,
    seed: int = 0,
) -> OwnData:
    """Score the labelled films of a .zip: its test split where it has one, else all films.

    Unreadable files are left out and listed, and so is how many files were passed over. Raises DataError for an
    archive that is broken, laid out otherwise, of one class, or of more than `at_most` films.
    """
    source = open_upload(archive)
    films = _test_or_all(source.films)
    if len(films) > at_most:
        raise DataError(
            f"The archive holds {len(films):,} films, and at most {at_most:,} are checked here. Send fewer, or check "
            "them with python -m evaluation on a machine of your own.",
            "too_many_labelled",
            count=len(films),
            most=at_most,
        )
    loaded, skipped = load_films(source, films, predictor.preprocess, skip_unreadable=True, progress=False)
    require_both_classes(loaded.films, "the archive")
    rows = score_films(predictor, loaded)
    decision = predictor.decision
    bands = (decision.uncertain_band, decision.unfamiliar_band)
    metrics = evaluate(rows, decision.threshold, resamples, seed, *bands)
    explorer = Explorer(rows, resamples, seed)
    return OwnData(rows, metrics, explorer, skipped, source.identity.notes, source)


def _test_or_all(films: Sequence[Film]) -> list[Film]:
    test = [film for film in films if film.split == "test"]
    return test or list(films)
