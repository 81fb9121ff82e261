"""Synthetic frontal chest radiographs of children ("phantoms") with a known place of disease. No TensorFlow.

A phantom is a sum of layers in units of optical density (0 is air, about 0.65 is soft tissue, 0.9 is bone
over soft tissue), shown through a film's exposure. What the two classes share (anatomy, pose, exposure,
sharpness, grain, marker, collimation) is drawn from streams of random numbers that never see the class, so
that `make_phantom(seed, "normal")` and `make_phantom(seed, "bacterial")` are one film without and with an
opacity.

Anatomy is drawn in the unit frame: x from 0 (left edge of the film, the patient's right) to 1, y from 0 (top)
to 1. All sizes are fractions of the frame's side.

Phantoms are schematic. They test software and show where a heat map ought to light up; a figure measured on
them says nothing about patients.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
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
MIN_PHANTOMS = 12
JPEG_QUALITY = 92
JPEG_COMMENT = b"Synthetic phantom; shows no patient. For software tests only."

# One stream of random numbers per purpose: drawing more for one never shifts another.
_ANATOMY, _VESSELS, _BOWEL, _OPACITY, _FILM, _GRAIN, _SPLIT = range(7)

_MIDLINE = 0.5
_LUNG_DEPTH = 0.40  # optical density that the air of a lung takes away
_MASK_LEVEL = 0.4  # of the opacity's smoothed peak: what still counts as the opacity


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic radiograph.

    pixels: uint8 (size, size), read-only; 0 is black, 255 is white.
    opacity_mask: bool (size, size), read-only; True where the opacity adds notable density.
    """

    pixels: NDArray[np.uint8]
    opacity_mask: Mask
    subtype: Subtype
    seed: int


@dataclass(frozen=True)
class PhantomRecord:
    """One film of a phantom data set, before it is drawn.

    patient: number of the patient, unique within the data set; all films of a patient are in one split.
    file_name: as in the Kaggle data set, e.g. "IM-0003-0001.jpeg" or "person7_virus_12.jpeg".
    seed: of the film (pose, exposure, grain).
    thorax_seed: of the patient (anatomy and opacity), shared by a patient's films.
    """

    split: Split
    label: Label
    subtype: Subtype
    patient: int
    file_name: str
    seed: int
    thorax_seed: int

    @property
    def path(self) -> Path:
        """Place of the film inside the data set's folder, e.g. train/NORMAL/IM-0003-0001.jpeg."""
        return Path(self.split, self.label, self.file_name)

    def draw(self, size: int = 224) -> "Phantom":
        """The phantom itself, `size` by `size` pixels."""
        return make_phantom(self.seed, self.subtype, size, self.thorax_seed)


@dataclass(frozen=True)
class _Anatomy:
    """What belongs to the patient. Places and sizes in the unit frame; densities in optical density."""

    seed: int
    top: float  # y of the lung apices
    right_dome: float  # y of the right diaphragm's dome; the liver keeps it higher than the left
    left_dome: float
    half_width: float  # of the thorax at its widest
    heart: float  # relative size
    tissue: float  # density of the body wall
    aeration: float  # relative darkness of the lungs
    bone: float  # relative density of bone
    vessel: float  # relative density of the pulmonary vessels
    chin: float  # y of the chin's lower edge; below 0 it is off the film
    gastric_bubble: bool
    arms_raised: bool


@dataclass(frozen=True)
class _Film:
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
class _Lung:
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


_RIGHT_LOBES = ((0.05, 0.42), (0.45, 0.70), (0.60, 1.0))
_LEFT_LOBES = ((0.05, 0.50), (0.52, 1.0))


def make_phantom(seed: int, subtype: Subtype, size: int = 224, thorax_seed: int | None = None) -> Phantom:
    """Draw one phantom of `size` by `size` pixels; the same arguments give the same bytes, in any process or
    thread, under the same versions of NumPy and Pillow.

    `thorax_seed` fixes the patient (anatomy and opacity), so that two seeds with one `thorax_seed` are two
    films of one patient; by default each seed is a patient of its own.

    Raises ValueError for a negative seed, an unknown subtype, or a size below 32.
    """
    thorax_seed = seed if thorax_seed is None else thorax_seed
    _require_arguments(seed, thorax_seed, subtype, size)
    anatomy, film = _draw_anatomy(thorax_seed), _draw_film(seed)
    painter = _Painter(size, film)
    lungs = _lungs(anatomy, painter)
    if subtype == "normal":
        opacity, mask = np.zeros((size, size), np.float32), np.zeros((size, size), np.bool_)
    else:
        opacity, mask = _draw_opacity(_stream(thorax_seed, _OPACITY), subtype, lungs)
    density = _density(anatomy, painter, lungs, opacity)
    pixels = _expose(density, film, _stream(seed, _GRAIN))
    pixels.flags.writeable = mask.flags.writeable = False
    return Phantom(pixels, mask, subtype, seed)


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
    opacity, mask = _draw_opacity(_stream(seed, _OPACITY), subtype, lungs)
    film = pixels.astype(np.float32)
    inside = film[mask]
    # Consolidated lung is as bright as the film's soft tissue; a film of one brightness still has to show it.
    target = min(255.0, max(float(np.percentile(film, 80)), float(np.median(inside)) + 40.0))
    brighter = film + 0.9 * opacity * np.maximum(target - film, 0.0)
    return np.rint(brighter).astype(np.uint8), mask


