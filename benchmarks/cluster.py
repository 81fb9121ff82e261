"""python -m benchmarks.cluster: films a second by --engine ray with 1 and 2 workers, and what the engine costs.

Each is a run from nothing to the last row, the start of the workers included and that of Ray apart. Phantoms of
224 pixels, of which 40 differ. Results go to cluster.json.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks import machine
from benchmarks.films import SMALL, write_films
from cxr.cli import run_command
from cxr.files import write_json
from evaluation.config import ScoreConfig
from evaluation.score import score

MODEL = str(Path(__file__).resolve().parent.parent / "bundles" / "default")
_EACH_UP_TO = 10_000


@dataclass(frozen=True)
class ClusterBenchConfig:
    """Measure the Ray engine beside the default one."""

    films: tuple[int, ...] = (100, 10_000, 100_000)
    """Numbers of films."""
    workers: tuple[int, ...] = (1, 2)
    """Numbers of workers; above 10,000 films only the last."""
    out: Path = Path(__file__).resolve().parent / "cluster.json"
    """Where the results go."""
    debug: bool = False
    """Show the traceback of an error."""


def bench(config: ClusterBenchConfig) -> None:
    """Run everything, print it and write it."""
    from evaluation.cluster import score as engine

    before = machine.load()
    started = _seconds(lambda: engine.start(max(config.workers)))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        for count in config.films:
            folder = write_films(Path(place) / f"films-{count}", count, SMALL)
            for workers in (0, *(config.workers if count <= _EACH_UP_TO else config.workers[-1:])):
                out = Path(place) / f"answers-{count}-{workers}"
                rows.append(_measured(engine.score_on_cluster if workers else score, folder, out, workers))
                print(_line(rows[-1]), file=sys.stderr, flush=True)
    result = {
        "machine": machine.describe(),
        "load": {"before": before, "after": machine.load(), "note": "runnable processes, ours included"},
        "start_of_ray_seconds": started,
        "runs": rows,
    }
    write_json(config.out, result)
    print(f"start of Ray: {started:.1f} s", *map(_line, rows), sep="\n")


def _measured(run: Callable[[ScoreConfig], Any], folder: Path, out: Path, workers: int) -> dict[str, Any]:
    count = sum(1 for _ in folder.rglob("*.jpeg"))
    config = ScoreConfig(MODEL, str(folder), out, "ray" if workers else "threads", workers)
    seconds = _seconds(lambda: run(config))
    return {
        "engine": config.engine,
        "workers": workers,
        "films": count,
        "seconds": seconds,
        "films_per_second": count / seconds,
    }


def _line(row: dict[str, Any]) -> str:
    who = f"ray, {row['workers']} workers" if row["workers"] else "default engine"
    return f"{who:<16}{row['films']:>9,} films{row['seconds']:>9.1f} s{row['films_per_second']:>8.0f} films/s"


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> int:
    """Parse the command line, run the command, and return the exit code."""
    config = tyro.cli(
        ClusterBenchConfig, prog="python -m benchmarks.cluster", config=(tyro.conf.FlagCreatePairsOff,)
    )
    return run_command(lambda: bench(config), config.debug)


if __name__ == "__main__":
    sys.exit(main())
