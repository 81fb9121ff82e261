"""python -m benchmarks.page [--other CHECKOUT]: what the page weighs, and how soon it takes a film."""

import importlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks import machine
from benchmarks.serving import ROOT
from cxr.cli import run_command
from cxr.errors import UsageError
from cxr.files import write_json

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
USABLE = ("html[data-spoken]", "#film input[type=file]")
"""The page has found its language, and its box takes files."""
_SETTLE_MS = 3000
_PATIENCE = 180


@dataclass(frozen=True)
class PageConfig:
    """Open the page in Chromium with an empty cache, this checkout's and another's turn by turn."""

    other: Path | None = None
    """Another checkout of this repository, such as an earlier commit's."""
    model: str = str(ROOT / "bundles" / "default")
    """MODEL of both, so that the examples are the same."""
    rounds: int = 5
    """Visits of each; medians are told."""
    out: Path | None = None
    """JSON file for the figures."""


@contextmanager
def served(checkout: Path, model: str) -> Iterator[str]:
    """The address of a checkout's app."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "MODEL": model, "GRADIO_SERVER_PORT": str(port)}
    command = [sys.executable, "app.py"]
    process = subprocess.Popen(
        command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.perf_counter() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.perf_counter() > give_up:
                raise UsageError("The app did not start. Run app.py to see why.") from None
            time.sleep(0.1)


def visit(browser: Any, address: str) -> dict[str, float]:
    """One visit of someone who was never there: bytes over the wire, requests, seconds until a film is taken."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    for selector in USABLE:
        page.wait_for_selector(selector, state="attached")
    seconds = time.perf_counter() - start
    page.wait_for_timeout(_SETTLE_MS)  # pictures of the examples, fonts
    context.close()
    requests = sum(not url.startswith(("data:", "blob:")) for url in asked)
    return {"kilobytes": sum(sizes) / 1000, "requests": requests, "seconds": seconds}


def measure(config: PageConfig) -> None:
    """Visit turn by turn, print the medians and write them."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        raise UsageError("There is no Chromium on PATH. Install it, for example by apt-get install chromium.")
    checkouts = {"this": ROOT} | ({"other": config.other.resolve()} if config.other else {})
    visits: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    playwright = importlib.import_module("playwright.sync_api")
    with ExitStack() as stack:
        addresses = {
            name: stack.enter_context(served(folder, config.model)) for name, folder in checkouts.items()
        }
        started = stack.enter_context(playwright.sync_playwright())
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for address in addresses.values():
            visit(browser, address)  # the server's first page costs more
        for _ in range(config.rounds):
            for name, address in addresses.items():
                visits[name].append(visit(browser, address))
        browser.close()
    found = {
        name: {key: statistics.median(one[key] for one in of) for key in of[0]} for name, of in visits.items()
    }
    for name, figures in found.items():
        each = ", ".join(f"{one['seconds']:.2f}" for one in visits[name])
        print(
            f"{name:<6} {figures['kilobytes']:8.0f} kB {figures['requests']:5.0f} requests "
            f"{figures['seconds']:6.2f} s until a film is taken ({each})"
        )
    if config.other:
        ratios = (f"{key} {found['this'][key] / found['other'][key]:.2f}" for key in found["this"])
        print(f"this / other: {', '.join(ratios)}")
    if config.out:
        write_json(config.out, {"machine": machine.describe(), "rounds": config.rounds, **found})


if __name__ == "__main__":
    config = tyro.cli(PageConfig, prog="python -m benchmarks.page")
    sys.exit(run_command(lambda: measure(config)))
