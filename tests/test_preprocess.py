"""Preprocessing: one golden array per filter, and what holds for every spec."""

from typing import Literal, get_args

import numpy as np
import pytest
from pydantic import ValidationError

from cxr.imaging.decode import GrayImage, from_array
from cxr.imaging.preprocess import PreprocessSpec, to_input_batch, to_model_pixels
from cxr.phantom import make_phantom

Filter = Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]
FILTERS: tuple[Filter, ...] = get_args(Filter)


def stripes() -> GrayImage:
    """64 x 96: columns in groups of three, (0, 90, 210), brighter by 10 in the lower half."""
    rows = np.repeat([0, 10], 32)[:, None]
    return from_array((np.tile([0, 90, 210], 32)[None, :] + rows).astype(np.uint8))


# The first four pixels of rows 0, 15, 16 and 31 of `stripes` at 32 x 32. Two rows and three columns go into a pixel.
GOLDEN = {
    # The middle column of each group
    "nearest": [[90, 90, 90, 90], [90, 90, 90, 90], [100, 100, 100, 100], [100, 100, 100, 100]],
    # The mean of each group
    "box": [[100, 100, 100, 100], [100, 100, 100, 100], [110, 110, 110, 110], [110, 110, 110, 110]],
    # Neighbours are mixed in: the first column has none on its left, and rows 15 and 16 have the other half
    "bilinear": [[86, 100, 100, 100], [87, 101, 101, 101], [95, 109, 109, 109], [96, 110, 110, 110]],
    # The same, with a small overshoot
    "bicubic": [[86, 101, 100, 100], [87, 102, 101, 101], [95, 110, 109, 109], [96, 111, 110, 110]],
    # A larger overshoot
    "lanczos": [[84, 104, 100, 100], [85, 105, 101, 101], [93, 113, 109, 109], [94, 114, 110, 110]],
}


@pytest.mark.parametrize("name", FILTERS)
def test_golden_values_of_each_filter(name: Filter) -> None:
    pixels = to_model_pixels(stripes(), PreprocessSpec(size=32, resample=name))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (32, 32)
    assert [pixels[row, :4].tolist() for row in (0, 15, 16, 31)] == GOLDEN[name]


@pytest.mark.parametrize("name", FILTERS)
def test_a_film_of_the_right_size_stays_as_it_is(name: Filter) -> None:
    film = from_array(make_phantom(1, "viral", 64).pixels)
    np.testing.assert_array_equal(to_model_pixels(film, PreprocessSpec(size=64, resample=name)), film.pixels)


@pytest.mark.parametrize("name", FILTERS[1:])
def test_reducing_antialiases(name: Filter) -> None:
    """Lines one pixel wide become gray; without antialiasing they would come and go."""
    lines = from_array(np.tile(np.array([0, 255], np.uint8), (256, 128)))
    pixels = to_model_pixels(lines, PreprocessSpec(size=32, resample=name))
    assert abs(pixels[:, 2:-2].astype(int) - 128).max() <= 1


def test_the_film_is_stretched_to_the_square() -> None:
    """A wide film fills the square: no border is added, and nothing is cut off."""
    wide = np.full((64, 256), 50, np.uint8)
    wide[:, :64], wide[:, -64:] = 200, 100
    pixels = to_model_pixels(from_array(wide), PreprocessSpec(size=32, resample="box"))
    assert pixels[:, :8].tolist() == [[200] * 8] * 32
    assert pixels[:, 8:24].tolist() == [[50] * 16] * 32
    assert pixels[:, 24:].tolist() == [[100] * 8] * 32


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("window", [None, (2, 98)])
def test_memory_layout_makes_no_difference(name: Filter, window: tuple[float, float] | None) -> None:
    spec = PreprocessSpec(size=48, resample=name, window=window)
    film = make_phantom(2, "bacterial", 96).pixels
    wide = np.zeros((96, 200), np.uint8)
    wide[:, 3:195:2] = film
    expected = to_model_pixels(GrayImage(np.ascontiguousarray(film), 8), spec)
    for same in (wide[:, 3:195:2], np.asfortranarray(film), film[::-1, ::-1].copy()[::-1, ::-1]):
        np.testing.assert_array_equal(to_model_pixels(GrayImage(same, 8), spec), expected)


