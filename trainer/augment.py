"""Augmentation, fused: one affine resampling per batch, then arithmetic on the whole batch.

Stacked Keras augmentation layers cost more than the training step itself; this costs a small part of it. Every draw
comes from the seed that is passed in, so that a resumed run sees the same films as an unbroken one.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.recipes import Augmentation

Tensor = Any
_BLUR_SIGMA = 1.2  # pixels
_STYLE_REACH = 0.03  # cycles a pixel, up to which a film takes over another one's amplitudes


class _Draws:
    """A stream of independent random tensors from one seed, int32 (2,)."""

    def __init__(self, seed: Tensor, count: int) -> None:
        self._seed, self._count, self._next = seed, count, 0

    def _fresh(self) -> Tensor:
        self._next += 1
        return self._seed + tf.constant([0, self._next * 7919], tf.int32)

    def uniform(self, low: float, high: float, shape: tuple[int, ...] = (1, 1, 1)) -> Tensor:
        return tf.random.stateless_uniform((self._count, *shape), self._fresh(), low, high)

    def chance(self, probability: float) -> Tensor:
        return tf.cast(self.uniform(0.0, 1.0) < probability, tf.float32)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        return tf.random.stateless_normal((self._count, *shape), self._fresh())


def augment(films: Tensor, seed: Tensor, settings: Augmentation) -> Tensor:
    """Change each film of a batch at random.

    films: float32 (n, size, size, 1) in [0, 1]; seed: int32 (2,). Returns the same shape and range.
    With `settings.style`, a film takes something over from another one of the batch.
    """
    return augment_with(films, films[..., :0], seed, settings)[0]


def augment_with(
    films: Tensor, planes: Tensor, seed: Tensor, settings: Augmentation
) -> tuple[Tensor, Tensor]:
    """Change each film of a batch at random, and move what belongs to its places along.

    Args:
        films: float32 (n, size, size, 1) in [0, 1].
        planes: float32 (n, size, size, p), masks of the films, which no exposure changes.
        seed: int32 (2,); the films come out as from `augment`.
        settings: what is changed.

    Returns:
        The changed films, and their planes at the same places.
    """
    count, size = tf.shape(films)[0], int(films.shape[1])
    draws = _Draws(seed, count)
    films = _restyle(films, draws, settings, size)
    moved = _move(tf.concat([films, planes], -1), draws, settings, size)
    films, planes = moved[..., :1], moved[..., 1:]
    films = _refocus(films, draws, settings, size)
    films = _expose(films, draws, settings, size)
    films = _cover(films, draws, settings, size)
    return tf.clip_by_value(films, 0.0, 1.0), planes


def mix(films: Tensor, targets: Tensor, seed: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mixup with the batch's mirror order; Beta(alpha, alpha) by two gamma draws."""
    gammas = tf.random.stateless_gamma((tf.shape(films)[0], 2), seed + tf.constant([0, 3]), alpha)
    share = (gammas[:, :1] + 1e-6) / (tf.reduce_sum(gammas, axis=1, keepdims=True) + 2e-6)
    wide = share[:, :, None, None]
    return wide * films + (1 - wide) * films[::-1], share * targets + (1 - share) * targets[::-1]


def _restyle(films: Tensor, draws: _Draws, a: Augmentation, size: int) -> Tensor:
    """Mix the amplitudes of the lowest frequencies with another film's, at the film's own phases.

    How bright the large parts of a film are says how and where it was taken, and where they lie is anatomy (Fourier
    domain adaptation, Yang and Soatto 2020; amplitude mixing, Xu et al. 2021).
    """
    if not a.style:
        return films
    other = tf.argsort(draws.uniform(0, 1, ()))
    share = draws.chance(a.style) * draws.uniform(0, 1)
    down, right = np.abs(np.fft.fftfreq(size))[:, None], np.fft.rfftfreq(size)[None, :]
    low = tf.constant((np.maximum(down, right) <= _STYLE_REACH).astype(np.float32))
    spectrum = tf.signal.rfft2d(films[..., 0])
    amplitude = tf.abs(spectrum)
    mixed = amplitude + share[..., 0] * low * (tf.gather(amplitude, other) - amplitude)
    restyled = spectrum * tf.cast(mixed / tf.maximum(amplitude, 1e-6), tf.complex64)
    return tf.clip_by_value(tf.signal.irfft2d(restyled, (size, size))[..., None], 0.0, 1.0)


