"""python -m benchmarks.finding: how long films take to be found in a large tree, in ratio to os.walk over it.

Run by hand. Each way walks the same tree of empty files, turn by turn; the median of the turns counts. `find` is what
`python -m evaluation score` does with a folder, `open` what DATA does: it also tells split, class, subtype and patient.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro

from cxr.cli import run_command
from cxr.data.finding import find_film_files
from cxr.data.names import PassedOver
from cxr.data.sources import open_data

_SITES = 25


@dataclass(frozen=True)
class FindingConfig:
    """Measure how long it takes to find films."""

    files: int = 100_000
    """Files in the tree; they are empty."""
    rounds: int = 5
    """Turns of each way."""
    debug: bool = False
    """Show the traceback of an error."""


def measure(config: FindingConfig) -> dict[str, float]:
    """Make the tree, walk it in each way, print and return the medians in seconds of processor time."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        count = _plant(root, config.files)
        ways: dict[str, Callable[[], int]] = {
            "os.walk": lambda: sum(len(files) for _, _, files in os.walk(root)),
            "find": lambda: sum(1 for _ in find_film_files(place, PassedOver())),
            "open": lambda: len(open_data(place).films),
        }
        turns: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(config.rounds):
            for name, way in ways.items():
                turns[name].append(_seconds(way, count))
    found = {name: statistics.median(times) for name, times in turns.items()}
    for name, seconds in found.items():
        ratio = seconds / found["os.walk"]
        print(f"{name:<8} {count:,} files in {seconds:.2f} s of processor time: {ratio:.1f} times os.walk")
    return found


def _plant(root: Path, files: int) -> int:
    """Kaggle's layout with `_SITES` folders in each class, and the number of files in it."""
    each = max(1, files // (4 * _SITES))
    for split in ("train", "test"):
        for label, form in (("NORMAL", "IM-{:04d}-0001.jpeg"), ("PNEUMONIA", "person{}_virus_1.jpeg")):
            for site in range(_SITES):
                folder = root / split / label / f"site{site}"
                folder.mkdir(parents=True)
                for number in range(each):
                    (folder / form.format(site * each + number)).touch()
    return 4 * _SITES * each


def _seconds(way: Callable[[], int], expected: int) -> float:
    start = time.process_time()
    found = way()
    seconds = time.process_time() - start
    if found != expected:
        raise RuntimeError(f"{found:,} of {expected:,} files were found")
    return seconds


if __name__ == "__main__":
    config = tyro.cli(FindingConfig)
    sys.exit(run_command(lambda: measure(config), config.debug))
