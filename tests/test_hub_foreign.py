"""Bare .h5 files of unknown origin: what loads, and what is refused before Keras. TensorFlow is imported here."""

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from cxr.errors import BundleError, UsageError
from cxr.imaging.decode import from_array
from cxr.model.networks import build_network
from cxr.model.untrusted_h5 import require_plain_layers
from cxr.phantom import make_phantom
from cxr.serving.opening import open_model

FILM = from_array(make_phantom(1, "bacterial").pixels)
STATED = '{"size": 48, "resample": "bilinear"}'


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A network that is not of the original's kind: it normalises."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((48, 48, 1)),
            layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    path = tmp_path_factory.mktemp("foreign") / "theirs.h5"
    model.save(path)
    return path


@pytest.fixture
def theirs(saved, tmp_path) -> Path:
    path = tmp_path / "theirs.h5"
    path.write_bytes(saved.read_bytes())
    return path


def edit_config(path: Path, change) -> None:
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)


def as_keras_2(config) -> None:
    """The same network as Keras 2 described it: no modules, no registered names, batch_input_shape."""
    strip(config)
    for layer in config["config"]["layers"]:
        if "batch_shape" in layer["config"]:
            layer["config"]["batch_input_shape"] = layer["config"].pop("batch_shape")
        layer["config"]["dtype"] = "float32"


def strip(value) -> None:
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        strip(part)
    if isinstance(value, dict):
        for key in ("module", "registered_name", "build_config"):
            value.pop(key, None)


def opened(path: Path):
    return open_model(str(path)).predictor


def test_it_is_served_as_stated_and_refused_where_nothing_is_stated(theirs, monkeypatch):
    with pytest.raises(
        BundleError, match=r"theirs\.h5 does not say how images are preprocessed\. Set MODEL_PRE"
    ):
        opened(theirs)
    monkeypatch.setenv("MODEL_PREPROCESS", STATED)
    predictor = opened(theirs)
    plain = keras.models.load_model(theirs, compile=False)
    batch = predictor.pixels(FILM)[None, ..., None] / np.float32(255)
    assert predictor.predict(FILM).probability == pytest.approx(float(plain(batch)[0, 0]), abs=1e-5)
    assert predictor.preprocess.resample == "bilinear"


@pytest.mark.parametrize("text", ["{", '{"size": 48}', '{"size": 48, "resample": "magic"}', "[]"])
def test_a_statement_that_is_none(theirs, monkeypatch, text):
    monkeypatch.setenv("MODEL_PREPROCESS", text)
    with pytest.raises(UsageError, match=r"^MODEL_PREPROCESS cannot be used: .+ Give JSON such as \{"):
        opened(theirs)


def test_a_statement_for_another_size(theirs, monkeypatch):
    monkeypatch.setenv("MODEL_PREPROCESS", STATED.replace("48", "64"))
    with pytest.raises(
        BundleError, match=r"The network reads images of 48 x 48 pixels, but preprocessing makes 64 x 64\."
    ):
        opened(theirs)


def test_keras_2_files_answer_as_they_did(theirs, monkeypatch):
    monkeypatch.setenv("MODEL_PREPROCESS", STATED)
    before = opened(theirs).predict(FILM).probability
    edit_config(theirs, as_keras_2)
    assert opened(theirs).predict(FILM).probability == pytest.approx(before, abs=1e-6)


def test_the_originals_kind_needs_no_statement(tmp_path):
    path = tmp_path / "mejor_modelo.h5"
    build_network("seed_cnn", {}, 94).save(path)
    assert opened(path).preprocess.resample == "nearest"


def layer(config, number: int) -> dict:
    return config["config"]["layers"][number]


