"""The command: what it writes, and that errors are told in a line and leave nothing behind."""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr.cli import run_command
from cxr.data.loading import load_films
from cxr.data.sources import open_data
from cxr.errors import BundleError, CxrError, DataError, UsageError
from cxr.imaging.decode import decode
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.backend import Outputs
from cxr.model.decision import DecisionSpec
from cxr.model.figures import FIGURES, Figure
from cxr.model.predictions import read_predictions
from cxr.model.predictor import ModelIdentity, Predictor
from cxr.serving.local import load_model
from cxr.types import EvidenceMap, InputBatch
from evaluation import __main__ as command
from evaluation.config import RunConfig
from evaluation.metrics import evaluate
from evaluation.predictions import score_films
from evaluation.run import evaluate_and_write, run

SPEC = PreprocessSpec(size=32, resample="box")
DECISION = DecisionSpec(temperature=1.0, threshold=0.5, rule="given", uncertain_band=(0.45, 0.55))


class BrightnessBackend:
    """Brighter films are likelier to have pneumonia; no TensorFlow."""

    size = 32

    def outputs(self, batch: InputBatch) -> Outputs:
        brightness = batch.mean(axis=(1, 2, 3), dtype=np.float64)
        return Outputs(20 * (brightness - 0.5), brightness[:, None].astype(np.float32))

    def evidence(self, batch: InputBatch) -> tuple[Outputs, EvidenceMap]:
        return self.outputs(batch), batch[..., 0]


def brightness_predictor(model: str = "brightness") -> Predictor:
    return Predictor(BrightnessBackend(), SPEC, DECISION, ModelIdentity(model, "", "1.0", "ab" * 32))


def write_film(path: Path, brightness: int, seed: int = 0) -> None:
    noise = np.random.default_rng(seed).integers(-20, 20, (40, 50))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(brightness + noise, 0, 255).astype(np.uint8)).save(path)


def write_data(folder: Path) -> Path:
    """A Kaggle layout of train and test. In test: 6 films of each class, one of each on the wrong side."""
    for i, level in enumerate([60, 70, 80, 90, 100, 180]):
        write_film(folder / f"test/NORMAL/IM-{i:04d}-0001.png", level, i)
    for i, level in enumerate([200, 190, 180, 170, 160, 70]):
        kind = "bacteria" if i % 2 else "virus"
        write_film(folder / f"test/PNEUMONIA/person{i}_{kind}_{i}.png", level, 10 + i)
    write_film(folder / "train/NORMAL/IM-0100-0001.png", 60)
    return folder


REAL_LOAD_MODEL = load_model


def load_brightness(model: str, preprocess: PreprocessSpec | None = None) -> Predictor:
    """MODEL "brightness" needs no TensorFlow; any other goes the usual way."""
    return brightness_predictor() if model == "brightness" else REAL_LOAD_MODEL(model, preprocess)


