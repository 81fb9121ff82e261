"""A teacher: a finished model whose probabilities a new network learns in place of the labels (distillation).

Hinton et al. 2015: what a larger model, such as an ensemble, says of a film tells more than the film's label, and a
small network that learns it comes near the larger one at its own cost. Teacher and student see the very same changed
films, mixed ones among them, for as long as training lasts (Beyer et al. 2022).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np

from cxr.data.films import Film, read_manifest
from cxr.errors import DataError, UsageError
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.decision import sigmoid
from cxr.model.predictor import Predictor
from cxr.serving.opening import open_model
from cxr.threads import cpu_count
from cxr.types import InputBatch


class Teacher:
    """A bundle's network, asked for its own probabilities of films as the student sees them."""

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        self.identity = predictor.identity
        self._preprocess = predictor.preprocess
        self._backend = predictor.backend
        self._manifest = folder / "manifest.csv"
        self._pool = ThreadPoolExecutor(cpu_count())

    def probabilities(self, batch: InputBatch) -> np.ndarray:
        """P(PNEUMONIA) before calibration, float32 (n,), of a batch float32 (n, size, size, 1)."""
        parts = np.array_split(batch, min(len(batch), cpu_count()))
        found = self._pool.map(self._backend.outputs, parts)
        return sigmoid(np.concatenate([outputs.logits for outputs in found])).astype(np.float32)

    def require_same_input(self, preprocess: PreprocessSpec) -> None:
        """Raises UsageError where teacher and student would preprocess a film differently."""
        if self._preprocess != preprocess:
            raise UsageError(
                f"The teacher {self.identity.source} preprocesses films otherwise ({self._preprocess}) than the recipe "
                f"({preprocess}). Choose another teacher, or a recipe.json with its preprocessing."
            )

    def require_unseen(self, films: Sequence[Film], split: str) -> None:
        """Refuse a teacher that was trained on some of `films`, which are held out to evaluate the student.

        Raises:
            UsageError: it was, or its bundle does not say.
        """
        learnt = self._learnt
        known = sum(film.sha256 in learnt for film in films)
        if known:
            raise UsageError(
                f"The teacher {self.identity.source} was trained on {known} of the {len(films)} {split} films, which "
                "are held out to evaluate the student. Use the --seed, --folds and --fold of the teacher's training."
            )

    @cached_property
    def _learnt(self) -> set[str]:
        """sha256 of the films that it was trained on: all but those set apart, whatever their split is called."""
        try:
            films = read_manifest(self._manifest)
        except DataError as error:
            raise UsageError(
                f"The teacher {self.identity.source} does not say what it was trained on: its {self._manifest.name} "
                "cannot be read. Download the whole bundle and name its folder."
            ) from error
        return {film.sha256 for film in films if film.split not in ("validation", "test")}


def open_teacher(model: str) -> Teacher:
    """The teacher MODEL, which is a bundle: a bare .h5 does not say what it was trained on.

    Raises UsageError, BundleError or HubError.
    """
    if Path(model).is_file():
        raise UsageError(
            f"The teacher {model} is a file, which does not say what it was trained on. Name a bundle's folder."
        )
    predictor = open_model(model).predictor
    assert predictor.bundle is not None
    return Teacher(predictor, predictor.bundle.folder)