REFUSED_CONFIGS = {
    "Lambda": (lambda c: layer(c, 3).update(class_name="Lambda"), "the layer Lambda"),
    "TFOpLambda": (lambda c: layer(c, 3).update(class_name="TFOpLambda"), "the layer TFOpLambda"),
    "custom layer": (lambda c: layer(c, 3).update(class_name="Mine"), "the layer Mine"),
    "registered": (
        lambda c: layer(c, 3).update(registered_name="mine>Dense"),
        "the custom object mine>Dense",
    ),
    "custom model": (lambda c: c.update(class_name="MyModel"), "the layer MyModel"),
    "activation": (lambda c: layer(c, 4)["config"].update(activation="mine"), "the activation mine"),
    "function": (
        lambda c: layer(c, 4)["config"].update(
            activation={"module": "os", "class_name": "function", "config": "system"}
        ),
        "the custom object system",
    ),
    "initialiser": (
        lambda c: layer(c, 4)["config"].update(
            kernel_initializer={"module": "builtins", "class_name": "Mine", "config": {}}
        ),
        "the custom object Mine",
    ),
    "nested Lambda": (
        lambda c: c["config"]["layers"].append(
            {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config": {}}]}}
        ),
        "the layer Lambda",
    ),
}


@pytest.mark.parametrize("name", REFUSED_CONFIGS)
def test_networks_that_are_refused(theirs, name):
    change, said = REFUSED_CONFIGS[name]
    edit_config(theirs, change)
    refused(theirs, said)


def external_link(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["model_weights"]["elsewhere"] = h5py.ExternalLink("other.h5", "/x")


def soft_link(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["again"] = h5py.SoftLink("/model_weights")


def external_data(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.create_dataset("outside", (4,), "u1", external=[("/etc/hostname", 0, 4)])


def loop(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["model_weights"]["loop"] = file["model_weights"]


def weights_only(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


REFUSED_FILES = {
    "external link": (external_link, "a link at elsewhere"),
    "soft link": (soft_link, "a link at again"),
    "external data": (external_data, "data outside the file at outside"),
    "loop": (loop, "several links to"),
    "weights only": (weights_only, "theirs.h5 does not describe its network, as a file of weights alone. "),
    "truncated": (truncate, "theirs.h5 is damaged: "),
    "LFS pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "theirs.h5 is only a Git LFS pointer to the model. Run git lfs pull.",
    ),
    "not HDF5": (
        lambda path: path.write_bytes(b"PK\x03\x04"),
        "theirs.h5 is not an HDF5 file. Name the .h5 that Keras saved.",
    ),
    "empty": (
        lambda path: path.write_bytes(b""),
        "theirs.h5 is not an HDF5 file. Name the .h5 that Keras saved.",
    ),
}


@pytest.mark.parametrize("name", REFUSED_FILES)
def test_files_that_are_refused(theirs, name):
    break_it, said = REFUSED_FILES[name]
    break_it(theirs)
    refused(theirs, said)


def refused(path: Path, said: str) -> None:
    for check in (require_plain_layers, opened):
        with pytest.raises(BundleError) as found:
            check(path)
        assert said in str(found.value) and "\n" not in str(found.value)
        assert str(path.parent) not in str(found.value)


def test_our_own_networks_are_plain(small_bundle):
    require_plain_layers(small_bundle / "model.h5")
    require_plain_layers(Path(__file__).resolve().parents[1] / "bundles" / "default" / "model.h5")


# --- Models inside models


def base_network() -> keras.Model:
    inputs = keras.Input((48, 48, 1))
    return keras.Model(inputs, layers.MaxPooling2D()(layers.Conv2D(8, 3, activation="relu")(inputs)))


def nested_functional() -> keras.Model:
    inputs = keras.Input((48, 48, 1))
    pooled = layers.GlobalAveragePooling2D()(base_network()(inputs))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(pooled))


def sequential_of_base(base: keras.Model) -> keras.Model:
    head = [layers.GlobalAveragePooling2D(), layers.Dense(1, activation="sigmoid")]
    return keras.Sequential([keras.Input((48, 48, 1)), base, *head])


def two_levels_with_equal_names() -> keras.Model:
    inner = keras.Sequential([keras.Input((48, 48, 1)), layers.Conv2D(4, 3, name="same")])
    middle = keras.Sequential([keras.Input((48, 48, 1)), inner, layers.Conv2D(4, 3, name="same")])
    return sequential_of_base(middle)


def application() -> keras.Model:
    return sequential_of_base(
        keras.applications.MobileNetV2((48, 48, 1), alpha=0.35, include_top=False, weights=None)
    )


@pytest.mark.parametrize(
    "make",
    [nested_functional, lambda: sequential_of_base(base_network()), two_levels_with_equal_names, application],
    ids=["nested", "sequential_of_base", "two_levels_with_equal_names", "application"],
)
def test_models_inside_the_model_are_served_with_a_map(make, tmp_path, monkeypatch):
    keras.utils.set_random_seed(5)
    assert_served_with_a_map(make(), tmp_path, monkeypatch)


def assert_served_with_a_map(model: keras.Model, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras's own probability of the gray film in each channel, and a map that has the film's size and is not flat."""
    model.save(folder / "model.h5")
    monkeypatch.setenv("MODEL_PREPROCESS", STATED)
    predictor = opened(folder / "model.h5")
    explained = predictor.explain(FILM)
    gray = predictor.pixels(FILM)[None, :, :, None] / np.float32(255)
    batch = np.repeat(gray, model.input_shape[-1], axis=-1)
    assert explained.answer.probability == pytest.approx(float(model(batch)[0, 0]), abs=1e-5)
    assert explained.evidence.shape == (FILM.height, FILM.width)
    assert explained.evidence.std() > 0


def rgb_convolutions() -> keras.Model:
    kept = [layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
    return keras.Sequential([keras.Input((48, 48, 3)), *kept])


def rgb_application() -> keras.Model:
    """The most common file of all: a base from keras.applications under a head, with its own normalisation."""
    base = keras.applications.MobileNetV2((48, 48, 3), alpha=0.35, include_top=False, weights=None)
    inputs = keras.Input((48, 48, 3))
    normalised = layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3])(inputs)
    pooled = layers.GlobalAveragePooling2D()(base(layers.Rescaling(2.0, offset=-1.0)(normalised)))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Dropout(0.3)(pooled)))


@pytest.mark.parametrize("make", [rgb_convolutions, rgb_application])
def test_a_model_of_three_channels_reads_the_gray_film_in_each(make, tmp_path, monkeypatch):
    keras.utils.set_random_seed(6)
    assert_served_with_a_map(make(), tmp_path, monkeypatch)


def adapted_normalisation() -> keras.Model:
    """Its mean and variance are weights."""
    normal = layers.Normalization()
    normal.adapt(np.random.default_rng(0).normal(0.3, 0.2, (20, 48, 48, 3)))
    kept = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(1, activation="sigmoid")]
    return keras.Sequential([keras.Input((48, 48, 3)), normal, *kept])


def test_an_adapted_normalisation_is_kept(tmp_path, monkeypatch):
    keras.utils.set_random_seed(6)
    assert_served_with_a_map(adapted_normalisation(), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("shape", "head", "said"),
    [
        (
            (48, 48, 4),
            layers.Dense(1, activation="sigmoid"),
            r"reads \(None, 48, 48, 4\), but a film is one square",
        ),
        (
            (48, 40, 1),
            layers.Dense(1, activation="sigmoid"),
            r"reads \(None, 48, 40, 1\), but a film is one square",
        ),
        ((None, None, 3), layers.Dense(1, activation="sigmoid"), r"reads \(None, None, None, 3\)"),
        (
            (48, 48, 3),
            layers.Dense(2, activation="softmax", name="classes"),
            r"layer classes \(Dense\).*\(None, 2\)",
        ),
        ((48, 48, 1), layers.Dense(1, name="logit"), r"ends in the layer logit \(Dense\).*by a sigmoid"),
    ],
    ids=["four_channels", "not_square", "any_size", "two_classes", "logits"],
)
def test_another_contract_is_refused_by_the_layer(shape, head, said, tmp_path, monkeypatch):
    path = tmp_path / "other.h5"
    keras.Sequential([keras.Input(shape), layers.Conv2D(2, 3), layers.GlobalAveragePooling2D(), head]).save(
        path
    )
    monkeypatch.setenv("MODEL_PREPROCESS", STATED)
    with pytest.raises(BundleError, match=rf"^other\.h5 .*{said}"):
        opened(path)


def keep_groups(value) -> None:
    """Keras 2 wrote groups = 1 into every DepthwiseConv2D, which Keras 3 refuses."""
    if isinstance(value, dict) and value.get("class_name") == "DepthwiseConv2D":
        value["config"]["groups"] = 1
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        keep_groups(part)


def test_depthwise_layers_as_keras_2_wrote_them_are_served(tmp_path, monkeypatch):
    model = application()
    path = tmp_path / "keras2.h5"
    model.save(path)
    edit_config(path, keep_groups)
    before = path.read_bytes()
    monkeypatch.setenv("MODEL_PREPROCESS", STATED)
    predictor = opened(path)
    batch = predictor.pixels(FILM)[None, :, :, None] / np.float32(255)
    assert predictor.predict(FILM).probability == pytest.approx(float(model(batch)[0, 0]), abs=1e-5)
    assert path.read_bytes() == before
