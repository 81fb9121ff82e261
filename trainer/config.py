"""The configuration of a training run; its field docs are the command's help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import UseAppendAction


@dataclass(frozen=True)
class TrainConfig:
    """Train a network on labelled radiographs and write one bundle folder."""

    out: Path
    """Folder for the bundle; it must be new or empty."""
    data: UseAppendAction[tuple[str, ...]] = ()
    """DATA: a folder or .zip with folders NORMAL and PNEUMONIA, a table (films.csv), rsna:DIR,
    hub:OWNER/DATASET[@revision], or phantom[:N]; NAME=DATA gives it a name. Repeat --data for several sources.
    Without it: hub:hf-vision/chest-xray-pneumonia."""
    patient_pattern: str = ""
    """Regular expression that finds the patient in a film's path: its group (?P<patient>...), or its first."""
    columns: str = ""
    """What a table calls our columns, such as file=path,label=Target."""
    reference: UseAppendAction[tuple[str, ...]] = ()
    """DATA of another hospital, for the input gate and the band for unfamiliar images; where its films are all normal,
    recipe lite plants opacities in them, too. Repeat --reference for several hospitals."""
    recipe: str = "default"
    """default, ensemble (three of them, joined), distilled (one of them, taught by --teacher), seed (the original's),
    quick (small), finetune, lite (EfficientNet-Lite0 from ImageNet), or a recipe.json."""
    teacher: str | None = None
    """A MODEL, such as an ensemble's bundle, whose probabilities are learnt in place of the labels."""
    network: str | None = None
    """A network to fine-tune from ImageNet weights in place of the recipe's: efficientnet_lite0, 1 or 2, or one of
    keras.applications, such as DenseNet121."""
    weights: str | None = None
    """What such a network starts from: imagenet, random, or a .h5 of it without its top."""
    epochs: int | None = None
    """Number of epochs, in place of the recipe's."""
    batch_size: int | None = None
    """Films per step, in place of the recipe's."""
    learning_rate: float | None = None
    """Highest learning rate, in place of the recipe's."""
    seed: int = 0
    """Seed of the weights, the order, the augmentation and the validation split."""
    folds: int = 8
    """Parts that train is cut into by patient group; one of them validates."""
    fold: int = 0
    """Which part validates, from 0."""
    precision: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    """Arithmetic of the training steps; auto times both on this machine. The saved model is float32 always."""
    cache: Path | None = None
    """Folder that keeps the decoded films, for this run and later ones, and for data that does not fit in memory.
    It holds films: keep it where you keep these."""
    processes: int = 1
    """Processes on this machine that train together, one for each GPU. For several machines see docs/deploy.md."""
    resume: bool = False
    """Go on with an interrupted run of the same settings."""
    skip_unreadable: bool = False
    """Leave unreadable files out, in place of stopping."""
    test: bool = True
    """Evaluate the finished bundle once on the test split, where there is one, and keep the figures in it."""
    pictures: Literal["films", "phantoms"] = "films"
    """What the bundle's gallery and sample grid may show: held-out films, or synthetic phantoms only."""
    name: str = "cxr-pneumonia"
    """Name of the bundle."""
    version: str = "0.1.0"
    """Version of the bundle."""
    tensorboard: Path | None = None
    """Folder for a TensorBoard log."""
    debug: bool = False
    """Show the traceback of an error."""