def phantom_split(n: int, seed: int = 0) -> list[PhantomRecord]:
    """Plan a data set of `n` films: half normal, a quarter bacterial, a quarter viral.

    About 70% are in train, 10% in val and 20% in test, and each has both classes. About one patient in six
    has two films; a patient's films are in one split.

    Raises ValueError for n below 12, where a split would be left without one of the classes.
    """
    if n < MIN_PHANTOMS:
        raise ValueError(
            f"expected at least {MIN_PHANTOMS} phantoms, so that train, val and test each hold both classes; "
            f"received {n}; ask for {MIN_PHANTOMS} or more"
        )
    rng = _stream(seed, _SPLIT)
    viral, bacterial = n // 4, (n + 1) // 4
    normal = n - viral - bacterial
    records: list[PhantomRecord] = []
    for patients in (
        _patients("normal", normal),
        _patients("bacterial", bacterial) + _patients("viral", viral),
    ):
        shuffled = [patients[i] for i in rng.permutation(len(patients))]
        for split, (subtype, films) in zip(_assign_splits(shuffled), shuffled, strict=True):
            records += _patient_records(rng, split, subtype, films, records)
    return records


def phantom_jpeg(record: PhantomRecord, size: int = 224) -> bytes:
    """The JPEG file of one planned phantom, as `write_phantoms` writes it."""
    return _encode(record.draw(size))


def write_phantoms(folder: Path, n: int, seed: int = 0, size: int = 224, masks: bool = False) -> None:
    """Write `n` phantoms in the Kaggle layout, folder/{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg.

    Grayscale JPEG of quality 92. With `masks`, also folder/masks/{split}/{label}/*.png, 255 where the opacity
    is.

    Raises ValueError for n below 12 or a size below 32, and FileExistsError if the folder already holds
    anything: leftovers of another data set would put one patient on two sides.
    """
    _require_size(size)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"expected a folder that is new or empty; received {folder}; name another, or empty it first"
        )
    records = phantom_split(n, seed)
    for parent in {record.path.parent for record in records}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
        if masks:
            (folder / "masks" / parent).mkdir(parents=True, exist_ok=True)
    # One after the other: threads gain nothing, since most of the work holds the interpreter's lock.
    for record in records:
        _write_film(folder, record, size, masks)


# --- Arguments and random numbers


def _stream(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose])))


def _require_arguments(seed: int, thorax_seed: int, subtype: str, size: int) -> None:
    if min(seed, thorax_seed) < 0:
        raise ValueError(
            f"expected seeds of 0 or more; received {seed} and {thorax_seed}; use their absolute value"
        )
    if subtype not in ("normal", "bacterial", "viral"):
        raise ValueError(
            f"expected subtype normal, bacterial or viral; received {subtype!r}; choose one of these"
        )
    _require_size(size)


def _require_size(size: int) -> None:
    if size < MIN_SIZE:
        raise ValueError(
            f"expected a size of at least {MIN_SIZE} pixels; received {size}; draw larger and shrink"
        )


def _require_film(pixels: NDArray[np.uint8], subtype: str, region: Mask | None) -> None:
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ValueError(
            f"expected uint8 pixels (height, width); received {pixels.dtype} {pixels.shape}; "
            "convert to 8-bit gray"
        )
    if subtype not in ("bacterial", "viral"):
        raise ValueError(f"expected subtype bacterial or viral; received {subtype!r}; choose one of these")
    if region is not None and (region.shape != pixels.shape or not region.any()):
        raise ValueError(
            f"expected a region of shape {pixels.shape} with at least one True pixel; "
            f"received {region.shape} with {np.count_nonzero(region)}; mark where the opacity may lie"
        )


def _draw_anatomy(seed: int) -> _Anatomy:
    rng = _stream(seed, _ANATOMY)
    right_dome = rng.uniform(0.62, 0.72)
    return _Anatomy(
        seed=seed,
        top=rng.uniform(0.13, 0.17),
        right_dome=right_dome,
        left_dome=right_dome + rng.uniform(0.015, 0.045),
        half_width=rng.uniform(0.33, 0.39),
        heart=rng.uniform(0.88, 1.14),
        tissue=rng.uniform(0.24, 0.34),
        aeration=rng.uniform(0.78, 1.1),
        bone=rng.uniform(0.75, 1.2),
        vessel=rng.uniform(0.6, 1.2),
        chin=rng.uniform(-0.12, 0.045),
        gastric_bubble=rng.random() < 0.5,
        arms_raised=rng.random() < 0.5,
    )


