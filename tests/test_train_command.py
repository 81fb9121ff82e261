"""python -m trainer train, from data to bundle, and what it refuses. TensorFlow is imported here."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr import phantom
from cxr.cli import run_command
from cxr.data.sources import open_data
from cxr.errors import CxrError, DataError, UsageError
from cxr.files import sha256_of_file
from cxr.imaging.decode import decode_file
from cxr.model.bundle import load_bundle
from cxr.model.input_gate import load_gate
from cxr.serving.local import open_bundle
from trainer.config import TrainConfig
from trainer.recipes import SEED
from trainer.run import prepare, resolve_recipe, train

pytestmark = pytest.mark.usefixtures("few_phantoms")

ROOT = Path(__file__).resolve().parent.parent
PHANTOMS = 72


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "chest_xray"
    phantom.write_phantoms(folder, PHANTOMS, seed=1, size=64)
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> str:
    """The default recipe on a small network and small films."""
    from trainer.recipes import DEFAULT

    small = DEFAULT.model_dump(mode="json") | {
        "name": "small",
        "members": 2,
        "epochs": 3,
        "batch_size": 16,
        "network": {"name": "residual_cnn", "params": {"stem": 8, "widths": [8, 16], "blocks": 1}},
        "preprocess": {"size": 48, "resample": "bilinear"},
    }
    path = tmp_path_factory.mktemp("recipe") / "recipe.json"
    path.write_text(json.dumps(small))
    return str(path)


def config(data: Path | str, out: Path, recipe: str, **changes) -> TrainConfig:
    settings = {"folds": 3, "precision": "float32", "version": "1.2.3", **changes}
    return TrainConfig(data=str(data), out=out, recipe=recipe, **settings)


@pytest.fixture(scope="module")
def bundle(data, recipe, tmp_path_factory) -> Path:
    return train(config(data, tmp_path_factory.mktemp("runs") / "first", recipe))


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def test_bundle_is_whole_and_loads(bundle):
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert names >= {
        "bundle.json",
        "model.h5",
        "metrics.json",
        "predictions.csv",
        "validation_predictions.csv",
        "history.csv",
        "manifest.csv",
        "recipe.json",
        "README.md",
        "examples/examples.csv",
        "plots/roc.png",
        "plots/training_curves.png",
        "plots/sample_grid.png",
    }
    described = load_bundle(bundle).description
    assert described.version == "1.2.3" and described.training.epochs == 3
    assert set(described.sha256) == names - {"bundle.json"}
    assert not list(bundle.parent.glob("*.training")), "the run's state is left behind"
    log = (bundle.parent / f"{bundle.name}.run.log").read_text()
    assert "train on" in log and "member 2 of 2" in log and "epoch   3/3" in log


def test_headline_is_of_the_test_split_and_the_rest_of_validation(bundle, data):
    metrics = json.loads((bundle / "metrics.json").read_text())
    tested = len(list((data / "test").rglob("*.jpeg")))
    assert metrics["n"] == tested and metrics["data"]["split"] == "test"
    assert metrics["validation"]["n"] == len(rows(bundle / "validation_predictions.csv"))
    described = load_bundle(bundle).description
    assert metrics["threshold"] == metrics["validation"]["threshold"] == described.decision.threshold


def test_manifest_lists_every_film_once_with_its_part(bundle, data):
    manifest = rows(bundle / "manifest.csv")
    parts = {row["path"]: row["split"] for row in manifest}
    assert len(parts) == len(manifest)
    used = [path.relative_to(data).as_posix() for path in data.rglob("*.jpeg") if path.parts[-3] != "val"]
    assert sorted(parts) == sorted(used), "the official val films take no part in this recipe"
    sides = {
        part: {row["patient"] for row in manifest if row["split"] == part} for part in set(parts.values())
    }
    assert set(sides) == {"train", "validation", "test"} and not sides["train"] & sides["validation"]
    assert manifest[0]["sha256"] == sha256_of_file(data / manifest[0]["path"])


def test_predictions_are_those_of_the_loaded_bundle_one_film_at_a_time(bundle, data):
    predictor = open_bundle(bundle)
    for row in rows(bundle / "predictions.csv")[:4]:
        prediction = predictor.predict(decode_file(data / row["file"]))
        assert prediction.probability == pytest.approx(float(row["probability"]), abs=1e-5)
        assert prediction.decision == row["decision"]


def test_threshold_comes_from_validation_films_alone(bundle):
    from trainer.calibrate import SENSITIVITY_FLOOR

    validation = rows(bundle / "validation_predictions.csv")
    positive = [float(row["ungated_probability"]) for row in validation if row["truth"] == "PNEUMONIA"]
    threshold = load_bundle(bundle).description.decision.threshold
    assert np.mean(np.array(positive) >= threshold) >= SENSITIVITY_FLOOR


def test_examples_are_held_out_films_with_their_truth(bundle, data):
    listed = rows(bundle / "examples" / "examples.csv")
    held_out = {path.name for path in (data / "test").rglob("*.jpeg")}
    assert listed and {row["file"] for row in listed} <= held_out
    assert {row["truth"] for row in listed} == {"NORMAL", "PNEUMONIA"}
    assert all("chest_xray" in row["attribution"] for row in listed)


def test_card_says_what_the_files_say(bundle):
    card = (bundle / "README.md").read_text()
    metrics = json.loads((bundle / "metrics.json").read_text())
    assert f"{metrics['roc_auc']['value']:.3f}" in card and f"n = {metrics['n']}" in card
    assert "not a medical device" in card and "no es un dispositivo médico" in card
    assert "{{" not in card and "{%" not in card and "OWNER/NAME" not in card


def test_the_cards_lines_of_preprocessing_are_those_of_the_app(bundle, data, tmp_path, monkeypatch, capsys):
    film = next((data / "test").rglob("*.jpeg"))
    Image.open(film).save(tmp_path / "film.png")
    shutil.copy(bundle / "model.h5", tmp_path)
    card = (bundle / "README.md").read_text()
    snippet = next(
        part for part in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if "import keras" in part
    )
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
    said = float(re.findall(r"[\d.]+(?:e-?\d+)?", capsys.readouterr().out)[-1])
    predictor = open_bundle(bundle)
    logit = predictor.logits(predictor.pixels(decode_file(film))[None])[0]
    assert said == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)


def test_same_seed_same_metrics(bundle, data, recipe, tmp_path):
    again = train(config(data, tmp_path / "again", recipe))
    for name in ("history.csv", "metrics.json", "predictions.csv", "manifest.csv"):
        assert (again / name).read_bytes() == (bundle / name).read_bytes(), name


def test_pictures_of_phantoms_only_show_no_film(data, recipe, tmp_path):
    made = train(config(data, tmp_path / "out", recipe, pictures="phantoms", test=False, epochs=1))
    assert not (made / "plots" / "sample_grid.png").exists()
    listed = rows(made / "examples" / "examples.csv")
    assert listed and all("synthetic" in row["attribution"] for row in listed)
    films = {sha256_of_file(path) for path in data.rglob("*.jpeg")}
    assert not films & {sha256_of_file(made / "examples" / row["file"]) for row in listed}
    assert json.loads((made / "metrics.json").read_text())["data"]["split"] == "validation"
    assert not any(row["split"] == "test" for row in rows(made / "manifest.csv"))
    described = load_bundle(made).description
    assert (
        described.input_gate is not None and "synthetic phantoms, a group apart" in described.input_gate.rule
    )
    assert load_gate(made / "gate.npz").phantoms is not None


def test_seed_recipe_validates_on_the_official_val_split_at_one_half(data, tmp_path):
    small = SEED.model_dump(mode="json") | {"preprocess": {"size": 62, "resample": "nearest"}}
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(small))
    made = train(config(data, tmp_path / "out", str(path), epochs=1))
    described = load_bundle(made).description
    assert described.decision.threshold == 0.5 and described.decision.temperature == 1.0
    assert described.training.films.validation == len(list((data / "val").rglob("*.jpeg")))
    assert described.training.films.train == len(list((data / "train").rglob("*.jpeg")))


def test_seed_recipe_is_the_original():
    assert (SEED.network.name, SEED.network.params) == ("seed_cnn", {})
    assert (SEED.preprocess.size, SEED.preprocess.resample, SEED.preprocess.window) == (150, "nearest", None)
    assert (SEED.epochs, SEED.batch_size, SEED.learning_rate) == (10, 32, 1e-3)
    assert (SEED.weight_decay, SEED.label_smoothing, SEED.ema_decay) == (0, 0, 0)
    assert (SEED.sampling, SEED.validation, SEED.decide) == ("all", "official", "half")
    assert not any(SEED.augmentation.model_dump().values())


def _empty_class(data: Path) -> None:
    for path in (data / "train" / "NORMAL").iterdir():
        path.unlink()


def _text_as_jpeg(data: Path) -> None:
    (data / "train" / "NORMAL" / "IM-9999-0001.jpeg").write_text("no image")


REFUSED = {
    "empty class folder": (
        _empty_class,
        "Both classes are needed, but the split train holds 25 PNEUMONIA and 0 NORMAL films",
    ),
    "text renamed .jpeg": (_text_as_jpeg, "IM-9999-0001.jpeg"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_broken_folder_is_refused_in_one_line_and_nothing_stays(fault, data, recipe, tmp_path):
    copy = Path(shutil.copytree(data, tmp_path / "data"))
    break_it, said = REFUSED[fault]
    break_it(copy)
    with pytest.raises(DataError) as refused:
        train(config(copy, tmp_path / "out", recipe))
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def prepared(data: Path, recipe: str, **changes):
    settings = config(data, Path("out"), recipe, **changes)
    return prepare(open_data(settings.data), settings, resolve_recipe(settings))


def test_unreadable_films_can_be_left_out(data, recipe, tmp_path):
    copy = Path(shutil.copytree(data, tmp_path / "data"))
    _text_as_jpeg(copy)
    found = prepared(copy, recipe, skip_unreadable=True)
    assert any("IM-9999-0001" in note for note in found.notes)
    assert found.fingerprint == prepared(data, recipe).fingerprint


def test_train_films_that_test_holds_too_are_left_out(data, recipe, tmp_path):
    copy = Path(shutil.copytree(data, tmp_path / "data"))
    shutil.copy(next((copy / "test" / "NORMAL").iterdir()), copy / "train" / "NORMAL" / "IM-9999-0001.jpeg")
    found = prepared(copy, recipe)
    assert found.checks.duplicates_across
    assert not any(film.name == "IM-9999-0001.jpeg" for film in found.train.films + found.validation.films)


def zipped(folder: Path, path: Path, extra: str | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for film in sorted(folder.rglob("*.jpeg")):
            archive.write(film, film.relative_to(folder.parent))
        if extra:
            archive.writestr(extra, b"x")
    return path


def test_zip_gives_the_same_films_as_its_folder(data, recipe, tmp_path):
    of_zip, of_folder = prepared(zipped(data, tmp_path / "data.zip"), recipe), prepared(data, recipe)
    assert of_zip.fingerprint == of_folder.fingerprint
    np.testing.assert_array_equal(of_zip.train.pixels, of_folder.train.pixels)
    assert [film.sha256 for film in of_zip.train.films] == [film.sha256 for film in of_folder.train.films]


@pytest.mark.parametrize("fault", ["truncated", "escape", "missing"])
def test_broken_zip_is_refused_in_one_line_and_nothing_stays(fault, data, recipe, tmp_path):
    path = tmp_path / "data.zip"
    if fault != "missing":
        zipped(data, path, "../outside.txt" if fault == "escape" else None)
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CxrError) as refused:
        train(config(path, tmp_path / "out", recipe))
    assert "\n" not in str(refused.value)
    assert [p.name for p in tmp_path.iterdir()] == ([] if fault == "missing" else ["data.zip"])
    assert not (tmp_path.parent / "outside.txt").exists()


def test_output_folder_in_use_is_left_alone(data, recipe, tmp_path):
    (tmp_path / "thesis.txt").write_text("keep me")
    with pytest.raises(UsageError, match="new or empty"):
        train(config(data, tmp_path, recipe))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": "no-such"}, "--recipe"),
        ({"epochs": 0}, "epochs"),
        ({"fold": 7}, "--fold"),
        ({"folds": 1}, "--folds"),
        ({"resume": True}, "There is no interrupted run"),
    ],
)
def test_settings_that_cannot_work_are_told(changes, said, data, recipe, tmp_path):
    settings = {"recipe": recipe, **changes}
    with pytest.raises(UsageError, match=said) as refused:
        train(config(data, tmp_path / "out", settings.pop("recipe"), **settings))
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_command_prints_one_line_and_exits_with_2(data, recipe, tmp_path, capsys):
    code = run_command(lambda: train(config(tmp_path / "nowhere", tmp_path / "out", recipe)))
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1


def command(data: Path, out: Path, recipe: str, *more: str) -> list[str]:
    settings = [
        "--data",
        str(data),
        "--out",
        str(out),
        "--recipe",
        recipe,
        "--folds",
        "3",
        "--precision",
        "float32",
    ]
    return [sys.executable, "-m", "trainer", "train", *settings, "--version", "1.2.3", *more]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_run_goes_on_to_the_same_history(how, data, recipe, bundle, tmp_path):
    out = tmp_path / "out"
    state = tmp_path / "out.training" / "member1" / "history.csv"
    started = subprocess.Popen(
        command(data, out, recipe), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while not state.is_file() and started.poll() is None:
        time.sleep(0.005)
    os.kill(started.pid, how)
    printed = started.communicate(timeout=60)[0]
    assert started.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130), printed
    assert not out.exists() and len(rows(state)) < 3
    if how == signal.SIGINT:
        assert "--resume" in printed and "Traceback" not in printed
    with pytest.raises(UsageError, match="--resume"):
        train(config(data, out, recipe))
    with pytest.raises(UsageError, match="seed was 0 and is now 1"):
        train(config(data, out, recipe, resume=True, seed=1))
    with pytest.raises(UsageError, match=r"precision was float32 and is now mixed_bfloat16.* another --out"):
        train(config(data, out, recipe, resume=True, precision="mixed_bfloat16"))
    train(config(data, out, recipe, resume=True, precision="auto"))
    assert (out / "history.csv").read_bytes() == (bundle / "history.csv").read_bytes()
    assert (out / "metrics.json").read_bytes() == (bundle / "metrics.json").read_bytes()
