"""The input gate: is this image a frontal chest radiograph like those that the network learnt from?

A classifier of two classes calls a hand or a brain NORMAL or PNEUMONIA, mostly with confidence. The gate looks at an
image in three views and refuses it where one of them is unlike the training films:

    layout    brightness on a 16 x 16 grid, each film brought to mean 0 and deviation 1
    edges     share of edge strength by place (5 x 5) and direction (8)
    features  what the network's last layer reads

In each view the training films are described by a Gaussian with a few free directions and equal variance in all
others (probabilistic principal components, Tipping and Bishop 1999); the score is the squared Mahalanobis distance
divided by the number of dimensions. Limits come from validation films (trainer.gating). Nothing but NumPy and Pillow.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.errors import BundleError
from cxr.types import Features, ModelPixels, WarningCode

GATE_FILE: Final = "gate.npz"
VIEWS: Final = ("layout", "edges", "features")
BLANK_DEVIATION: Final = 4.0
"""Standard deviation, in 8-bit levels, below which a film shows nothing."""

_GRID, _EDGE_SIDE, _PLACES, _DIRECTIONS = 16, 80, 5, 8
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Assessment:
    """The gate's word on one image. code: "" or why it is refused or warned of; scores: by view, 1 is the limit."""

    accepted: bool
    code: WarningCode | Literal[""]
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class Cloud:
    """Training films in one view: mean (d,), directions (k, d), their variances (k,), variance of the others."""

    mean: Rows
    directions: Rows
    variances: Rows
    rest: float

    def distance(self, rows: Rows) -> Rows:
        """Squared Mahalanobis distance per dimension, (n,), of rows (n, d); about 1 for a training film."""
        centred = rows - self.mean
        along = centred @ self.directions.T
        across = (centred**2).sum(axis=1) - (along**2).sum(axis=1)
        return ((along**2 / self.variances).sum(axis=1) + across / self.rest) / self.mean.size


@dataclass(frozen=True, eq=False)
class InputGate:
    """limits: distance above which an image is refused; warn: the same for a warning; both by view."""

    clouds: dict[str, Cloud]
    limits: dict[str, float]
    warn: dict[str, float]

    def assess(self, pixels: ModelPixels, features: Features) -> Assessment:
        """Judge one preprocessed film, uint8 (size, size), and its features (d,).

        Refusals: "blank"; "inverted" and "rotated" where the same image the other way round would be accepted;
        "not_frontal_chest". Warning: "unlike_training".
        """
        if float(pixels.std()) < BLANK_DEVIATION:
            return Assessment(False, "blank", {})
        distances = self._distances(pixels) | {
            "features": float(self.clouds["features"].distance(features[None].astype(np.float64))[0])
        }
        scores = {view: distances[view] / self.limits[view] for view in VIEWS}
        if all(score <= 1 for score in scores.values()):
            unlike = any(distances[view] > self.warn[view] for view in VIEWS)
            return Assessment(True, "unlike_training" if unlike else "", scores)
        return Assessment(False, self._reason(pixels), scores)

    def _distances(self, pixels: ModelPixels) -> dict[str, float]:
        return {
            view: float(self.clouds[view].distance(look(view, pixels[None]))[0])
            for view in ("layout", "edges")
        }

    def _reason(self, pixels: ModelPixels) -> WarningCode:
        if self._fits(255 - pixels):
            return "inverted"
        if any(self._fits(np.rot90(pixels, turns)) for turns in (1, 2, 3)):
            return "rotated"
        return "not_frontal_chest"

    def _fits(self, pixels: ModelPixels) -> bool:
        return all(distance <= self.limits[view] for view, distance in self._distances(pixels).items())


def look(view: str, pixels: ModelPixels) -> Rows:
    """Films uint8 (n, size, size) in the view "layout" (n, 256) or "edges" (n, 200)."""
    return np.stack([_layout(film) if view == "layout" else _edges(film) for film in pixels])


