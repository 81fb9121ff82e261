"""The evidence map against boxes: on made-up DICOM in the RSNA challenge's layout, with maps of known behaviour."""

import json
from pathlib import Path

import numpy as np
import pytest

from cxr.data.loading import LoadedFilms, load_films
from cxr.data.rsna import CLASSES_INFO, LABELS
from cxr.data.sources import open_data
from cxr.files import write_json
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.backend import Outputs
from cxr.model.decision import DecisionSpec
from cxr.model.figures import read_metrics
from cxr.model.predictor import ModelIdentity, Predictor
from cxr.types import EvidenceMap, InputBatch
from evaluation.boxes import box_figures
from evaluation.config import RunConfig
from evaluation.report import BOX_NAMES
from evaluation.run import run
from tests.dicom_files import dicom_bytes
from trainer.card import write_card

SIDE = 40
SPEC = PreprocessSpec(size=SIDE, resample="box")
BOXES = [(20, 10), (120, 50), (60, 40), (150, 10)]  # left and top; 40 x 30 of 200 x 100 pixels
AREA = 0.06
DEFAULT = Path(__file__).resolve().parent.parent / "bundles" / "default"


class MapBackend:
    """Its logit is the brightness; its map what `kind` says."""

    size = SIDE

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def outputs(self, batch: InputBatch) -> Outputs:
        brightness = batch.mean(axis=(1, 2, 3), dtype=np.float64)
        return Outputs(20 * (brightness - 0.3), brightness[:, None].astype(np.float32))

    def evidence(self, batch: InputBatch) -> tuple[Outputs, EvidenceMap]:
        cells = batch.reshape(len(batch), 20, 2, 20, 2).mean(axis=(2, 4))
        maps = {"film": cells - 0.2, "corner": np.zeros_like(cells), "against": cells - 9}[self._kind]
        if self._kind == "corner":
            maps[:, 19, 19] = 1
        return self.outputs(batch), maps


