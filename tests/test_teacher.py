"""A network taught by another: what it learns, what it may be taught by, and what the bundle says of it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.data.films import BARE_SPLIT, read_manifest, write_manifest
from cxr.data.sources import open_data
from cxr.errors import UsageError
from cxr.imaging.preprocess import PreprocessSpec, to_input_batch
from cxr.model.backend import Outputs
from cxr.model.bundle import load_bundle
from cxr.model.decision import sigmoid
from cxr.serving.local import open_bundle
from tests.test_fit import SIZE, TINY, run_of, striped_films
from trainer.config import TrainConfig
from trainer.fit import fit
from trainer.recipes import Augmentation
from trainer.run import prepare, resolve_recipe, train
from trainer.teacher import Teacher, open_teacher


@pytest.fixture(scope="module")
def teacher(small_bundle) -> Teacher:
    return open_teacher(str(small_bundle))


class _Contrary:
    """A network that calls a bright left half NORMAL, against the labels."""

    size = SIZE

    def outputs(self, batch):
        halves = batch[:, :, : SIZE // 2], batch[:, :, SIZE // 2 :]
        left, right = (half.mean((1, 2, 3)).astype(np.float64) for half in halves)
        return Outputs(60 * (0.15 - (left - right)), np.zeros((len(batch), 1), np.float32))


def _teacher_with(backend, small_bundle) -> Teacher:
    predictor = open_bundle(small_bundle)
    predictor.backend = backend
    return Teacher(predictor, small_bundle)


def test_gives_its_own_probabilities_in_the_order_of_the_films(teacher, small_bundle):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    expected = sigmoid(open_bundle(small_bundle).logits(pixels))
    found = teacher.probabilities(to_input_batch(pixels))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len(set(found)) == 5
    np.testing.assert_allclose(teacher.probabilities(to_input_batch(pixels[:1])), expected[:1], atol=1e-6)


@pytest.mark.parametrize("mixup", [0.0, 0.3])
def test_student_learns_what_the_teacher_says_and_not_the_labels(mixup, small_bundle, tmp_path):
    films = striped_films(60, 0), striped_films(30, 1)
    recipe = TINY.model_copy(update={"augmentation": Augmentation(mixup=mixup)})
    contrary = _teacher_with(_Contrary(), small_bundle)
    by_labels = fit(run_of(recipe, films, tmp_path / "labels"))
    taught = fit(run_of(recipe, films, tmp_path / "taught", teacher=contrary))
    assert by_labels.history[-1]["val_roc_auc"] > 0.9
    assert taught.history[-1]["val_roc_auc"] < 0.1


def test_teacher_is_asked_of_the_changed_films(small_bundle, tmp_path):
    seen = []

    class Noting(_Contrary):
        def outputs(self, batch):
            seen.append(batch.copy())
            return super().outputs(batch)

    films = striped_films(60, 0), striped_films(30, 1)
    once = TINY.model_copy(update={"epochs": 1})
    fit(run_of(once, films, tmp_path, teacher=_teacher_with(Noting(), small_bundle)))
    asked = np.concatenate(seen)
    assert len(asked) == 40  # balanced: each of the 20 normal films and as many others
    plain = to_input_batch(films[0].pixels)
    assert not any((film == plain).all((1, 2, 3)).any() for film in asked)


def _small_config(small_bundle: Path, out: Path, **changes) -> TrainConfig:
    """As the teacher was trained (hub_kit.train_small)."""
    folder = small_bundle.parent
    settings = {"folds": 3, "precision": "float32", "pictures": "phantoms", "teacher": str(small_bundle)}
    return TrainConfig(
        data=str(folder / "phantoms"), out=out, recipe=str(folder / "recipe.json"), **settings | changes
    )


def test_bundle_names_its_teacher(small_bundle, tmp_path):
    out = train(_small_config(small_bundle, tmp_path / "taught"))
    theirs = load_bundle(small_bundle)
    assert load_bundle(out).description.training.teacher == {
        "source": small_bundle.name,
        "revision": "",
        "version": theirs.description.version,
        "sha256": theirs.model_sha256,
    }
    assert json.loads((out / "recipe.json").read_text())["teacher"] == small_bundle.name
    card = (out / "README.md").read_text()
    assert f"| teacher | {small_bundle.name} {theirs.description.version} " in card
    assert "| teacher |" not in (small_bundle / "README.md").read_text()


def test_a_run_goes_on_with_the_same_teacher_only(small_bundle, tmp_path, monkeypatch):
    from trainer import members

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(members, "fit_members", stopped)
    config = _small_config(small_bundle, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        train(config)
    with pytest.raises(KeyboardInterrupt):
        train(replace(config, resume=True))
    other = open_teacher(str(small_bundle))
    other.identity = replace(other.identity, sha256="0" * 64)
    monkeypatch.setattr("trainer.run.open_teacher", lambda model: other)
    with pytest.raises(UsageError, match=rf"teacher was {'[0-9a-f]' * 64} and is now {'0' * 64}"):
        train(replace(config, resume=True))


def test_refuses_a_teacher_that_knows_the_films_that_judge(small_bundle, tmp_path):
    with pytest.raises(
        UsageError, match=r"The teacher bundle was trained on \d+ of the \d+ validation films"
    ):
        train(_small_config(small_bundle, tmp_path / "out", fold=1))
    assert not list(tmp_path.iterdir())


def test_refuses_a_teacher_that_knows_test_films(small_bundle, teacher):
    config = _small_config(small_bundle, Path("unused"))
    films = prepare(open_data(config.data), config, resolve_recipe(config))
    assert films.test is not None
    teacher.require_unseen(films.test.films, "test")
    known = [replace(films.test.films[0], sha256=films.train.films[0].sha256), *films.test.films[1:]]
    with pytest.raises(UsageError, match=r"was trained on 1 of the \d+ test films"):
        teacher.require_unseen(known, "test")


def test_knows_what_a_teacher_learnt_of_a_folder_without_splits(small_bundle, tmp_path):
    shutil.copytree(small_bundle, tmp_path / "bare")
    manifest = read_manifest(tmp_path / "bare" / "manifest.csv")
    bare = [replace(film, split=BARE_SPLIT) if film.split == "train" else film for film in manifest]
    write_manifest(tmp_path / "bare" / "manifest.csv", bare)
    teacher = Teacher(open_bundle(small_bundle), tmp_path / "bare")
    teacher.require_unseen([film for film in bare if film.split != BARE_SPLIT], "validation")
    with pytest.raises(UsageError, match="was trained on 1 of the 1 validation films"):
        teacher.require_unseen([film for film in bare if film.split == BARE_SPLIT][:1], "validation")


def test_refuses_a_teacher_that_reads_films_otherwise(teacher):
    teacher.require_same_input(PreprocessSpec(size=48, resample="bilinear"))
    with pytest.raises(
        UsageError, match=r"otherwise \(size=48 resample='bilinear'.*recipe \(size=48 resample='box'"
    ):
        teacher.require_same_input(PreprocessSpec(size=48, resample="box"))


def test_refuses_a_teacher_that_does_not_say_what_it_was_trained_on(small_bundle, tmp_path):
    shutil.copy(small_bundle / "model.h5", tmp_path / "bare.h5")
    with pytest.raises(UsageError, match=r"bare\.h5 is a file, .* Name a bundle's folder"):
        open_teacher(str(tmp_path / "bare.h5"))
    shutil.copytree(small_bundle, tmp_path / "copy")
    silent = Teacher(open_bundle(tmp_path / "copy"), tmp_path / "copy")
    (tmp_path / "copy" / "manifest.csv").unlink()
    with pytest.raises(UsageError, match=r"copy does not say .*: its manifest\.csv cannot be read"):
        silent.require_unseen([], "validation")


def test_recipe_distilled_needs_a_teacher_and_a_teacher_chooses_it(tmp_path):
    with pytest.raises(
        UsageError, match=r"The recipe distilled learns from a teacher\. Name one, .* with --teacher"
    ):
        resolve_recipe(TrainConfig(out=tmp_path / "out", recipe="distilled"))
    chosen = resolve_recipe(TrainConfig(out=tmp_path / "out", teacher="some-bundle"))
    assert (chosen.name, chosen.teacher) == ("distilled", "some-bundle")
