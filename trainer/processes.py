"""Processes that train one network together: several GPUs or several machines, a process for each.

Every process holds the whole network. Of each batch it computes its own part; gradients and batch statistics are
summed over all of them, so that each makes the same step, and the history is that of one process within rounding.
tf.distribute carries the sums (MultiWorkerMirroredStrategy: NCCL between GPUs, gRPC between processors).
keras.distribution does not: for TensorFlow it is a prototype whose functions are empty (Keras 3.15).
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from cxr.errors import UsageError

VARIABLE = "TF_CONFIG"
"""Names the processes, and which of them this one is; TensorFlow's own, set by `launch` or by a cluster's scheduler."""
_PATIENCE = 10.0


class Processes:
    """One process, alone; also what several have in common.

    Attributes:
        rank: Which of them this is, from 0.
        count: How many there are.
    """

    rank, count = 0, 1

    @property
    def chief(self) -> bool:
        """Whether this one writes files."""
        return self.rank == 0

    def prepare(self, network: Any) -> None:
        """Make a network's training depend on the whole batch; to be called before its first step."""

    def share(self, batch: Any) -> Any:
        """This process's part of a batch that all have; all of it where it cannot be cut into equal parts."""
        return batch

    def run(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Call a step in which `mean` may be used."""
        return step(*arguments)

    def mean(self, values: list[Any]) -> list[Any]:
        """Each tensor's mean over the processes."""
        return values

    def total(self, values: Any) -> np.ndarray:
        """An array's sum over the processes."""
        return np.asarray(values)

    def of_chief(self, number: int) -> int:
        """What the chief passes; the others' numbers are not used."""
        return round(float(self.total(np.array(float(number if self.chief else 0)))))

    def wait(self) -> None:
        """Return when every process has come here."""
        self.total(np.zeros(1))


ALONE = Processes()


class _Together(Processes):
    def __init__(self, rank: int, count: int) -> None:
        import tensorflow as tf

        self.rank, self.count = rank, count
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
        self._parts = tf.Variable(count, dtype=tf.int32, trainable=False)
        self._sum = tf.function(lambda values: self._strategy.run(self._all_reduce, (values,)))

    def prepare(self, network: Any) -> None:
        import keras

        for layer in network._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
            elif isinstance(layer, keras.layers.Dropout | keras.layers.SpatialDropout2D):
                layer.call = self._dropout(layer)

    def _dropout(self, layer: Any) -> Callable[..., Any]:
        """A dropout layer's call that draws for the whole batch, as one process does, and keeps this one's part."""
        import tensorflow as tf

        def call(films: Any, training: bool = False) -> Any:
            if not training:
                return films
            rows, rest = tf.shape(films)[0], tf.shape(films)[1:]
            whole = tf.ones(tf.concat([[rows * self._parts], rest], 0), films.dtype)
            start = tf.where(self._parts > 1, self.rank * rows, 0)
            return films * type(layer).call(layer, whole, training=True)[start : start + rows]

        return call

    def share(self, batch: Any) -> Any:
        size = int(batch.shape[0])
        self._parts.assign(1 if size % self.count else self.count)
        if size % self.count:
            return batch
        part = size // self.count
        return batch[self.rank * part : (self.rank + 1) * part]

    def run(self, step: Callable[..., Any], *arguments: Any) -> Any:
        return self._strategy.run(step, arguments)

    def mean(self, values: list[Any]) -> list[Any]:
        return [value / self.count for value in self._all_reduce(values)]

    def total(self, values: Any) -> np.ndarray:
        import tensorflow as tf

        return np.asarray(self._sum(tf.constant(values)))

    def _all_reduce(self, values: Any) -> Any:
        import tensorflow as tf

        # Copies, made on the device of this replica: an argument has none yet, and is not reduced then.
        values = tf.nest.map_structure(tf.identity, values)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def are_named() -> bool:
    """Whether the environment names several processes, of which this is one. Raises UsageError."""
    return _place()[1] > 1


def join_processes() -> Processes:
    """The processes that the environment names, or this one alone. To be called before TensorFlow computes anything.

    Raises:
        UsageError: TF_CONFIG cannot be read.
    """
    rank, count = _place()
    return _Together(rank, count) if count > 1 else ALONE


def _place() -> tuple[int, int]:
    """Rank and count by TF_CONFIG."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return 0, 1
    try:
        named = json.loads(text)
        workers, task = named["cluster"]["worker"], named["task"]
        if task["type"] != "worker" or not 0 <= int(task["index"]) < len(workers):
            raise ValueError(f"task {task} is not one of {len(workers)} workers")
        return int(task["index"]), len(workers)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{VARIABLE} does not name the processes of a training ({error}). Unset it, or see docs/deploy.md."
        ) from error


def launch(count: int, command: Sequence[str]) -> int:
    """Run a command `count` times on this machine as processes that train together, each with a GPU of its own.

    Returns:
        The exit code: 0, or that of the first that failed; the others are ended then.
    """
    workers = [f"127.0.0.1:{port}" for port in _free_ports(count)]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(count):
            place = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": rank}}
            one_gpu = {"CUDA_VISIBLE_DEVICES": _gpu(rank)} if _gpu(rank) else {}
            started.append(
                subprocess.Popen(command, env={**os.environ, VARIABLE: json.dumps(place), **one_gpu})
            )
        return _wait_for(started)
    finally:
        _end(started)


def own_command() -> list[str]:
    """The command line of this process, to be run again."""
    return [sys.executable, "-m", "trainer", *sys.argv[1:]]


def _gpu(rank: int) -> str:
    """The GPU of a process: of those that the environment allows, or by number."""
    allowed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return allowed[rank % len(allowed)] if allowed else str(rank)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _wait_for(started: list[subprocess.Popen[bytes]]) -> int:
    """The first exit code that is not 0, as soon as there is one; 0 when all have ended well."""
    while True:
        codes = [process.poll() for process in started]
        failed = [code for code in codes if code]
        if failed:
            return failed[0]
        if None not in codes:
            return 0
        time.sleep(0.2)


def _end(started: list[subprocess.Popen[bytes]]) -> None:
    """End what still runs: one of them may wait for a sum to which another, that is gone, does not add."""
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in started:
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
