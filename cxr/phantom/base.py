"""What all phantoms are painted with: random streams, coordinates, soft shapes, the lungs as they lie on a film."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Subtype = Literal["normal", "bacterial", "viral"]
OpacitySubtype = Literal["bacterial", "viral"]
Split = Literal["train", "val", "test"]
Label = Literal["NORMAL", "PNEUMONIA"]
Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Shape = tuple[Points, int]
"""A polygon (k, 2) in the unit frame and its gray value, 0 to 255."""
MIN_SIZE = 32
MIDLINE = 0.5
# One stream of random numbers per purpose: drawing more for one never shifts another.
ANATOMY, VESSELS, BOWEL, OPACITY, FILM, GRAIN, SPLIT = range(7)


@dataclass(frozen=True)
class FilmExposure:
    """What belongs to the exposure, never to the disease."""

    rotation: float  # radians
    scale: float
    shift: tuple[float, float]
    offset: float  # gray level, 0 to 1, that is added
    gain: float
    gamma: float
    tilt: tuple[float, float]  # uneven exposure across x and y (heel effect)
    blur: float  # standard deviation, fraction of the side
    grain: float  # standard deviation of the noise, gray level 0 to 1
    marker: tuple[float, float, float] | None  # x, y and height of the "R"
    borders: tuple[float, float, float, float]  # collimated part at left, top, right, bottom


@dataclass(frozen=True, eq=False)
class Lung:
    """One lung in an image: where an opacity may lie.

    region: float32 (height, width) in [0, 1], how much lung shows at each pixel.
    hilum: x and y in pixels.
    top, bottom: rows of its upper and lower end.
    lobes: (start, end) of each lobe, from 0 at the lung's top to 1 at its bottom.
    """

    region: Field
    hilum: tuple[float, float]
    top: float
    bottom: float
    lobes: tuple[tuple[float, float], ...]


RIGHT_LOBES = ((0.05, 0.42), (0.45, 0.70), (0.60, 1.0))
LEFT_LOBES = ((0.05, 0.50), (0.52, 1.0))


def random_stream(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose])))


def require_size(size: int) -> None:
    if size < MIN_SIZE:
        raise ValueError(f"A size of {size} pixels is below {MIN_SIZE}. Draw larger and shrink.")


@lru_cache(maxsize=8)
def pixel_grid(height: int, width: int) -> tuple[Field, Field]:
    """Columns (1, width) and rows (height, 1), in pixels at the pixels' centres."""
    columns = np.arange(width, dtype=np.float32)[None, :] + np.float32(0.5)
    rows = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    columns.flags.writeable = rows.flags.writeable = False
    return columns, rows


class Painter:
    """Paints shapes of the unit frame on a film of `size` by `size` pixels in the film's pose."""

    def __init__(self, size: int, film: FilmExposure) -> None:
        self.size = size
        self.unit = film.scale * size
        self._cosine, self._sine = math.cos(film.rotation) * self.unit, math.sin(film.rotation) * self.unit
        self._origin = (0.5 + film.shift[0]) * size, (0.5 + film.shift[1]) * size

    def to_pixels(self, points: Points) -> Points:
        """Points (..., 2) of the unit frame as x and y in pixels."""
        x, y = points[..., 0] - 0.5, points[..., 1] - 0.5
        across = x * self._cosine - y * self._sine + self._origin[0]
        return np.stack([across, x * self._sine + y * self._cosine + self._origin[1]], axis=-1)

    def paint(self, shapes: Sequence[Shape], blur: float, fine: bool = False) -> Field:
        """Shapes, later ones over earlier ones, as float32 (size, size) in [0, 1].

        blur: standard deviation in the unit frame.
        fine: draw at twice the size, for shapes as thin as a pixel.
        """
        oversampling = 2 if fine else 1
        return paint_shapes((self.size, self.size), shapes, blur * self.unit, oversampling, self.to_pixels)


