"""The bundle: what is verified at load, and the networks that it names. TensorFlow is imported here."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from fake_model import training_record

from cxr.errors import BundleError, CxrError, UsageError
from cxr.imaging.preprocess import PreprocessSpec, seed_preprocess, to_input_batch
from cxr.model.bundle import (
    DESCRIPTION,
    MODEL_FILE,
    RESTORE,
    GoldenProbe,
    NetworkSpec,
    load_bundle,
    probe_pixels,
    write_description,
)
from cxr.model.decision import DecisionSpec
from cxr.model.keras_backend import KerasBackend
from cxr.model.networks import build_network
from cxr.serving.local import load_model, open_bundle

SMALL = NetworkSpec(name="residual_cnn", params={"stem": 8, "widths": [8, 12], "blocks": 1})
SIZE = 48


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A bundle with fresh weights."""
    keras.utils.set_random_seed(5)
    folder = tmp_path_factory.mktemp("bundle")
    build_network(SMALL.name, SMALL.params, SIZE).save(folder / MODEL_FILE)
    backend = KerasBackend.from_weights(folder / MODEL_FILE, SMALL, SIZE)
    probe = float(backend.outputs(to_input_batch(probe_pixels(SIZE)[None])).logits[0])
    fields = {
        "name": "small",
        "version": "0.0.1",
        "network": SMALL,
        "preprocess": PreprocessSpec(size=SIZE, resample="bilinear"),
        "decision": DecisionSpec(temperature=1.0, threshold=0.5, rule="half"),
        "training": training_record(),
        "probe": GoldenProbe(logit=probe),
    }
    write_description(folder, fields)
    return folder


@pytest.fixture
def bundle(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bundle"))


def edit(folder: Path, change) -> None:
    """Rewrite bundle.json, as somebody might by hand."""
    description = json.loads((folder / DESCRIPTION).read_text())
    change(description)
    (folder / DESCRIPTION).write_text(json.dumps(description))


def test_loads_and_repeats_the_probe(bundle):
    predictor = open_bundle(bundle)
    assert predictor.probe_logit == pytest.approx(load_bundle(bundle).description.probe.logit, abs=1e-5)
    assert predictor.identity.sha256 == load_bundle(bundle).model_sha256


def test_model_file_opens_in_plain_keras_with_the_same_answers(bundle):
    predictor = open_bundle(bundle)
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE), np.uint8)
    plain = keras.models.load_model(bundle / MODEL_FILE, compile=False)
    y_prob = plain.predict(to_input_batch(pixels), verbose=0)[:, 0]
    np.testing.assert_allclose(predictor.decision.probabilities(predictor.logits(pixels)), y_prob, atol=1e-6)


FAULTS = {
    "altered model": (lambda f: _append(f / MODEL_FILE), "model.h5 was altered: its sha256 is "),
    "missing model": (lambda f: (f / MODEL_FILE).unlink(), f"model.h5 is missing from the bundle. {RESTORE}"),
    "no description": (
        lambda f: (f / DESCRIPTION).unlink(),
        "bundle is not a bundle: it has no bundle.json. ",
    ),
    "description is no JSON": (lambda f: (f / DESCRIPTION).write_text("{"), "bundle.json is not JSON: "),
    "unknown schema": (
        lambda f: edit(f, lambda d: d.update(schema_version="9")),
        "bundle.json has schema_version '9', but this version of the project reads '1'. Update the project",
    ),
    "unknown field": (
        lambda f: edit(f, lambda d: d.update(surprise=1)),
        "bundle.json cannot be used: surprise: ",
    ),
    "classes turned round": (
        lambda f: edit(f, lambda d: d["classes"].reverse()),
        "The classes of bundle are PNEUMONIA, NORMAL, with PNEUMONIA as the positive one, but the project's are ",
    ),
    "other input size": (lambda f: edit(f, lambda d: d["preprocess"].update(size=64)), "probe"),
    "other network": (
        lambda f: edit(f, lambda d: d["network"].update(name="seed_cnn", params={})),
        "weights of",
    ),
    "unknown network": (
        lambda f: edit(f, lambda d: d["network"].update(name="vgg")),
        "The network vgg is not known, only ",
    ),
    "unknown setting": (
        lambda f: edit(f, lambda d: d["network"].update(params={"depth": 3})),
        "The network residual_cnn cannot be built with {'depth': 3}: ",
    ),
    "other probe": (
        lambda f: edit(f, lambda d: d["probe"].update(logit=3.0)),
        "The golden probe's logit is ",
    ),
    "threshold outside band": (
        lambda f: edit(f, lambda d: d["decision"].update(uncertain_band=[0.6, 0.7])),
        "uncertain_band",
    ),
    "model not listed": (
        lambda f: edit(f, lambda d: d["sha256"].pop(MODEL_FILE)),
        "bundle.json has no sha256 for model.h5. ",
    ),
    "file outside": (
        lambda f: edit(f, lambda d: d["sha256"].update({"../x": "0"})),
        "bundle.json lists '../x', which is outside the bundle. ",
    ),
}


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_refused_in_one_line(bundle, fault):
    break_it, said = FAULTS[fault]
    break_it(bundle)
    with pytest.raises(BundleError) as refused:
        open_bundle(bundle)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value) and str(bundle.parent) not in str(refused.value)


