"""python -m benchmarks.page [--other CHECKOUT]: what the page weighs, and how soon it takes a film."""

import os
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks import machine
from benchmarks.browser import chromium
from benchmarks.serving import APPS, ROOT, started, wait_for
from cxr.cli import run_command
from cxr.files import write_json

USABLE = ("html[data-spoken]", "#film input[type=file]")
"""The page has found its language, and its box takes files."""
_SETTLE_MS = 3000


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
    checkouts = {"this": ROOT} | ({"other": config.other.resolve()} if config.other else {})
    visits: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    with ExitStack() as stack:
        apps = {}
        for name, folder in checkouts.items():
            environment = {**os.environ, "PYTHONPATH": str(folder), "MODEL": config.model}
            apps[name] = stack.enter_context(started(APPS["ours"], folder, environment))
        browser = stack.enter_context(chromium())
        for app in apps.values():
            wait_for(app)
            visit(browser, app.address)  # the server's first page costs more
        for _ in range(config.rounds):
            for name, app in apps.items():
                visits[name].append(visit(browser, app.address))
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
