"""What moves a network's weights: the optimizer, and its learning rate from step to step."""

from collections.abc import Callable
from typing import Any

import keras

from trainer.recipes import Recipe


def learning_rates(recipe: Recipe, steps_per_epoch: int) -> Callable[[int], float]:
    """The learning rate of each step of a run, numbered from 0: constant, or a cosine after a linear warm-up."""
    if recipe.schedule == "constant":
        return lambda number: recipe.learning_rate
    total = steps_per_epoch * recipe.epochs
    warm_up = max(1, total // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total - warm_up), warmup_target=recipe.learning_rate, warmup_steps=warm_up
    )
    # The first step is not wasted on a rate of 0: the warm-up is one step ahead, and meets the cosine at its highest.
    return lambda number: float(schedule(max(number, min(number + 1, warm_up))))


def optimizer_of(recipe: Recipe) -> keras.Optimizer:
    """Adam, or AdamW where the recipe decays weights."""
    if not recipe.weight_decay:
        return keras.optimizers.Adam(recipe.learning_rate)
    return adamw(recipe.learning_rate, recipe.weight_decay)


def adamw(rate: Any, weight_decay: float) -> keras.Optimizer:
    """AdamW at a learning rate, or a schedule of it, that decays kernels only."""
    optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay)
    # Decaying a norm's scale or a bias only fights the next layer.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