def test_original_network_has_its_parameters_and_size(tmp_path):
    model = build_network("seed_cnn", {}, 150)
    assert model.count_params() == 1_993_729
    assert f"{sum(np.asarray(w).nbytes for w in model.get_weights()) / 2**20:.2f}" == "7.61"
    kinds = [type(layer).__name__ for layer in model.layers]
    blocks = ["Conv2D", "MaxPooling2D"] * 4
    assert kinds == ["InputLayer", *blocks, "Flatten", "Dense", "Dropout", "Dense"]


def test_default_network_fits_in_8_megabytes(tmp_path):
    from trainer.members import joined_network
    from trainer.recipes import DEFAULT

    network = joined_network(DEFAULT)
    model = build_network(network.name, network.params, DEFAULT.preprocess.size)
    model.save(tmp_path / "model.h5")
    assert (tmp_path / "model.h5").stat().st_size <= 8_000_000


@pytest.mark.parametrize("params", [{}, {"towers": 2}, {"instance_norm_stages": 1}])
def test_every_kind_of_our_network_opens_in_plain_keras(tmp_path, params):
    keras.utils.set_random_seed(4)
    model = build_network(SMALL.name, SMALL.params | params, SIZE)
    model.save(tmp_path / MODEL_FILE)
    batch = np.random.default_rng(0).random((2, SIZE, SIZE, 1), np.float32)
    plain = keras.models.load_model(tmp_path / MODEL_FILE, compile=False)
    np.testing.assert_allclose(plain(batch), model(batch), atol=1e-6)


def test_mixed_precision_network_outputs_float32():
    model = build_network(SMALL.name, SMALL.params, SIZE, "mixed_bfloat16")
    assert all(weight.dtype == "float32" for weight in model.weights)
    assert model(np.zeros((1, SIZE, SIZE, 1), np.float32)).dtype == "float32"


@pytest.mark.parametrize("name", ["residual_cnn", "seed_cnn"])
def test_evidence_map_adds_up_to_the_logit(name):
    """HiResCAM of a piecewise linear head: what the features add to the logit, place by place."""
    keras.utils.set_random_seed(1)
    size = SIZE if name == "residual_cnn" else 150
    model = build_network(name, SMALL.params if name == "residual_cnn" else {}, size)
    batch = np.random.default_rng(0).random((2, size, size, 1), np.float32)
    (logits, *_), maps = KerasBackend(model).evidence(batch)
    y_prob = model.predict(batch, verbose=0)[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), y_prob, atol=1e-5)
    # Fresh biases are zero, so the features make all of the logit.
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), logits, rtol=2e-3, atol=1e-4)
    found = KerasBackend(model).outputs(batch)
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(found.features @ kernel + bias, logits[:, None], atol=1e-4)


def test_evidence_map_of_pooled_head_is_the_class_activation_map():
    keras.utils.set_random_seed(2)
    model = build_network(SMALL.name, SMALL.params, SIZE)
    batch = np.random.default_rng(0).random((1, SIZE, SIZE, 1), np.float32)
    features = keras.Model(model.input, model.layers[-4].output)(batch)
    assert len(features.shape) == 4
    expected = np.asarray(features) @ model.layers[-1].get_weights()[0]
    np.testing.assert_allclose(KerasBackend(model).evidence(batch)[1], expected[..., 0], rtol=1e-4, atol=1e-5)


@pytest.fixture
def bare_h5(tmp_path) -> Path:
    path = tmp_path / "mejor_modelo.h5"
    keras.utils.set_random_seed(3)
    model = build_network("seed_cnn", {}, 62)
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    model.save(path)
    return path


def test_bare_h5_of_the_original_kind_is_read_as_the_original_read_films(bare_h5):
    predictor = load_model(str(bare_h5))
    assert predictor.preprocess == seed_preprocess(62)
    assert predictor.decision.threshold == 0.5 and predictor.bundle is None
    pixels = np.random.default_rng(0).integers(0, 256, (2, 62, 62), np.uint8)
    y_prob = keras.models.load_model(bare_h5).predict(pixels[..., None] / 255, verbose=0)[:, 0]
    np.testing.assert_allclose(predictor.decision.probabilities(predictor.logits(pixels)), y_prob, atol=1e-6)


def _save(path: Path, *layers: keras.layers.Layer) -> None:
    keras.Sequential([keras.Input((32, 32, 1)), *layers]).save(path)


BROKEN_H5 = {
    "truncated": lambda p: p.write_bytes(p.read_bytes()[:5000]),
    "pointer": lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    "text": lambda p: p.write_text("not a model"),
    "empty": lambda p: p.write_bytes(b""),
    "lambda": lambda p: _save(
        p,
        keras.layers.Flatten(),
        keras.layers.Lambda(lambda x: x),
        keras.layers.Dense(1, activation="sigmoid"),
    ),
    "two outputs": lambda p: _save(p, keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")),
    "no sigmoid": lambda p: _save(p, keras.layers.Flatten(), keras.layers.Dense(1)),
}


@pytest.mark.parametrize("kind", BROKEN_H5)
def test_foreign_or_broken_h5_is_refused_in_one_line(bare_h5, kind):
    BROKEN_H5[kind](bare_h5)
    with pytest.raises(BundleError) as refused:
        load_model(str(bare_h5))
    assert "mejor_modelo.h5" in str(refused.value)
    assert "\n" not in str(refused.value) and str(bare_h5.parent) not in str(refused.value)


def test_model_that_is_neither_folder_nor_file():
    with pytest.raises(UsageError, match="MODEL"):
        load_model("no/such/model")
    assert issubclass(UsageError, CxrError)
