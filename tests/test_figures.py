"""What a bundle tells of itself: typed, read from every version there was, and refused where something is missing."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import app
from cxr.errors import BundleError
from cxr.files import sha256_of_file, write_json
from cxr.model.bundle import DESCRIPTION, load_bundle, write_description
from cxr.model.figures import FIGURES, METRICS_FILE, read_metrics
from evaluation import __main__ as evaluation_command

DEFAULT = Path(__file__).resolve().parent.parent / "bundles" / "default"


def change(folder: Path, name: str, edit: Callable[[Any], object]) -> Path:
    """Edit a JSON file of a bundle and list it as it is then."""
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    edit(content)
    write_json(folder / name, content)
    return relist(folder, name)


def relist(folder: Path, name: str) -> Path:
    described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    if name in described["sha256"]:
        described["sha256"][name] = sha256_of_file(folder / name)
        write_json(folder / DESCRIPTION, described)
    return folder


def spoil_predictions(folder: Path) -> Path:
    path = folder / "predictions.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",NORMAL,,", ",normal,,", 1), encoding="utf-8")
    return relist(folder, path.name)


LACKING: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a figure": (
        lambda f: change(f, METRICS_FILE, lambda m: m.pop("roc_auc")),
        "metrics.json cannot be used: roc_auc: Field required. Fetch the bundle again, or train it anew.",
    ),
    "a part of a figure": (
        lambda f: change(f, METRICS_FILE, lambda m: m["validation"]["ece"].pop("ci95")),
        "metrics.json cannot be used: validation.ece.ci95: Field required. ",
    ),
    "the data": (
        lambda f: change(f, METRICS_FILE, lambda m: m["data"].pop("split")),
        "metrics.json cannot be used: data.split: Field required. ",
    ),
    "a number": (
        lambda f: change(f, METRICS_FILE, lambda m: m["brier"].update(value="low")),
        "metrics.json cannot be used: brier.value: Input should be a valid number",
    ),
    "all figures": (
        lambda f: change(f, METRICS_FILE, dict.clear),
        "metrics.json cannot be used: n: Field required.",
    ),
    "what it was trained on": (
        lambda f: change(f, DESCRIPTION, lambda d: d["training"].pop("films")),
        "bundle.json cannot be used: training.films: Field required. Fetch or copy the bundle again.",
    ),
    "a truth": (spoil_predictions, "Line 2 of predictions.csv is not a prediction: truth: Input should be "),
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFAULT, tmp_path / "bundle"))


@pytest.mark.parametrize("what", LACKING)
def test_a_bundle_that_lacks_something_is_refused_when_it_is_opened(bundle: Path, what: str) -> None:
    spoil, told = LACKING[what]
    with pytest.raises(BundleError) as refused:
        load_bundle(spoil(bundle))
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value) and str(bundle.parent) not in str(refused.value)


def test_the_app_refuses_it_in_one_line(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, told = LACKING["a figure"]
    monkeypatch.setenv("MODEL", str(spoil(bundle)))
    monkeypatch.setattr(sys, "argv", ["app.py"])
    assert app.main() == 2
    assert capsys.readouterr().err == f"error: {told}\n"


@pytest.mark.parametrize("command", ["run", "score"])
def test_evaluation_refuses_it_in_one_line(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    spoil, told = LACKING["a figure"]
    films = {"run": ("--data", "phantom:12"), "score": ("--files", str(DEFAULT / "examples"))}[command]
    out = ("--out", str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", ["evaluation", command, "--model", str(spoil(bundle)), *films, *out])
    assert evaluation_command.main() == 2
    assert capsys.readouterr().err == f"error: {told}\n"
    assert not (tmp_path / "out").exists()


def test_what_a_newer_bundle_adds_is_read_over_and_kept(bundle: Path) -> None:
    def add(metrics: dict[str, Any]) -> None:
        metrics["ranking"] = {"of": [1, 2]}
        metrics["audit"]["maps"]["phantoms"]["energy_inside"] = 0.25

    change(bundle, METRICS_FILE, add)
    before = json.loads((bundle / METRICS_FILE).read_text(encoding="utf-8"))
    metrics = load_bundle(bundle).metrics
    assert metrics is not None and metrics.model_dump(mode="json") == before


def test_a_bundle_is_written_again_as_it_was_read(bundle: Path) -> None:
    """No default of a later version becomes a record of an earlier one."""
    before = json.loads((bundle / DESCRIPTION).read_text(encoding="utf-8"))
    fields = load_bundle(bundle).description.model_dump(mode="json", exclude={"sha256"})
    write_description(bundle, fields)
    assert json.loads((bundle / DESCRIPTION).read_text(encoding="utf-8")) == before


def test_bundles_from_before_there_was_an_input_gate_open(bundle: Path) -> None:
    """0.1.0: nothing refused, no members, no audit, no films of other hospitals."""

    def as_0_1_0(metrics: dict[str, Any]) -> None:
        for part in (metrics, metrics["validation"]):
            part.pop("refused")
        metrics.pop("audit")
        metrics.pop("elsewhere")

    metrics = load_bundle(change(bundle, METRICS_FILE, as_0_1_0)).metrics
    assert metrics is not None and metrics.refused is metrics.members is metrics.audit is None


def test_a_bundle_without_figures_opens(bundle: Path) -> None:
    (bundle / METRICS_FILE).unlink()
    change(bundle, DESCRIPTION, lambda d: d["sha256"].pop(METRICS_FILE))
    assert load_bundle(bundle).metrics is None


def test_every_figure_has_a_name_and_says_what_it_is() -> None:
    found = read_metrics(DEFAULT / METRICS_FILE)
    assert {type(found.figure(name)).__name__ for name in FIGURES} == {"Figure"}
    assert all(name and meaning for name, meaning in FIGURES.values())
