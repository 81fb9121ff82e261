"""Image -> model input, by one frozen spec that travels in the bundle. No TensorFlow.

There is one function, `to_model_pixels`, and trainer, evaluation and app all call it: a film resized by another
filter is another film to a network. Augmentation comes after it and lives in the trainer.
"""

from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from cxr.imaging.decode import GrayImage
from cxr.types import InputBatch, ModelPixels

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class PreprocessSpec(BaseModel):
    """How a radiograph becomes model input. Frozen: another spec is another model.

    size: side of the square input, in pixels.
    resample: Pillow's filter; all but "nearest" widen with the reduction factor, that is, they antialias.
    aspect: "stretch" fills the square and does not keep the aspect ratio, as in the published 224 x 224 copies.
    window: percentiles (low, high) of the resized film that become black and white, or None for no windowing.
    scaling: "unit" divides the 8-bit values by 255, to [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=32, le=1024)
    resample: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]
    aspect: Literal["stretch"] = "stretch"
    window: tuple[float, float] | None = None
    scaling: Literal["unit"] = "unit"


def to_model_pixels(image: GrayImage, spec: PreprocessSpec) -> ModelPixels:
    """Resize and window one radiograph; uint8 (spec.size, spec.size). The input is not changed."""
    side = (spec.size, spec.size)
    resized = Image.fromarray(image.to_8bit()).resize(side, _FILTERS[spec.resample])
    pixels = np.asarray(resized)
    return pixels if spec.window is None else _window(pixels, *spec.window)


def to_input_batch(pixels: ModelPixels) -> InputBatch:
    """Scale uint8 (n, size, size) to the float32 (n, size, size, 1) in [0, 1] that a network reads."""
    return pixels[..., None].astype(np.float32) / np.float32(255)


def _window(pixels: ModelPixels, low: float, high: float) -> ModelPixels:
    """Stretch linearly so that the percentiles `low` and `high` become 0 and 255; a flat film stays as it is."""
    black, white = np.percentile(pixels, (low, high), method="nearest").astype(int)
    if white <= black:
        return pixels
    levels = (np.arange(256) - black) * 255 / (white - black)
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)[pixels]


def seed_preprocess(size: int = 150) -> PreprocessSpec:
    """The original's preprocessing: stretch to a square by the nearest pixel, divide by 255."""
    return PreprocessSpec(size=size, resample="nearest")
