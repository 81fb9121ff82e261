"""What a run has learnt of its data before it fits."""

from dataclasses import dataclass

from cxr.data.films import DataChecks
from cxr.data.loading import LoadedFilms
from cxr.data.sources import DataIdentity, FilmSource
from trainer.references import Reference


@dataclass(frozen=True)
class Prepared:
    """The films of a run, apart.

    Test films are loaded for the checks and for the last figures only, references for the input gate.
    """

    source: FilmSource
    train: LoadedFilms
    validation: LoadedFilms
    test: LoadedFilms | None
    checks: DataChecks
    split_rule: str
    fingerprint: str
    notes: tuple[str, ...]
    references: tuple[Reference, ...] = ()

    @property
    def identity(self) -> DataIdentity:
        """Which data set it is."""
        return self.source.identity

    @property
    def held_out(self) -> tuple[str, LoadedFilms]:
        """Name and films of the split that the bundle's headline figures are of, once the run is over."""
        return ("test", self.test) if self.test is not None else ("validation", self.validation)

    def lines(self) -> list[str]:
        """What was read, what the checks found and how it was split, for the log."""
        train, validation = (f"{len(part.films):,}" for part in (self.train, self.validation))
        return [
            f"data: {self.identity.id}",
            *self.checks.lines(),
            *self.notes,
            f"train on {train} films, validate on {validation}: {self.split_rule}",
        ]