def _draw_film(seed: int) -> _Film:
    rng = _stream(seed, _FILM)
    border = np.where(rng.random(4) < 0.22, rng.uniform(0.01, 0.06, 4), 0.0)
    marker = (rng.uniform(0.05, 0.12), rng.uniform(0.06, 0.3), rng.uniform(0.035, 0.065))
    return _Film(
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


# --- Painting


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> tuple[Field, Field]:
    """Columns (1, width) and rows (height, 1), in pixels at the pixels' centres."""
    columns = np.arange(width, dtype=np.float32)[None, :] + np.float32(0.5)
    rows = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    columns.flags.writeable = rows.flags.writeable = False
    return columns, rows


class _Painter:
    """Paints shapes of the unit frame on a film of `size` by `size` pixels in the film's pose."""

    def __init__(self, size: int, film: _Film) -> None:
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
        return _paint((self.size, self.size), shapes, blur * self.unit, oversampling, self.to_pixels)


def _paint(
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
    return _to_field(_blurred(image, blur))


def _blurred(image: Image.Image, deviation: float) -> Image.Image:
    """Soften edges by a box filter of this standard deviation in pixels: a third of a Gaussian's time.

    Wide ones are done on a smaller image, where a box's own corners vanish too.
    """
    if deviation < 0.7:  # the polygons' own antialiasing is as soft
        return image
    factor = max(1, int(deviation / 2))
    small = image.reduce(factor) if factor > 1 else image
    small = small.filter(ImageFilter.BoxBlur(math.sqrt(3) * deviation / factor - 0.5))
    return small.resize(image.size, Image.Resampling.BICUBIC) if factor > 1 else small


def _to_field(image: Image.Image) -> Field:
    return np.asarray(image, np.float32) * np.float32(1 / 255)


def _noise(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> Field:
    """Smooth noise in [-1, 1] whose bumps are about 1 / `cells` of the frame wide, float32 `shape`."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)).clip(-1, 1)


def _smooth_step(ramp: Field) -> Field:
    """0 below 0, 1 above 1, and a smooth rise between."""
    clipped = ramp.clip(0, 1)
    rise: Field = clipped * clipped * (3 - 2 * clipped)
    return rise


def _closed_curve(knots: Sequence[tuple[float, float]], steps: int = 6) -> Points:
    """Catmull-Rom spline through `knots` and back to the first: (len(knots) * steps, 2)."""
    p1 = np.array(knots)
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    t = (np.arange(steps) / steps)[None, :, None]
    a, b = 2 * p1, p2 - p0
    c, d = 2 * p0 - 5 * p1 + 4 * p2 - p3, 3 * (p1 - p2) + p3 - p0
    curve: Points = 0.5 * (a[:, None] + b[:, None] * t + c[:, None] * t**2 + d[:, None] * t**3)
    return curve.reshape(-1, 2)


def _ribbon(path: Points, width: float | Points) -> Points:
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


def _ellipse(x: float, y: float, across: float, down: float, corners: int = 24) -> Points:
    return _circle(corners) * (across, down) + (x, y)


def _mirrored(points: Points) -> Points:
    """The same shape on the other side of the midline."""
    return np.stack([2 * _MIDLINE - points[..., 0], points[..., 1]], axis=-1)


# --- Anatomy


def _right_lung(a: _Anatomy) -> Points:
    x, w, top, base = _MIDLINE, a.half_width, a.top, a.right_dome
    return _closed_curve(
        [
            (x - 0.125, top),
            (x - 0.215, top + 0.055),
            (x - 0.80 * w, top + 0.19),
            (x - 0.95 * w, top + 0.36),
            (x - w, base + 0.03),
            (x - w - 0.004, base + 0.085),  # costophrenic angle
            (x - 0.90 * w, base + 0.045),
            (x - 0.65 * w, base),
            (x - 0.40 * w, base - 0.008),
            (x - 0.085, base + 0.035),  # cardiophrenic angle
            (x - 0.080, base - 0.08),
            (x - 0.085, base - 0.20),
            (x - 0.050, top + 0.19),
            (x - 0.055, top + 0.07),
        ]
    )


def _left_lung(a: _Anatomy) -> Points:
    x, w, top, base = _MIDLINE, a.half_width, a.top, a.left_dome
    notch = 0.165 * a.heart
    return _closed_curve(
        [
            (x + 0.125, top),
            (x + 0.215, top + 0.055),
            (x + 0.80 * w, top + 0.19),
            (x + 0.95 * w, top + 0.36),
            (x + w, base + 0.03),
            (x + w + 0.004, base + 0.085),
            (x + 0.92 * w, base + 0.045),
            (x + 0.76 * w, base),
            (x + notch + 0.045, base + 0.015),
            (x + notch, base - 0.06),
            (x + 0.88 * notch, base - 0.15),
            (x + 0.55 * notch, base - 0.245),
            (x + 0.055, top + 0.19),
            (x + 0.055, top + 0.07),
        ]
    )


def _heart(a: _Anatomy) -> Points:
    """Heart and great vessels; the apex points to the patient's left, which is the right of the film."""
    x, top, base, s = _MIDLINE, a.top, a.left_dome, a.heart
    return _closed_curve(
        [
            (x - 0.050, top - 0.02),
            (x + 0.045, top - 0.02),
            (x + 0.062, top + 0.14),  # aortic knob
            (x + 0.060, top + 0.20),
            (x + 0.110 * s, base - 0.225),
            (x + 0.165 * s, base - 0.13),
            (x + 0.190 * s, base - 0.03),
            (x + 0.130 * s, base + 0.05),
            (x - 0.080 * s, base + 0.04),
            (x - 0.098 * s, base - 0.08),  # right atrium
            (x - 0.085 * s, base - 0.18),
            (x - 0.052, top + 0.20),
        ]
    )


def _body(a: _Anatomy) -> list[Shape]:
    """Outline of neck, shoulders, trunk and arms."""
    x, wall, top = _MIDLINE, a.half_width + 0.055, a.top
    side = [(0.10, -0.3), (0.105, 0.0), (0.15, top - 0.085), (0.27, top - 0.065), (0.38, top - 0.02)]
    side += [
        (wall + 0.02, top + 0.09),
        (wall + 0.005, top + 0.22),
        (wall, 0.55),
        (wall + 0.01, 0.85),
        (wall, 1.3),
    ]
    trunk = _closed_curve([(x + dx, y) for dx, y in side] + [(x - dx, y) for dx, y in side[::-1]])
    limb = _ribbon(np.array([(0.87, top + 0.05), _elbow(a)]), 0.15)
    chin = _ellipse(x, a.chin - 0.14, 0.15, 0.14)
    return [(trunk, 255), (limb, 255), (_mirrored(limb), 255), (chin, 255)]


def _elbow(a: _Anatomy) -> tuple[float, float]:
    return (0.965, -0.08) if a.arms_raised else (1.04, 0.62)


def _wall(a: _Anatomy, y: Points) -> Points:
    """Half width of the rib cage at the heights `y`."""
    heights = [a.top - 0.02, a.top + 0.055, a.top + 0.19, a.top + 0.36, a.right_dome + 0.08, 1.1]
    widths = [0.13, 0.225, 0.80 * a.half_width, 0.95 * a.half_width, a.half_width, 0.9 * a.half_width]
    return np.interp(y, heights, np.array(widths) + 0.004)


def _rib_paths(a: _Anatomy) -> tuple[Points, Points]:
    """Posterior and anterior courses of the ribs on the left side: (11, 14, 2) and (9, 12, 2)."""
    number = np.arange(11.0)[:, None]
    spacing = (a.left_dome + 0.13 - a.top) / 10.5
    start = a.top + 0.005 + number * spacing
    drop = 0.055 + 0.006 * number
    lateral = _wall(a, start + drop)
    angle = np.linspace(0.0, math.pi / 2, 14)[None, :]
    x = 0.03 + (lateral - 0.03) * np.sin(angle)
    y = start + drop * (1 - np.cos(angle)) ** 1.4 - 0.014 * np.sin(2 * angle)
    front = np.linspace(0.0, 1.12, 12)[None, :]
    x_front = lateral * np.cos(front)
    y_front = start + drop + (0.105 + 0.006 * number) * np.sin(front) ** 1.2
    posterior = np.stack([_MIDLINE + x, y], axis=-1)
    return posterior, np.stack([_MIDLINE + x_front, y_front], axis=-1)[:9]


def _both_sides(bands: Points, value: int) -> list[Shape]:
    return [(band, value) for pair in zip(bands, _mirrored(bands), strict=True) for band in pair]


def _bones(a: _Anatomy, painter: _Painter) -> Field:
    """Ribs, spine, clavicles, scapulae and humeri as density relative to bone, float32 (size, size)."""
    posterior, anterior = _rib_paths(a)
    # The cortex is denser than the marrow: a rib shows as two bright lines.
    back = _both_sides(_ribbon(posterior, 0.023), 170) + _both_sides(_ribbon(posterior, 0.011), 115)
    front = _both_sides(_ribbon(anterior, 0.024), 95) + _both_sides(_ribbon(anterior, 0.014), 65)
    jaw = [(_ellipse(_MIDLINE, a.chin - 0.15, 0.105, 0.13), 130)]
    # Two layers that add up, since ribs that cross are brighter where they do.
    return painter.paint([*_scapulae(a), *back, *jaw, *_spine()], 0.002, fine=True) + painter.paint(
        [*_humeri(a), *front, *_clavicles(a)], 0.002, fine=True
    )


@lru_cache(maxsize=1)
def _spine() -> tuple[Shape, ...]:
    shapes: list[Shape] = [(_ribbon(np.array([(_MIDLINE, -0.3), (_MIDLINE, 1.3)]), 0.062), 105)]
    for y in np.arange(-0.1, 1.1, 0.0485):
        shapes.append((_ellipse(_MIDLINE, y, 0.039, 0.0185, 12), 205))
        shapes.append((_ellipse(_MIDLINE, y, 0.027, 0.0125, 10), 170))
        shapes.append((_ellipse(_MIDLINE, y + 0.012, 0.006, 0.013, 8), 225))  # spinous process
    return tuple(shapes)


def _clavicles(a: _Anatomy) -> list[Shape]:
    along = np.linspace(0, 1, 10)
    x = _MIDLINE + 0.035 + 0.27 * along
    y = a.top + 0.035 - 0.075 * along - 0.016 * np.sin(2 * math.pi * along)
    band = _ribbon(np.stack([x, y], axis=-1), 0.024)
    core = _ribbon(np.stack([x, y], axis=-1), 0.012)
    return [(band, 215), (_mirrored(band), 215), (core, 160), (_mirrored(core), 160)]


def _scapulae(a: _Anatomy) -> list[Shape]:
    blade = np.array(
        [(0.785, a.top - 0.01), (0.855, a.top + 0.02), (0.865, a.top + 0.09), (0.835, a.top + 0.24)]
    )
    spine = _ribbon(np.array([(0.79, a.top + 0.03), (0.885, a.top - 0.02)]), 0.016)
    return [(p, v) for shape, v in ((blade, 60), (spine, 130)) for p in (shape, _mirrored(shape))]


def _humeri(a: _Anatomy) -> list[Shape]:
    head = _ellipse(0.895, a.top + 0.015, 0.032, 0.032)
    shaft = _ribbon(np.array([(0.895, a.top + 0.015), _elbow(a)]), 0.040)
    marrow = _ribbon(np.array([(0.895, a.top + 0.015), _elbow(a)]), 0.022)
    return [(p, v) for s, v in ((shaft, 160), (marrow, 115), (head, 150)) for p in (s, _mirrored(s))]


def _vessels(a: _Anatomy) -> list[Shape]:
    """Vessels that branch from the hila and thin out towards the pleura."""
    rng = _stream(a.seed, _VESSELS)
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        trunks = 8
        angle = np.linspace(-1.25, 1.35, trunks) + rng.uniform(-0.2, 0.2, trunks)
        origin = np.tile([_MIDLINE + side * 0.075, a.top + 0.235], (trunks, 1))
        width = np.full(trunks, 0.0135)
        for generation in range(4):
            length = (0.080 - 0.010 * generation) * rng.uniform(0.6, 1.35, len(angle))
            step = np.stack([side * np.cos(angle), np.sin(angle)], axis=-1) * length[:, None]
            bands = _ribbon(
                np.stack([origin, origin + step], axis=1), np.stack([width, 0.75 * width], axis=1)
            )
            shapes += [(band, 190 - 38 * generation) for band in bands]
            # Only the first two generations fork; a full tree to the pleura would look like a net.
            forks = 2 if generation < 2 else 1
            origin = np.repeat(origin + step, forks, axis=0)
            spread = rng.uniform(0.1, 0.6, (len(angle), forks)) * np.array([1, -1])[:forks]
            angle, width = (angle[:, None] + spread).ravel(), np.repeat(width * 0.68, forks)
        shapes.append((_ellipse(_MIDLINE + side * 0.075, a.top + 0.235, 0.022, 0.042), 165))
    return shapes[::-1]


def _lungs(a: _Anatomy, painter: _Painter) -> tuple[_Lung, _Lung]:
    """The right and left lung as they lie on the film."""
    places = np.array([(_MIDLINE - 0.08, a.top + 0.235), (_MIDLINE + 0.085, a.top + 0.235)])
    hila = painter.to_pixels(places)
    lungs = []
    outlines = ((_right_lung(a), _RIGHT_LOBES), (_left_lung(a), _LEFT_LOBES))
    for (outline, lobes), hilum in zip(outlines, hila, strict=True):
        rows = painter.to_pixels(outline)[:, 1]
        region = painter.paint([(outline, 255)], 0.006)
        lungs.append(
            _Lung(region, (float(hilum[0]), float(hilum[1])), float(rows.min()), float(rows.max()), lobes)
        )
    return lungs[0], lungs[1]


def _density(a: _Anatomy, painter: _Painter, lungs: Sequence[_Lung], opacity: Field) -> Field:
    """Optical density of the whole thorax, float32 (size, size), 0 in air."""
    outline = _body(a)
    body, thickness = painter.paint(outline, 0.008), painter.paint(outline, 0.07)
    heart = painter.paint([(_heart(a), 255)], 0.009)
    abdomen = painter.paint([(_abdomen(a), 255)], 0.03)
    bowel = _noise(_stream(a.seed, _BOWEL), body.shape, 11)
    lung = lungs[0].region + lungs[1].region
    aerated = lung * (1 - heart * 0.7) * (1 - opacity)
    density = body * (a.tissue + 0.36 * thickness * thickness)
    density += body * (0.12 * heart + (0.12 + 0.02 * bowel) * abdomen)
    density -= _LUNG_DEPTH * a.aeration * aerated
    density += 0.15 * a.vessel * painter.paint(_vessels(a), 0.002, fine=True) * aerated
    density += 0.24 * a.bone * _bones(a, painter) * body
    return density - painter.paint(_air(a), 0.008)


def _abdomen(a: _Anatomy) -> Points:
    x, w, right, left = _MIDLINE, a.half_width + 0.02, a.right_dome, a.left_dome
    domes = [
        (x - w, right + 0.08),
        (x - 0.5 * w, right),
        (x, right + 0.05),
        (x + 0.6 * w, left),
        (x + w, left + 0.08),
    ]
    return np.array([*domes, (x + w, 1.3), (x - w, 1.3)])


def _air(a: _Anatomy) -> list[Shape]:
    """Air outside the lungs: trachea with main bronchi and, in some, the stomach's bubble.

    The gray value, of 255, is the optical density that it takes away.
    """
    fork = a.top + 0.185
    trachea = _ribbon(np.array([(_MIDLINE - 0.004, -0.05), (_MIDLINE - 0.008, fork)]), 0.034)
    right = _ribbon(np.array([(_MIDLINE - 0.006, fork - 0.01), (_MIDLINE - 0.06, fork + 0.05)]), 0.022)
    left = _ribbon(np.array([(_MIDLINE - 0.006, fork - 0.01), (_MIDLINE + 0.07, fork + 0.055)]), 0.019)
    shapes: list[Shape] = [(right, 15), (left, 13), (trachea, 26)]
    if a.gastric_bubble:
        x, y = _MIDLINE + 0.55 * a.half_width, a.left_dome + 0.085
        shapes.append((_ellipse(x, y, 0.085, 0.050), 46))
    return shapes


# --- Film


def _expose(density: Field, film: _Film, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Show a density as a film does: uint8 (size, size)."""
    size = density.shape[0]
    columns, rows = _grid(size, size)
    level = np.maximum(density, 0) ** np.float32(film.gamma) * np.float32(film.gain)
    level *= 1 + film.tilt[0] * (columns / size - 0.5) + film.tilt[1] * (rows / size - 0.5)
    level += np.float32(0.05 + film.offset) * (density > 0.02)
    # A film saturates slowly: its shoulder keeps the abdomen from turning into one white area.
    level = np.where(level > 0.7, 0.7 + 0.3 * (level - 0.7) / (np.abs(level - 0.7) + 0.3), level)
    image = Image.fromarray((level.clip(0, 1) * 255).astype(np.uint8))
    level = _to_field(image.filter(ImageFilter.GaussianBlur(film.blur * size)))
    level = level + np.float32(film.grain) * _grain(rng, size)
    level *= _collimation(film, size)
    if film.marker is not None:
        level = np.maximum(level, 0.93 * _marker(film.marker, size))
    pixels: NDArray[np.uint8] = np.rint(level.clip(0, 1) * 255).astype(np.uint8)
    return pixels


def _grain(rng: np.random.Generator, size: int) -> Field:
    """Film grain of mean 0 and standard deviation about 1: part per pixel, part in clumps."""
    fine = rng.standard_normal((size, size), np.float32)
    return np.float32(0.85) * fine + np.float32(0.9) * _noise(rng, (size, size), max(4, size // 3))


def _collimation(film: _Film, size: int) -> Field:
    """Share of the beam that reaches the film, float32 (size, size): dark borders with soft edges."""
    columns, rows = (axis / np.float32(size) for axis in _grid(size, size))
    left, top, right, bottom = film.borders
    across = _edge(columns, left) * _edge(1 - columns, right)
    return across * _edge(rows, top) * _edge(1 - rows, bottom)


def _edge(distance: Field, border: float) -> Field:
    """0.06 within `border` of the edge, 1 beyond it."""
    return np.float32(0.06) + np.float32(0.94) * _smooth_step((distance - border) / 0.012 + (border == 0))


def _marker(place: tuple[float, float, float], size: int) -> Field:
    """The letter R, for the patient's right; drawn from strokes, since fonts differ between systems."""
    x, y, height = place
    bowl = [(0.0, 0.0), (0.38, 0.0), (0.56, 0.12), (0.56, 0.38), (0.38, 0.5), (0.0, 0.5)]
    strokes = ([(0.0, 0.0), (0.0, 1.0)], bowl, [(0.3, 0.5), (0.6, 1.0)])
    bands = [
        _ribbon(np.array(s) * height * size + [x * size, y * size], 0.16 * height * size) for s in strokes
    ]
    return _paint((size, size), [(band, 255) for band in bands], 0.0, 2)


# --- Opacities


def _draw_opacity(
    rng: np.random.Generator, subtype: OpacitySubtype, lungs: Sequence[_Lung]
) -> tuple[Field, Mask]:
    """Loss of air in [0, 1], float32 (height, width), and the mask of its notable part."""
    opacity = _consolidation(rng, lungs) if subtype == "bacterial" else _interstitial(rng, lungs)
    return opacity, _notable(opacity, lungs)


def _notable(opacity: Field, lungs: Sequence[_Lung]) -> Mask:
    """Where the opacity, its texture smoothed away, has at least `_MASK_LEVEL` of its peak."""
    image = Image.fromarray(np.rint(opacity * 255).astype(np.uint8))
    smooth = np.asarray(_blurred(image, 0.08 * max(lung.bottom - lung.top for lung in lungs) / 2))
    mask: Mask = (smooth >= _MASK_LEVEL * smooth.max()) & (opacity > 0)
    return mask


def _consolidation(rng: np.random.Generator, lungs: Sequence[_Lung]) -> Field:
    """Bacterial: one dense area within a lobe, sometimes two."""
    lung = lungs[int(rng.integers(len(lungs)))]
    start, end = lung.lobes[int(rng.integers(len(lung.lobes)))]
    severity = rng.uniform(0.6, 1.0)
    lobe = _lobe(lung, start, end)
    area = _focus(rng, lung, lobe)
    if rng.random() < 0.25:
        area = np.maximum(area, 0.85 * _focus(rng, lung, lobe))
    shape = lobe.shape
    texture = 0.84 + 0.10 * _noise(rng, shape, 14) + 0.06 * _noise(rng, shape, 60)
    bronchogram = 1 - 0.4 * _streaks(rng, lung, 9, 0.45, 0.010)
    return (severity * area * lobe * texture * bronchogram).astype(np.float32)


def _lobe(lung: _Lung, start: float, end: float) -> Field:
    """The part of the lung that the lobe covers, with soft fissures, float32 (height, width) in [0, 1]."""
    height, width = lung.region.shape
    _, rows = _grid(height, width)
    down = (rows - lung.top) / (lung.bottom - lung.top)
    lobe = lung.region * _smooth_step((down - start) / 0.1 + 0.5) * _smooth_step((end - down) / 0.1 + 0.5)
    # A region of few rows may have no part of its own there: then the whole of it is one lobe.
    return lobe if lobe.max() > 0.3 else lung.region


def _focus(rng: np.random.Generator, lung: _Lung, lobe: Field) -> Field:
    """One soft-edged irregular area around a point of the lobe, float32 (height, width) in [0, 1]."""
    height, width = lobe.shape
    places = np.flatnonzero(lobe > 0.5 * lobe.max())
    row, column = divmod(int(places[int(rng.random() * len(places))]), width)
    radius = rng.uniform(0.18, 0.33) * (lung.bottom - lung.top)
    aspect, angle = rng.uniform(0.75, 1.35), rng.uniform(0, math.pi)
    columns, rows = _grid(height, width)
    x, y = (columns - column - 0.5) / radius, (rows - row - 0.5) / radius
    along = x * math.cos(angle) + y * math.sin(angle)
    across = (y * math.cos(angle) - x * math.sin(angle)) * aspect
    distance = np.sqrt(along**2 + across**2) * (1 + 0.35 * _noise(rng, lobe.shape, 9))
    return _smooth_step((1.25 - distance) / 0.6)


def _interstitial(rng: np.random.Generator, lungs: Sequence[_Lung]) -> Field:
    """Viral: streaks, cuffed bronchi and a moderate haze around the hila of both lungs."""
    severity = rng.uniform(0.55, 1.0)
    reach = rng.uniform(0.5, 0.72)
    total = np.zeros(lungs[0].region.shape, np.float32)
    for lung in lungs:
        spread = lung.region * _around_hilum(rng, lung, reach)
        lines = np.maximum(_streaks(rng, lung, 75, reach, 0.0085), _cuffs(rng, lung, 6, reach))
        total += severity * spread * (0.40 + 0.60 * lines)
    return total.clip(0, 1)


def _around_hilum(rng: np.random.Generator, lung: _Lung, reach: float) -> Field:
    """Patchy weight that falls from the hilum outwards, float32 (height, width) in [0, 1]."""
    height, width = lung.region.shape
    columns, rows = _grid(height, width)
    radius = reach * (lung.bottom - lung.top)
    x, y = (columns - lung.hilum[0]) / np.float32(radius), (rows - lung.hilum[1]) / np.float32(radius)
    distance = np.sqrt(x * x + y * y)
    patches = 0.8 + 0.2 * _noise(rng, lung.region.shape, 8)
    return _smooth_step(1.45 - distance) * patches


def _polar(rng: np.random.Generator, lung: _Lung, count: int, reach: float) -> tuple[Points, Points]:
    """Random points (count, 2) in pixels around the hilum, and their directions from it in radians."""
    angle = rng.uniform(0, 2 * math.pi, count)
    distance = np.sqrt(rng.uniform(0.02, 1, count)) * reach * (lung.bottom - lung.top)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * distance[:, None]
    return points + np.array(lung.hilum), angle


def _streaks(rng: np.random.Generator, lung: _Lung, count: int, reach: float, width: float) -> Field:
    """Thin lines that run roughly away from the hilum, float32 (height, width) in [0, 1].

    reach, width: fractions of the lung's height.
    """
    unit = lung.bottom - lung.top
    start, angle = _polar(rng, lung, count, reach)
    bend = angle + rng.normal(0, 0.55, count)
    length = rng.uniform(0.06, 0.16, count) * unit
    step = np.stack([np.cos(bend), np.sin(bend)], axis=-1) * length[:, None]
    bands = _ribbon(np.stack([start, start + step], axis=1), np.full((count, 2), max(0.6, width * unit)))
    values = rng.integers(150, 256, count).tolist()
    return _paint(_shape(lung), list(zip(bands, values, strict=True)), 0.003 * unit, 2)


def _cuffs(rng: np.random.Generator, lung: _Lung, count: int, reach: float) -> Field:
    """Thickened bronchial walls seen end on: small rings, float32 (height, width) in [0, 1]."""
    unit = lung.bottom - lung.top
    centres, _ = _polar(rng, lung, count, 0.6 * reach)
    shapes: list[Shape] = []
    for (x, y), radius in zip(centres, rng.uniform(0.014, 0.024, count) * unit, strict=True):
        shapes += [(_ellipse(x, y, radius, radius, 12), 235), (_ellipse(x, y, radius / 2, radius / 2, 10), 0)]
    return _paint(_shape(lung), shapes, 0.003 * unit, 2)


def _shape(lung: _Lung) -> tuple[int, int]:
    return lung.region.shape[0], lung.region.shape[1]


def _default_lungs(shape: tuple[int, ...]) -> tuple[_Lung, _Lung]:
    """Two rounded boxes where the lungs of a film that fills its frame are found."""
    height, width = shape
    lungs = []
    for left, right, hilum, lobes in ((0.15, 0.42, 0.43, _RIGHT_LOBES), (0.60, 0.86, 0.57, _LEFT_LOBES)):
        top, bottom = 0.18 * height, 0.70 * height
        columns, rows = _grid(height, width)
        inside = np.minimum(columns - left * width, right * width - columns) / (0.05 * width)
        region = _smooth_step(inside) * _smooth_step(np.minimum(rows - top, bottom - rows) / (0.05 * height))
        lungs.append(_Lung(region, (hilum * width, 0.40 * height), top, bottom, lobes))
    return lungs[0], lungs[1]


def _lungs_of_region(region: Mask) -> list[_Lung]:
    """The parts of a region left and right of the film's middle; below a fifth is no lung of its own."""
    middle = region.shape[1] / 2
    columns, _ = _grid(region.shape[0], region.shape[1])
    halves = ((region & (columns < middle), _RIGHT_LOBES), (region & (columns >= middle), _LEFT_LOBES))
    enough = 0.2 * np.count_nonzero(region)
    return [_lung_of_part(part, middle, lobes) for part, lobes in halves if np.count_nonzero(part) >= enough]


def _lung_of_part(part: Mask, middle: float, lobes: tuple[tuple[float, float], ...]) -> _Lung:
    rows = np.flatnonzero(part.any(axis=1))
    columns = np.flatnonzero(part.any(axis=0))
    top, bottom = float(rows[0]), float(rows[-1] + 1)
    nearest = float(columns[np.abs(columns - middle).argmin()])
    soft = _to_field(_blurred(Image.fromarray(part.astype(np.uint8) * 255), 0.02 * (bottom - top)))
    return _Lung(soft * part, (nearest, top + 0.45 * (bottom - top)), top, bottom, lobes)


# --- Data sets


def _patients(subtype: Subtype, films: int) -> list[tuple[Subtype, int]]:
    """Patients with 1 or 2 films each, `films` together."""
    pairs = round(0.15 * films)
    return [(subtype, 2)] * pairs + [(subtype, 1)] * (films - 2 * pairs)


def _assign_splits(patients: Sequence[tuple[Subtype, int]]) -> Iterator[Split]:
    """A split for each patient: val and test are filled up to their share of films, train takes the rest."""
    total = sum(films for _, films in patients)
    room = {"val": max(1, round(0.1 * total)), "test": max(1, round(0.2 * total))}
    for _, films in patients:
        split: Split = "val" if room["val"] > 0 else "test" if room["test"] > 0 else "train"
        if split != "train":
            room[split] -= films
        yield split


def _patient_records(
    rng: np.random.Generator, split: Split, subtype: Subtype, films: int, before: Sequence[PhantomRecord]
) -> list[PhantomRecord]:
    """The films of the next patient after `before`."""
    patient = before[-1].patient + 1 if before else 1
    label: Label = "NORMAL" if subtype == "normal" else "PNEUMONIA"
    thorax_seed, *seeds = rng.integers(2**62, size=films + 1).tolist()
    return [
        PhantomRecord(split, label, subtype, patient, name, seed, thorax_seed)
        for name, seed in zip(_file_names(subtype, patient, films, len(before) + 1), seeds, strict=True)
    ]


def _file_names(subtype: Subtype, patient: int, films: int, first: int) -> list[str]:
    """Kaggle names: normals count a patient's films, pneumonias count the films of the data set."""
    if subtype == "normal":
        return [f"IM-{patient:04d}-{film + 1:04d}.jpeg" for film in range(films)]
    germ = "bacteria" if subtype == "bacterial" else "virus"
    return [f"person{patient}_{germ}_{first + film}.jpeg" for film in range(films)]


def _write_film(folder: Path, record: PhantomRecord, size: int, masks: bool) -> None:
    drawn = record.draw(size)
    (folder / record.path).write_bytes(_encode(drawn))
    if masks:
        mask = Image.fromarray(drawn.opacity_mask.astype(np.uint8) * 255)
        mask.save((folder / "masks" / record.path).with_suffix(".png"))


def _encode(drawn: Phantom) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(drawn.pixels).save(stream, format="JPEG", quality=JPEG_QUALITY, comment=JPEG_COMMENT)
    return stream.getvalue()
