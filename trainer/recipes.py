"""Recipes: everything that decides a training run apart from the data and the seed. Saved with the run."""

import json
from pathlib import Path
from typing import Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from cxr.errors import UsageError, first_problem
from cxr.imaging.preprocess import PreprocessSpec, seed_preprocess
from cxr.model.bundle import NetworkSpec

RANDOM, IMAGENET = "random", "imagenet"
APPLICATION = "keras_application"
"""Name in the registry of a network of keras.applications."""
LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
"""Names of the networks whose ImageNet weights a package ships."""
MAPPED = ("evidence", "joint")
"""Their heads that have a map by design."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Augmentation(_Strict):
    """Random changes of a training film, each drawn per film; 0 switches a change off.

    style: probability of taking over some of another film's coarse brightness (trainer.augment);
    rotation: degrees to either side; zoom, stretch: log-range of the scale, and of the aspect ratio;
    shift: share of the side; flip: probability of a left-right mirror;
    gamma, contrast: log-range; brightness: range, white is 1; field: log-range of a smooth uneven exposure;
    sharpness: 1 ranges from fully blurred to sharpened by as much; resolution: probability of halving and
    doubling the resolution; noise: highest standard deviation, white is 1;
    erase: probability of a gray rectangle; border: probability of a black margin;
    mixup: parameter of the Beta distribution by which pairs of films are mixed (Zhang et al. 2018).
    """

    style: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    stretch: float = 0.0
    shift: float = 0.0
    flip: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    field: float = 0.0
    sharpness: float = 0.0
    resolution: float = 0.0
    noise: float = 0.0
    erase: float = 0.0
    border: float = 0.0
    mixup: float = 0.0


class Planting(_Strict):
    """What a step shows beside its films, and what supervises the map, for a network with a map by design.

    Only normal films are planted, and then count as PNEUMONIA; films of references are normal ones of other
    hospitals (trainer.references). A hospital of which only normal films are known is never shown without planted
    ones, or the hospital itself would mean NORMAL.

    planted: normal training films with planted opacities a step (trainer.plants);
    reference, reference_planted: films of references as they are, and with planted opacities, a step;
    planted_weight, reference_weight: of these films' classes in the loss, a training film's is 1; with a weight of 0
    planted training films teach the map alone, for a faint opacity makes a poor label; map_weight: of the map's loss
    at each place; map_alone: of the loss of the answer that the map alone gives, where the film as a whole speaks
    too ("joint").
    """

    planted: int = Field(default=0, ge=0)
    reference: int = Field(default=0, ge=0)
    reference_planted: int = Field(default=0, ge=0)
    planted_weight: float = Field(default=0.0, ge=0)
    reference_weight: float = Field(default=1.0, gt=0)
    map_weight: float = Field(default=1.0, ge=0)
    map_alone: float = Field(default=0.3, ge=0)

    @property
    def with_references(self) -> bool:
        return bool(self.reference or self.reference_planted)

    @model_validator(mode="after")
    def _no_hospital_is_a_class(self) -> Self:
        if bool(self.reference) != bool(self.reference_planted):
            raise ValueError(
                "films of references are shown both as they are and with planted opacities, or not at all"
            )
        return self


class Recipe(_Strict):
    """How a network is trained.

    initial_weights: "random"; for EfficientNet-Lite also "imagenet"; for a network of keras.applications also
    "imagenet", or a .h5 of it without its top.
    frozen_stages: EfficientNet-Lite's stem and so many first stages keep their initial weights and statistics.
    frozen_norms: so do the batch norms of its other stages.
    planting: opacities planted in training, for a network whose map is supervised; None for none.
    teacher: a MODEL whose probabilities are learnt in place of the labels (trainer.teacher); "" for the labels.
    members: networks that are trained apart, each from a seed of its own, and joined (trainer.members).
    sampling: "all" shows every train film once an epoch; "balanced" shows every film of the rarer class once and
    as many of the other, drawn anew each epoch. validation: "grouped" holds out patient groups of train,
    "official" uses the data set's val split. perturbed: copies of each validation film, changed at random as
    training films are, on which the best epoch, the calibration and the threshold are chosen (trainer.perturb);
    0 takes the films as they are. learning_rate: the highest; "cosine" warms up over the first twentieth of the
    run and falls to 0, "constant" stays. ema_decay: decay per step of the weights' running mean, 0 for none;
    validated and saved are the averaged weights. patience: epochs without a better validation loss before the run
    ends. keep: the weights of the epoch with the lowest loss on the tuning films, or those of the last one, where these
    films do not show what the run is for. decide: "sensitivity" chooses the threshold on validation, "half" takes 0.5
    uncalibrated.
    """

    name: str
    network: NetworkSpec
    initial_weights: str = RANDOM
    frozen_stages: int = Field(default=0, ge=0, le=7)
    frozen_norms: bool = False
    planting: Planting | None = None
    teacher: str = ""
    members: int = Field(default=1, ge=1)
    preprocess: PreprocessSpec
    epochs: int = Field(ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine"]
    weight_decay: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    # "averaging" in recipes up to 0.3.0.
    ema_decay: float = Field(default=0.0, ge=0, lt=1, validation_alias=AliasChoices("ema_decay", "averaging"))
    sampling: Literal["all", "balanced"]
    validation: Literal["official", "grouped"]
    perturbed: int = Field(default=0, ge=0)
    patience: int = Field(ge=1)
    keep: Literal["best", "last"] = "best"
    decide: Literal["half", "sensitivity"]
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.members > 1 and self.network.name != "residual_cnn":
            raise ValueError(
                f"members are joined for residual_cnn only, and the network is {self.network.name}"
            )
        lite = self.network.name in LITE
        if self.initial_weights != RANDOM and not (
            self.network.name == APPLICATION or (lite and self.initial_weights == IMAGENET)
        ):
            raise ValueError(f"{self.network.name} starts from {'ImageNet or ' * lite}random weights only")
        if (self.frozen_stages or self.frozen_norms) and not lite:
            raise ValueError(f"stages are frozen for {', '.join(LITE)} only")
        if self.planting and not (lite and self.network.params.get("head") in MAPPED):
            raise ValueError(
                f"opacities are planted for {', '.join(LITE)} with head {' or '.join(MAPPED)} only"
            )
        if self.planting and (self.teacher or self.augmentation.mixup):
            raise ValueError("opacities are planted without a teacher and without mixup only")
        return self


SEED = Recipe(
    name="seed",
    network=NetworkSpec(name="seed_cnn"),
    preprocess=seed_preprocess(),
    epochs=10,
    learning_rate=1e-3,
    schedule="constant",
    sampling="all",
    validation="official",
    patience=10,
    decide="half",
)

DEFAULT = Recipe(
    name="default",
    network=NetworkSpec(
        name="residual_cnn",
        params={
            "stem": 32,
            "stem_stride": 4,
            "widths": [32, 64, 96],
            "blocks": 2,
            "instance_norm_stages": 2,
        },
    ),
    preprocess=PreprocessSpec(size=128, resample="bilinear"),
    epochs=24,
    learning_rate=2e-3,
    schedule="cosine",
    weight_decay=0.02,
    label_smoothing=0.05,
    ema_decay=0.997,
    sampling="balanced",
    validation="grouped",
    perturbed=2,
    patience=20,
    decide="sensitivity",
    augmentation=Augmentation(
        rotation=10,
        zoom=0.15,
        stretch=0.12,
        shift=0.06,
        flip=0.5,
        gamma=0.4,
        contrast=0.35,
        brightness=0.12,
        field=0.3,
        sharpness=1.0,
        resolution=0.2,
        noise=0.03,
        erase=0.3,
        border=0.3,
    ),
)

QUICK = Recipe(
    name="quick",
    network=NetworkSpec(name="residual_cnn", params={"stem": 16, "widths": [16, 32, 64], "blocks": 1}),
    preprocess=PreprocessSpec(size=96, resample="bilinear"),
    epochs=20,
    batch_size=16,
    learning_rate=3e-3,
    schedule="cosine",
    weight_decay=0.02,
    ema_decay=0.95,
    sampling="balanced",
    validation="grouped",
    patience=20,
    decide="sensitivity",
    augmentation=Augmentation(shift=0.03, flip=0.5, gamma=0.2, contrast=0.2),
)
"""For trying things out, on phantoms above all: learns them in about a minute."""

ENSEMBLE = DEFAULT.model_copy(update={"name": "ensemble", "members": 3})
"""The embedded bundle's: three networks of the default recipe, joined, in three times its time."""

