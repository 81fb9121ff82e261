"""The network in ONNX: equal to model.h5, used where it verifies, renewed, cached. TensorFlow is imported here."""

import json
import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from fake_model import training_record

from cxr.errors import BundleError
from cxr.export import cache as export_cache
from cxr.export import onnx_export
from cxr.export.onnx_export import export_checked, export_network
from cxr.export.onnx_layers import exportable
from cxr.export.onnx_weights import without_weights
from cxr.files import sha256_of, sha256_of_file
from cxr.imaging.decode import from_array
from cxr.imaging.preprocess import PreprocessSpec, to_input_batch
from cxr.model.bundle import (
    DESCRIPTION,
    EXPORT_FILE,
    MODEL_FILE,
    GoldenProbe,
    NetworkSpec,
    probe_pixels,
    write_description,
    write_export,
)
from cxr.model.decision import DecisionSpec
from cxr.model.keras_backend import KerasBackend
from cxr.model.networks import build_network
from cxr.model.onnx_backend import OnnxBackend
from cxr.model.predictor import Predictor
from cxr.phantom import make_phantom
from cxr.serving.local import load_model, open_bundle, open_h5
from trainer.export import ExportConfig, export

ROOT = Path(__file__).resolve().parent.parent
SIZE = 64
ROUNDING = {"rtol": 1e-5, "atol": 5e-6}  # float32 sums of a few hundred terms, in another order
SMALL = NetworkSpec(
    name="residual_cnn", params={"stem": 8, "widths": [8, 12], "blocks": 1, "instance_norm_stages": 1}
)
NETWORKS = {
    "residual_cnn": (SMALL.name, SMALL.params),
    "towers": (SMALL.name, {**SMALL.params, "towers": 2}),
    "seed_cnn": ("seed_cnn", {}),
    "by design": ("efficientnet_lite0", {"width": 16}),
    "joint": ("efficientnet_lite0", {"width": 16, "head": "joint"}),
}
BY_DESIGN = {"by design", "joint"}
HALF = DecisionSpec(temperature=1.0, threshold=0.5, rule="half")
TOO_MUCH = ["tensorflow", "keras", "datasets", "sklearn", "matplotlib", "onnx", "tf2onnx", "scipy"]
"""What no serving process imports before it needs it."""


def network(name: str) -> keras.Model:
    """A network with weights and biases that are not zero."""
    keras.utils.set_random_seed(7)
    model = build_network(*NETWORKS[name], SIZE)
    rng = np.random.default_rng(7)
    for layer in model.layers:
        layer.set_weights(
            [np.abs(w) + rng.normal(0, 0.05, w.shape) if w.ndim == 1 else w for w in layer.get_weights()]
        )
    return model


def films(count: int = 6, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, size, size), np.uint8)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    network("residual_cnn").save(folder / MODEL_FILE)
    truth = KerasBackend.from_weights(folder / MODEL_FILE, SMALL, SIZE)
    content, record = export_checked(truth, HALF, weights=folder / MODEL_FILE)
    fields = {
        "name": "small",
        "version": "0.0.1",
        "network": SMALL,
        "preprocess": PreprocessSpec(size=SIZE, resample="bilinear"),
        "decision": HALF,
        "training": training_record(),
        "probe": GoldenProbe(logit=float(truth.outputs(to_input_batch(probe_pixels(SIZE)[None])).logits[0])),
        "export": write_export(folder, content, record),
    }
    write_description(folder, fields)
    return folder


