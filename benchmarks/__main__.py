"""python -m benchmarks: measure, print the ratios, write results.json and results.png."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks import machine
from benchmarks.drawing import draw
from benchmarks.films import LARGE, SMALL, write_films
from benchmarks.serving import APPS, MODEL_FILE, ROOT, calls, first_answer
from benchmarks.worker import PLAIN
from cxr.cli import run_command
from cxr.files import write_json

Found = dict[str, Any]


@dataclass(frozen=True)
class BenchConfig:
    """Measure ours, the naive way and an empty app, turn by turn in one run."""

    out: Path = Path(__file__).resolve().parent / "results.json"
    """Where the results go; the plot is written beside it."""
    quick: bool = False
    """A short run: fewer turns and films, no growth beyond 10,000 films and 8 callers."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    rounds: int
    calls: int
    callers: tuple[int, ...]
    small: int
    large: int
    epoch: int
    growth: tuple[int, ...]


FULL = Extent(3, 20, (1, 8, 32, 64), 1000, 80, 320, (100, 1_000, 10_000, 100_000))
QUICK = Extent(1, 8, (1, 8), 400, 40, 320, (100, 1_000, 10_000))


def bench(config: BenchConfig) -> None:
    """Run everything, print it and write it."""
    extent = QUICK if config.quick else FULL
    before = machine.load()
    with tempfile.TemporaryDirectory() as place:
        found = measure(Path(place), extent)
    result = {
        "machine": machine.describe(),
        "load": {"before": before, "after": machine.load(), "note": "runnable processes, ours included"},
        "quick": config.quick,
        "rounds": extent.rounds,
        **found,
    }
    write_json(config.out, result)
    draw(config.out.with_suffix(".png"), result)
    print(describe(result))


def measure(folder: Path, extent: Extent) -> Found:
    """All measurements, with films written below `folder`."""
    small = write_films(folder / "small", extent.small, SMALL)
    large = write_films(folder / "large", extent.large, LARGE)
    film = next(small.rglob("*.jpeg"))
    _worker("plain_model", small)
    os.environ[MODEL_FILE] = str(folder / PLAIN)
    started = {name: [first_answer(name, film)] for name in APPS}
    for _ in range(extent.rounds - 1):
        for name in APPS:
            started[name].append(first_answer(name, film))
    _say("started")
    answered = calls(film, extent.rounds, extent.calls, extent.callers)
    _say("called")
    scored = {
        "224 px": _scored(small, extent.rounds),
        "2000 px": _scored(large, extent.rounds),
    }
    one = _turns({"one_ours": small, "one_naive": small}, extent.rounds, "seconds")
    _say("scored")
    epoch_films = write_films(folder / "epoch" / "train", extent.epoch, SMALL).parent
    places = {f"epoch_{kind}": epoch_films for kind in ("ours", "naive", "default", "batches")}
    places["epoch_naive"] /= "train"
    trained = _turns(places, extent.rounds, "seconds")
    epoch = {kind.removeprefix("epoch_"): seconds for kind, seconds in trained.items()}
    _say("trained")
    return {
        "first_answer_seconds": {
            name: _median([row["seconds"] for row in rows]) for name, rows in started.items()
        },
        "memory_mb": {name: answered[name]["mb"] for name in APPS},
        "predict": answered,
        "one_film_seconds": {"ours": one["one_ours"], "naive": one["one_naive"]},
        "films_per_second": scored,
        "epoch": {"films": extent.epoch, "seconds": epoch},
        "growth": [_grown(folder / f"growth-{count}", count) for count in extent.growth],
    }


def _scored(folder: Path, rounds: int) -> Found:
    """Films per second of ours and naive; and the limit: decoding and network alone, and both on the same cores."""
    kinds = dict.fromkeys(("ours", "naive", "decoding", "inference"), folder)
    found = _turns(kinds, rounds, "films_per_second")
    return {
        **found,
        "slower_of_both": min(found["decoding"], found["inference"]),
        "both_on_the_same_cores": 1 / (1 / found["decoding"] + 1 / found["inference"]),
    }