def _move(films: Tensor, draws: _Draws, a: Augmentation, size: int) -> Tensor:
    """Rotate, zoom, stretch, shift and mirror about the centre in one bilinear resampling; outside is black."""
    if not any((a.rotation, a.zoom, a.stretch, a.shift, a.flip)):
        return films
    angle = draws.uniform(-1, 1, ()) * math.radians(a.rotation)
    zoom, stretch = draws.uniform(-a.zoom, a.zoom, ()), draws.uniform(-a.stretch, a.stretch, ()) / 2
    mirror = tf.where(draws.uniform(0, 1, ()) < a.flip, -1.0, 1.0)
    along_x, along_y = tf.exp(zoom + stretch) * mirror, tf.exp(zoom - stretch)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    centre = (size - 1) / 2
    # Rows of the map from output to input coordinates.
    xx, xy, yx, yy = cosine * along_x, -sine * along_y, sine * along_x, cosine * along_y
    dx, dy = (draws.uniform(-a.shift, a.shift, ()) * size for _ in range(2))
    zero = tf.zeros_like(angle)
    rows = (xx, xy, centre - (xx + xy) * centre + dx, yx, yy, centre - (yx + yy) * centre + dy, zero, zero)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=films,
        transforms=tf.stack(rows, axis=1),
        output_shape=tf.constant([size, size]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _refocus(films: Tensor, draws: _Draws, a: Augmentation, size: int) -> Tensor:
    """Blur or sharpen, and lower the resolution: neither may tell the classes apart."""
    if a.sharpness:
        # Along one axis, then the other: a quarter of the products of a square kernel.
        profile = _gaussian(_BLUR_SIGMA)
        blurred = tf.nn.conv2d(films, profile[:, None, None, None], 1, "SAME")
        blurred = tf.nn.conv2d(blurred, profile[None, :, None, None], 1, "SAME")
        films += draws.uniform(-a.sharpness, a.sharpness) * (blurred - films)
    if a.resolution:
        coarse = tf.image.resize(tf.nn.avg_pool2d(films, 2, 2, "VALID"), (size, size))
        films += draws.chance(a.resolution) * (coarse - films)
    return films


def _gaussian(sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    profile = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return tf.constant(profile / profile.sum(), tf.float32)


def _expose(films: Tensor, draws: _Draws, a: Augmentation, size: int) -> Tensor:
    """Gamma, contrast, brightness, uneven exposure and noise."""
    if a.gamma:
        # The square root of black has no slope, so keep off 0.
        films = tf.exp(
            tf.math.log(tf.clip_by_value(films, 1e-3, 1.0)) * tf.exp(draws.uniform(-a.gamma, a.gamma))
        )
    if a.contrast or a.brightness:
        mean = tf.reduce_mean(films, axis=(1, 2), keepdims=True)
        gain, offset = (
            tf.exp(draws.uniform(-a.contrast, a.contrast)),
            draws.uniform(-a.brightness, a.brightness),
        )
        films = (films - mean) * gain + mean + offset
    if a.field:
        field = tf.image.resize(draws.uniform(-a.field, a.field, (3, 3, 1)), (size, size), "bicubic")
        films *= tf.exp(field)
    if a.noise:
        films += draws.uniform(0, a.noise) * draws.normal((size, size, 1))
    return films


def _cover(films: Tensor, draws: _Draws, a: Augmentation, size: int) -> Tensor:
    """A gray rectangle somewhere, a black margin around: a collimator, a marker, a cable are not findings."""
    ramp = tf.range(size, dtype=tf.float32) / size
    rows, columns = ramp[None, :, None, None], ramp[None, None, :, None]
    if a.erase:
        centre_y, centre_x = draws.uniform(0, 1), draws.uniform(0, 1)
        half_y, half_x = draws.uniform(0.03, 0.15), draws.uniform(0.03, 0.15)
        inside = tf.cast((abs(rows - centre_y) < half_y) & (abs(columns - centre_x) < half_x), tf.float32)
        films += draws.chance(a.erase) * inside * (draws.uniform(0, 1) - films)
    if a.border:
        low_y, low_x, high_y, high_x = (draws.uniform(0.0, 0.12) for _ in range(4))
        outside = (rows < low_y) | (rows > 1 - high_y) | (columns < low_x) | (columns > 1 - high_x)
        films *= 1 - draws.chance(a.border) * tf.cast(outside, tf.float32)
    return films