def predictor(kind: str) -> Predictor:
    decision = DecisionSpec(temperature=1.0, threshold=0.5, rule="made up")
    return Predictor(MapBackend(kind), SPEC, decision, ModelIdentity("made up", "", "1", "ab" * 32))


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four films with an opacity in a box, and two without."""
    root = tmp_path_factory.mktemp("rsna")
    images = root / "stage_2_train_images"
    images.mkdir()
    labels, classes = ["patientId,x,y,width,height,Target"], ["patientId,class"]
    for number, (left, top) in enumerate(BOXES):
        film = np.full((100, 200), 40, np.uint8)
        film[top : top + 30, left : left + 40] = 240
        (images / f"ill{number}.dcm").write_bytes(dicom_bytes(film))
        labels.append(f"ill{number},{left}.0,{top}.0,40.0,30.0,1")
        classes.append(f"ill{number},Lung Opacity")
    for number in range(2):
        (images / f"well{number}.dcm").write_bytes(dicom_bytes(np.full((100, 200), 40 + number, np.uint8)))
        labels.append(f"well{number},,,,,0")
        classes.append(f"well{number},Normal")
    (root / LABELS).write_text("\n".join(labels))
    (root / CLASSES_INFO).write_text("\n".join(classes))
    return root


@pytest.fixture(scope="module")
def films(challenge: Path) -> LoadedFilms:
    source = open_data(f"rsna:{challenge}")
    return load_films(source, source.films, SPEC, progress=False)[0]


def test_a_map_that_shows_the_opacity(films: LoadedFilms) -> None:
    found = box_figures(predictor("film"), films, resamples=200)
    assert found is not None
    assert (found["n"], found["n_groups"]) == (4, 4)
    assert found["peak"]["model"] == {"value": 1.0, "ci95": [1.0, 1.0]}
    assert found["energy"]["model"]["value"] > 0.9
    # Where the others have their opacities, this one has none.
    assert found["peak"]["mean_map"]["value"] == 0.0
    assert found["energy"]["mean_map"]["value"] < 0.1
    assert found["energy"]["chance"]["value"] == pytest.approx(AREA, abs=0.005)
    assert found["peak"]["chance"]["value"] > AREA, "half a cell to each side is granted"
    low, high = found["peak"]["chance"]["ci95"]
    assert low <= found["peak"]["chance"]["value"] <= high


def test_a_map_that_is_the_same_for_every_film_is_its_own_mean(films: LoadedFilms) -> None:
    found = box_figures(predictor("corner"), films, resamples=0)
    assert found is not None
    for figure in ("peak", "energy"):
        assert found[figure]["model"] == found[figure]["mean_map"] == {"value": 0.0, "ci95": None}


def test_without_evidence_for_pneumonia_its_share_is_undefined(films: LoadedFilms) -> None:
    found = box_figures(predictor("against"), films, resamples=50)
    assert found is not None
    assert found["energy"]["model"] == {"value": None, "ci95": None}
    assert found["peak"]["model"]["value"] == 1.0


def test_one_film_has_no_others_and_no_interval(films: LoadedFilms) -> None:
    found = box_figures(predictor("film"), films.take([True, *[False] * 5]), resamples=50)
    assert found is not None
    assert found["peak"]["model"] == {"value": 1.0, "ci95": None}
    assert found["peak"]["mean_map"] == {"value": None, "ci95": None}


def test_films_of_one_patient_are_drawn_together(films: LoadedFilms) -> None:
    """Two patients of which one is hit and one is not: of two drawn, both, one or none."""
    boxed = films.take([bool(film.boxes) for film in films.films])
    same = LoadedFilms([boxed.films[0]] * 3 + [boxed.films[1]], boxed.pixels[[0, 0, 0, 0]])
    found = box_figures(predictor("film"), same, resamples=200)
    assert found is not None
    assert (found["n"], found["n_groups"]) == (4, 2)
    assert found["peak"]["model"] == {"value": 0.75, "ci95": [0.0, 1.0]}


def test_a_data_set_without_boxes_has_no_such_figures(films: LoadedFilms) -> None:
    assert box_figures(predictor("film"), films.take([not film.boxes for film in films.films])) is None


def test_a_run_keeps_them_in_its_metrics(
    challenge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxr.serving.opening.load_model", lambda *_: predictor("film"))
    monkeypatch.setattr("evaluation.run.write_plots", lambda *_: [])
    monkeypatch.setattr("evaluation.audit.POINTED_FILMS", 1)
    run(RunConfig(model="made up", data=(f"rsna:{challenge}",), out=tmp_path / "out", resamples=20))
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["audit"]["boxes"]["n"] == 4
    assert metrics["audit"]["boxes"]["peak"]["model"]["value"] == 1.0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The map against the boxes around opacities on 4 films of 4 patient groups" in page
    name = "Films whose map has its peak in a box, give or take half a cell"
    assert f'<th scope="row">{name}</th><td class="number">1.000<br>1.000 to 1.000</td>' in page


def test_the_card_tells_them(tmp_path: Path) -> None:
    def figure(value: float) -> dict[str, object]:
        return {"value": value, "ci95": [value - 0.1, value + 0.1]}

    agreement = {"model": figure(0.5), "mean_map": figure(0.3), "chance": figure(0.2)}
    measured = json.loads((DEFAULT / "metrics.json").read_text(encoding="utf-8"))
    measured["audit"]["boxes"] = {"n": 12, "n_groups": 9, "peak": agreement, "energy": agreement}
    write_json(tmp_path / "metrics.json", measured)
    fields = json.loads((DEFAULT / "bundle.json").read_text(encoding="utf-8"))
    write_card(tmp_path, fields, read_metrics(tmp_path / "metrics.json"))
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "boxes around opacities on 12 films of 9 patient groups" in card
    row = "| 0.500 (0.400 to 0.600) | 0.300 (0.200 to 0.400) | 0.200 |"
    for name in BOX_NAMES.values():
        assert f"\n| {name} {row}\n" in card
