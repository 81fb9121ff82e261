"""Phantoms as files to measure with: small copies, and the size of the originals."""

import os
from pathlib import Path

from PIL import Image

from cxr.phantom import make_phantom
from cxr.types import CLASSES

SMALL, LARGE = (224, 224), (2000, 1600)
_DIFFERENT = 40


def write_films(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """`count` JPEG files below folder/NORMAL and folder/PNEUMONIA, of which 40 differ and the others are links."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
    for number in range(count):
        place = folder / CLASSES[number % 2] / f"film-{number:06}.jpeg"
        if number < _DIFFERENT:
            pixels = make_phantom(number, "bacterial" if number % 2 else "normal").pixels
            Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(place, quality=90)
        else:
            first = number % _DIFFERENT
            os.link(folder / CLASSES[first % 2] / f"film-{first:06}.jpeg", place)
    return folder
