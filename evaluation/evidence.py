"""Evidence maps against masks of opacities: what the audit asks of planted opacities and of boxes alike."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from cxr.imaging.preprocess import to_input_batch
from cxr.model.predictor import Predictor
from cxr.types import FloatArray, Logits, ModelPixels

Mask = NDArray[np.bool_]
_AT_ONCE = 32


def evidence_maps(predictor: Predictor, pixels: ModelPixels) -> tuple[FloatArray, Logits]:
    """The evidence maps of films uint8 (n, size, size) at their own resolution, (n, height, width), and the logits."""
    parts = [
        predictor.backend.evidence(to_input_batch(pixels[start : start + _AT_ONCE]))
        for start in range(0, len(pixels), _AT_ONCE)
    ]
    maps = np.concatenate([maps for _, maps in parts]).astype(np.float64)
    return maps, np.concatenate([found.logits for found, _ in parts])


def points_at(places: FloatArray, mask: Mask) -> bool:
    """Whether a map's highest place lies in the mask, give or take half a cell of the map."""
    return bool(near(mask, places).flat[enlarged(places, mask).argmax()])


def energy_inside(places: FloatArray, mask: Mask) -> float:
    """Share of the map's evidence for pneumonia that lies in the mask; NaN where there is none."""
    positive = np.maximum(enlarged(places, mask), 0)
    return float(positive[mask].sum() / positive.sum()) if positive.any() else np.nan


def enlarged(places: FloatArray, mask: Mask) -> FloatArray:
    """A map at the resolution of a mask, as the app enlarges it."""
    return np.asarray(
        Image.fromarray(places.astype(np.float32)).resize(mask.shape[::-1], Image.Resampling.BILINEAR)
    ).astype(np.float64)


def near(mask: Mask, places: FloatArray) -> Mask:
    """The mask grown to all sides by half a cell of the map."""
    reach = round(len(mask) / len(places) / 2)
    if not reach:  # a filter of one pixel crashes Pillow
        return mask
    grown = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(2 * reach + 1))
    return np.asarray(grown) > 0
