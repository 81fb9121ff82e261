"""The films of a place that a bundle is adapted to, and what adapting to them gives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cxr.data.films import join_duplicates, require_both_classes
from cxr.data.loading import LoadedFilms, load_films
from cxr.data.sources import DataIdentity, open_data
from cxr.errors import DataError
from cxr.model.backend import Outputs
from cxr.model.predictor import Predictor
from cxr.types import CLASSES
from trainer.adapt_config import AdaptConfig
from trainer.adapt_folds import Index, Settled, patient_folds

if TYPE_CHECKING:
    import keras

Depth = Literal["decision", "head", "all"]
LEAST_FILMS = 10
"""Films of each class, and patients of each, without which nothing can be settled."""


@dataclass(frozen=True, eq=False)
class Place:
    """The films that a bundle is adapted to.

    Attributes:
        identity: Which data set they are.
        films: Preprocessed as the parent wants them; patients as they are told apart in cross-validation.
        outputs: What the parent's network gives for them.
        folds: The films of each part of the cross-validation.
    """

    identity: DataIdentity
    films: LoadedFilms
    outputs: Outputs
    folds: Sequence[Index]

    @property
    def patients(self) -> list[str]:
        """Of each film."""
        return [film.patient for film in self.films.films]


@dataclass(frozen=True, eq=False)
class Adapted:
    """What adapting gives, before it becomes a bundle.

    Attributes:
        depth: What was refitted.
        settled: Decision, and probabilities of held-out films.
        model: The network with its new weights; None where they are the parent's.
        figures: Parent and adapted model on the same films, for metrics.json.
    """

    depth: Depth
    settled: Settled
    model: "keras.Model | None"
    figures: dict[str, Any]


def open_place(config: AdaptConfig, parent: Predictor) -> Place:
    """Read the place's films and compute their features. Raises DataError or UsageError where that cannot be."""
    source = open_data(config.data, config.patient_pattern, config.columns)
    loaded, skipped = load_films(source, source.films, parent.preprocess, config.skip_unreadable)
    notes = (*source.identity.notes, *(f"skipped, unreadable: {line}" for line in skipped))
    identity = replace(source.identity, notes=notes)
    # Films with the same bytes must not stand on both sides of a fold.
    films = LoadedFilms(join_duplicates(loaded.films), loaded.pixels)
    require_both_classes(films.films, source.identity.id)
    _require_enough(films)
    patients = [film.patient for film in films.films]
    folds = patient_folds(films.y_true, patients, config.folds, config.seed)
    return Place(identity, films, parent.outputs(films.pixels), folds)


def _require_enough(films: LoadedFilms) -> None:
    for label, name in enumerate(CLASSES):
        of_class = [film for film, truth in zip(films.films, films.y_true, strict=True) if truth == label]
        patients = len({film.patient for film in of_class})
        if len(of_class) < LEAST_FILMS or patients < LEAST_FILMS:
            raise DataError(
                f"There are {len(of_class)} {name} films of {patients} patients; {LEAST_FILMS} films of "
                f"{LEAST_FILMS} patients are needed for anything to be settled on them. Add films."
            )
