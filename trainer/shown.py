"""What a step shows to a network whose map is supervised: films, planted opacities, films of references."""

from dataclasses import dataclass

import numpy as np

from cxr.data.loading import LoadedFilms
from cxr.errors import TrainingError
from cxr.types import ModelPixels
from trainer.plants import plant, thorax
from trainer.recipes import Planting


@dataclass(frozen=True, eq=False)
class Shown:
    """The n films of a step.

    pixels: uint8 (n, size, size).
    targets: float32 (n, 1), 1 is PNEUMONIA.
    planes: float32 (n, size, size, 2) in [0, 1], the density of a planted opacity, and where the lungs may lie.
    told: float32 (n,), 1 where every place of the film is known, as it is of normal and planted films.
    weight: float32 (n,), of the film's class in the loss.
    """

    pixels: ModelPixels
    targets: np.ndarray
    planes: np.ndarray
    told: np.ndarray
    weight: np.ndarray


class PlantedFilms:
    """Draws the films of each step from the seed and the step's number alone."""

    def __init__(
        self, planting: Planting, train: LoadedFilms, reference: ModelPixels | None, seed: int
    ) -> None:
        """Raises TrainingError where there are fewer films than a step shows.

        reference: normal films of other hospitals, uint8 (n, size, size); None only where none are shown.
        """
        self._planting, self._seed = planting, seed
        self._pixels, self._y_true = train.pixels, train.y_true
        self._normal = train.pixels[train.y_true == 0]
        self._reference = train.pixels[:0] if reference is None else reference
        needed = planting.reference + planting.reference_planted
        for what, films, asked in (
            ("normal training films", self._normal, planting.planted),
            ("normal films of references", self._reference, needed),
        ):
            if len(films) < asked:
                raise TrainingError(
                    f"The recipe shows {asked} {what} a step, but there are {len(films)}. Change its planting, or "
                    "give more films."
                )

    def step(self, rows: np.ndarray, number: int) -> Shown:
        """The training films `rows`, and the others that the recipe shows in step `number`."""
        rng, p = np.random.default_rng((self._seed, number)), self._planting
        home = self._normal[rng.choice(len(self._normal), p.planted, replace=False)]
        chosen = rng.choice(len(self._reference), p.reference + p.reference_planted, replace=False)
        plain, healthy = self._reference[chosen[: p.reference]], self._reference[chosen[p.reference :]]
        planted = [plant(film, rng) for film in (*home, *healthy)]
        pixels = np.stack([*self._pixels[rows], *plain, *(film for film, _ in planted)])
        targets = np.concatenate([self._y_true[rows], np.zeros(len(plain)), np.ones(len(planted))])
        planes = np.zeros((*pixels.shape, 2), np.float32)
        planes[..., 1] = thorax(pixels.shape[1])
        for plane, (_, opacity) in zip(planes[len(pixels) - len(planted) :], planted, strict=True):
            plane[..., 0] = opacity
        extra = np.arange(len(pixels)) >= len(rows)
        weight = [1.0] * len(rows) + [p.reference_weight] * len(plain)
        weight += [p.planted_weight] * len(home) + [p.reference_weight] * len(healthy)
        return Shown(
            pixels,
            targets[:, None].astype(np.float32),
            planes,
            ((targets == 0) | extra).astype(np.float32),
            np.array(weight, np.float32),
        )
