"""References: films of other hospitals, for the input gate, the band of unfamiliar images and planted opacities.

Half of a reference's patients are used; the other half is never seen by gate or network, so that figures can be given
on it. Which half a patient belongs to depends on the patients' names alone, and so is the same in every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cxr.data.loading import LoadedFilms, load_films
from cxr.data.sources import open_data
from cxr.errors import DataError, UsageError
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.predictor import Predictor
from cxr.types import NORMAL
from evaluation.elsewhere import elsewhere

if TYPE_CHECKING:
    from trainer.gating import GateFilms

CITATIONS = {
    "nih": (
        "NIH ChestX-ray14: Wang et al., CVPR 2017, provided by the NIH Clinical Center; labels text-mined from reports"
    ),
    "rsna": (
        "RSNA Pneumonia Detection Challenge 2018: Shih et al., Radiology: Artificial Intelligence 2019; films of the "
        "NIH Clinical Center, read by radiologists"
    ),
}
"""What is to be named wherever a model that saw them is described, by a word of the source's name."""
_GATE_USE = "input gate and the band for unfamiliar images"
_PLANTED_USE = "; training, as they are and with planted opacities (films_fitted)"
LEAST_PATIENTS = 20
_LIMITS = 0.3
"""Share of the patients used that the gate is not fitted to, because they set its limits."""


@dataclass(frozen=True)
class Reference:
    """Films of another hospital: `fitted` and `held_out` (for limits) by the gate; `unseen`, of other patients.

    matched: the films of all patients that stand in pairs (`Film.pair`), for a figure that exposure cannot make.
    """

    source: str
    fitted: LoadedFilms
    held_out: LoadedFilms
    unseen: LoadedFilms
    matched: LoadedFilms

    @property
    def for_gate(self) -> "GateFilms":
        """What the gate sees."""
        from trainer.gating import GateFilms  # here, because it loads TensorFlow

        return GateFilms(self.source, self.fitted.pixels, self.held_out.pixels)

    @property
    def is_normal(self) -> bool:
        """Whether every film is normal, so that opacities may be planted in it and its labels decide nothing."""
        parts = (self.fitted, self.held_out, self.unseen)
        return all(film.label == NORMAL for part in parts for film in part.films)

    def record(self, planted: bool = False) -> dict[str, Any]:
        """For bundle.json: what was used, and how much. planted: whether opacities are planted in training."""
        ages = [int(age) for age in self._ages() if age.isdecimal()]
        return {
            "source": self.source,
            "used_for": _GATE_USE + (_PLANTED_USE if planted and self.is_normal else ""),
            "films_fitted": len(self.fitted.films),
            "films_for_limits": len(self.held_out.films),
            "films_unseen": len(self.unseen.films),
            "films_in_pairs": len(self.matched.films),
            "ages": [min(ages), max(ages)] if ages else None,
            "ages_known": len(ages),
            "citation": next((text for name, text in CITATIONS.items() if name in self.source.lower()), ""),
        }

    def _ages(self) -> list[str]:
        return [film.age for part in (self.fitted, self.held_out, self.unseen) for film in part.films]


def open_references(data: Sequence[str], spec: PreprocessSpec) -> tuple[Reference, ...]:
    """Read each DATA whole, whatever its splits are called. Raises UsageError or DataError where it cannot be read."""
    opened = tuple(_open(address, spec) for address in data)
    names = [reference.source for reference in opened]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"Two --reference are called {twice[0]}. Give them names: --reference NAME=DATA --reference OTHER=DATA."
        )
    return opened


def normal_films(references: Sequence[Reference]) -> np.ndarray | None:
    """The normal films among those that the gate sees, uint8 (n, size, size); None where there are none."""
    parts = [
        films.pixels[[film.label == NORMAL for film in films.films]]
        for reference in references
        for films in (reference.fitted, reference.held_out)
    ]
    joined = np.concatenate(parts) if parts else np.empty(0)
    return joined if len(joined) else None


def films_to_plant(references: Sequence[Reference]) -> np.ndarray | None:
    """The fitted films of those references that are normal throughout, uint8 (n, size, size); None without any.

    Of a reference with both classes none: its films are kept to choose on.
    """
    parts = [reference.fitted.pixels for reference in references if reference.is_normal]
    return np.concatenate(parts) if parts else None


def measure_unseen(predictor: Predictor, references: Sequence[Reference]) -> dict[str, Any]:
    """Figures on the films of each reference that the gate has not seen, and on its pairs (`evaluation.elsewhere`)."""
    return {
        reference.source: elsewhere(predictor, reference.unseen, reference.matched)
        for reference in references
    }


def halves(patients: Sequence[str], seed: int = 0) -> tuple[list[str], list[str]]:
    """The different patients in random order, cut into a half that may be used and one for figures."""
    order = np.random.default_rng(seed).permutation(np.unique(list(patients))).tolist()
    return order[: len(order) // 2], order[len(order) // 2 :]


def _open(address: str, spec: PreprocessSpec) -> Reference:
    source = open_data(address)
    loaded, _ = load_films(source, source.films, spec)
    used, unseen = halves([film.patient for film in loaded.films])
    if len(used) + len(unseen) < LEAST_PATIENTS:
        raise DataError(
            f"--reference {address} holds films of {len(used) + len(unseen)} patients; {LEAST_PATIENTS} are needed, "
            "because half of them are kept for figures. Name a larger data set."
        )
    cut = round(len(used) * (1 - _LIMITS))

    def take(patients: Sequence[str]) -> LoadedFilms:
        wanted = set(patients)
        return loaded.take([film.patient in wanted for film in loaded.films])

    sources = {film.source for film in loaded.films}
    name = sources.pop() if len(sources) == 1 else source.identity.id
    matched = loaded.take([film.pair != "" for film in loaded.films])
    return Reference(name, take(used[:cut]), take(used[cut:]), take(unseen), matched)
