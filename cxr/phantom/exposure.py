"""What belongs to the film, never to the disease: pose, exposure, sharpness, grain, marker, collimation."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from cxr.phantom.base import (
    FILM,
    Field,
    FilmExposure,
    paint_shapes,
    pixel_grid,
    random_stream,
    ribbon,
    smooth_noise,
    smooth_step,
    to_field,
)


def draw_film(seed: int) -> FilmExposure:
    rng = random_stream(seed, FILM)
    border = np.where(rng.random(4) < 0.22, rng.uniform(0.01, 0.06, 4), 0.0)
    marker = (rng.uniform(0.05, 0.12), rng.uniform(0.06, 0.3), rng.uniform(0.035, 0.065))
    return FilmExposure(
        rotation=rng.uniform(-0.07, 0.07),
        scale=rng.uniform(1.02, 1.22),
        shift=(rng.uniform(-0.035, 0.035), rng.uniform(-0.015, 0.06)),
        offset=rng.uniform(-0.07, 0.07),
        gain=rng.uniform(0.82, 1.08),
        gamma=rng.uniform(0.8, 1.35),
        tilt=(rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06)),
        blur=rng.uniform(0.0, 0.0055),
        grain=rng.uniform(0.004, 0.024),
        marker=marker if rng.random() < 0.6 else None,
        borders=(float(border[0]), float(border[1]), float(border[2]), float(border[3])),
    )


def expose(density: Field, film: FilmExposure, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Show a density as a film does: uint8 (size, size)."""
    size = density.shape[0]
    columns, rows = pixel_grid(size, size)
    level = np.maximum(density, 0) ** np.float32(film.gamma) * np.float32(film.gain)
    level *= 1 + film.tilt[0] * (columns / size - 0.5) + film.tilt[1] * (rows / size - 0.5)
    level += np.float32(0.05 + film.offset) * (density > 0.02)
    # A film saturates slowly: its shoulder keeps the abdomen from turning into one white area.
    level = np.where(level > 0.7, 0.7 + 0.3 * (level - 0.7) / (np.abs(level - 0.7) + 0.3), level)
    image = Image.fromarray((level.clip(0, 1) * 255).astype(np.uint8))
    level = to_field(image.filter(ImageFilter.GaussianBlur(film.blur * size)))
    level = level + np.float32(film.grain) * _grain(rng, size)
    level *= _collimation(film, size)
    if film.marker is not None:
        level = np.maximum(level, 0.93 * _marker(film.marker, size))
    pixels: NDArray[np.uint8] = np.rint(level.clip(0, 1) * 255).astype(np.uint8)
    return pixels


def _grain(rng: np.random.Generator, size: int) -> Field:
    """Film grain of mean 0 and standard deviation about 1: part per pixel, part in clumps."""
    fine = rng.standard_normal((size, size), np.float32)
    return np.float32(0.85) * fine + np.float32(0.9) * smooth_noise(rng, (size, size), max(4, size // 3))


def _collimation(film: FilmExposure, size: int) -> Field:
    """Share of the beam that reaches the film, float32 (size, size): dark borders with soft edges."""
    columns, rows = (axis / np.float32(size) for axis in pixel_grid(size, size))
    left, top, right, bottom = film.borders
    across = _edge(columns, left) * _edge(1 - columns, right)
    return across * _edge(rows, top) * _edge(1 - rows, bottom)


def _edge(distance: Field, border: float) -> Field:
    """0.06 within `border` of the edge, 1 beyond it."""
    return np.float32(0.06) + np.float32(0.94) * smooth_step((distance - border) / 0.012 + (border == 0))


def _marker(place: tuple[float, float, float], size: int) -> Field:
    """The letter R, for the patient's right; drawn from strokes, since fonts differ between systems."""
    x, y, height = place
    bowl = [(0.0, 0.0), (0.38, 0.0), (0.56, 0.12), (0.56, 0.38), (0.38, 0.5), (0.0, 0.5)]
    strokes = ([(0.0, 0.0), (0.0, 1.0)], bowl, [(0.3, 0.5), (0.6, 1.0)])
    bands = [
        ribbon(np.array(s) * height * size + [x * size, y * size], 0.16 * height * size) for s in strokes
    ]
    return paint_shapes((size, size), [(band, 255) for band in bands], 0.0, 2)
