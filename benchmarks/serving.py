"""Apps as processes: start them, call them through gradio_client, look at their memory."""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file

from benchmarks.machine import resident_megabytes
from benchmarks.worker import MODEL
from cxr.errors import UsageError

ROOT = MODEL.parent.parent
APPS = {"ours": ["app.py"], "naive": ["-m", "benchmarks.naive_app"], "empty": ["-m", "benchmarks.empty_app"]}
MODEL_FILE = "BENCHMARK_MODEL"
"""Environment variable with the .h5 of the naive app."""
_PATIENCE = 180


class App:
    """A running app."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port
        self.address = f"http://127.0.0.1:{port}"
        self._clients: list[Client] = []

    def clients(self, count: int) -> list[Client]:
        """As many clients, which are kept for the next time."""
        while len(self._clients) < count:
            self._clients.append(Client(self.address, verbose=False))
        return self._clients[:count]

    def call(self, film: Path, caller: int = 0) -> float:
        """Seconds of one call."""
        start = time.perf_counter()
        self._clients[caller].predict(image=handle_file(film), api_name="/predict")
        return time.perf_counter() - start

    def megabytes(self) -> float:
        """Memory in use."""
        return resident_megabytes(self.process.pid)


@contextmanager
def started(
    arguments: Sequence[str], folder: Path = ROOT, environment: Mapping[str, str] = os.environ
) -> Iterator[App]:
    """An app from its start to its stop. It may not answer yet.

    Args:
        arguments: Of Python, such as those in APPS.
        folder: Where it starts: this checkout, or another one.
        environment: Its variables, but for the port.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={
            **environment,
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        stdout=subprocess.DEVNULL,
    )
    try:
        yield App(process, port)
    finally:
        process.terminate()
        process.wait(timeout=30)


def first_answer(name: str, film: Path) -> dict[str, float]:
    """Seconds from the process's start to its first answer, and its memory then."""
    start = time.perf_counter()
    with started(APPS[name]) as app:
        wait_for(app)
        app.clients(1)
        app.call(film)
        return {"seconds": time.perf_counter() - start, "mb": app.megabytes()}


def calls(film: Path, rounds: int, per_round: int, callers: Sequence[int]) -> dict[str, dict[str, Any]]:
    """All apps at once, called turn by turn: latency, throughput by number of callers, and memory after it."""
    seconds: dict[str, list[float]] = {name: [] for name in APPS}
    rates: dict[str, dict[int, list[float]]] = {name: {count: [] for count in callers} for name in APPS}
    with ExitStack() as stack:
        apps = {name: stack.enter_context(started(APPS[name])) for name in APPS}
        for app in apps.values():
            wait_for(app)
            app.clients(1)
            app.call(film)
        for _ in range(rounds):
            for _ in range(per_round):
                for name, app in apps.items():
                    seconds[name].append(app.call(film))
            for count in callers:
                for name, app in apps.items():
                    rates[name][count].append(_rate(app, film, count))
        memory = {name: app.megabytes() for name, app in apps.items()}
    return {
        name: {
            "p50": statistics.median(seconds[name]),
            "p95": statistics.quantiles(seconds[name], n=20)[-1],
            "calls": len(seconds[name]),
            "calls_per_second": {count: statistics.median(rates[name][count]) for count in callers},
            "mb": memory[name],
        }
        for name in APPS
    }


def _rate(app: App, film: Path, callers: int) -> float:
    """Calls per second of callers who each call again as soon as they are answered."""
    app.clients(callers)
    each = max(1, 24 // callers)
    with ThreadPoolExecutor(callers) as pool:
        start = time.perf_counter()
        list(pool.map(lambda caller: [app.call(film, caller) for _ in range(each)], range(callers)))
        return callers * each / (time.perf_counter() - start)


def wait_for(app: App) -> None:
    """Until the app takes connections. Raises UsageError where it does not start."""
    give_up = time.perf_counter() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", app.port), timeout=1).close()
            return
        except OSError:
            if app.process.poll() is not None or time.perf_counter() > give_up:
                raise UsageError("The app did not start. Its reason stands above.") from None
            time.sleep(0.02)