def _turns(places: Mapping[str, Path], rounds: int, key: str) -> dict[str, float]:
    """The median of each kind, given with the folder of its films, over rounds in which each has its turn."""
    found: dict[str, list[float]] = {kind: [] for kind in places}
    for _ in range(rounds):
        for kind, folder in places.items():
            found[kind].append(_worker(kind, folder)[key])
    return {kind: _median(values) for kind, values in found.items()}


def _grown(folder: Path, count: int) -> Found:
    found = _worker("ours", write_films(folder, count, SMALL))
    _say(f"{count:,} films")
    return found


def _worker(kind: str, folder: Path) -> Found:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", kind, str(folder)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{kind} failed:\n{done.stderr}")
    result: Found = json.loads(done.stdout.splitlines()[-1])
    return result


def _median(values: list[float]) -> float:
    return statistics.median(values)


def _say(what: str) -> None:
    print(f"{what} (load {machine.load()})", file=sys.stderr)


# --- The table


def rows(result: Found) -> list[tuple[str, str, float | None, float | None, float | None]]:
    """(what, unit, ours, naive, empty) of each measurement."""
    predict, rate = result["predict"], "calls/s"
    listed = [
        ("start to first answer", "s", *_three(result["first_answer_seconds"])),
        ("memory when serving", "MB", *_three(result["memory_mb"])),
        ("/predict p50", "ms", *(1000 * predict[name]["p50"] for name in APPS)),
        ("/predict p95", "ms", *(1000 * predict[name]["p95"] for name in APPS)),
    ]
    for count in predict["ours"]["calls_per_second"]:
        found = (predict[name]["calls_per_second"][count] for name in APPS)
        listed.append((f"{count} caller{'s' if int(count) > 1 else ''}", rate, *found))
    one, epoch = result["one_film_seconds"], result["epoch"]["seconds"]
    listed.append(("one film in process", "ms", 1000 * one["ours"], 1000 * one["naive"], None))
    for size, found in result["films_per_second"].items():
        listed.append((f"scoring, {size}", "films/s", found["ours"], found["naive"], None))
    listed.append(("epoch of the seed recipe", "s", epoch["ours"], epoch["naive"], None))
    return listed


def describe(result: Found) -> str:
    """The table for the terminal."""
    lines = [f"{'':<26}{'':<9}{'ours':>9}{'naive':>9}{'empty':>9}{'naive/ours':>12}{'ours/empty':>12}"]
    for what, unit, ours, naive, empty in rows(result):
        cells = [f"{value:>9.1f}" if value is not None else f"{'':>9}" for value in (ours, naive, empty)]
        against = [(naive, ours), (ours, empty)]
        ratios = [f"{a / b:>12.2f}" if a is not None and b is not None else f"{'':>12}" for a, b in against]
        lines.append(f"{what:<26}{unit:<9}{''.join(cells)}{''.join(ratios)}")
    for size, found in result["films_per_second"].items():
        lines.append(
            f"limit of scoring, {size}: decoding {found['decoding']:.0f}, network {found['inference']:.0f}, "
            f"both on the same cores {found['both_on_the_same_cores']:.0f} films/s"
        )
    default, batches = result["epoch"]["seconds"]["default"], result["epoch"]["seconds"]["batches"]
    lines.append(
        f"epoch of the default recipe: {default:.1f} s, {default / batches:.2f} x its steps by train_on_batch"
    )
    for row in result["growth"]:
        lines.append(
            f"{row['films']:>9,} films: {row['films_per_second']:.0f} films/s, peak {row['peak_mb']:.0f} MB"
        )
    lines.append(f"load {result['load']['before']} before, {result['load']['after']} after")
    return "\n".join(lines)


def _three(found: Found) -> tuple[float, float, float]:
    return found["ours"], found["naive"], found["empty"]


def main() -> int:
    """Parse the command line, run the command, and return the exit code."""
    config = tyro.cli(BenchConfig, prog="python -m benchmarks", config=(tyro.conf.FlagCreatePairsOff,))
    return run_command(lambda: bench(config), config.debug)


if __name__ == "__main__":
    sys.exit(main())
