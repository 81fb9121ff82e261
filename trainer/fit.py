"""Fitting: a TrainingRun -> best averaged weights and a history, resumable after every epoch."""

import csv
import io
import logging
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cxr.data.loading import LoadedFilms
from cxr.errors import TrainingError
from cxr.files import write_bytes, write_text
from cxr.imaging.preprocess import to_input_batch
from cxr.model.decision import logit
from cxr.model.efficientnet_lite import freeze
from cxr.model.networks import build_network
from trainer.augment import augment, augment_with, mix
from trainer.map_loss import map_loss, supervised
from trainer.optimizers import learning_rates, optimizer_of
from trainer.pretrained import set_initial_weights
from trainer.recipes import Planting
from trainer.shown import PlantedFilms
from trainer.training_run import TrainingRun
from trainer.weighting import balanced_weights

HISTORY_COLUMNS = ("epoch", "learning_rate", "loss", "val_loss", "val_roc_auc", "val_accuracy")
Row = dict[str, float]
STATE_FILE = "state.npz"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """The float32 network with the best weights by validation, and what happened per epoch.

    best_epochs: one for each network that was trained.
    """

    model: keras.Model
    history: list[Row]
    best_epochs: tuple[int, ...]


def fit(run: TrainingRun) -> Fitted:
    """Train one network and keep the weights of the epoch with the lowest loss on the tuning films, or of the last.

    After every epoch the whole state goes to `run.folder`, and a state found there is continued to the same history
    as an unbroken run would have.

    Args:
        run: of one network; `trainer.members.fit_members` trains several.

    Returns:
        The network and its history.

    Raises:
        TrainingError: the loss is not finite.
        KeyboardInterrupt: between two steps, after Ctrl-C.
    """
    recipe = run.recipe
    training = _Training(run)
    state = _State(run.folder, training)
    state.restore()
    if run.processes.of_chief(len(state.history)) != len(state.history):
        raise TrainingError(
            f"Not every process sees the interrupted run in {run.folder}. Put --out on a drive that all of them share."
        )
    steps = training.steps_per_epoch * recipe.epochs
    done = training.steps_per_epoch * len(state.history)
    shown = tqdm(total=steps, initial=done, disable=None if run.processes.chief else True, unit=" steps")
    with shown as bar, interruptible() as stop_asked:
        for epoch in range(len(state.history) + 1, recipe.epochs + 1):
            if state.history and epoch - 1 - state.best_epoch >= recipe.patience:
                _log.info("stopped early: no better validation loss for %d epochs", recipe.patience)
                break
            start = time.perf_counter()
            loss = training.train_epoch(epoch, bar, stop_asked)
            rate, figures = training.last_rate, training.validate(run.tuning)
            row = {"epoch": epoch, "learning_rate": rate, "loss": loss, **figures}
            state.save(row)
            _write_summary(run.tensorboard if run.processes.chief else None, row)
            _log.info(_describe(row, recipe.epochs, time.perf_counter() - start))
    training.served.set_weights(state.best_weights)
    return Fitted(training.served, state.history, (state.best_epoch,))


