"""The page's picture: the film, and over it the heat map (`cxr.imaging.heat_map`) as a layer of its own."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cxr.imaging.decode import GrayImage
from cxr.imaging.heat_map import LONGEST_SIDE, fitted, heat_layer
from cxr.types import EvidenceMap

HEAT_SIDE = 384
"""The heat layer has no more pixels on its longer side: evidence is smooth, and the browser enlarges it."""


@dataclass(frozen=True)
class Layers:
    """A film and its heat map as data URLs, to be laid one over the other, with the film's shape in pixels."""

    film: str
    heat: str
    width: int
    height: int


def has_heat(evidence: EvidenceMap, temperature: float = 1.0) -> bool:
    """True if `heat_layer` shows anything."""
    return bool(heat_layer(evidence, temperature)[..., 3].any())


def layers(film: GrayImage, evidence: EvidenceMap, temperature: float = 1.0) -> Layers:
    """The page's picture: the browser blends it, so that changing the opacity asks the server for nothing."""
    shown = fitted(film.to_8bit(), LONGEST_SIDE)
    heat = heat_layer(np.asarray(fitted(evidence, HEAT_SIDE)), temperature)
    return Layers(
        _data_url(shown, "JPEG", quality=90),
        _data_url(Image.fromarray(heat), "PNG"),
        shown.width,
        shown.height,
    )


def _data_url(image: Image.Image, kind: str, **options: int) -> str:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
