"""Networks of keras.applications under our head, from random weights: no machine of the tests fetches ImageNet's."""

import keras
import numpy as np
import pytest

from cxr.errors import BundleError, TrainingError, UsageError
from cxr.export.onnx_export import export_checked
from cxr.imaging.preprocess import PreprocessSpec, to_input_batch
from cxr.model.applications import APPLICATIONS, body_of
from cxr.model.bundle import NetworkSpec
from cxr.model.keras_backend import KerasBackend
from cxr.model.networks import build_network
from tests.test_fit import TINY, run_of, striped_films
from trainer.calibrate import HALF
from trainer.config import TrainConfig
from trainer.fit import fit
from trainer.pretrained import set_initial_weights
from trainer.recipes import APPLICATION, FINETUNE, RANDOM, Recipe
from trainer.run import resolve_recipe

SIZE = 32
SMALL = NetworkSpec(name=APPLICATION, params={"application": "MobileNet"})
MODULES = {
    "DenseNet121": "densenet",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "ResNet50": "resnet50",
    "ResNet50V2": "resnet_v2",
    "VGG16": "vgg16",
    "Xception": "xception",
}


def small_recipe(**changes) -> Recipe:
    return TINY.model_copy(update={"network": SMALL, "epochs": 1, **changes})


@pytest.mark.parametrize("name", APPLICATIONS)
def test_scaling_is_that_of_the_network_it_was_trained_with(name):
    film = np.random.default_rng(0).random((1, 8, 8, 1)).astype(np.float32)
    bytes_of_rgb = np.repeat(film, 3, axis=-1) * 255
    expected = getattr(keras.applications, MODULES[name]).preprocess_input(bytes_of_rgb.copy())
    scale, offset = APPLICATIONS[name]
    found = keras.layers.Rescaling(scale, offset)(np.repeat(film, 3, axis=-1))
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-4)


def test_saved_network_opens_in_plain_keras_and_its_export_answers_the_same(tmp_path):
    model = build_network(SMALL.name, SMALL.params, SIZE)
    model.save(tmp_path / "model.h5")
    batch = to_input_batch(np.random.default_rng(3).integers(0, 256, (3, SIZE, SIZE), np.uint8))
    expected = np.asarray(model(batch, training=False))
    reopened = keras.models.load_model(tmp_path / "model.h5", compile=False)
    np.testing.assert_allclose(np.asarray(reopened(batch, training=False)), expected, atol=1e-6)
    truth = KerasBackend.from_weights(tmp_path / "model.h5", SMALL, SIZE)
    content, record = export_checked(truth, HALF, weights=tmp_path / "model.h5")
    assert record.probability_difference < 1e-5
    assert len(content) < 0.1 * (tmp_path / "model.h5").stat().st_size


def test_training_starts_from_the_weights_of_a_file(tmp_path):
    keras.utils.set_random_seed(5)
    body = body_of("MobileNet", None, input_shape=(SIZE, SIZE, 3))
    body.save_weights(tmp_path / "pretrained.weights.h5")
    recipe = small_recipe(initial_weights=str(tmp_path / "pretrained.weights.h5"))
    network = build_network(SMALL.name, SMALL.params, SIZE)
    head = network.layers[-1].get_weights()
    set_initial_weights(network, recipe)
    for found, expected in zip(network.get_weights(), [*body.get_weights(), *head], strict=True):
        np.testing.assert_array_equal(found, expected)
    fitted = fit(run_of(recipe, (striped_films(24, 0), striped_films(12, 1)), tmp_path / "run", seed=0))
    assert np.isfinite(fitted.history[0]["val_loss"])


def test_a_file_of_other_weights_is_told(tmp_path):
    (tmp_path / "other.h5").write_bytes(b"no HDF5")
    network = build_network(SMALL.name, SMALL.params, SIZE)
    with pytest.raises(TrainingError, match=r"MobileNet without its top.*other\.h5"):
        set_initial_weights(network, small_recipe(initial_weights=str(tmp_path / "other.h5")))


def test_without_a_network_imagenet_weights_are_told_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(keras.src.utils.file_utils.config, "keras_home", lambda: str(tmp_path))
    network = build_network(SMALL.name, SMALL.params, 128)  # one of the sizes that Keras has weights for
    recipe = small_recipe(
        initial_weights="imagenet", preprocess=PreprocessSpec(size=128, resample="bilinear")
    )
    with pytest.raises(TrainingError, match=r"ImageNet weights of MobileNet.*--weights random"):
        set_initial_weights(network, recipe)


def test_command_line_names_the_network_and_its_weights(tmp_path):
    recipe = resolve_recipe(TrainConfig(tmp_path, network="MobileNet", weights=RANDOM, epochs=2))
    assert (recipe.name, recipe.network, recipe.epochs) == ("finetune", SMALL, 2)
    assert recipe.initial_weights == RANDOM and recipe.members == 1
    assert resolve_recipe(TrainConfig(tmp_path, recipe="finetune")) == FINETUNE


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "AlexNet"}, "--network AlexNet is not known. Choose one of: .*DenseNet121"),
        (
            {"network": "MobileNet", "weights": "no-such.h5"},
            r"no-such\.h5 is not a file. Give imagenet, random",
        ),
        ({"weights": "imagenet"}, "residual_cnn starts from random weights only"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_read(changes, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        resolve_recipe(TrainConfig(tmp_path, **changes))


def test_an_unknown_application_is_no_network():
    with pytest.raises(BundleError, match="AlexNet"):
        build_network(APPLICATION, {"application": "AlexNet"}, SIZE)


def test_members_are_of_our_own_network_only():
    with pytest.raises(ValueError, match="members are joined for residual_cnn only"):
        Recipe.model_validate(FINETUNE.model_dump() | {"members": 2})


def test_finetuning_reads_films_at_the_size_of_imagenet():
    assert FINETUNE.preprocess == PreprocessSpec(size=224, resample="bilinear")