@contextmanager
def interruptible() -> Iterator[Event]:
    """Turn the first Ctrl-C into an event, and leave the second to Python.

    An exception that comes up inside a TensorFlow call can take the whole process down with it.
    """
    asked = Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield asked
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def history_csv(history: list[Row]) -> str:
    """history.csv: one row an epoch, with the member's number before it where there are several."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return stream.getvalue()


def choose_precision(ratio_needed: float = 1.15) -> str:
    """The dtype policy that trains faster here, by timing one convolution step in each."""
    seconds = {dtype: _time_convolution(dtype) for dtype in ("float32", "mixed_bfloat16")}
    ratio = seconds["float32"] / seconds["mixed_bfloat16"]
    chosen = "mixed_bfloat16" if ratio > ratio_needed else "float32"
    _log.info(
        "precision: %s (a convolution step in bfloat16 is %.1f times as fast as in float32)", chosen, ratio
    )
    return chosen


def _time_convolution(dtype: str) -> float:
    compute = tf.bfloat16 if dtype == "mixed_bfloat16" else tf.float32
    films, kernel = tf.ones((16, 40, 40, 64), compute), tf.Variable(tf.ones((3, 3, 64, 64)))

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.nn.conv2d(films, tf.cast(kernel, compute), 1, "SAME"))
        return tape.gradient(loss, kernel)

    step()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        step().numpy()
        times.append(time.perf_counter() - start)
    return min(times)


class _Training:
    """A network in training, its optimizer, and the float32 network that holds the averaged weights."""

    def __init__(self, run: TrainingRun) -> None:
        keras.utils.set_random_seed(run.seed)
        tf.config.experimental.enable_op_determinism()
        self.run, self.recipe, self.seed, self.teacher = run, run.recipe, run.seed, run.teacher
        self.pixels, self.y_true = run.train.pixels, run.train.y_true
        self.processes = run.processes
        recipe, network, size = run.recipe, run.recipe.network, run.recipe.preprocess.size
        self.network = build_network(network.name, network.params, size, run.precision)
        set_initial_weights(self.network, recipe)
        if recipe.frozen_stages or recipe.frozen_norms:
            freeze(self.network, recipe.frozen_stages, recipe.frozen_norms)
        self.processes.prepare(self.network)
        self.served = build_network(network.name, network.params, size)
        self.served.set_weights(self.network.get_weights())
        self.optimizer = optimizer_of(recipe)
        self.optimizer.build(self.network.trainable_variables)
        self.steps_per_epoch = math.ceil(len(self._order(1)) / recipe.batch_size)
        self._learning_rate = learning_rates(recipe, self.steps_per_epoch)
        self.last_rate = 0.0
        self._change = tf.function(self._change_films, reduce_retracing=True)
        self._step = tf.function(self._train_step, reduce_retracing=True)
        self._average = tf.function(self._average_weights)
        if recipe.planting is not None:
            self._planted = PlantedFilms(recipe.planting, run.train, run.reference, run.seed)
            self._supervised = supervised(self.network)
            step = partial(self._train_map_step, recipe.planting)
            self._map_step = tf.function(step, reduce_retracing=True)

    def train_epoch(self, epoch: int, bar: Any, stop_asked: Event) -> float:
        """One epoch; returns the mean loss. Raises KeyboardInterrupt between two steps once a stop is asked for."""
        order, size = self._order(epoch), self.recipe.batch_size
        losses = []
        for index in range(self.steps_per_epoch):
            if stop_asked.is_set():
                raise KeyboardInterrupt
            rows = order[index * size : (index + 1) * size]
            number = (epoch - 1) * self.steps_per_epoch + index
            self.last_rate = self._learning_rate(number)
            self.optimizer.learning_rate.assign(self.last_rate)
            loss = float(self._learn(rows, number))
            if not math.isfinite(loss):
                raise TrainingError(self._not_finite(loss, epoch, index + 1))
            self._average(tf.constant(self._decay(number), tf.float32))
            losses.append(loss)
            bar.update()
            bar.set_description(f"epoch {epoch}/{self.recipe.epochs} loss {np.mean(losses):.3f}")
        return float(np.mean(losses))

    def _learn(self, rows: np.ndarray, number: int) -> Any:
        """One step on the training films `rows`; returns the loss."""
        seed = tf.constant([self.seed, number], tf.int32)
        if self.recipe.planting is not None:
            shown = self._planted.step(rows, number)
            known = (shown.targets, shown.planes, shown.told, shown.weight)
            return self._map_step(tf.constant(to_input_batch(shown.pixels)), *map(tf.constant, known), seed)
        targets = tf.constant(self.y_true[rows, None], tf.float32)
        films, targets = self._change(tf.constant(to_input_batch(self.pixels[rows])), targets, seed)
        # Each process changes the whole batch, so that what it draws does not depend on how many there are.
        films, targets = self.processes.share(films), self.processes.share(targets)
        if self.teacher is not None:
            targets = tf.constant(self.teacher.probabilities(films.numpy())[:, None])
        return self._step(films, targets)

    def validate(self, films: LoadedFilms) -> Row:
        """Loss, AUC and accuracy of the averaged weights; with balanced sampling both classes weigh the same.

        Where the finished network is calibrated on these films, so are its answers here: an epoch that is only too sure
        of itself loses nothing by it.
        """
        from sklearn.metrics import log_loss, roc_auc_score

        from trainer.calibrate import calibrated

        y_true = films.y_true
        y_prob = self._probabilities_of_all(films.pixels)
        if self.recipe.decide == "sensitivity":
            y_prob = calibrated(y_true, logit(y_prob))
        weight = np.ones(len(y_true))
        if self.recipe.sampling == "balanced":
            weight = balanced_weights(y_true)
        loss = log_loss(y_true, y_prob.clip(1e-7, 1 - 1e-7), sample_weight=weight, labels=[0, 1])
        accuracy = float(np.average((y_prob >= 0.5) == y_true, weights=weight))
        return {
            "val_loss": loss,
            "val_roc_auc": float(roc_auc_score(y_true, y_prob)),
            "val_accuracy": accuracy,
        }

    def _probabilities_of_all(self, pixels: np.ndarray) -> np.ndarray:
        """Of films uint8 (n, size, size), each by one of the processes: float64 (n,)."""
        count, rank = self.processes.count, self.processes.rank
        bounds = [len(pixels) * number // count for number in range(count + 1)]
        own = pixels[bounds[rank] : bounds[rank + 1]]
        y_prob = np.zeros(len(pixels))
        if len(own):
            parts = [self._probabilities(part) for part in np.array_split(own, len(own) // 64 + 1)]
            y_prob[bounds[rank] : bounds[rank + 1]] = np.concatenate(parts)
        return self.processes.total(y_prob)

    def _probabilities(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(self.served(to_input_batch(pixels), training=False))[:, 0].astype(np.float64)

    def _order(self, epoch: int) -> np.ndarray:
        """Which films an epoch shows, in order; drawn from the seed and the epoch alone."""
        rng = np.random.default_rng((self.seed, epoch))
        if self.recipe.sampling == "all":
            return rng.permutation(len(self.y_true))
        by_class = [np.flatnonzero(self.y_true == label) for label in (0, 1)]
        fewest = min(map(len, by_class))
        return rng.permutation(np.concatenate([rng.choice(rows, fewest, replace=False) for rows in by_class]))

    def _decay(self, number: int) -> float:
        # The mean must not remember the random start, so it follows closely at first.
        return min(self.recipe.ema_decay, (number + 1) / (number + 10)) if self.recipe.ema_decay else 0.0

    def _not_finite(self, loss: float, epoch: int, step: int) -> str:
        lower = f"--learning-rate below {self.recipe.learning_rate:g}"
        exact = "" if self.run.precision == "float32" else ", or --precision float32"
        return (
            f"The loss is {loss} in epoch {epoch}, step {step}, so training cannot go on. Start a new run with a "
            f"{lower}{exact} and another --out; --resume keeps a run's settings."
        )

    def _change_films(self, films: Any, targets: Any, seed: Any) -> tuple[Any, Any]:
        settings = self.recipe.augmentation
        films = augment(films, seed, settings)
        return mix(films, targets, seed, settings.mixup) if settings.mixup else (films, targets)

    def _train_step(self, films: Any, targets: Any) -> Any:
        loss, *gradients = self.processes.run(self._loss_and_gradients, films, targets)
        self.optimizer.apply(gradients, self.network.trainable_variables)
        return loss

    def _loss_and_gradients(self, films: Any, targets: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            probabilities = self.network(films, training=True)
            losses = keras.losses.binary_crossentropy(
                targets, probabilities, label_smoothing=self.recipe.label_smoothing
            )
            loss = tf.reduce_mean(losses)
        return self.processes.mean([loss, *tape.gradient(loss, self.network.trainable_variables)])

    def _train_map_step(
        self, planting: Planting, films: Any, targets: Any, planes: Any, told: Any, weight: Any, seed: Any
    ) -> Any:
        films, planes = augment_with(films, planes, seed, self.recipe.augmentation)
        with tf.GradientTape() as tape:
            outputs = self._supervised(films, training=True)
            smoothing = self.recipe.label_smoothing
            loss = map_loss(outputs, targets, planes, told, weight, planting, smoothing)
        variables = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def _average_weights(self, decay: Any) -> None:
        for mean, current in zip(self.served.weights, self.network.weights, strict=True):
            mean.assign(decay * mean + (1 - decay) * tf.cast(current, mean.dtype))


class _State:
    """What an epoch leaves behind: every variable of the run, the best weights so far, and the history."""

    def __init__(self, folder: Path, training: _Training) -> None:
        self._folder, self._served, self._chief = folder, training.served, training.processes.chief
        self._keep = training.recipe.keep
        parts = (training.network, training.optimizer, training.served)
        self._variables = [variable for part in parts for variable in part.variables]
        self.history: list[Row] = []
        self.best_epoch = 0
        self.best_weights: list[np.ndarray] = training.served.get_weights()

    def save(self, row: Row) -> None:
        """Take in an epoch; the chief writes it: the history and all arrays in one file, whole or not at all."""
        if self._kept(row):
            self.best_epoch, self.best_weights = int(row["epoch"]), self._served.get_weights()
        self.history.append(row)
        if self._chief:
            self._write()

    def _kept(self, row: Row) -> bool:
        if not self.history or self._keep == "last":
            return True
        return row["val_loss"] < self.history[self.best_epoch - 1]["val_loss"]

    def _write(self) -> None:
        arrays = {f"variable_{i}": np.asarray(v) for i, v in enumerate(self._variables)}
        arrays |= {f"best_{i}": value for i, value in enumerate(self.best_weights)}
        table = np.array([[row[name] for name in HISTORY_COLUMNS] for row in self.history])
        stream = io.BytesIO()
        arrays |= {"history": table, "best_epoch": np.array(self.best_epoch)}
        np.savez(stream, allow_pickle=False, **arrays)
        write_bytes(self._folder / STATE_FILE, stream.getvalue())
        write_text(self._folder / "history.csv", history_csv(self.history))

    def restore(self) -> None:
        path = self._folder / STATE_FILE
        if not path.is_file():
            return
        with np.load(path) as saved:
            for i, variable in enumerate(self._variables):
                variable.assign(saved[f"variable_{i}"])
            self.best_weights = [saved[f"best_{i}"] for i in range(len(self.best_weights))]
            self.best_epoch = int(saved["best_epoch"])
            rows = [dict(zip(HISTORY_COLUMNS, map(float, row), strict=True)) for row in saved["history"]]
        self.history = [{**row, "epoch": int(row["epoch"])} for row in rows]


def _write_summary(folder: Path | None, row: Row) -> None:
    """Append one epoch to a TensorBoard log; a resumed run writes another file that TensorBoard joins."""
    if folder is None:
        return
    with tf.summary.create_file_writer(str(folder)).as_default(step=int(row["epoch"])):
        for name in HISTORY_COLUMNS[1:]:
            tf.summary.scalar(name, row[name])


def _describe(row: Row, epochs: int, seconds: float) -> str:
    return (
        f"epoch {int(row['epoch']):>3}/{epochs}: loss {row['loss']:.4f}, validation loss {row['val_loss']:.4f}, "
        f"AUC {row['val_roc_auc']:.4f}, accuracy {row['val_accuracy']:.4f}, {seconds:.0f} s"
    )
