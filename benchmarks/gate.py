"""python -m benchmarks.gate: what the input gate says of films, of films turned and inverted, and of other images."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import skimage.data
import tyro
from PIL import Image
from sklearn.datasets import load_sample_images
from tyro.conf import UseAppendAction

from benchmarks.worker import MODEL
from cxr.cli import run_command
from cxr.data.films import read_manifest
from cxr.data.loading import load_films
from cxr.data.sources import open_data
from cxr.errors import DataError, ImageError
from cxr.files import write_json
from cxr.imaging.decode import GrayImage, decode_file, from_array
from cxr.model.input_gate import Assessment
from cxr.model.predictor import Predictor
from cxr.serving.local import load_model
from cxr.types import ModelPixels
from trainer.references import open_references

CHANGES: dict[str, tuple[Callable[[ModelPixels], ModelPixels], str]] = {
    "as they are": (lambda films: films, ""),
    "mirrored": (lambda films: films[:, :, ::-1], ""),
    "turned by 90": (lambda films: np.rot90(films, 1, (1, 2)), "rotated"),
    "turned by 180": (lambda films: np.rot90(films, 2, (1, 2)), "rotated"),
    "turned by 270": (lambda films: np.rot90(films, 3, (1, 2)), "rotated"),
    "upside down": (lambda films: films[:, ::-1], "rotated"),
    "inverted": (lambda films: 255 - films, "inverted"),
}
"""What is done to films uint8 (n, size, size), and the reason for which the gate should refuse them; "" for none."""
_CROPS, _NOISE = 3, 10


@dataclass(frozen=True)
class GateConfig:
    """Ask the gate of a bundle, and print what it says."""

    model: Path = MODEL
    """The bundle."""
    data: str = ""
    """DATA that the bundle was trained on; its validation films are asked for."""
    reference: UseAppendAction[tuple[str, ...]] = ()
    """DATA of another hospital, of which half of the patients are unseen; repeat it for several."""
    films: int = 200
    """Films of each, drawn at random."""
    seed: int = 0
    """Seed of what is drawn."""
    out: Path | None = None
    """JSON file for the figures."""
    debug: bool = False
    """Show the traceback of an error."""


def measure(config: GateConfig) -> None:
    """Ask, print and write."""
    predictor, rng = load_model(str(config.model)), np.random.default_rng(config.seed)
    found: dict[str, Any] = {"version": predictor.identity.version, "films": {}}
    for name, films in _film_sets(config, predictor):
        chosen = films[rng.permutation(len(films))[: config.films]]
        found["films"][name] = {
            change: _of_films(predictor, apply(chosen), reason) for change, (apply, reason) in CHANGES.items()
        }
        for change, figures in found["films"][name].items():
            print(f"{name}, {change}: {_line(figures)}")
    found["others"] = {name: _of_images(predictor, images) for name, images in _other_images(rng).items()}
    for name, figures in found["others"].items():
        print(f"{name}: {_line(figures)}")
    if config.out is not None:
        write_json(config.out, found)


def _line(figures: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
        for key, value in figures.items()
    )


def _film_sets(config: GateConfig, predictor: Predictor) -> Iterator[tuple[str, ModelPixels]]:
    """Films that no part of the model was fitted to, by where they are from."""
    if config.data:
        source = open_data(config.data)
        listed = read_manifest(config.model / "manifest.csv")
        wanted = {film.path for film in listed if film.split == "validation"}
        films = [film for film in source.films if film.path in wanted]
        if not films:
            raise DataError(f"{config.data} holds none of the films that {config.model} was validated on.")
        yield "validation", load_films(source, films, predictor.preprocess)[0].pixels
    for reference in open_references(config.reference, predictor.preprocess):
        yield reference.source, reference.unseen.pixels


def _of_films(predictor: Predictor, films: ModelPixels, reason: str) -> dict[str, Any]:
    films = np.ascontiguousarray(films)
    words = predictor.assess(films, predictor.outputs(films))
    told = ("refused as that", reason) if reason else ("familiar", "")
    return {
        "n": len(words),
        "accepted": float(np.mean([word.accepted for word in words])),
        told[0]: float(np.mean([word.code == told[1] for word in words])),
    }


def _other_images(rng: np.random.Generator) -> dict[str, list[GrayImage | None]]:
    """Images that are no chest film, by kind; None for a file that cannot be read."""
    samples = [_gray(picture) for picture in load_sample_images().images]
    folder = Path(skimage.data.__file__).parent
    files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg", ".tif", ".gif"))
    pictures = [*samples, *map(_read, files)]
    readable = [picture for picture in pictures if picture is not None]
    crops: list[GrayImage | None] = [_crop(picture, rng) for picture in readable for _ in range(_CROPS)]
    noise: list[GrayImage | None] = [
        from_array(rng.integers(0, 256, (224, 224), np.uint8)) for _ in range(_NOISE)
    ]
    dicom = sorted((Path(pydicom.data.__file__).parent / "test_files").rglob("*.dcm"))
    return {
        "pictures of scikit-image and scikit-learn": pictures,
        "crops of them": crops,
        "noise": noise,
        "DICOM samples of pydicom": list(map(_read, dicom)),
    }


def _gray(picture: np.ndarray) -> GrayImage:
    return from_array(np.asarray(Image.fromarray(picture).convert("L"), np.uint8))


def _read(path: Path) -> GrayImage | None:
    try:
        return decode_file(path)
    except ImageError:
        return None


def _crop(picture: GrayImage, rng: np.random.Generator) -> GrayImage:
    height, width = picture.pixels.shape
    side = max(32, min(height, width) // 2)
    top, left = (int(rng.integers(0, length - side + 1)) for length in (height, width))
    return from_array(picture.pixels[top : top + side, left : left + side])


def _of_images(predictor: Predictor, images: Sequence[GrayImage | None]) -> dict[str, Any]:
    """How many could be read, were accepted, and were refused as a film that is turned or inverted, which none is."""
    readable = [image for image in images if image is not None]
    words: list[Assessment] = []
    for image in readable:
        film = predictor.pixels(image)[None]
        words += predictor.assess(film, predictor.outputs(film))
    codes = Counter(word.code for word in words if not word.accepted)
    return {
        "n": len(images),
        "read": len(readable),
        "accepted": sum(word.accepted for word in words),
        "refused as turned or inverted": codes["rotated"] + codes["inverted"],
    }


if __name__ == "__main__":
    config = tyro.cli(GateConfig, prog="python -m benchmarks.gate")
    sys.exit(run_command(lambda: measure(config), config.debug))
