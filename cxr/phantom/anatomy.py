"""The thorax of one synthetic patient: lungs, heart, bones, vessels, and the optical density of them all.

Places and sizes are in the unit frame (see `cxr.phantom`); densities in optical density.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cxr.phantom.base import (
    ANATOMY,
    BOWEL,
    LEFT_LOBES,
    MIDLINE,
    RIGHT_LOBES,
    VESSELS,
    Field,
    Lung,
    Painter,
    Points,
    Shape,
    closed_curve,
    ellipse,
    mirrored,
    random_stream,
    ribbon,
    smooth_noise,
)

_LUNG_DEPTH = 0.40  # optical density that the air of a lung takes away


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


def draw_anatomy(seed: int) -> _Anatomy:
    rng = random_stream(seed, ANATOMY)
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


def _right_lung(a: _Anatomy) -> Points:
    x, w, top, base = MIDLINE, a.half_width, a.top, a.right_dome
    return closed_curve(
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
    x, w, top, base = MIDLINE, a.half_width, a.top, a.left_dome
    notch = 0.165 * a.heart
    return closed_curve(
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
    x, top, base, s = MIDLINE, a.top, a.left_dome, a.heart
    return closed_curve(
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
    x, wall, top = MIDLINE, a.half_width + 0.055, a.top
    side = [(0.10, -0.3), (0.105, 0.0), (0.15, top - 0.085), (0.27, top - 0.065), (0.38, top - 0.02)]
    side += [
        (wall + 0.02, top + 0.09),
        (wall + 0.005, top + 0.22),
        (wall, 0.55),
        (wall + 0.01, 0.85),
        (wall, 1.3),
    ]
    trunk = closed_curve([(x + dx, y) for dx, y in side] + [(x - dx, y) for dx, y in side[::-1]])
    limb = ribbon(np.array([(0.87, top + 0.05), _elbow(a)]), 0.15)
    chin = ellipse(x, a.chin - 0.14, 0.15, 0.14)
    return [(trunk, 255), (limb, 255), (mirrored(limb), 255), (chin, 255)]


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
    posterior = np.stack([MIDLINE + x, y], axis=-1)
    return posterior, np.stack([MIDLINE + x_front, y_front], axis=-1)[:9]


def _both_sides(bands: Points, value: int) -> list[Shape]:
    return [(band, value) for pair in zip(bands, mirrored(bands), strict=True) for band in pair]


def _bones(a: _Anatomy, painter: Painter) -> Field:
    """Ribs, spine, clavicles, scapulae and humeri as density relative to bone, float32 (size, size)."""
    posterior, anterior = _rib_paths(a)
    # The cortex is denser than the marrow: a rib shows as two bright lines.
    back = _both_sides(ribbon(posterior, 0.023), 170) + _both_sides(ribbon(posterior, 0.011), 115)
    front = _both_sides(ribbon(anterior, 0.024), 95) + _both_sides(ribbon(anterior, 0.014), 65)
    jaw = [(ellipse(MIDLINE, a.chin - 0.15, 0.105, 0.13), 130)]
    # Two layers that add up, since ribs that cross are brighter where they do.
    return painter.paint([*_scapulae(a), *back, *jaw, *_spine()], 0.002, fine=True) + painter.paint(
        [*_humeri(a), *front, *_clavicles(a)], 0.002, fine=True
    )


@lru_cache(maxsize=1)
def _spine() -> tuple[Shape, ...]:
    shapes: list[Shape] = [(ribbon(np.array([(MIDLINE, -0.3), (MIDLINE, 1.3)]), 0.062), 105)]
    for y in np.arange(-0.1, 1.1, 0.0485):
        shapes.append((ellipse(MIDLINE, y, 0.039, 0.0185, 12), 205))
        shapes.append((ellipse(MIDLINE, y, 0.027, 0.0125, 10), 170))
        shapes.append((ellipse(MIDLINE, y + 0.012, 0.006, 0.013, 8), 225))  # spinous process
    return tuple(shapes)


def _clavicles(a: _Anatomy) -> list[Shape]:
    along = np.linspace(0, 1, 10)
    x = MIDLINE + 0.035 + 0.27 * along
    y = a.top + 0.035 - 0.075 * along - 0.016 * np.sin(2 * math.pi * along)
    band = ribbon(np.stack([x, y], axis=-1), 0.024)
    core = ribbon(np.stack([x, y], axis=-1), 0.012)
    return [(band, 215), (mirrored(band), 215), (core, 160), (mirrored(core), 160)]


def _scapulae(a: _Anatomy) -> list[Shape]:
    blade = np.array(
        [(0.785, a.top - 0.01), (0.855, a.top + 0.02), (0.865, a.top + 0.09), (0.835, a.top + 0.24)]
    )
    spine = ribbon(np.array([(0.79, a.top + 0.03), (0.885, a.top - 0.02)]), 0.016)
    return [(p, v) for shape, v in ((blade, 60), (spine, 130)) for p in (shape, mirrored(shape))]


def _humeri(a: _Anatomy) -> list[Shape]:
    head = ellipse(0.895, a.top + 0.015, 0.032, 0.032)
    shaft = ribbon(np.array([(0.895, a.top + 0.015), _elbow(a)]), 0.040)
    marrow = ribbon(np.array([(0.895, a.top + 0.015), _elbow(a)]), 0.022)
    return [(p, v) for s, v in ((shaft, 160), (marrow, 115), (head, 150)) for p in (s, mirrored(s))]


def _vessels(a: _Anatomy) -> list[Shape]:
    """Vessels that branch from the hila and thin out towards the pleura."""
    rng = random_stream(a.seed, VESSELS)
    shapes: list[Shape] = []
    for side in (-1.0, 1.0):
        trunks = 8
        angle = np.linspace(-1.25, 1.35, trunks) + rng.uniform(-0.2, 0.2, trunks)
        origin = np.tile([MIDLINE + side * 0.075, a.top + 0.235], (trunks, 1))
        width = np.full(trunks, 0.0135)
        for generation in range(4):
            length = (0.080 - 0.010 * generation) * rng.uniform(0.6, 1.35, len(angle))
            step = np.stack([side * np.cos(angle), np.sin(angle)], axis=-1) * length[:, None]
            bands = ribbon(np.stack([origin, origin + step], axis=1), np.stack([width, 0.75 * width], axis=1))
            shapes += [(band, 190 - 38 * generation) for band in bands]
            # Only the first two generations fork; a full tree to the pleura would look like a net.
            forks = 2 if generation < 2 else 1
            origin = np.repeat(origin + step, forks, axis=0)
            spread = rng.uniform(0.1, 0.6, (len(angle), forks)) * np.array([1, -1])[:forks]
            angle, width = (angle[:, None] + spread).ravel(), np.repeat(width * 0.68, forks)
        shapes.append((ellipse(MIDLINE + side * 0.075, a.top + 0.235, 0.022, 0.042), 165))
    return shapes[::-1]


def draw_lungs(a: _Anatomy, painter: Painter) -> tuple[Lung, Lung]:
    """The right and left lung as they lie on the film."""
    places = np.array([(MIDLINE - 0.08, a.top + 0.235), (MIDLINE + 0.085, a.top + 0.235)])
    hila = painter.to_pixels(places)
    lungs = []
    outlines = ((_right_lung(a), RIGHT_LOBES), (_left_lung(a), LEFT_LOBES))
    for (outline, lobes), hilum in zip(outlines, hila, strict=True):
        rows = painter.to_pixels(outline)[:, 1]
        region = painter.paint([(outline, 255)], 0.006)
        lungs.append(
            Lung(region, (float(hilum[0]), float(hilum[1])), float(rows.min()), float(rows.max()), lobes)
        )
    return lungs[0], lungs[1]


def optical_density(a: _Anatomy, painter: Painter, lungs: Sequence[Lung], opacity: Field) -> Field:
    """Optical density of the whole thorax, float32 (size, size), 0 in air."""
    outline = _body(a)
    body, thickness = painter.paint(outline, 0.008), painter.paint(outline, 0.07)
    heart = painter.paint([(_heart(a), 255)], 0.009)
    abdomen = painter.paint([(_abdomen(a), 255)], 0.03)
    bowel = smooth_noise(random_stream(a.seed, BOWEL), body.shape, 11)
    lung = lungs[0].region + lungs[1].region
    aerated = lung * (1 - heart * 0.7) * (1 - opacity)
    density = body * (a.tissue + 0.36 * thickness * thickness)
    density += body * (0.12 * heart + (0.12 + 0.02 * bowel) * abdomen)
    density -= _LUNG_DEPTH * a.aeration * aerated
    density += 0.15 * a.vessel * painter.paint(_vessels(a), 0.002, fine=True) * aerated
    density += 0.24 * a.bone * _bones(a, painter) * body
    return density - painter.paint(_air(a), 0.008)


def _abdomen(a: _Anatomy) -> Points:
    x, w, right, left = MIDLINE, a.half_width + 0.02, a.right_dome, a.left_dome
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
    trachea = ribbon(np.array([(MIDLINE - 0.004, -0.05), (MIDLINE - 0.008, fork)]), 0.034)
    right = ribbon(np.array([(MIDLINE - 0.006, fork - 0.01), (MIDLINE - 0.06, fork + 0.05)]), 0.022)
    left = ribbon(np.array([(MIDLINE - 0.006, fork - 0.01), (MIDLINE + 0.07, fork + 0.055)]), 0.019)
    shapes: list[Shape] = [(right, 15), (left, 13), (trachea, 26)]
    if a.gastric_bubble:
        x, y = MIDLINE + 0.55 * a.half_width, a.left_dome + 0.085
        shapes.append((ellipse(x, y, 0.085, 0.050), 46))
    return shapes
