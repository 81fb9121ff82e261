"""Several networks of one recipe, trained apart and joined into one.

The mean of independently trained networks varies less from one training to the next than each of them, and is less
sure of itself where they disagree (Lakshminarayanan et al. 2017). They are joined as towers of one network, so
that what is saved, exported and explained is still one Keras model.
"""

import logging
from typing import Any

import keras
import numpy as np

from cxr.data.loading import LoadedFilms
from cxr.model.bundle import NetworkSpec
from cxr.model.figures import FIGURES
from cxr.model.networks import build_network, tower_prefix
from cxr.model.predictor import Predictor
from evaluation.metrics import evaluate
from evaluation.predictions import as_rows
from trainer.calibrate import fit_decision
from trainer.fit import Fitted, fit
from trainer.recipes import Recipe
from trainer.training_run import TrainingRun

_log = logging.getLogger(__name__)


def fit_members(run: TrainingRun) -> Fitted:
    """Train the members of the run's recipe one after the other; errors as of `fit`.

    Each has a folder and a seed of its own, and keeps its own best epoch.

    Returns:
        The joined network, with a history whose rows name their member.
    """
    recipe = run.recipe
    if recipe.members == 1:
        return fit(run)
    fitted = []
    for number in range(1, recipe.members + 1):
        _log.info("member %d of %d", number, recipe.members)
        fitted.append(fit(run.member(number)))
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
    predictor: Predictor, head: np.ndarray, members: int, tuning: LoadedFilms, films: LoadedFilms
) -> dict[str, Any]:
    """Each member's figures, with calibration and threshold chosen as for the joined network: the spread over seeds.

    A member's logit is what its own features give; its bias, which the joined network does not keep apart, comes
    from the calibration.

    Args:
        predictor: of the joined network.
        head: the joined network's last kernel, (d, 1).
        members: how many there are.
        tuning: films that calibration and threshold are chosen on.
        films: films that the figures are of.

    Returns:
        {"n", "figures": {name: {"mean", "sd", "each"}}}.
    """
    of_tuning, of_films = (predictor.outputs(part.pixels).features for part in (tuning, films))
    rows = []
    for part in np.array_split(np.arange(len(head)), members):
        kernel = head[part, 0].astype(np.float64) * members
        decision = fit_decision(tuning.y_true, of_tuning[:, part] @ kernel)
        y_prob = decision.probabilities(of_films[:, part] @ kernel)
        figures_of = evaluate(as_rows(films, decision, y_prob), decision.threshold, resamples=0)
        rows.append({name: figures_of.figure(name).value for name in FIGURES})
    figures = {}
    for name in FIGURES:
        each = [value for row in rows if (value := row[name]) is not None]
        if len(each) == members:
            figures[name] = {"mean": float(np.mean(each)), "sd": float(np.std(each, ddof=1)), "each": each}
    return {"n": members, "figures": figures}