@pytest.fixture
def bundle(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bundle"))


def edit(folder: Path, change) -> None:
    description = json.loads((folder / DESCRIPTION).read_text())
    change(description)
    (folder / DESCRIPTION).write_text(json.dumps(description))


# --- Equal to Keras


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_features_and_evidence_are_those_of_keras(name):
    model = network(name)
    truth, served = KerasBackend(model), OnnxBackend(export_network(model))
    batch = to_input_batch(films())
    (logits, features, trunk), maps = truth.evidence(batch)
    (found, found_features, found_trunk), found_maps = served.evidence(batch)
    assert served.size == SIZE and found.dtype == np.float64
    np.testing.assert_allclose(found, logits, atol=1e-5)
    np.testing.assert_allclose(found_features, features, atol=1e-5)
    assert (found_trunk is None) == (trunk is None) == (name not in BY_DESIGN)
    if trunk is not None:
        np.testing.assert_allclose(found_trunk, trunk, atol=1e-4)
    np.testing.assert_allclose(found_maps, maps, rtol=1e-4, atol=1e-4)
    assert np.ptp(maps) > 0.01, "a flat map would prove nothing"
    np.testing.assert_array_equal(served.outputs(batch).logits, found)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_answer_depends_on_its_batch_or_on_other_callers(name):
    served, batch = OnnxBackend(export_network(network(name))), to_input_batch(films(33))
    (logits, features, _), maps = served.evidence(batch)
    for start, count in ((0, 1), (1, 2), (5, 7), (16, 17), (32, 1)):
        (one, one_features, _), one_maps = served.evidence(batch[start : start + count])
        np.testing.assert_allclose(one, logits[start : start + count], **ROUNDING)
        np.testing.assert_allclose(one_features, features[start : start + count], **ROUNDING)
        np.testing.assert_allclose(one_maps, maps[start : start + count], **ROUNDING)
    with ThreadPoolExecutor(8) as callers:
        alone = list(callers.map(lambda row: served.outputs(row[None]).logits[0], batch))
    np.testing.assert_allclose(alone, logits, **ROUNDING)


def test_the_same_network_gives_the_same_bytes():
    model = network("residual_cnn")
    assert sha256_of(export_network(model)) == sha256_of(export_network(model))


# --- In the form that exports best


def test_what_is_per_film_is_exported_without_asking_for_shapes():
    nodes = onnx.load_from_string(export_network(network("towers"))).graph.node
    per_film = 2 * 2  # towers, and places in each
    assert sum(node.op_type == "Slice" for node in nodes) == 2 * per_film
    assert not any(node.op_type in ("Gather", "Cast") for node in nodes)


def test_what_a_film_is_scaled_by_has_as_many_axes_as_the_film():
    graph = onnx.load_from_string(export_network(_with(keras.layers.Rescaling(2.5, -1.5)))).graph
    constants = [onnx.numpy_helper.to_array(constant) for constant in graph.initializer]
    scaling = [values.shape for values in constants if values.size == 1 and values.flat[0] in (2.5, -1.5)]
    assert scaling == [(1, 1, 1, 1), (1, 1, 1, 1)]


def test_a_network_with_nothing_to_replace_is_exported_as_it_is():
    model = network("seed_cnn")
    assert exportable(model) is model


def _with(*parts: keras.layers.Layer) -> keras.Model:
    """Some layers between a convolution of 8 channels and a pooled head, with weights that are not zero."""
    keras.utils.set_random_seed(7)
    x = inputs = keras.Input((16, 16, 1))
    for layer in (keras.layers.Conv2D(8, 3, padding="same"), *parts):
        x = layer(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    rng = np.random.default_rng(7)
    model.set_weights([weight + rng.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return model


LAYERS = keras.layers
OTHERS = {
    "scaled": [LAYERS.GroupNormalization(-1, center=False)],
    "groups of two": [LAYERS.GroupNormalization(4, center=False, scale=False)],
    "rows cropped": [
        LAYERS.Reshape((16, 16, 8, 1)),
        LAYERS.Cropping3D(((2, 0), (0, 0), (4, 0))),
        LAYERS.Reshape((14, 16, 4)),
    ],
    "turned": [
        LAYERS.Reshape((16, 8, 16, 1)),
        LAYERS.Cropping3D(((0, 0), (0, 0), (4, 0))),
        LAYERS.Reshape((16, 8, 12)),
    ],
}


@pytest.mark.parametrize("other", OTHERS)
def test_layers_that_only_look_alike_are_left_as_they_are(other):
    model = _with(*(type(layer).from_config(layer.get_config()) for layer in OTHERS[other]))
    assert exportable(model) is model
    batch = to_input_batch(films(size=16))
    found, expected = OnnxBackend(export_network(model)).outputs(batch), KerasBackend(model).outputs(batch)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)


@pytest.mark.parametrize("cut", [(0, 5), (3, 0), (2, 2)])
def test_channels_are_taken_from_where_they_were(cut):
    left = 8 - sum(cut)
    model = _with(
        LAYERS.Reshape((16, 16, 8, 1)),
        LAYERS.Cropping3D(((0, 0), (0, 0), cut)),
        LAYERS.Reshape((16, 16, left)),
        LAYERS.GroupNormalization(-1, center=False, scale=False),
    )
    batch = to_input_batch(films(size=16))
    replaced = exportable(model)
    assert not any(
        isinstance(layer, LAYERS.Cropping3D | LAYERS.GroupNormalization) for layer in replaced.layers
    )
    np.testing.assert_allclose(replaced(batch), model(batch), atol=1e-5)
    assert np.ptp(np.asarray(model(batch))) > 1e-3


@pytest.mark.parametrize("wrong", ["weights", "evidence"])
def test_an_export_that_answers_otherwise_is_refused(monkeypatch, wrong):
    model = network("residual_cnn")
    if wrong == "weights":
        other = export_network(build_network(SMALL.name, SMALL.params, SIZE))
    else:
        right = onnx_export._gradient
        monkeypatch.setattr(onnx_export, "_gradient", lambda *parts: right(*parts) * 1.01)
        other = export_network(model)
    monkeypatch.setattr(onnx_export, "export_network", lambda _: other)
    with pytest.raises(BundleError, match="The export differs from the model by up to "):
        export_checked(KerasBackend(model), HALF)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_named_in_model_h5_give_the_very_same_answers(name, tmp_path):
    model = network(name)
    model.save(tmp_path / MODEL_FILE)
    whole = export_network(model)
    light = without_weights(whole, tmp_path / MODEL_FILE)
    weights = (tmp_path / MODEL_FILE).read_bytes()
    batch = to_input_batch(films())
    (expected, *_), expected_maps = OnnxBackend(whole).evidence(batch)
    (found, *_), maps = OnnxBackend(light, weights).evidence(batch)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(maps, expected_maps, atol=1e-5)
    held = [each for each in onnx.load_from_string(light).graph.initializer if len(each.raw_data) >= 2048]
    if name in BY_DESIGN:
        # The converter makes one scale and one offset a channel of each batch normalisation: model.h5 has no such.
        assert all(sorted(each.dims)[:-1] in ([], [1, 1, 1]) for each in held)
        assert len(light) < len(whole) / 50
    else:
        assert not held
    assert light == without_weights(whole, tmp_path / MODEL_FILE)


@pytest.mark.parametrize("wrong", ["none", "cut short"])
def test_named_weights_that_are_not_there_are_told(wrong, tmp_path, monkeypatch):
    model = network("residual_cnn")
    model.save(tmp_path / MODEL_FILE)
    light = without_weights(export_network(model), tmp_path / MODEL_FILE)
    # A file of that name where the process stands must not be read in their place.
    monkeypatch.chdir(tmp_path)
    weights = None if wrong == "none" else (tmp_path / MODEL_FILE).read_bytes()[:3000]
    with pytest.raises(BundleError, match="The export is not a network in ONNX from "):
        OnnxBackend(light, weights)


def test_the_embedded_bundle_holds_its_weights_once():
    default = ROOT / "bundles" / "default"
    assert (default / EXPORT_FILE).stat().st_size < 0.1 * (default / MODEL_FILE).stat().st_size


# --- Which one serves


def test_a_bundle_is_served_by_its_export(bundle, caplog):
    predictor = open_bundle(bundle)
    assert isinstance(predictor.backend, OnnxBackend) and not caplog.records
    truth = Predictor(
        KerasBackend.from_weights(bundle / MODEL_FILE, SMALL, SIZE),
        predictor.preprocess,
        HALF,
        predictor.identity,
    )
    film = from_array(make_phantom(1, "viral").pixels)
    assert predictor.predict(film).probability == pytest.approx(truth.predict(film).probability, abs=1e-5)
    found, expected = predictor.explain(film).evidence, truth.explain(film).evidence
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, np.abs(expected).max()))


def _replace(folder: Path, content: bytes) -> None:
    (folder / EXPORT_FILE).write_bytes(content)
    edit(folder, lambda d: d["sha256"].update({EXPORT_FILE: sha256_of(content)}))


def _other_network(folder: Path) -> None:
    _replace(folder, export_network(build_network(SMALL.name, SMALL.params, SIZE)))


UNFIT = {
    "missing": (lambda f: (f / EXPORT_FILE).unlink(), "model.onnx cannot be read: No such file"),
    "altered": (
        lambda f: (f / EXPORT_FILE).write_bytes(b"x"),
        "model.onnx is not the file that bundle.json lists. ",
    ),
    "not listed": (
        lambda f: edit(f, lambda d: d["sha256"].pop(EXPORT_FILE)),
        "not the file that bundle.json lists. ",
    ),
    "of other weights": (
        lambda f: edit(f, lambda d: d["export"].update(of_model="0")),
        "model.onnx was made of another model.h5. ",
    ),
    "no ONNX": (lambda f: _replace(f, b"no ONNX at all"), "The export is not a network in ONNX from "),
    "another network": (_other_network, "The golden probe's logit is "),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_keras_serves_where_the_export_does_not_verify_and_says_why(bundle, caplog, fault):
    break_it, said = UNFIT[fault]
    break_it(bundle)
    predictor = open_bundle(bundle)
    assert isinstance(predictor.backend, KerasBackend)
    [record] = [record for record in caplog.records if record.name.startswith("cxr")]
    assert (
        record.levelno == logging.WARNING and said in record.getMessage() and "\n" not in record.getMessage()
    )


def test_a_bundle_without_export_is_served_by_keras_without_a_word(bundle, caplog):
    (bundle / EXPORT_FILE).unlink()
    edit(bundle, lambda d: (d["sha256"].pop(EXPORT_FILE), d.pop("export")))
    assert isinstance(open_bundle(bundle).backend, KerasBackend)
    assert "served by" not in caplog.text


NOT_IN_REQUIREMENTS = ("tensorflow", "keras", "h5py", "onnx", "tf2onnx")


def python(
    code: str, missing: tuple[str, ...] = NOT_IN_REQUIREMENTS, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter in which nothing `missing` can be imported."""
    blocked = f"import sys\nfor name in {missing}: sys.modules[name] = None\n"
    return subprocess.run(
        [sys.executable, "-c", blocked + code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_app_serves_the_default_bundle_without_tensorflow():
    film = next((ROOT / "bundles" / "default" / "examples").glob("*.jpeg"))
    done = python(f"""
from pathlib import Path
import app
from cxr.imaging.decode import decode_file
serving = app.load_serving(app.AppConfig())
app.build_app(serving)
predictor = serving.now.predictor
print(predictor.predict(decode_file(Path({str(film)!r}))).scope)
loaded = [name for name, module in sys.modules.items() if module is not None]
print(*sorted(set({TOO_MUCH}) & set(loaded)))
""")
    # The film is a phantom.
    assert done.stdout.split("\n") == ["unfamiliar", "", ""], done.stderr
    assert "served by Keras" not in done.stderr


def test_without_tensorflow_one_line_says_what_to_install(bundle):
    (bundle / EXPORT_FILE).unlink()
    done = python(f"from cxr.serving.local import load_model\nload_model({str(bundle)!r})")
    line = done.stderr.splitlines()[-1]
    assert line.startswith("cxr.errors.BundleError") and "needs keras, which is not installed" in line
    assert "pip install keras tensorflow-cpu" in line and "model.onnx" in line


@pytest.mark.parametrize("preprocess", [None, {"size": 150, "resample": "nearest"}])
def test_a_bare_h5_on_an_install_of_requirements_txt_is_one_line(preprocess, tmp_path):
    (tmp_path / "theirs.h5").write_bytes((ROOT / "bundles" / "default" / "model.h5").read_bytes())
    stated = {"MODEL_PREPROCESS": json.dumps(preprocess)} if preprocess else {}
    environment = {"MODEL": str(tmp_path / "theirs.h5"), "CXR_CACHE": str(tmp_path), **stated}
    done = python("import app\nsys.exit(app.main())", **environment)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and "theirs.h5" in done.stderr.splitlines()[-1]
    assert "which is not installed. Run pip install keras tensorflow-cpu h5py onnx tf2onnx" in done.stderr


# --- The command


def test_export_renews_model_onnx_and_touches_nothing_else(bundle, capsys):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    (bundle / EXPORT_FILE).write_bytes(b"damaged")
    export(ExportConfig(bundle))
    after = {path.name: path.read_bytes() for path in bundle.iterdir()}
    # Keras's own last bits, and so the differences noted, may change from run to run.
    described, renewed = (json.loads(files.pop(DESCRIPTION)) for files in (before, after))
    assert after == before
    assert {**renewed, "export": None} == {**described, "export": None}
    assert renewed["export"]["of_model"] == described["export"]["of_model"]
    assert "compared with model.h5 on 6 phantoms and noise" in capsys.readouterr().out


def test_export_adds_it_to_a_bundle_that_has_none(bundle):
    (bundle / EXPORT_FILE).unlink()
    edit(bundle, lambda d: (d["sha256"].pop(EXPORT_FILE), d.pop("export")))
    export(ExportConfig(bundle))
    assert isinstance(open_bundle(bundle).backend, OnnxBackend)


def test_export_of_an_altered_bundle_is_refused_and_changes_nothing(bundle):
    (bundle / MODEL_FILE).write_bytes((bundle / MODEL_FILE).read_bytes() + b"x")
    before = (bundle / DESCRIPTION).read_bytes()
    with pytest.raises(BundleError, match=r"model\.h5 was altered: its sha256 is "):
        export(ExportConfig(bundle))
    assert (bundle / DESCRIPTION).read_bytes() == before


# --- A bare .h5


@pytest.fixture
def bare(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(export_cache.VARIABLE, str(tmp_path / "cache"))
    network("seed_cnn").save(tmp_path / "mejor_modelo.h5")
    return tmp_path / "mejor_modelo.h5"


def test_a_bare_h5_is_exported_once_and_then_served_without_tensorflow(bare, tmp_path):
    code = f"from cxr.serving.local import load_model; print(load_model({str(bare)!r}).probe_logit)"
    assert "pip install keras tensorflow-cpu" in python(code).stderr
    first = load_model(str(bare))
    [kept] = (tmp_path / "cache").iterdir()
    assert sha256_of_file(bare) in kept.name
    assert isinstance(first.backend, OnnxBackend) and first.preprocess.size == SIZE
    # h5py says whether the file is of the original's kind, whose preprocessing is known.
    done = python(code, tuple(name for name in NOT_IN_REQUIREMENTS if name != "h5py"))
    assert done.stderr == "" and float(done.stdout) == first.probe_logit


def test_a_sequential_h5_is_served_as_keras_computes_it(bare):
    blocks = [layer for layer in network("seed_cnn").layers if not isinstance(layer, keras.layers.InputLayer)]
    sequential = keras.Sequential([keras.Input((SIZE, SIZE, 1)), *blocks])
    sequential.save(bare)
    predictor = load_model(str(bare))
    assert isinstance(predictor.backend, OnnxBackend)
    y_prob = sequential.predict(to_input_batch(films()), verbose=0)[:, 0]
    np.testing.assert_allclose(predictor.decision.probabilities(predictor.logits(films())), y_prob, atol=1e-6)
    assert np.ptp(predictor.explain(from_array(films()[0])).evidence) > 0


def test_a_damaged_cache_is_not_used_and_is_mended(bare, tmp_path):
    load_model(str(bare))
    [kept] = (tmp_path / "cache").iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[:-1])
    assert isinstance(load_model(str(bare)).backend, OnnxBackend)
    assert kept.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_no_failure(bare, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert isinstance(load_model(str(bare)).backend, OnnxBackend)


def test_a_head_without_closed_form_is_served_by_keras(bare, caplog, tmp_path):
    keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            keras.layers.Conv2D(4, 3),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    ).save(bare)
    predictor = open_h5(bare, PreprocessSpec(size=32, resample="bilinear"))
    assert isinstance(predictor.backend, KerasBackend)
    assert "GlobalMaxPooling2D" in caplog.text and not (tmp_path / "cache").exists()
