"""No train/serve skew: trainer cache, evaluation and app hand the network the very same bytes for a film."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import evaluation.run as evaluation_run
from cxr import phantom
from cxr.data.sources import open_data
from cxr.imaging.decode import decode_file
from cxr.imaging.preprocess import to_input_batch
from cxr.model.backend import Outputs
from cxr.model.decision import DecisionSpec
from cxr.model.predictor import ModelIdentity, Predictor
from cxr.serving.slot import Served
from trainer.config import TrainConfig
from trainer.recipes import RECIPES, Recipe
from trainer.run import prepare
from ui.api import endpoints
from ui.tabs.album import Item
from ui.tabs.read import read_item
from ui.words import as_locale

PER_FOLDER = 6


class RecordingBackend:
    """Answers 0 and keeps every film that it is given."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen: list[np.ndarray] = []

    def outputs(self, batch):
        self.seen.extend(batch)
        return Outputs(np.zeros(len(batch)), np.zeros((len(batch), 1), np.float32))

    def evidence(self, batch):
        return self.outputs(batch), np.zeros((len(batch), 4, 4), np.float32)


@pytest.fixture(scope="module", params=["phantoms", "real films"])
def data(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "chest_xray"
    if request.param == "phantoms":
        phantom.write_phantoms(folder, 48, seed=2)
        return folder
    original = request.getfixturevalue("chest_xray")
    for films in (path for path in original.glob("*/*") if path.is_dir()):
        target = folder / films.relative_to(original)
        target.mkdir(parents=True)
        for film in sorted(films.iterdir())[:: max(1, len(list(films.iterdir())) // PER_FOLDER)]:
            shutil.copy(film, target)
    return folder


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_trainer_evaluation_and_app_see_identical_bytes(recipe: Recipe, data: Path, tmp_path, monkeypatch):
    backend = RecordingBackend(recipe.preprocess.size)
    decision = DecisionSpec(temperature=1.0, threshold=0.5, rule="test")
    predictor = Predictor(backend, recipe.preprocess, decision, ModelIdentity("test", "", "", ""))

    source = open_data(str(data))
    official = recipe.model_copy(update={"validation": "official"})
    prepared = prepare(source, TrainConfig(data=str(data), out=tmp_path), official)
    assert prepared.test is not None
    cached = {
        film.path: pixels for film, pixels in zip(prepared.test.films, prepared.test.pixels, strict=True)
    }
    cached |= {
        film.path: pixels for film, pixels in zip(prepared.train.films, prepared.train.pixels, strict=True)
    }
    assert len({pixels.tobytes() for pixels in cached.values()}) == len(cached), (
        "films must differ to be told apart"
    )

    monkeypatch.setattr(evaluation_run, "open_model", lambda model: Served(predictor))
    for split in ("train", "test"):
        backend.seen.clear()
        config = evaluation_run.RunConfig(
            "any", tmp_path / split, str(data), split=split, resamples=0, audit=False
        )
        evaluation_run.run(config)
        films = [film for film in source.films if film.split == split]
        assert len(backend.seen) == len(films) > 0
        for film, evaluated in zip(films, backend.seen, strict=True):
            assert evaluated.tobytes() == to_input_batch(cached[film.path][None]).tobytes(), film.path

    for path, pixels in cached.items():
        backend.seen.clear()
        predictor.predict(endpoints._film(str(data / path)))
        read_item(Served(predictor), Item(path, partial(decode_file, data / path)), as_locale("en"))
        assert len(backend.seen) == 2
        for served in backend.seen:
            assert served.tobytes() == to_input_batch(pixels[None]).tobytes(), path
