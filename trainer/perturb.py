"""Films as another machine might have taken them, for what is chosen on validation.

Validation films come from where the training films do, and look like them; films from elsewhere do not. Chosen on
films as they are, an operating point is too far to one side as soon as exposure, sharpness or framing change. So the
best epoch, the calibration and the threshold are chosen on perturbed copies, the tuning films (Tomani et al. 2021),
drawn from the recipe's augmentation.
"""

import numpy as np
import tensorflow as tf

from cxr.data.loading import LoadedFilms
from cxr.imaging.preprocess import to_input_batch
from cxr.types import ModelPixels
from trainer.augment import augment
from trainer.recipes import Augmentation, Recipe

_BATCH = 256


def perturb(films: ModelPixels, settings: Augmentation, seed: int, draws: int = 1) -> ModelPixels:
    """`draws` perturbed copies of each film: uint8 (draws * n, size, size), the first copies of all films first."""
    copies = [
        augment(
            tf.constant(to_input_batch(films[start : start + _BATCH])), tf.constant([seed, number]), settings
        ).numpy()
        for number, start in enumerate(list(range(0, len(films), _BATCH)) * draws)
    ]
    return np.rint(np.concatenate(copies)[..., 0] * 255).astype(np.uint8)


def tuning_films(recipe: Recipe, validation: LoadedFilms, seed: int) -> LoadedFilms:
    """The films on which the best epoch, the calibration and the threshold of a recipe are chosen."""
    if not recipe.perturbed:
        return validation
    # What a film takes over from another one of the same hospital makes it no film of another machine.
    settings = recipe.augmentation.model_copy(update={"style": 0.0})
    pixels = perturb(validation.pixels, settings, seed, recipe.perturbed)
    return LoadedFilms(list(validation.films) * recipe.perturbed, pixels)
