"""Fitting: the same history again, after a stop as without, and a clear end on NaN. TensorFlow is imported here."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.data.films import Film
from cxr.data.loading import LoadedFilms
from cxr.errors import TrainingError
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.bundle import NetworkSpec
from trainer.fit import STATE_FILE, fit
from trainer.optimizers import learning_rates
from trainer.recipes import DEFAULT, Augmentation, Recipe
from trainer.training_run import TrainingRun

SIZE = 32
TINY = Recipe(
    name="tiny",
    network=NetworkSpec(name="residual_cnn", params={"stem": 8, "widths": [8, 16], "blocks": 1}),
    preprocess=PreprocessSpec(size=SIZE, resample="bilinear"),
    epochs=4,
    batch_size=16,
    learning_rate=3e-3,
    schedule="cosine",
    weight_decay=0.01,
    ema_decay=0.9,
    sampling="balanced",
    validation="grouped",
    patience=4,
    decide="sensitivity",
    augmentation=DEFAULT.augmentation,
)


def striped_films(count: int, seed: int) -> LoadedFilms:
    """Noise; the films of pneumonia have a bright left half."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3 > 0
    pixels = rng.integers(0, 120, (count, SIZE, SIZE), np.uint8)
    pixels[labels, :, : SIZE // 2] += 100
    names = ["PNEUMONIA" if label else "NORMAL" for label in labels]
    films = [
        Film(f"train/{name}/{i}.png", "train", name, "", f"p{i}", str(i)) for i, name in enumerate(names)
    ]
    return LoadedFilms(films, pixels)


def run_of(recipe: Recipe, films: tuple[LoadedFilms, LoadedFilms], folder: Path, **changes) -> TrainingRun:
    """A run in float32 from seed 3 that learns the first films and is tuned on the second."""
    run = TrainingRun(recipe, *films, seed=3, precision="float32", folder=folder)
    return replace(run, **changes)


@pytest.fixture(scope="module")
def films():
    return striped_films(60, 0), striped_films(30, 1)


@pytest.fixture(scope="module")
def unbroken(films, tmp_path_factory):
    return fit(run_of(TINY, films, tmp_path_factory.mktemp("unbroken")))


def test_learns_and_keeps_best_epoch(unbroken):
    losses = [row["val_loss"] for row in unbroken.history]
    assert unbroken.best_epochs[0] == int(np.argmin(losses)) + 1
    assert len(losses) == TINY.epochs
    assert unbroken.history[-1]["loss"] < unbroken.history[0]["loss"]


def test_served_weights_are_those_of_the_best_epoch(unbroken, films):
    from sklearn.metrics import roc_auc_score

    from cxr.imaging.preprocess import to_input_batch

    y_prob = np.asarray(unbroken.model(to_input_batch(films[1].pixels), training=False))[:, 0]
    expected = unbroken.history[unbroken.best_epochs[0] - 1]["val_roc_auc"]
    assert roc_auc_score(films[1].y_true, y_prob) == pytest.approx(expected, abs=1e-12)


def test_the_last_epoch_is_kept_where_the_recipe_says_so(films, tmp_path, monkeypatch):
    # The loss gets worse from epoch to epoch, by what validation is told to say.
    from trainer import fit as module

    validate, worse = module._Training.validate, iter(range(1, 9))
    monkeypatch.setattr(
        module._Training, "validate", lambda self, on: {**validate(self, on), "val_loss": float(next(worse))}
    )
    for keep, epoch in (("best", 1), ("last", 2)):
        recipe = TINY.model_copy(update={"keep": keep, "epochs": 2})
        assert fit(run_of(recipe, films, tmp_path / keep)).best_epochs == (epoch,)


def test_same_seed_gives_same_history(unbroken, films, tmp_path):
    assert fit(run_of(TINY, films, tmp_path)).history == unbroken.history


def test_other_seed_gives_other_history(unbroken, films, tmp_path):
    assert fit(run_of(TINY, films, tmp_path, seed=4)).history != unbroken.history


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the run's own code gets to clean up."""


@pytest.mark.parametrize("network", [TINY.network, NetworkSpec(name="seed_cnn")], ids=["residual", "dropout"])
def test_resumed_run_repeats_the_unbroken_history(network, films, tmp_path, monkeypatch):
    size = SIZE if network.name == "residual_cnn" else 62
    recipe = TINY.model_copy(
        update={"network": network, "preprocess": PreprocessSpec(size=size, resample="box")}
    )
    films = tuple(LoadedFilms(part.films, _enlarge(part.pixels, size)) for part in films)
    whole = fit(run_of(recipe, films, tmp_path / "whole"))

    from trainer import fit as module

    original, epochs_done = module._Training.train_epoch, []

    def dies_in_third_epoch(self, epoch, *rest):
        if epoch == 3:
            original(self, epoch, *rest)
            raise Killed
        epochs_done.append(epoch)
        return original(self, epoch, *rest)

    monkeypatch.setattr(module._Training, "train_epoch", dies_in_third_epoch)
    with pytest.raises(Killed):
        fit(run_of(recipe, films, tmp_path / "broken"))
    monkeypatch.setattr(module._Training, "train_epoch", original)
    assert epochs_done == [1, 2] and (tmp_path / "broken" / STATE_FILE).is_file()
    resumed = fit(run_of(recipe, films, tmp_path / "broken"))
    assert resumed.history == whole.history
    for mine, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _enlarge(pixels: np.ndarray, size: int) -> np.ndarray:
    return np.pad(pixels, ((0, 0), (0, size - SIZE), (0, size - SIZE)), mode="edge")


def test_stops_early(films, tmp_path):
    recipe = TINY.model_copy(update={"learning_rate": 1e-12, "ema_decay": 0.0, "epochs": 40, "patience": 2})
    history = fit(run_of(recipe, films, tmp_path)).history
    assert len(history) < 40


def test_loss_that_is_not_finite_stops_the_run(films, tmp_path):
    recipe = TINY.model_copy(
        update={"learning_rate": 1e30, "schedule": "constant", "augmentation": Augmentation(), "epochs": 10}
    )
    with pytest.raises(TrainingError) as stopped:
        fit(run_of(recipe, films, tmp_path))
    assert "--learning-rate below 1e+30 and another --out" in str(stopped.value)
    with pytest.raises(TrainingError, match=r"below 1e\+30, or --precision float32 and another --out"):
        fit(run_of(recipe, films, tmp_path / "other", precision="mixed_bfloat16"))


@pytest.mark.parametrize("epochs", [1, 4, 24])
def test_learning_rate_warms_up_linearly_and_falls_by_a_cosine(epochs):
    """As it was before Keras's CosineDecay computed it, so that a recipe's history stays its own."""
    recipe, steps = TINY.model_copy(update={"epochs": epochs}), 7
    total = epochs * steps
    warm_up = max(1, total // 20)
    expected = [
        (number + 1) / warm_up
        if number < warm_up
        else 0.5 * (1 + math.cos(math.pi * (number - warm_up) / (total - warm_up)))
        for number in range(total)
    ]
    rate = learning_rates(recipe, steps)
    found = [rate(number) / recipe.learning_rate for number in range(total)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_constant_learning_rate_stays():
    rate = learning_rates(TINY.model_copy(update={"schedule": "constant"}), 5)
    assert {rate(number) for number in range(20)} == {TINY.learning_rate}


def test_tensorboard_log_holds_each_epoch(films, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = TINY.model_copy(update={"epochs": 2})
    fitted = fit(run_of(recipe, films, tmp_path / "run", tensorboard=tmp_path / "log"))
    log = EventAccumulator(str(tmp_path / "log")).Reload()
    steps = [event.step for event in log.Tensors("val_loss")]
    assert steps == [row["epoch"] for row in fitted.history]