def paint_shapes(
    shape: tuple[int, int],
    polygons: Sequence[Shape],
    blur: float,
    oversampling: int,
    to_pixels: Callable[[Points], Points] | None = None,
) -> Field:
    """Polygons, in pixels after `to_pixels`, as float32 `shape` in [0, 1]; `blur` is in pixels."""
    height, width = shape
    image = Image.new("L", (width * oversampling, height * oversampling))
    draw = ImageDraw.Draw(image)
    # One conversion for all points: hundreds of small ones would take longer than the drawing.
    points = np.concatenate([corners for corners, _ in polygons])
    flat = ((points if to_pixels is None else to_pixels(points)) * oversampling).ravel().tolist()
    start = 0
    for corners, value in polygons:
        end = start + 2 * len(corners)
        draw.polygon(flat[start:end], fill=value)
        start = end
    if oversampling > 1:
        image = image.reduce(oversampling)
    return to_field(blurred(image, blur))


def blurred(image: Image.Image, deviation: float) -> Image.Image:
    """Soften edges by a box filter of this standard deviation in pixels: a third of a Gaussian's time.

    Wide ones are done on a smaller image, where a box's own corners vanish too.
    """
    if deviation < 0.7:  # the polygons' own antialiasing is as soft
        return image
    factor = max(1, int(deviation / 2))
    small = image.reduce(factor) if factor > 1 else image
    small = small.filter(ImageFilter.BoxBlur(math.sqrt(3) * deviation / factor - 0.5))
    return small.resize(image.size, Image.Resampling.BICUBIC) if factor > 1 else small


def to_field(image: Image.Image) -> Field:
    return np.asarray(image, np.float32) * np.float32(1 / 255)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> Field:
    """Smooth noise in [-1, 1] whose bumps are about 1 / `cells` of the frame wide, float32 `shape`."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)).clip(-1, 1)


def smooth_step(ramp: Field) -> Field:
    """0 below 0, 1 above 1, and a smooth rise between."""
    clipped = ramp.clip(0, 1)
    rise: Field = clipped * clipped * (3 - 2 * clipped)
    return rise


def closed_curve(knots: Sequence[tuple[float, float]], steps: int = 6) -> Points:
    """Catmull-Rom spline through `knots` and back to the first: (len(knots) * steps, 2)."""
    p1 = np.array(knots)
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    t = (np.arange(steps) / steps)[None, :, None]
    a, b = 2 * p1, p2 - p0
    c, d = 2 * p0 - 5 * p1 + 4 * p2 - p3, 3 * (p1 - p2) + p3 - p0
    curve: Points = 0.5 * (a[:, None] + b[:, None] * t + c[:, None] * t**2 + d[:, None] * t**3)
    return curve.reshape(-1, 2)


def ribbon(path: Points, width: float | Points) -> Points:
    """Outline (..., 2 k, 2) of bands of `width` along the paths (..., k, 2)."""
    step = np.diff(path, axis=-2)
    direction = np.concatenate(
        [step[..., :1, :], step[..., 1:, :] + step[..., :-1, :], step[..., -1:, :]], axis=-2
    )
    length = np.sqrt((direction**2).sum(-1, keepdims=True)) + 1e-12
    normal = np.stack([-direction[..., 1], direction[..., 0]], axis=-1) / length
    half = normal * (np.asarray(width)[..., None] / 2)
    return np.concatenate([path + half, (path - half)[..., ::-1, :]], axis=-2)


@lru_cache(maxsize=8)
def _circle(corners: int) -> Points:
    angle = np.arange(corners) * (2 * math.pi / corners)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    circle.flags.writeable = False
    return circle


def ellipse(x: float, y: float, across: float, down: float, corners: int = 24) -> Points:
    return _circle(corners) * (across, down) + (x, y)


def mirrored(points: Points) -> Points:
    """The same shape on the other side of the midline."""
    return np.stack([2 * MIDLINE - points[..., 0], points[..., 1]], axis=-1)
