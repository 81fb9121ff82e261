"""The audit: views of the films, baselines without anatomy, and the pointing game, on networks of known behaviour."""

import keras
import numpy as np
import pytest

from cxr.data.films import Film
from cxr.data.loading import LoadedFilms
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.backend import Outputs
from cxr.model.bundle import NetworkSpec
from cxr.model.decision import DecisionSpec
from cxr.model.keras_backend import KerasBackend
from cxr.model.networks import build_network
from cxr.model.predictor import ModelIdentity, Predictor
from evaluation.audit import LUNG_BOX, VIEWS, audit, nuisances

SIZE = 40
SPEC = PreprocessSpec(size=SIZE, resample="bilinear")


class RegionBackend:
    """Reads the brightness of one region, and points there."""

    size = SIZE

    def __init__(self, rows: slice, columns: slice) -> None:
        self._region = (slice(None), rows, columns)

    def outputs(self, batch):
        return self.evidence(batch)[0]

    def evidence(self, batch):
        maps = np.zeros(batch.shape[:3], np.float32)
        maps[self._region] = batch[..., 0][self._region]
        logits = 40.0 * (batch[..., 0][self._region].mean(axis=(1, 2)) - 0.4)
        return Outputs(logits.astype(np.float64), logits[:, None].astype(np.float32)), maps


def predictor_of(backend) -> Predictor:
    decision = DecisionSpec(temperature=1.0, threshold=0.5, rule="made up")
    return Predictor(backend, SPEC, decision, ModelIdentity("fake", "", "", ""))


