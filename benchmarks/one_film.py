"""python -m benchmarks.one_film OTHER: one film, from its file to the decision, by two bundles turn by turn."""

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks import machine
from benchmarks.films import SMALL, write_films
from benchmarks.worker import MODEL
from cxr.cli import run_command
from cxr.files import write_json
from cxr.imaging.decode import decode_file
from cxr.serving.local import load_model


@dataclass(frozen=True)
class OneFilmConfig:
    """Time one film of 224 pixels by a bundle and by another one, and print the ratio."""

    other: Annotated[Path, tyro.conf.Positional]
    """The bundle to compare with, such as an earlier commit's (git archive COMMIT bundles/default | tar x -C DIR)."""
    model: Path = MODEL
    """The bundle that is measured."""
    turns: int = 120
    """Turns of each."""
    out: Path | None = None
    """JSON file for the figures."""
    debug: bool = False
    """Show the traceback of an error."""


def measure(config: OneFilmConfig) -> None:
    """Time, print and write."""
    predictors = {"model": load_model(str(config.model)), "other": load_model(str(config.other))}
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    before = machine.load()
    with tempfile.TemporaryDirectory() as place:
        film = next(write_films(Path(place), 1, SMALL).rglob("*.jpeg"))
        for _ in range(config.turns + 1):
            for name, predictor in predictors.items():
                start = time.perf_counter()
                predictor.predict(decode_file(film))
                seconds[name].append(time.perf_counter() - start)
    found: dict[str, dict[str, Any]] = {
        name: {
            "version": predictors[name].identity.version,
            "median_ms": round(1000 * statistics.median(times[1:]), 2),
            "least_ms": round(1000 * min(times[1:]), 2),
        }
        for name, times in seconds.items()
    }
    for name, one in found.items():
        print(f"{name:6} {one['version']:8} median {one['median_ms']} ms, least {one['least_ms']} ms")
    ratio = {key: round(found["model"][key] / found["other"][key], 2) for key in ("median_ms", "least_ms")}
    print(f"ratio: {ratio['median_ms']} by the medians, {ratio['least_ms']} by the least")
    if config.out is not None:
        load = {"before": before, "after": machine.load()}
        write_json(config.out, {"machine": machine.describe(), "load": load, **found, "ratio": ratio})


if __name__ == "__main__":
    config = tyro.cli(OneFilmConfig, prog="python -m benchmarks.one_film")
    sys.exit(run_command(lambda: measure(config), config.debug))
