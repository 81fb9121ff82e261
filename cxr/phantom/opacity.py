"""Opacities with a known mask: focal (bacterial) or interstitial (viral), in a phantom or planted in a real film."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.phantom.base import (
    LEFT_LOBES,
    OPACITY,
    RIGHT_LOBES,
    Field,
    Lung,
    Mask,
    OpacitySubtype,
    Points,
    Shape,
    blurred,
    ellipse,
    paint_shapes,
    pixel_grid,
    random_stream,
    ribbon,
    smooth_noise,
    smooth_step,
    to_field,
)

_MASK_LEVEL = 0.4  # of the opacity's smoothed peak: what still counts as the opacity


def add_opacity(
    pixels: NDArray[np.uint8], seed: int, subtype: OpacitySubtype, region: Mask | None = None
) -> tuple[NDArray[np.uint8], Mask]:
    """Plant an opacity in the lungs of an existing film, to check where a model looks.

    pixels: uint8 (height, width), a frontal radiograph; not changed.
    region: bool (height, width), the pixels where the opacity may lie, such as both lungs or one; by default
        two boxes where the lungs of a film that fills its frame are found.

    Returns a new uint8 (height, width) and a bool mask of the same shape. No pixel outside `region` changes,
    and none gets darker. A region that is already as bright as the film's soft tissue takes up little.

    Raises ValueError for pixels of another type or shape, an unknown subtype, a negative seed, or a region
    that is empty or of another shape.
    """
    _require_film(pixels, subtype, region)
    lungs = _default_lungs(pixels.shape) if region is None else _lungs_of_region(region)
    opacity, mask = draw_opacity(random_stream(seed, OPACITY), subtype, lungs)
    film = pixels.astype(np.float32)
    inside = film[mask]
    # Consolidated lung is as bright as the film's soft tissue; a film of one brightness still has to show it.
    target = min(255.0, max(float(np.percentile(film, 80)), float(np.median(inside)) + 40.0))
    brighter = film + 0.9 * opacity * np.maximum(target - film, 0.0)
    return np.rint(brighter).astype(np.uint8), mask


def _require_film(pixels: NDArray[np.uint8], subtype: str, region: Mask | None) -> None:
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ValueError(
            f"The pixels are {pixels.dtype} of shape {pixels.shape}, not uint8 (height, width). "
            "Convert them to 8-bit gray."
        )
    if subtype not in ("bacterial", "viral"):
        raise ValueError(f"The subtype {subtype!r} is not bacterial or viral.")
    if region is not None and (region.shape != pixels.shape or not region.any()):
        raise ValueError(
            f"The region has shape {region.shape} and {np.count_nonzero(region)} True pixels; it needs the shape "
            f"{pixels.shape} of the pixels, and at least one. Mark where the opacity may lie."
        )


def draw_opacity(
    rng: np.random.Generator, subtype: OpacitySubtype, lungs: Sequence[Lung]
) -> tuple[Field, Mask]:
    """Loss of air in [0, 1], float32 (height, width), and the mask of its notable part."""
    opacity = _consolidation(rng, lungs) if subtype == "bacterial" else _interstitial(rng, lungs)
    return opacity, _notable(opacity, lungs)


def _notable(opacity: Field, lungs: Sequence[Lung]) -> Mask:
    """Where the opacity, its texture smoothed away, has at least `_MASK_LEVEL` of its peak."""
    image = Image.fromarray(np.rint(opacity * 255).astype(np.uint8))
    smooth = np.asarray(blurred(image, 0.08 * max(lung.bottom - lung.top for lung in lungs) / 2))
    mask: Mask = (smooth >= _MASK_LEVEL * smooth.max()) & (opacity > 0)
    return mask


def _consolidation(rng: np.random.Generator, lungs: Sequence[Lung]) -> Field:
    """Bacterial: one dense area within a lobe, sometimes two."""
    lung = lungs[int(rng.integers(len(lungs)))]
    start, end = lung.lobes[int(rng.integers(len(lung.lobes)))]
    severity = rng.uniform(0.6, 1.0)
    lobe = _lobe(lung, start, end)
    area = _focus(rng, lung, lobe)
    if rng.random() < 0.25:
        area = np.maximum(area, 0.85 * _focus(rng, lung, lobe))
    shape = lobe.shape
    texture = 0.84 + 0.10 * smooth_noise(rng, shape, 14) + 0.06 * smooth_noise(rng, shape, 60)
    bronchogram = 1 - 0.4 * _streaks(rng, lung, 9, 0.45, 0.010)
    return (severity * area * lobe * texture * bronchogram).astype(np.float32)


def _lobe(lung: Lung, start: float, end: float) -> Field:
    """The part of the lung that the lobe covers, with soft fissures, float32 (height, width) in [0, 1]."""
    height, width = lung.region.shape
    _, rows = pixel_grid(height, width)
    down = (rows - lung.top) / (lung.bottom - lung.top)
    lobe = lung.region * smooth_step((down - start) / 0.1 + 0.5) * smooth_step((end - down) / 0.1 + 0.5)
    # A region of few rows may have no part of its own there: then the whole of it is one lobe.
    return lobe if lobe.max() > 0.3 else lung.region


def _focus(rng: np.random.Generator, lung: Lung, lobe: Field) -> Field:
    """One soft-edged irregular area around a point of the lobe, float32 (height, width) in [0, 1]."""
    height, width = lobe.shape
    places = np.flatnonzero(lobe > 0.5 * lobe.max())
    row, column = divmod(int(places[int(rng.random() * len(places))]), width)
    radius = rng.uniform(0.18, 0.33) * (lung.bottom - lung.top)
    aspect, angle = rng.uniform(0.75, 1.35), rng.uniform(0, math.pi)
    columns, rows = pixel_grid(height, width)
    x, y = (columns - column - 0.5) / radius, (rows - row - 0.5) / radius
    along = x * math.cos(angle) + y * math.sin(angle)
    across = (y * math.cos(angle) - x * math.sin(angle)) * aspect
    distance = np.sqrt(along**2 + across**2) * (1 + 0.35 * smooth_noise(rng, lobe.shape, 9))
    return smooth_step((1.25 - distance) / 0.6)


def _interstitial(rng: np.random.Generator, lungs: Sequence[Lung]) -> Field:
    """Viral: streaks, cuffed bronchi and a moderate haze around the hila of both lungs."""
    severity = rng.uniform(0.55, 1.0)
    reach = rng.uniform(0.5, 0.72)
    total = np.zeros(lungs[0].region.shape, np.float32)
    for lung in lungs:
        spread = lung.region * _around_hilum(rng, lung, reach)
        lines = np.maximum(_streaks(rng, lung, 75, reach, 0.0085), _cuffs(rng, lung, 6, reach))
        total += severity * spread * (0.40 + 0.60 * lines)
    return total.clip(0, 1)


def _around_hilum(rng: np.random.Generator, lung: Lung, reach: float) -> Field:
    """Patchy weight that falls from the hilum outwards, float32 (height, width) in [0, 1]."""
    height, width = lung.region.shape
    columns, rows = pixel_grid(height, width)
    radius = reach * (lung.bottom - lung.top)
    x, y = (columns - lung.hilum[0]) / np.float32(radius), (rows - lung.hilum[1]) / np.float32(radius)
    distance = np.sqrt(x * x + y * y)
    patches = 0.8 + 0.2 * smooth_noise(rng, lung.region.shape, 8)
    return smooth_step(1.45 - distance) * patches


def _polar(rng: np.random.Generator, lung: Lung, count: int, reach: float) -> tuple[Points, Points]:
    """Random points (count, 2) in pixels around the hilum, and their directions from it in radians."""
    angle = rng.uniform(0, 2 * math.pi, count)
    distance = np.sqrt(rng.uniform(0.02, 1, count)) * reach * (lung.bottom - lung.top)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * distance[:, None]
    return points + np.array(lung.hilum), angle


def _streaks(rng: np.random.Generator, lung: Lung, count: int, reach: float, width: float) -> Field:
    """Thin lines that run roughly away from the hilum, float32 (height, width) in [0, 1].

    reach, width: fractions of the lung's height.
    """
    unit = lung.bottom - lung.top
    start, angle = _polar(rng, lung, count, reach)
    bend = angle + rng.normal(0, 0.55, count)
    length = rng.uniform(0.06, 0.16, count) * unit
    step = np.stack([np.cos(bend), np.sin(bend)], axis=-1) * length[:, None]
    bands = ribbon(np.stack([start, start + step], axis=1), np.full((count, 2), max(0.6, width * unit)))
    values = rng.integers(150, 256, count).tolist()
    return paint_shapes(_shape(lung), list(zip(bands, values, strict=True)), 0.003 * unit, 2)


def _cuffs(rng: np.random.Generator, lung: Lung, count: int, reach: float) -> Field:
    """Thickened bronchial walls seen end on: small rings, float32 (height, width) in [0, 1]."""
    unit = lung.bottom - lung.top
    centres, _ = _polar(rng, lung, count, 0.6 * reach)
    shapes: list[Shape] = []
    for (x, y), radius in zip(centres, rng.uniform(0.014, 0.024, count) * unit, strict=True):
        shapes += [(ellipse(x, y, radius, radius, 12), 235), (ellipse(x, y, radius / 2, radius / 2, 10), 0)]
    return paint_shapes(_shape(lung), shapes, 0.003 * unit, 2)


def _shape(lung: Lung) -> tuple[int, int]:
    return lung.region.shape[0], lung.region.shape[1]


def _default_lungs(shape: tuple[int, ...]) -> tuple[Lung, Lung]:
    """Two rounded boxes where the lungs of a film that fills its frame are found."""
    height, width = shape
    lungs = []
    for left, right, hilum, lobes in ((0.15, 0.42, 0.43, RIGHT_LOBES), (0.60, 0.86, 0.57, LEFT_LOBES)):
        top, bottom = 0.18 * height, 0.70 * height
        columns, rows = pixel_grid(height, width)
        inside = np.minimum(columns - left * width, right * width - columns) / (0.05 * width)
        region = smooth_step(inside) * smooth_step(np.minimum(rows - top, bottom - rows) / (0.05 * height))
        lungs.append(Lung(region, (hilum * width, 0.40 * height), top, bottom, lobes))
    return lungs[0], lungs[1]


def _lungs_of_region(region: Mask) -> list[Lung]:
    """The parts of a region left and right of the film's middle; below a fifth is no lung of its own."""
    middle = region.shape[1] / 2
    columns, _ = pixel_grid(region.shape[0], region.shape[1])
    halves = ((region & (columns < middle), RIGHT_LOBES), (region & (columns >= middle), LEFT_LOBES))
    enough = 0.2 * np.count_nonzero(region)
    return [_lung_of_part(part, middle, lobes) for part, lobes in halves if np.count_nonzero(part) >= enough]


def _lung_of_part(part: Mask, middle: float, lobes: tuple[tuple[float, float], ...]) -> Lung:
    rows = np.flatnonzero(part.any(axis=1))
    columns = np.flatnonzero(part.any(axis=0))
    top, bottom = float(rows[0]), float(rows[-1] + 1)
    nearest = float(columns[np.abs(columns - middle).argmin()])
    soft = to_field(blurred(Image.fromarray(part.astype(np.uint8) * 255), 0.02 * (bottom - top)))
    return Lung(soft * part, (nearest, top + 0.45 * (bottom - top)), top, bottom, lobes)
