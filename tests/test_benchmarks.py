"""The benchmarks' parts; nothing here asserts a time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import finding, gate, one_film, worker
from benchmarks.__main__ import describe
from benchmarks.drawing import draw
from benchmarks.films import SMALL, write_films

RESULTS = Path(worker.__file__).parent / "results.json"


def test_the_table_and_the_plot_are_made_of_the_results(tmp_path):
    result = json.loads(RESULTS.read_text())
    table = describe(result)
    start = result["first_answer_seconds"]
    assert (
        f"{start['ours'] / start['empty']:.2f}" in table
        and f"load {result['load']['before']} before" in table
    )
    draw(tmp_path / "results.png", result)
    assert (tmp_path / "results.png").read_bytes() == RESULTS.with_suffix(".png").read_bytes()


@pytest.mark.parametrize("kind", [worker.ours, worker.decoding, worker.inference])
def test_a_measurement_counts_every_film(tmp_path, kind):
    found = kind(write_films(tmp_path / "films", 45, SMALL))
    assert found["films"] == 45 and found["films_per_second"] > 0 and found["peak_mb"] > 0


def test_finding_is_measured_against_os_walk(capsys):
    found = finding.measure(finding.FindingConfig(files=200, rounds=1))
    assert list(found) == ["os.walk", "find", "open"]
    printed = capsys.readouterr().out
    assert printed.count("200 files in") == 3 and "1.0 times os.walk" in printed


def test_one_film_is_measured_by_two_bundles(tmp_path, capsys):
    config = one_film.OneFilmConfig(other=worker.MODEL, turns=2, out=tmp_path / "one_film.json")
    one_film.measure(config)
    found = json.loads(config.out.read_text())
    assert found["model"]["version"] == found["other"]["version"] != ""
    assert 0 < found["model"]["least_ms"] <= found["model"]["median_ms"]
    assert found["ratio"]["median_ms"] == pytest.approx(
        found["model"]["median_ms"] / found["other"]["median_ms"], abs=0.01
    )
    assert "by the medians" in capsys.readouterr().out


def test_the_gate_is_asked_about_films_as_they_are_changed_ones_and_other_images(tmp_path):
    config = gate.GateConfig(reference=("phantom:60",), films=12, out=tmp_path / "gate.json")
    gate.measure(config)
    found = json.loads(config.out.read_text())
    (films,) = found["films"].values()
    assert list(films) == list(gate.CHANGES) and all(row["n"] == 12 for row in films.values())
    assert films["as they are"]["accepted"] > 0.8 > 0.2 > films["inverted"]["accepted"]
    assert 0 < found["others"]["noise"]["read"] == found["others"]["noise"]["n"]
    assert all(kind["accepted"] == 0 for kind in found["others"].values())


def test_help_of_the_readmes_writes_nothing():
    readmes = [Path(name) for name in ("README.md", "README.es.md")]
    root = RESULTS.parent.parent
    before = [(root / path).stat().st_mtime_ns for path in readmes]
    command = [sys.executable, "-m", "benchmarks.readme", "--help"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "Write the figures" in done.stdout
    assert [(root / path).stat().st_mtime_ns for path in readmes] == before
