"""One training run as one value: what a network is trained with, and where its state is kept."""

from dataclasses import dataclass, replace
from pathlib import Path

from cxr.data.loading import LoadedFilms
from cxr.types import ModelPixels
from trainer.processes import ALONE, Processes
from trainer.recipes import Recipe
from trainer.teacher import Teacher

SEED_STRIDE = 1000
"""Between the seeds of two members, so that those of neighbouring runs do not meet."""


@dataclass(frozen=True)
class TrainingRun:
    """Everything that `trainer.fit.fit` needs to train, or to go on with what it trained before.

    Attributes:
        recipe: how the network is trained.
        train: the films that are learnt from.
        tuning: the films that the best epoch, the calibration and the threshold are chosen on
            (`trainer.perturb.tuning_films`), made once for the whole run.
        seed: of the weights, the order and the augmentation.
        precision: dtype policy of the training steps, "float32" or "mixed_bfloat16".
        folder: keeps the state after every epoch.
        teacher: what is learnt from in place of the labels; tuning keeps to the labels.
        tensorboard: folder for a TensorBoard log.
        reference: normal films of other hospitals that planted opacities are shown on, uint8 (n, size, size).
        processes: those that train it together.
    """

    recipe: Recipe
    train: LoadedFilms
    tuning: LoadedFilms
    seed: int
    precision: str
    folder: Path
    teacher: Teacher | None = None
    tensorboard: Path | None = None
    reference: ModelPixels | None = None
    processes: Processes = ALONE

    def member(self, number: int) -> "TrainingRun":
        """The run of one of the recipe's members, numbered from 1: the same films, a seed and a folder of its own."""
        name = f"member{number}"
        return replace(
            self,
            seed=self.seed + SEED_STRIDE * (number - 1),
            folder=self.folder / name,
            tensorboard=self.tensorboard / name if self.tensorboard else None,
        )