DISTILLED = DEFAULT.model_copy(
    update={
        "name": "distilled",
        "epochs": 40,
        "label_smoothing": 0.0,
        "augmentation": DEFAULT.augmentation.model_copy(update={"mixup": 0.3}),
    }
)
"""The default network, taught by a larger model: a third of the ensemble's cost in serving."""

FINETUNE = DEFAULT.model_copy(
    update={
        "name": "finetune",
        "network": NetworkSpec(name=APPLICATION, params={"application": "DenseNet121"}),
        "initial_weights": IMAGENET,
        "preprocess": PreprocessSpec(size=224, resample="bilinear"),
        "epochs": 12,
        "learning_rate": 3e-4,
        "ema_decay": 0.99,
    }
)
"""A network of keras.applications from ImageNet weights. Not tried on films: no machine at hand could fetch them."""

LITE_FINETUNE = FINETUNE.model_copy(
    update={
        "name": "lite",
        "network": NetworkSpec(name=LITE[0], params={"head": "joint"}),
        "frozen_stages": 2,
        "frozen_norms": True,
        "planting": Planting(planted=2, reference=2, reference_planted=3),
        "preprocess": PreprocessSpec(size=192, resample="bilinear"),
        "batch_size": 24,
        "epochs": 20,
        "learning_rate": 1e-3,
        # Films of home do not show how a network travels, which comes with the last epochs.
        "keep": "last",
        # An erased rectangle looks like an opacity, and would keep its film's class.
        "augmentation": DEFAULT.augmentation.model_copy(update={"erase": 0.0, "style": 0.5}),
    }
)
"""EfficientNet-Lite0 from ImageNet weights, with planted opacities (docs/experiments.md, "A model that travels")."""

RECIPES = {
    recipe.name: recipe for recipe in (DEFAULT, ENSEMBLE, DISTILLED, SEED, QUICK, FINETUNE, LITE_FINETUNE)
}


def find_recipe(name: str) -> Recipe:
    """A recipe by name, or from a .json file such as the recipe.json of an earlier run. Raises UsageError."""
    if name in RECIPES:
        return RECIPES[name]
    path = Path(name)
    if path.suffix != ".json" or not path.is_file():
        raise UsageError(
            f"--recipe {name} is neither one of {', '.join(sorted(RECIPES))} nor a .json file that exists."
        )
    try:
        return Recipe.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise _no_recipe(path, first_problem(error)) from error
    except ValueError as error:
        raise _no_recipe(path, str(error)) from error


def _no_recipe(path: Path, reason: str) -> UsageError:
    return UsageError(f"{path.name} is not a recipe: {reason}. Start from the recipe.json of an earlier run.")
