"""Planted opacities for training: a normal film, an opacity drawn into a lung, and the mask that says where.

A network that has to find opacities whose place is known learns where to look, and one that finds them in films of
several hospitals learns that no hospital is a finding. They are drawn otherwise than those of the audit
(`cxr.phantom.opacity`), which are kept for its figures: free ragged shapes at random places of the dark lung, instead
of areas within a lobe with bronchograms. Both are synthetic.
"""

from functools import lru_cache

import numpy as np
from PIL import Image

from cxr.types import FloatArray, ModelPixels

_LUNG_CENTRES, _LUNG_ROW = (0.30, 0.70), 0.46
_LUNG_HALF_WIDTH, _LUNG_HALF_HEIGHT = 0.195, 0.36
_COARSE = 28
"""Side at which ribs and vessels are smoothed away before the dark part of the lungs is told."""


@lru_cache(maxsize=4)
def thorax(side: int) -> FloatArray:
    """Where the lungs of a film that fills its frame may lie: float32 (side, side) in [0, 1], soft at the edge."""
    rows, columns = (np.mgrid[0:side, 0:side] + 0.5) / side
    inside = np.zeros((side, side), np.float32)
    for centre in _LUNG_CENTRES:
        distance = np.hypot((columns - centre) / _LUNG_HALF_WIDTH, (rows - _LUNG_ROW) / _LUNG_HALF_HEIGHT)
        inside = np.maximum(inside, np.clip((1.12 - distance) / 0.24, 0, 1))
    return inside.astype(np.float32)


def plant(film: ModelPixels, rng: np.random.Generator) -> tuple[ModelPixels, FloatArray]:
    """A copy of a normal film with one to three soft, patchy opacities.

    Args:
        film: uint8 (side, side).
        rng: what the opacities are drawn from.

    Returns:
        The copy, nowhere darker than the film, and how dense the opacity is at each pixel, float32 in [0, 1].
    """
    opacity = _opacity(film, rng)
    strength = rng.uniform(0.45, 0.95)
    pixels = film.astype(np.float32)
    bright = np.percentile(pixels, rng.uniform(65, 88))  # as soft tissue is
    ill = pixels + strength * opacity * (np.maximum(bright - pixels, 0) + rng.uniform(0, 25))
    return np.clip(np.rint(ill), 0, 255).astype(np.uint8), opacity


def _opacity(film: ModelPixels, rng: np.random.Generator) -> FloatArray:
    side = len(film)
    total = np.zeros((side, side), np.float32)
    places = _dark_lung(film).ravel() ** 2
    if places.sum() < 1:
        places = thorax(side).ravel()
    for _ in range(1 + (rng.random() < 0.3) + (rng.random() < 0.15)):
        centre = divmod(int(rng.choice(places.size, p=places / places.sum())), side)
        total = np.maximum(total, _blob(side, centre, rng) * rng.uniform(0.6, 1))
    patches = np.clip(0.5 + 0.5 * _noise(rng, side, (20, 50)), 0, 1)
    total *= (1 - rng.uniform(0, 0.6) * patches) * np.clip(1.5 * thorax(side), 0, 1)
    return (total / max(float(total.max()), 1e-6)).astype(np.float32)


def _blob(side: int, centre: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """A turned ellipse with a ragged, soft edge, float32 (side, side) in [0, 1]."""
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    radius = side * np.exp(rng.uniform(np.log(0.05), np.log(0.16)))
    angle, longer = rng.uniform(0, np.pi), np.exp(rng.uniform(-0.5, 0.5))
    y, x = (rows - centre[0]) / radius, (columns - centre[1]) / radius
    along = (x * np.cos(angle) + y * np.sin(angle)) / longer
    across = (y * np.cos(angle) - x * np.sin(angle)) * longer
    ragged = 0.45 * _noise(rng, side, (6, 14)) + 0.25 * _noise(rng, side, (16, 34))
    edge = (np.hypot(along, across) - 1 + ragged) / rng.uniform(0.12, 0.35)
    return 1 / (1 + np.exp(np.clip(edge, -30, 30)))


def _dark_lung(film: ModelPixels) -> FloatArray:
    """The part of `thorax` that holds air: float32 (side, side) in [0, 1]."""
    side = len(film)
    coarse = Image.fromarray(film).resize((_COARSE, _COARSE), Image.Resampling.BOX)
    soft = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    inside = thorax(side)
    low, high = np.percentile(soft[inside > 0.5], (10, 90))
    reach = high - low
    return inside * np.clip((low + 0.75 * reach - soft) / (0.3 * reach + 1), 0, 1)


def _noise(rng: np.random.Generator, side: int, cells: tuple[int, int]) -> FloatArray:
    """Smooth noise of unit deviation at its grid points, float32 (side, side)."""
    number = int(rng.integers(*cells))
    grid = Image.fromarray(rng.normal(size=(number, number)).astype(np.float32))
    return np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC))