def films_with(rows: slice, columns: slice, count: int = 40) -> LoadedFilms:
    """Noise; the films of pneumonia are brighter in one region."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 100, (count, SIZE, SIZE), np.uint8)
    labels = np.arange(count) % 2
    pixels[labels == 1, rows, columns] += 100
    films = [
        Film(f"test/{i}.png", "test", "PNEUMONIA" if label else "NORMAL", "", f"p{i}", str(i))
        for i, label in enumerate(labels)
    ]
    return LoadedFilms(films, pixels)


CORNER = (slice(0, 4), slice(0, 4))
LUNG = (slice(10, 20), slice(8, 16))


def test_a_network_that_reads_a_corner_is_found_out():
    found = audit(predictor_of(RegionBackend(*CORNER)), films_with(*CORNER))["views"]
    assert found["as_is"] == {"roc_auc": 1.0, "sensitivity": 1.0, "specificity": 1.0}
    assert found["lungs_greyed"]["roc_auc"] == 1.0
    assert found["border_blanked"] == {"roc_auc": 0.5, "sensitivity": 0.0, "specificity": 1.0}
    assert found["mirrored"]["sensitivity"] == 0.0


def test_a_network_that_reads_a_lung_needs_it():
    found = audit(predictor_of(RegionBackend(*LUNG)), films_with(*LUNG))["views"]
    assert found["border_blanked"]["roc_auc"] == found["outside_lungs_greyed"]["roc_auc"] == 1.0
    # What is left is the gray of the whole film, which the lung made a little brighter.
    assert found["lungs_greyed"]["sensitivity"] == 0.0


def test_views_do_not_change_the_films():
    films = films_with(*LUNG)
    before = films.pixels.copy()
    for change in VIEWS.values():
        assert change(films.pixels).shape == before.shape
    np.testing.assert_array_equal(films.pixels, before)


def test_baseline_finds_exposure_and_only_that():
    rng = np.random.default_rng(1)

    def films(brighter: int, count: int = 200) -> LoadedFilms:
        noise = films_with(slice(0, 0), slice(0, 0), count)
        pixels = (
            rng.integers(60, 100, noise.pixels.shape, np.uint8) + (noise.y_true * brighter)[:, None, None]
        )
        return LoadedFilms(noise.films, pixels.astype(np.uint8))

    model = predictor_of(RegionBackend(*LUNG))
    told = audit(model, films(20), films(20))["baselines"]
    untold = audit(model, films(0), films(0))["baselines"]
    assert told["exposure_and_sharpness"] == 1.0
    assert untold["exposure_and_sharpness"] == pytest.approx(0.5, abs=0.15)
    assert told["geometry"] is None
    assert audit(model, films(20))["baselines"]["exposure_and_sharpness"] is None


def test_nuisances_are_sixteen_numbers_a_film():
    assert nuisances(films_with(*LUNG).pixels).shape == (40, 16)


def test_pointing_game_tells_a_map_that_points_from_one_that_does_not():
    class Brightest(RegionBackend):
        def evidence(self, batch):
            outputs, _ = super().evidence(batch)
            return outputs, batch[..., 0]

    everywhere = (slice(0, SIZE), slice(0, SIZE))
    dark = LoadedFilms(films_with(*LUNG).films, np.full((40, SIZE, SIZE), 40, np.uint8))
    pointing = audit(predictor_of(Brightest(*everywhere)), dark)["maps"]["planted_in_normal_films"]
    # All are dark, so all 20 normal films are called normal; the planted opacity is the brightest place.
    assert (pointing["n"], pointing["hit_rate"]) == (20, 1.0)
    assert 0 < pointing["chance"] < 0.5
    assert pointing["energy"] > 1.3 * pointing["energy_by_chance"] > 0
    corner = audit(predictor_of(RegionBackend(*CORNER)), dark)["maps"]["planted_in_normal_films"]
    assert corner["hit_rate"] == corner["hit_rate_of_change"] == corner["hit_rate_of_mean_map"] == 0.0


def test_the_change_of_a_map_points_where_its_peak_does_not():
    class BrightestBesideAMarker(RegionBackend):
        def evidence(self, batch):
            outputs, _ = super().evidence(batch)
            maps = batch[..., 0].copy()
            maps[:, :2, :2] = 9.0  # the same on every film, and higher than any opacity
            return outputs, maps

    dark = LoadedFilms(films_with(*LUNG).films, np.full((40, SIZE, SIZE), 40, np.uint8))
    maps = audit(predictor_of(BrightestBesideAMarker(slice(0, SIZE), slice(0, SIZE))), dark)["maps"]
    for pointing in (maps["planted_in_normal_films"], maps["phantoms"]):
        assert pointing["hit_rate"] == 0.0
        assert pointing["hit_rate_of_change"] > 0.9


def test_a_map_that_is_the_same_on_every_film_is_told_by_its_likeness_to_the_mean_map():
    class Same(RegionBackend):
        def evidence(self, batch):
            outputs, _ = super().evidence(batch)
            ramp = np.arange(batch[0, ..., 0].size, dtype=np.float32).reshape(batch.shape[1:3])
            return outputs, np.broadcast_to(ramp, batch.shape[:3]).copy()

    everywhere, films = (slice(0, SIZE), slice(0, SIZE)), films_with(*CORNER, 20)
    same = audit(predictor_of(Same(*everywhere)), films)["maps"]["likeness_to_mean_map"]
    own = audit(predictor_of(RegionBackend(*everywhere)), films)["maps"]["likeness_to_mean_map"]
    assert same == {"n": 20, "correlation": pytest.approx(1)}
    assert own["n"] == 20 and own["correlation"] < 0.6


def test_maps_of_random_weights_are_other_maps():
    network = NetworkSpec(name="residual_cnn", params={"stem": 8, "widths": [8, 16], "blocks": 1})
    keras.utils.set_random_seed(5)
    backend = KerasBackend(build_network(network.name, network.params, SIZE))
    films = films_with(*LUNG)
    model = predictor_of(backend)
    same = audit(model, films, network=network, seed=5)["maps"]["randomised_weights"]
    other = audit(model, films, network=network, seed=6)["maps"]["randomised_weights"]
    assert same["correlation"] == pytest.approx(1.0, abs=1e-4)
    assert other["correlation"] < 0.9
    assert audit(model, films)["maps"]["randomised_weights"] is None


def test_lung_box_lies_inside_the_film():
    left, top, right, bottom = LUNG_BOX
    assert 0 < left < right < 1 and 0 < top < bottom < 1
