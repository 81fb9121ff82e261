"""One measurement in a process of its own: python -m benchmarks.worker KIND FOLDER prints it as JSON.

Libraries are imported where they are needed, since what a kind imports is part of its memory.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import peak_megabytes
from cxr.threads import cpu_count

if TYPE_CHECKING:
    from cxr.data.loading import LoadedFilms
    from trainer.recipes import Recipe

MODEL = Path(__file__).resolve().parent.parent / "bundles" / "default"
PLAIN = "plain.h5"
"""The default network as one saves it with Keras, beside the folder of films (see `plain_model`)."""
BATCH = 32
ONE_FILM = 40


def timed(work: Callable[[], int]) -> dict[str, float]:
    """What `work`, which returns a number of films, needs."""
    start = time.perf_counter()
    films = work()
    seconds = time.perf_counter() - start
    return {
        "films": films,
        "seconds": seconds,
        "films_per_second": films / seconds,
        "peak_mb": peak_megabytes(),
    }


def median_seconds(work: Callable[[], object]) -> dict[str, float]:
    """The median of many calls, after one that warms up."""
    seconds = []
    for _ in range(ONE_FILM + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds[1:])}


def plain_model(folder: Path) -> dict[str, float]:
    """Write the default network's weights as a whole Keras model, for the naive way."""
    from cxr.model.bundle import load_bundle
    from cxr.model.keras_backend import KerasBackend

    bundle = load_bundle(MODEL)
    described = bundle.description
    backend = KerasBackend.from_weights(bundle.model_path, described.network, described.preprocess.size)
    backend.model.save(folder.parent / PLAIN)
    return {}


def ours(folder: Path) -> dict[str, float]:
    """evaluation score, from an empty CSV to a full one; the model is loaded before, as in all rows of scoring."""
    from cxr.serving.local import load_model
    from evaluation.config import ScoreConfig
    from evaluation.score import score_with

    predictor, count = load_model(str(MODEL)), sum(1 for _ in folder.rglob("*.jpeg"))
    with tempfile.TemporaryDirectory() as place:
        config = ScoreConfig(str(MODEL), str(folder), Path(place) / "predictions.csv")
        return timed(lambda: score_with(predictor, config, count).total())


def naive(folder: Path) -> dict[str, float]:
    """ImageDataGenerator, load_model, model.predict."""
    import tensorflow as tf

    model = tf.keras.models.load_model(folder.parent / PLAIN, compile=False)
    generator = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255)
    films = generator.flow_from_directory(
        folder,
        target_size=model.input_shape[1:3],
        color_mode="grayscale",
        batch_size=BATCH,
        class_mode="binary",
        shuffle=False,
    )
    model.predict(films[0][0], verbose=0)
    return timed(lambda: len(model.predict(films, verbose=0)))


def decoding(folder: Path) -> dict[str, float]:
    """Reading, decoding and resizing alone, on all cores."""
    from cxr.imaging.decode import decode_file
    from cxr.serving.local import load_model

    predictor = load_model(str(MODEL))
    paths = sorted(folder.rglob("*.jpeg"))
    with ThreadPoolExecutor(cpu_count()) as pool:
        return timed(
            lambda: sum(1 for _ in pool.map(lambda path: predictor.pixels(decode_file(path)), paths))
        )


def inference(folder: Path) -> dict[str, float]:
    """The network alone, on all cores, for as many films as the folder has."""
    import numpy as np

    from cxr.serving.local import load_model

    predictor = load_model(str(MODEL))
    count = sum(1 for _ in folder.rglob("*.jpeg"))
    size = predictor.preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size), np.uint8)
    return timed(lambda: len(predictor.logits(pixels, BATCH)))


def one_ours(folder: Path) -> dict[str, float]:
    """One film, from its file to the decision."""
    from cxr.imaging.decode import decode_file
    from cxr.serving.local import load_model

    predictor = load_model(str(MODEL))
    path = next(folder.rglob("*.jpeg"))
    return median_seconds(lambda: predictor.predict(decode_file(path)))


