"""References: films of other hospitals for the input gate and for the band of unfamiliar images, and for nothing else.

Half of a reference's patients are used; the other half is never seen by the gate, so that figures can be given on
it. Which half a patient belongs to follows from the patient's name alone, and so is the same in every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from cxr.data.loading import LoadedFilms, load_films
from cxr.data.sources import open_data
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.predictor import Predictor
from cxr.types import NORMAL
from evaluation.elsewhere import elsewhere
from trainer.gating import GateFilms

_PARTS = 20
_HELD_OUT, _FITTED = range(3), range(3, 10)
"""Of 20 parts of the patients, those that set the gate's limits and those that it is fitted to."""


@dataclass(frozen=True)
class Reference:
    """Films of another hospital: `used` by the gate, and `unseen`, of other patients, for figures."""

    source: str
    fitted: LoadedFilms
    held_out: LoadedFilms
    unseen: LoadedFilms

    @property
    def for_gate(self) -> GateFilms:
        """What the gate sees."""
        return GateFilms(self.source, self.fitted.pixels, self.held_out.pixels)

    def record(self) -> dict[str, Any]:
        """For bundle.json: what was used, and how much."""
        return {
            "source": self.source,
            "used_for": "input gate and the band for unfamiliar images",
            "films_fitted": len(self.fitted.films),
            "films_for_limits": len(self.held_out.films),
            "films_unseen": len(self.unseen.films),
        }


def open_references(data: Sequence[str], spec: PreprocessSpec) -> tuple[Reference, ...]:
    """Read each DATA whole, whatever its splits are called. Raises UsageError or DataError where it cannot be read."""
    return tuple(_open(address, spec) for address in data)


def normal_films(references: Sequence[Reference]) -> np.ndarray | None:
    """The normal films among those that the gate sees, uint8 (n, size, size); None where there are none."""
    parts = [
        films.pixels[[film.label == NORMAL for film in films.films]]
        for reference in references
        for films in (reference.fitted, reference.held_out)
    ]
    joined = np.concatenate(parts) if parts else np.empty(0)
    return joined if len(joined) else None


def measure_unseen(predictor: Predictor, references: Sequence[Reference]) -> dict[str, Any]:
    """Figures on the films of each reference that the gate has not seen (`evaluation.elsewhere`)."""
    return {reference.source: elsewhere(predictor, reference.unseen) for reference in references}


def _open(address: str, spec: PreprocessSpec) -> Reference:
    source = open_data(address)
    loaded, _ = load_films(source, source.films, spec)
    parts = [_part(film.patient) for film in loaded.films]

    def take(wanted: range) -> LoadedFilms:
        return loaded.take([part in wanted for part in parts])

    return Reference(source.identity.id, take(_FITTED), take(_HELD_OUT), take(range(10, _PARTS)))


def _part(patient: str) -> int:
    return int(sha256(patient.encode()).hexdigest(), 16) % _PARTS