@dataclass(frozen=True)
class Finished:
    """One whole run, which many tests look at."""

    data: Path
    out: Path
    metrics: dict[str, Any]
    printed: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    data, out, printed = write_data(folder / "films"), folder / "results" / "first", io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr("cxr.serving.opening.load_model", load_brightness)
        metrics = run(config(data, out, seed=3, audit=True)).model_dump(mode="json")
    return Finished(data, out, metrics, printed.getvalue())


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Films, the model of brightness, and no plots, which take a second."""
    monkeypatch.setattr("cxr.serving.opening.load_model", load_brightness)
    monkeypatch.setattr("evaluation.run.write_plots", lambda *_: [])
    return write_data(tmp_path / "films")


def config(data: Path | str, out: Path, **changes: object) -> RunConfig:
    settings = {
        "model": "brightness",
        "data": str(data),
        "out": out,
        "resamples": 50,
        "audit": False,
        **changes,
    }
    return RunConfig(**settings)  # type: ignore[arg-type]


def test_report_holds_the_audit(finished: Finished) -> None:
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    assert "Shortcut audit" in page and "Do the maps show it?" in page
    assert f"{finished.metrics['audit']['views']['mirrored']['roc_auc']:.3f}" in page


def invoke(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["evaluation", "run", *map(str, arguments)])
    return command.main()


# --- What it writes


def test_a_run_writes_the_whole_folder_and_prints_the_figures(finished: Finished) -> None:
    out, metrics = finished.out, finished.metrics
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    plots = ("roc", "precision_recall", "confusion", "reliability", "scores", "sample_grid")
    assert written == {
        "predictions.csv",
        "metrics.json",
        "report.html",
        *(f"plots/{name}.png" for name in plots),
    }
    assert list(out.parent.iterdir()) == [out]
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert metrics["confusion"] == {"tn": 5, "fp": 1, "fn": 1, "tp": 5}
    assert metrics["model"] == {
        "source": "brightness",
        "revision": "",
        "version": "1.0",
        "sha256": "ab" * 32,
    }
    assert metrics["data"] == {"id": "films", "revision": "", "notes": [], "passed_over": {}, "split": "test"}
    assert all(name in finished.printed for name, _ in FIGURES.values())
    assert "Test accuracy: 0.8333" in finished.printed  # a model without a bundle: the original's line too


def test_every_figure_can_be_computed_again_from_the_predictions(finished: Finished) -> None:
    metrics = finished.metrics
    band = metrics["decision"]["uncertain_band"]
    rows = read_predictions(finished.out / "predictions.csv")
    again = evaluate(rows, metrics["threshold"], 50, 3, band).model_dump(mode="json")
    assert {key: finished.metrics[key] for key in again} == again


def test_a_run_is_reproducible(finished: Finished, data: Path, tmp_path: Path) -> None:
    run(config(data, tmp_path / "out", seed=3, audit=True))
    for name in ("predictions.csv", "metrics.json"):
        assert (tmp_path / "out" / name).read_bytes() == (finished.out / name).read_bytes()


def test_evaluation_sees_the_apps_own_answers(finished: Finished) -> None:
    for row in read_predictions(finished.out / "predictions.csv"):
        answer = brightness_predictor().predict(decode((finished.data / row.file).read_bytes(), row.file))
        assert row.probability == pytest.approx(answer.probability, abs=1e-12)
        assert row.answer.decision == answer.decision


def test_phantoms_are_evaluated_and_named(data: Path, tmp_path: Path) -> None:
    metrics = run(config("phantom:40", tmp_path / "out"))
    assert metrics.data.notes == ("synthetic images, not radiographs of people",)
    assert "SYNTHETIC PHANTOMS" in (tmp_path / "out" / "report.html").read_text()


def test_a_bare_data_set_is_evaluated_as_a_whole(data: Path, tmp_path: Path) -> None:
    assert run(config(data / "test", tmp_path / "out")).data.split == "all"
    with pytest.raises(UsageError, match="The data has no split train, only all"):
        run(config(data / "test", tmp_path / "other", split="train"))


def test_one_class_is_evaluated_with_nulls(data: Path, tmp_path: Path) -> None:
    metrics = run(config(data, tmp_path / "out", split="train"))
    assert metrics.n == 1
    assert metrics.roc_auc == Figure(value=None, ci95=None)


def test_a_trainer_can_keep_the_films_out_of_sight(finished: Finished, tmp_path: Path) -> None:
    source = open_data(str(finished.data))
    loaded, _ = load_films(source, source.films, SPEC, progress=False)
    history = [{"epoch": 1, "loss": 0.5, "val_loss": 0.6}]
    predictor = brightness_predictor()
    rows = score_films(predictor, loaded)
    metrics = evaluate_and_write(
        tmp_path, predictor, loaded, rows, source.identity, "validation", 20, 0, history, False
    )
    plots = {path.stem for path in (tmp_path / "plots").iterdir()}
    assert "training_curves" in plots
    assert "sample_grid" not in plots
    assert metrics.data.split == "validation"


# --- Errors


def test_the_output_folder_is_checked_before_anything_slow(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "full"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    monkeypatch.setattr("evaluation.run.open_data", lambda _: pytest.fail("read the data first"))
    monkeypatch.setattr("cxr.serving.opening.load_model", lambda _: pytest.fail("loaded the model first"))
    assert invoke(monkeypatch, "--model", "brightness", "--data", data, "--out", out) == 2
    assert (
        capsys.readouterr().err == f"error: {out} already holds files. Give an --out that is new or empty.\n"
    )
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("mine.txt", "mine")]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"--model": "none.h5"},
            "MODEL=none.h5 is neither a bundle folder nor a .h5 file",
        ),
        ({"--data": "nowhere"}, "DATA 'nowhere' does not exist"),
        ({"--split": "validation"}, "The data has no split validation, only test, train"),
        ({"--resamples": "-1"}, "--resamples -1 is below 0. 2000 is usual"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(
    data: Path,
    tmp_path: Path,
    changes: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = {"--model": "brightness", "--data": str(data), "--out": str(tmp_path / "out"), **changes}
    assert invoke(monkeypatch, *(word for pair in settings.items() for word in pair)) == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unreadable_film_stops_the_run_or_is_noted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "test/NORMAL/IM-0000-0001.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 12 films cannot be read"):
        run(config(data, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    metrics = run(config(data, tmp_path / "out", skip_unreadable=True))
    assert metrics.n == 11
    assert metrics.data.notes[0].startswith("skipped, unreadable: test/NORMAL/IM-0000-0001.png: ")
    assert "IM-0000-0001.png" in (tmp_path / "out" / "report.html").read_text()
    predictions = tmp_path / "out" / "predictions.csv"
    last = list(csv.DictReader(io.StringIO(predictions.read_text("utf-8-sig"))))[-1]
    assert last["error"].startswith("not_an_image: ") and last["truth"] == "NORMAL"
    assert last["file"] == "test/NORMAL/IM-0000-0001.png" and last["source"] == "films"
    assert last["decision"] == last["probability"] == last["ungated_probability"] == last["scope"] == ""
    assert len(read_predictions(predictions)) == 11, "no figure counts it"


def test_a_row_has_its_source_and_what_decoding_did(data: Path, tmp_path: Path) -> None:
    film = data / "test/NORMAL/IM-0001-0001.png"
    gray = np.asarray(Image.open(film)).copy()
    red = gray.copy()
    red[:40] = 255
    Image.fromarray(np.dstack([red, gray, gray])).save(film)
    run(config(data, tmp_path / "out"))
    rows = {Path(row.file).name: row.answer for row in read_predictions(tmp_path / "out" / "predictions.csv")}
    assert {answer.source for answer in rows.values()} == {"films"}
    for name, answer in rows.items():
        path = next((data / "test").rglob(name))
        assert answer.warnings == brightness_predictor().predict(decode(path.read_bytes(), name)).warnings
    assert rows[film.name].warnings == ("colour",)


def test_a_failure_while_writing_leaves_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evaluation.run.write_report", fail)
    results = tmp_path / "results"
    with pytest.raises(KeyboardInterrupt):
        run(config(data, results / "out"))
    assert list(results.iterdir()) == []


def test_help_lists_the_settings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        invoke(monkeypatch, "--help")
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert all(
        f"--{name}" in printed for name in ("model", "data", "out", "split", "skip-unreadable", "debug")
    )


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (DataError("This is wrong. Try that."), 2, "error: This is wrong. Try that.\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            PermissionError(13, "Permission denied", "out"),
            2,
            "error: Permission denied: out; rerun with --debug to see the traceback\n",
        ),
    ],
)
def test_the_front_end_tells_errors_and_debug_lets_them_through(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(raising(error)) == code
    assert capsys.readouterr().err.startswith(told)
    with pytest.raises(type(error)):
        run_command(raising(error), debug=True)


def test_the_front_end_hides_no_fault_of_ours() -> None:
    assert run_command(lambda: 7) == 0
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


def test_evaluation_needs_no_tensorflow_until_a_model_is_loaded(tmp_path: Path) -> None:
    code = "import sys, evaluation.__main__; sys.exit('tensorflow' in sys.modules)"
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_a_broken_model_file_is_told(data: Path, tmp_path: Path) -> None:
    # The one test of evaluation that imports TensorFlow.
    (tmp_path / "model.h5").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(
        CxrError, match=r"^model\.h5 is only a Git LFS pointer to the model\. Run git lfs pull\.$"
    ) as stopped:
        run(config(data, tmp_path / "out", model=str(tmp_path / "model.h5")))
    assert isinstance(stopped.value, BundleError)
