"""Several networks of one recipe, trained apart and joined into one.

The mean of independently trained networks varies less from one training to the next than each of them, and is less
sure of itself where they disagree (Lakshminarayanan et al. 2017). They are joined as towers of one network, so
that what is saved, exported and explained is still one Keras model.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from cxr.data.loading import LoadedFilms
from cxr.model.bundle import NetworkSpec
from cxr.model.networks import build_network, tower_prefix
from cxr.model.predictor import Predictor
from evaluation.metrics import FIGURES, evaluate
from evaluation.predictions import as_rows
from trainer.calibrate import fit_decision
from trainer.fit import Fitted, fit
from trainer.recipes import Recipe
from trainer.teacher import Teacher

SEED_STRIDE = 1000
"""Between the seeds of two members, so that those of neighbouring runs do not meet."""


def fit_members(
    recipe: Recipe,
    train: LoadedFilms,
    validation: LoadedFilms,
    seed: int,
    dtype: str,
    folder: Path,
    tensorboard: Path | None = None,
    teacher: Teacher | None = None,
) -> Fitted:
    """Train the recipe's members one after the other; arguments and errors as of `fit`.

    Each has a folder and a seed of its own, and keeps its own best epoch. Rows of the history name their member.
    """
    if recipe.members == 1:
        return fit(recipe, train, validation, seed, dtype, folder, tensorboard, teacher)
    fitted = []
    for member in range(recipe.members):
        name = f"member{member + 1}"
        print(f"member {member + 1} of {recipe.members}")
        log = tensorboard / name if tensorboard else None
        own_seed = seed + SEED_STRIDE * member
        fitted.append(fit(recipe, train, validation, own_seed, dtype, folder / name, log, teacher))
    history = [{"member": number, **row} for number, one in enumerate(fitted, 1) for row in one.history]
    best = tuple(epoch for one in fitted for epoch in one.best_epochs)
    return Fitted(join([one.model for one in fitted], recipe), history, best)


def joined_network(recipe: Recipe) -> NetworkSpec:
    """The registered network that a run of `recipe` ends with."""
    if recipe.members == 1:
        return recipe.network
    return NetworkSpec(name=recipe.network.name, params={**recipe.network.params, "towers": recipe.members})


def join(models: list[keras.Model], recipe: Recipe) -> keras.Model:
    """One network whose logit is the mean of the models' logits."""
    spec = joined_network(recipe)
    whole = build_network(spec.name, spec.params, recipe.preprocess.size)
    for number, model in enumerate(models, 1):
        for layer in model.layers[:-1]:
            if layer.weights:
                whole.get_layer(tower_prefix(number) + layer.name).set_weights(layer.get_weights())
    whole.layers[-1].set_weights(_mean_head([model.layers[-1].get_weights() for model in models]))
    return whole


def _mean_head(heads: list[Any]) -> list[np.ndarray]:
    kernels, biases = zip(*heads, strict=True)
    return [np.concatenate(kernels) / len(heads), np.mean(biases, axis=0)]


def members_alone(
    predictor: Predictor, head: np.ndarray, members: int, settling: LoadedFilms, films: LoadedFilms
) -> dict[str, Any]:
    """Each member's figures on `films`, settled on `settling` as the joined network is: the spread over seeds.

    predictor: of the joined network; head: its last kernel (d, 1). A member's logit is what its own features give;
    its bias, which the joined network does not keep apart, is settled anew by the calibration.
    Returns {"n", "figures": {name: {"mean", "sd", "each"}}}.
    """
    settled, scored = (predictor.outputs(part.pixels).features for part in (settling, films))
    rows = []
    for part in np.array_split(np.arange(len(head)), members):
        kernel = head[part, 0].astype(np.float64) * members
        decision = fit_decision(settling.y_true, settled[:, part] @ kernel)
        y_prob = decision.probabilities(scored[:, part] @ kernel)
        found = evaluate(as_rows(films, decision, y_prob), decision.threshold, resamples=0)
        rows.append({name: found[name]["value"] for name in FIGURES})
    figures = {}
    for name in FIGURES:
        each = [row[name] for row in rows]
        if None not in each:
            figures[name] = {"mean": float(np.mean(each)), "sd": float(np.std(each, ddof=1)), "each": each}
    return {"n": members, "figures": figures}