@pytest.mark.parametrize("bits", [8, 12])
def test_the_input_is_not_changed(bits: int) -> None:
    values = make_phantom(4, "normal", 80).pixels
    image = from_array(values.astype(np.uint16) * np.uint16(16) if bits > 8 else values)
    before = image.pixels.copy()
    to_model_pixels(image, PreprocessSpec(size=80, resample="bicubic", window=(5, 95)))
    np.testing.assert_array_equal(image.pixels, before)
    assert image.bits == bits


# --- Windowing


def ramp() -> GrayImage:
    """32 x 32 of the levels 0 to 127, eight pixels each."""
    return from_array((np.arange(1024) // 8).astype(np.uint8).reshape(32, 32))


@pytest.mark.parametrize(
    ("window", "black", "white"),
    [
        ((0, 100), 0, 127),  # the darkest and the brightest pixel
        ((10, 90), 12, 115),  # the 102nd and the 921st of 1023 steps, eight to a level
        ((25, 75), 32, 95),  # the quartiles
    ],
)
def test_the_window_maps_its_percentiles_to_black_and_white(
    window: tuple[float, float], black: int, white: int
) -> None:
    pixels = to_model_pixels(ramp(), PreprocessSpec(size=32, resample="bicubic", window=window))
    levels = ramp().pixels.astype(float)
    expected = np.clip(np.round((levels - black) * 255 / (white - black)), 0, 255)
    np.testing.assert_array_equal(pixels, expected)
    assert pixels[levels <= black].max() == 0
    assert pixels[levels >= white].min() == 255


def test_windowing_undoes_a_change_of_exposure() -> None:
    film = make_phantom(6, "normal", 64).pixels
    spec = PreprocessSpec(size=64, resample="bicubic", window=(0, 100))
    dim = from_array((film // 2 + 40).astype(np.uint8))
    difference = to_model_pixels(dim, spec).astype(int) - to_model_pixels(from_array(film), spec)
    assert abs(difference).max() <= 3  # the rounding of the halved values, stretched


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_film_stays_as_it_is(level: int) -> None:
    film = from_array(np.full((40, 40), level, np.uint8))
    pixels = to_model_pixels(film, PreprocessSpec(size=32, resample="lanczos", window=(1, 99)))
    assert (pixels == level).all()


# --- The spec


def test_the_spec_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PreprocessSpec(size=64, resample="box").size = 32


@pytest.mark.parametrize(
    "fields",
    [
        {"size": 64, "resample": "box", "crop": True},  # unknown: it must not be passed over
        {"size": 31, "resample": "box"},
        {"size": 1025, "resample": "box"},
        {"size": 64, "resample": "area"},
        {"size": 64, "resample": "box", "aspect": "pad"},
        {"size": 64, "resample": "box", "scaling": "imagenet"},
        {"resample": "box"},
        {"size": 64},
    ],
    ids=str,
)
def test_an_unknown_spec_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PreprocessSpec.model_validate(fields)


@pytest.mark.parametrize(
    "spec",
    [
        PreprocessSpec(size=150, resample="nearest"),
        PreprocessSpec(size=160, resample="bicubic", window=(0.5, 99.5)),
    ],
)
def test_the_spec_round_trips_through_json(spec: PreprocessSpec) -> None:
    assert PreprocessSpec.model_validate_json(spec.model_dump_json()) == spec


# --- The batch


def test_to_input_batch() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    batch = to_input_batch(np.concatenate([pixels, pixels[:, ::-1]]))
    assert batch.dtype == np.float32
    assert batch.shape == (2, 16, 16, 1)
    assert (batch.min(), batch.max()) == (0, 1)
    np.testing.assert_array_equal(batch[0, ..., 0].ravel(), (np.arange(256) / 255).astype(np.float32))


def test_a_film_does_not_depend_on_its_batch() -> None:
    pixels = np.stack([make_phantom(seed, "viral", 32).pixels for seed in range(3)])
    np.testing.assert_array_equal(to_input_batch(pixels)[1:2], to_input_batch(pixels[1:2]))


def test_an_empty_batch() -> None:
    assert to_input_batch(np.empty((0, 64, 64), np.uint8)).shape == (0, 64, 64, 1)
