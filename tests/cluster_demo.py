"""make demo-cluster: 2,000 phantoms by --engine ray, a worker and the command itself killed on the way.

Every film has one answer, and it is the default engine's to the last digit.
"""

import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from cxr.cli import run_command
from cxr.errors import CxrError
from cxr.phantom import phantom_jpeg, phantom_split
from tests.ray_workers import kill_one

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
DRAWN = 100
"""Phantoms that are drawn; the others are these again, since drawing costs more than answering."""


def main(films: int, workers: int) -> None:
    """Run the demonstration. Raises CxrError where a film has no answer, two, or another one."""
    with tempfile.TemporaryDirectory(prefix="cxr-cluster-") as scratch:
        folder, out, by_default = (Path(scratch) / name for name in ("films", "answers", "default.csv"))
        _write_films(folder, films)
        command = [sys.executable, "-m", "evaluation", "score", "--model", "bundles/default"]
        command += ["--files", str(folder)]
        print(f"{films:,} phantoms; the default engine first", flush=True)
        seconds = {"default engine": _run([*command, "--out", str(by_default)])}
        ray = [*command, "--engine", "ray", "--workers", str(workers), "--out", str(out)]
        before = _killed(ray, out, films)
        print(f"the command was killed after {before:,} answers; the same command again", flush=True)
        seconds["ray, gone on"] = _run(ray)
        rows = [row for path in sorted(out.glob("part-*.csv")) for row in _rows(path)]
        _compare(rows, _rows(by_default), films)
        _show(rows, seconds, before, films)


def _write_films(folder: Path, count: int) -> None:
    folder.mkdir()
    drawn = [phantom_jpeg(record) for record in phantom_split(DRAWN)]
    for number in range(count):
        path = folder / f"film-{number:06}.jpeg"
        if number < DRAWN:
            path.write_bytes(drawn[number])
        else:
            path.hardlink_to(folder / f"film-{number % DRAWN:06}.jpeg")


def _run(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=ENV, check=True)
    return time.perf_counter() - start


def _killed(command: list[str], out: Path, films: int) -> int:
    """Kill a worker after the first part and the command after a third of the films; the answers until then."""
    with subprocess.Popen(command, cwd=ROOT, env=ENV) as driver:
        worker = kill_one(
            driver.pid, lambda: _answered(out) > 0, lambda: driver.poll() is not None, signal.SIGKILL
        )
        print(f"killed worker {worker}", flush=True)
        while driver.poll() is None and _answered(out) < films // 3:
            time.sleep(0.05)
        driver.kill()
    if worker is None or not 0 < _answered(out) < films:
        raise CxrError("The run was over before anything could be killed. Run the demonstration again.")
    return _answered(out)


def _answered(out: Path) -> int:
    return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in out.glob("part-*.csv"))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def _compare(rows: list[dict[str, str]], expected: list[dict[str, str]], films: int) -> None:
    if len(rows) != films or len({row["file"] for row in rows}) != films:
        raise CxrError(f"{films:,} films have {len(rows):,} rows. This is a fault of the project.")
    if sorted(rows, key=lambda row: row["file"]) != sorted(expected, key=lambda row: row["file"]):
        raise CxrError("Ray's answers differ from the default engine's. This is a fault of the project.")


def _show(rows: list[dict[str, str]], seconds: dict[str, float], before: int, films: int) -> None:
    print(f"\n{'outcome':<14}{'films':>8}")
    for outcome, count in Counter(row["decision"] or row["scope"] for row in rows).most_common():
        print(f"{outcome:<14}{count:>8,}")
    print(f"{'together':<14}{len(rows):>8,}\n")
    for name, took in seconds.items():
        done = films if name == "default engine" else films - before
        print(f"{name:<16}{done:>8,} films in {took:.1f} s")
    print(f"{films:,} films, {films:,} answers, once each, equal to the default engine's to the last digit")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--films", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    sys.exit(run_command(lambda: main(asked.films, asked.workers)))