def _layout(film: ModelPixels) -> Rows:
    cells = _shrink(film, _GRID).ravel()
    # The 8 keeps noise of a nearly even film from being blown up to full contrast.
    return (cells - cells.mean()) / (cells.std() + 8.0)


def _edges(film: ModelPixels) -> Rows:
    down, right = map(np.asarray, np.gradient(_shrink(film, _EDGE_SIDE)))
    strength = np.sqrt(right**2 + down**2)
    cell = _EDGE_CELLS + _direction(down, right)
    totals = np.bincount(cell.ravel(), strength.ravel(), _PLACES * _PLACES * _DIRECTIONS)
    return np.sqrt(totals / (totals.sum() + 1e-6))


def _octant(down: Rows, right: Rows) -> NDArray[np.int64]:
    """Which way a film gets brighter, in eighths of a turn, so that an inverted film is another one."""
    return (np.arctan2(down, right) % (2 * np.pi) * _DIRECTIONS / (2 * np.pi)).astype(int) % _DIRECTIONS


def _signs(down: Rows, right: Rows) -> NDArray[np.int64]:
    """A number from 0 to 26 that settles the octant: both signs, and which of the two is the larger."""
    x, y, steeper = (np.sign(value).astype(np.int64) for value in (right, down, np.abs(down) - np.abs(right)))
    return 9 * x + 3 * y + steeper + 13


_STEPS = tuple(grid.ravel().astype(np.float64) for grid in np.mgrid[-2:3, -2:3])
_OCTANTS = np.zeros(27, np.int64)
_OCTANTS[_signs(*_STEPS)] = _octant(*_STEPS)
_EDGE_PLACES = np.arange(_EDGE_SIDE) * _PLACES // _EDGE_SIDE
_EDGE_CELLS = (_EDGE_PLACES[:, None] * _PLACES + _EDGE_PLACES) * _DIRECTIONS


def _direction(down: Rows, right: Rows) -> NDArray[np.int64]:
    """As `_octant`, by comparing in place of computing angles, which took half of the gate's time."""
    return _OCTANTS[_signs(down, right)]


def _shrink(film: ModelPixels, side: int) -> Rows:
    return np.asarray(Image.fromarray(film).resize((side, side), Image.Resampling.BOX), np.float64)


def save_gate(path: Path, gate: InputGate) -> None:
    """Write the gate as a NumPy archive of plain arrays."""
    arrays: dict[str, NDArray] = {}
    for view in VIEWS:
        cloud = gate.clouds[view]
        arrays |= {
            f"{view}_mean": cloud.mean.astype(np.float32),
            f"{view}_directions": cloud.directions.astype(np.float32),
            f"{view}_variances": cloud.variances,
            f"{view}_scalars": np.array([cloud.rest, gate.limits[view], gate.warn[view]]),
        }
    np.savez(path, allow_pickle=False, **arrays)


def load_gate(path: Path) -> InputGate:
    """Read what `save_gate` wrote. Raises BundleError where the file is something else."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as saved:
            arrays = {name: saved[name].astype(np.float64) for name in saved.files}
        clouds = {view: _cloud(arrays, view) for view in VIEWS}
        limits, warn = ({view: float(arrays[f"{view}_scalars"][at]) for view in VIEWS} for at in (1, 2))
    except (OSError, ValueError, KeyError, IndexError, EOFError, BadZipFile) as error:
        raise BundleError(
            f"an input gate in {path.name}", f"something else ({error})", "fetch the bundle again"
        ) from error
    return InputGate(clouds, limits, warn)


def _cloud(arrays: dict[str, Rows], view: str) -> Cloud:
    mean, directions, variances = (arrays[f"{view}_{part}"] for part in ("mean", "directions", "variances"))
    return Cloud(mean, directions, variances, float(arrays[f"{view}_scalars"][0]))
