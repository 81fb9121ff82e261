"""What the page's viewer is given: the film at once, the heat map as a layer of its own, then the film in full."""

import base64
import io
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cxr.imaging.decode import GrayImage
from cxr.imaging.heat_map import LONGEST_SIDE, fitted, heat_layer
from cxr.types import EvidenceMap, GrayPixels

HEAT_SIDE = 384
"""The heat layer has no more pixels on its longer side: evidence is smooth, and the browser enlarges it."""
MAX_SHOWN_PIXELS = 24_000_000
"""A larger film is shown reduced; detectors of the chest have at most some 16 million pixels."""


@dataclass(frozen=True)
class Layers:
    """A film and its heat map as data URLs, to be laid one over the other.

    width, height, bits: of the film as `whole_film` gives it.
    """

    film: str
    heat: str
    width: int
    height: int
    bits: int


def has_heat(evidence: EvidenceMap, temperature: float = 1.0) -> bool:
    """True if `heat_layer` shows anything."""
    return bool(heat_layer(evidence, temperature)[..., 3].any())


def layers(film: GrayImage, evidence: EvidenceMap, temperature: float = 1.0) -> Layers:
    """What the viewer shows at once: the browser blends it, so that no setting of it asks the server for anything."""
    shown = fitted(film.to_8bit(), LONGEST_SIDE)
    heat = heat_layer(np.asarray(fitted(evidence, HEAT_SIDE)), temperature)
    step = _step(film)
    return Layers(
        _data_url(shown, "JPEG", quality=90),
        _data_url(Image.fromarray(heat), "PNG"),
        film.width // step,
        film.height // step,
        film.bits,
    )


def whole_film(film: GrayImage) -> bytes:
    """The film in its own depth and resolution, for ui/assets/film_pixels.js.

    Differences along each row, modulo the pixels' type, deflated: half a second for the largest film, where PNG needs
    several, and 16 bits, which browsers cut to 8 in PNG. Of 16-bit differences all low bytes come first.
    """
    pixels = _reduced(film)
    before = np.pad(pixels[:, :-1], ((0, 0), (1, 0)))
    delta = np.subtract(pixels, before, dtype=pixels.dtype)
    planes = delta.tobytes() if film.bits == 8 else (delta & 255).astype(np.uint8).tobytes()
    if film.bits > 8:
        planes += (delta >> 8).astype(np.uint8).tobytes()
    packer = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    return packer.compress(planes) + packer.flush()


def _reduced(film: GrayImage) -> GrayPixels:
    step = _step(film)
    if step == 1:
        return film.pixels
    height, width = film.height // step, film.width // step
    blocks = film.pixels[: height * step, : width * step].reshape(height, step, width, step)
    return np.asarray(blocks.mean(axis=(1, 3)).astype(film.pixels.dtype))


def _step(film: GrayImage) -> int:
    """By how much a film is reduced, each way, to be shown."""
    step = 1
    while film.width * film.height > MAX_SHOWN_PIXELS * step**2:
        step += 1
    return step


def _data_url(image: Image.Image, kind: str, **options: int) -> str:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