def one_naive(folder: Path) -> dict[str, float]:
    import keras

    model = keras.models.load_model(folder.parent / PLAIN, compile=False)
    path, side = next(folder.rglob("*.jpeg")), model.input_shape[1:3]

    def answer() -> bool:
        film = keras.utils.load_img(path, color_mode="grayscale", target_size=side)
        return bool(model.predict(keras.utils.img_to_array(film)[None] / 255, verbose=0)[0, 0] > 0.5)

    return median_seconds(answer)


def epoch_ours(folder: Path) -> dict[str, float]:
    """An epoch of the seed recipe."""
    return _epoch("seed", folder)


def epoch_default(folder: Path) -> dict[str, float]:
    """An epoch of the default recipe: augmentation, step, averaged weights, the epoch's state on the disk."""
    return _epoch("default", folder)


def epoch_batches(folder: Path) -> dict[str, float]:
    """As many steps as `epoch_default` takes, by Keras's train_on_batch on arrays in memory, without augmentation."""
    import keras
    import numpy as np

    from cxr.model.networks import build_network
    from trainer.fit import choose_precision

    recipe, films = _films("default", folder)
    network, size = recipe.network, recipe.preprocess.size
    model = build_network(network.name, network.params, size, choose_precision())
    model.compile(keras.optimizers.AdamW(1e-3), "binary_crossentropy")
    rng = np.random.default_rng(0)
    batch = rng.random((recipe.batch_size, size, size, 1), np.float32)
    targets = np.arange(recipe.batch_size, dtype=np.float32)[:, None] % 2
    model.train_on_batch(batch, targets)
    shown = 2 * min(np.bincount(films.y_true))  # of each class as many as the rarer one has
    steps = -(-int(shown) // recipe.batch_size)
    start = time.perf_counter()
    for _ in range(2 * steps):
        model.train_on_batch(batch, targets)
    return {"seconds": (time.perf_counter() - start) / 2, "films": int(shown)}


def _films(recipe_name: str, folder: Path) -> "tuple[Recipe, LoadedFilms]":
    from cxr.data.loading import load_films
    from cxr.data.sources import FolderSource
    from trainer.recipes import find_recipe

    recipe, source = find_recipe(recipe_name), FolderSource(folder)
    films, _ = load_films(source, source.films, recipe.preprocess, progress=False)
    return recipe, films


def _epoch(recipe_name: str, folder: Path) -> dict[str, float]:
    """What three epochs need more than one, halved; validated on a single batch."""
    from trainer.fit import choose_precision, fit
    from trainer.training_run import TrainingRun

    recipe, films = _films(recipe_name, folder)
    rows = range(len(films.films))
    few, dtype = films.take([row % (len(rows) // BATCH) == 0 for row in rows]), choose_precision()

    def epochs(count: int) -> float:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as place:
            fit(TrainingRun(recipe.model_copy(update={"epochs": count}), films, few, 0, dtype, Path(place)))
        return time.perf_counter() - start

    once = epochs(1)
    return {"seconds": (epochs(3) - once) / 2, "films": len(films.films)}


def epoch_naive(folder: Path) -> dict[str, float]:
    """The same network and films, fed by an ImageDataGenerator that rotates, shifts and zooms."""
    import tensorflow as tf

    from cxr.model.networks import build_network

    model = build_network("seed_cnn", {}, 150)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        rescale=1 / 255, rotation_range=10, width_shift_range=0.1, height_shift_range=0.1, zoom_range=0.1
    )
    films = generator.flow_from_directory(
        folder, target_size=(150, 150), color_mode="grayscale", batch_size=BATCH, class_mode="binary"
    )

    def epochs(count: int) -> float:
        start = time.perf_counter()
        model.fit(films, epochs=count, verbose=0)
        return time.perf_counter() - start

    once = epochs(1)
    return {"seconds": (epochs(3) - once) / 2, "films": films.samples}


KINDS: dict[str, Callable[[Path], dict[str, Any]]] = {
    work.__name__: work
    for work in (
        *(plain_model, ours, naive, decoding, inference, one_ours, one_naive),
        *(epoch_ours, epoch_naive, epoch_default, epoch_batches),
    )
}

if __name__ == "__main__":
    found = KINDS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps(found))
