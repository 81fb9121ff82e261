"""python -m trainer adapt, from a bundle and films to a bundle, and what it refuses. TensorFlow is imported here."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr import phantom
from cxr.errors import DataError, UsageError
from cxr.imaging.decode import decode_file
from cxr.model.bundle import load_bundle
from cxr.serving.local import open_bundle
from trainer.adapt import adapt
from trainer.adapt_config import AdaptConfig

ROOT = Path(__file__).resolve().parent.parent
FILMS = 120


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Phantoms as another machine might show them: darker, and a table that names their patients."""
    folder = tmp_path_factory.mktemp("place")
    rows = []
    for record in phantom.phantom_split(FILMS, seed=5):
        name = record.path.name.replace(".jpeg", ".png")
        pixels = np.asarray(Image.open(_bytes(record)).convert("L")) / 255
        Image.fromarray((255 * pixels**1.6).astype(np.uint8)).save(folder / name)
        rows.append({"file": name, "label": record.label, "patient": f"secret-{record.path.stem}"})
    with (folder / "films.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ("file", "label", "patient"))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def _bytes(record):
    import io

    return io.BytesIO(phantom.phantom_jpeg(record))


@pytest.fixture(scope="module")
def adapted(small_bundle, place, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("adapted") / "bundle"
    config = AdaptConfig(str(small_bundle), (str(place),), out, depth="head", folds=3, version="9.9.9")
    assert adapt(config) == out
    return out


def test_the_new_bundle_opens_and_names_its_parent(adapted, small_bundle):
    predictor = open_bundle(adapted)
    parent = load_bundle(small_bundle)
    origin = predictor.bundle.description.adapted_from
    assert (origin.name, origin.sha256) == (parent.description.name, parent.model_sha256)
    assert (origin.depth, origin.films) == ("head", FILMS)
    assert predictor.bundle.description.version == "9.9.9"
    assert predictor.bundle.description.training == parent.description.training


def test_its_figures_stand_beside_the_parents_on_the_same_films(adapted):
    metrics = json.loads((adapted / "metrics.json").read_text())
    found = metrics["adapted"]
    assert metrics["data"]["split"] == "cross-validation" and metrics["n"] == FILMS
    assert found["compared"]["after"]["roc_auc"]["value"] == pytest.approx(metrics["roc_auc"]["value"])
    assert found["compared"]["before"]["roc_auc"]["ci95"] is not None
    assert found["pairs"] is None
    assert found["said"] in (adapted / "README.md").read_text()


def test_no_name_of_a_file_or_a_patient_is_in_it(adapted):
    for path in adapted.rglob("*"):
        if path.is_file() and path.suffix in (".csv", ".json", ".md"):
            text = path.read_text(encoding="utf-8")
            assert "secret" not in text


def test_films_of_the_place_are_familiar_to_it(adapted, place):
    predictor = open_bundle(adapted)
    answers = predictor.predict_many([decode_file(path) for path in sorted(place.glob("*.png"))[:40]])
    assert np.mean([answer.scope == "familiar" for answer in answers]) >= 0.9


def test_where_only_the_decision_is_refitted_the_network_stays(small_bundle, place, tmp_path):
    adapt(AdaptConfig(str(small_bundle), (str(place),), tmp_path / "out", depth="decision", folds=3))
    old, new = load_bundle(small_bundle), load_bundle(tmp_path / "out")
    assert new.model_sha256 == old.model_sha256
    assert new.description.export == old.description.export
    assert new.description.decision != old.description.decision
    assert new.description.name == f"{old.description.name}-adapted"


def test_all_layers_can_be_tuned(small_bundle, place, tmp_path, monkeypatch):
    import trainer.adapt_all

    monkeypatch.setattr(trainer.adapt_all, "EPOCHS", 1)
    adapt(AdaptConfig(str(small_bundle), (str(place),), tmp_path / "out", depth="all", folds=2))
    old, new = load_bundle(small_bundle), open_bundle(tmp_path / "out")
    assert new.bundle.model_sha256 != old.model_sha256
    assert new.bundle.description.adapted_from.depth == "all"


def test_too_few_films_is_one_clear_error_and_nothing_is_written(small_bundle, tmp_path):
    with pytest.raises(DataError, match="10 films of 10 patients are needed"):
        adapt(AdaptConfig(str(small_bundle), ("phantom:12",), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_what_is_no_bundle_cannot_be_adapted(small_bundle, place, tmp_path):
    with pytest.raises(UsageError, match="is neither a bundle folder"):
        adapt(AdaptConfig(str(tmp_path / "none"), (str(place),), tmp_path / "out"))
    with pytest.raises(UsageError, match="--folds 1 leaves no films"):
        adapt(AdaptConfig(str(small_bundle), (str(place),), tmp_path / "out", folds=1))


def test_help_lists_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "adapt", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--depth" in done.stdout and "{auto,decision,head,all}" in done.stdout
