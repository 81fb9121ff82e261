"""The input gate: is this image a frontal chest radiograph, and one of the kind on which the model was measured?

A classifier of two classes calls a hand or a brain NORMAL or PNEUMONIA, mostly with confidence. The gate looks at an
image in a few views and says which of three scopes it belongs to:

    refused      unlike frontal chest radiographs of every hospital that the gate knows, in one view at least
    unfamiliar   a frontal chest radiograph, but unlike those on which the model's figures were measured
    familiar     like them

    layout    brightness on a 16 x 16 grid, each image brought to mean 0 and deviation 1
    edges     share of edge strength by place (5 x 5) and direction (8)
    trunk     what the network's frozen, pretrained part sees (Outputs.trunk)
    features  what the network's last layer reads, for networks without such a part

In each view the images of a group are described by a Gaussian with a few free directions and equal variance in all
others (probabilistic principal components, Tipping and Bishop 1999); the score is the squared Mahalanobis distance
divided by the number of dimensions, over its limit. The trainer fits groups and limits (trainer.gating). Nothing
but NumPy and Pillow.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.errors import BundleError
from cxr.model.backend import Outputs
from cxr.types import ModelPixels, WarningCode

GATE_FILE: Final = "gate.npz"
OF_PIXELS: Final = ("layout", "edges")
OF_NETWORK: Final = ("trunk", "features")
VIEWS: Final = (*OF_PIXELS, *OF_NETWORK)
POSTURES: Final = ("upright", "rotated", "inverted", "part")
BLANK_DEVIATION: Final = 4.0
"""Standard deviation, in 8-bit levels, below which an image shows nothing."""

_FORMAT = 2
_GROUPS: Final = ("accepted", "familiar", "place", "phantoms")
"""Of borders, as gate.npz names them."""
_GRID, _EDGE_SIDE, _PLACES, _DIRECTIONS = 16, 80, 5, 8
Rows = NDArray[np.float64]
Network = Callable[[ModelPixels], Outputs]
"""Gives the network's outputs for preprocessed films uint8 (n, size, size)."""


@dataclass(frozen=True)
class Assessment:
    """The gate's word on one image.

    Attributes:
        accepted: Whether it is read: false for an image that is refused.
        code: Why it is refused; "unlike_training" for one that is read, but unfamiliar; "" for a familiar one.
        scores: How far it is from what is accepted, by view; 1 is the limit. Empty for a blank image.
    """

    accepted: bool
    code: WarningCode | Literal[""]
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class Cloud:
    """Images in one view: mean (d,), directions (k, d), their variances (k,), variance of the others.

    scale: (d,) what each number is divided by first, after the mean is taken off.
    """

    mean: Rows
    directions: Rows
    variances: Rows
    rest: float
    scale: Rows | float = 1.0

    def distance(self, rows: Rows) -> Rows:
        """Squared Mahalanobis distance per dimension, (n,), of rows (n, d); about 1 for an image of the cloud."""
        centred = (rows - self.mean) / self.scale
        along = centred @ self.directions.T
        across = (centred**2).sum(axis=1) - (along**2).sum(axis=1)
        return ((along**2 / self.variances).sum(axis=1) + across / self.rest) / self.mean.size


@dataclass(frozen=True, eq=False)
class Border:
    """A cloud, and the distance up to which an image counts as one of it."""

    cloud: Cloud
    limit: float

    def scores(self, rows: Rows) -> Rows:
        """Distance over the limit, (n,), of rows (n, d); at most 1 inside."""
        return self.cloud.distance(rows) / self.limit


@dataclass(frozen=True, eq=False)
class Posture:
    """How a chest film stands, by a multinomial logistic regression on the trunk's features.

    It tells films that lie on their side or stand on their head, that are inverted, and mere parts of films.

    Attributes:
        weights: (4, d), one row for each of POSTURES.
        bias: (4,).
    """

    weights: Rows
    bias: Rows

    def probabilities(self, rows: Rows) -> Rows:
        """Probabilities (n, 4) of POSTURES for rows (n, d)."""
        values = rows @ self.weights.T + self.bias
        odds = np.exp(values - values.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Origin:
    """Tells films like those of training from films of other hospitals, by a logistic regression in one view.

    Attributes:
        view: One of VIEWS.
        weights: (d,) of the raw numbers of the view.
        bias: Holds the limit too.
    """

    view: str
    weights: Rows
    bias: float

    def at_home(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,): whether rows (n, d) are like those of training rather than like those of another hospital."""
        return rows @ self.weights + self.bias >= 0


@dataclass(frozen=True, eq=False)
class InputGate:
    """What is accepted and what is familiar, both as one border a view; an image must be inside of all.

    Attributes:
        accepted: Frontal chest radiographs of all hospitals that the gate was fitted to, by view.
        familiar: Those of the kind on which the model's figures were measured, by view.
        posture: Finds films that are not upright or are inverted; None in gates of bundles up to 0.3.0.
        origin: Must call a familiar film at home, too; None where the gate knows one hospital only.
        place: Films of the place that a bundle was adapted to, by the views of `accepted`: an image inside of all of
            these is accepted, too.
        phantoms: The same of the project's synthetic radiographs, in bundles that show such in place of films.
    """

    accepted: Mapping[str, Border]
    familiar: Mapping[str, Border]
    posture: Posture | None = None
    origin: Origin | None = None
    place: Mapping[str, Border] | None = None
    phantoms: Mapping[str, Border] | None = None

    def assess(self, pixels: ModelPixels, outputs: Outputs, network: Network) -> list[Assessment]:
        """Judge n preprocessed films, uint8 (n, size, size), by their pixels and the network's outputs for them.

        Refusals: "blank"; "inverted", "rotated", where the film would be accepted otherwise; "not_frontal_chest".
        Unfamiliar: "unlike_training". network: asked again about what is refused, turned and inverted.
        Raises BundleError where the network does not give what the gate was fitted to.
        """
        rows = {view: rows_of(view, pixels, outputs) for view in self._views()}
        scores = self._scores(rows)
        inside, familiar = self._inside(rows, scores), self._familiar(rows)
        return [
            self._word(
                film, {view: float(values[at]) for view, values in scores.items()}, accepted, known, network
            )
            for at, (film, accepted, known) in enumerate(zip(pixels, inside, familiar, strict=True))
        ]

    def _views(self) -> list[str]:
        used = {*self.accepted, *self.familiar}
        used |= {"trunk"} if self.posture else set()
        used |= {self.origin.view} if self.origin else set()
        return [view for view in VIEWS if view in used]

    def _groups(self) -> list[Mapping[str, Border]]:
        """What an image may be like to be accepted, each group by the same views."""
        return [self.accepted, *(group for group in (self.place, self.phantoms) if group)]

    def _scores(self, rows: Mapping[str, Rows]) -> dict[str, Rows]:
        """Scores (n,) by view, of each image for the group that it is nearest to."""
        by_group = np.stack(
            [[group[view].scores(rows[view]) for view in self.accepted] for group in self._groups()]
        )  # (groups, views, n)
        nearest = by_group.max(axis=1).argmin(axis=0)
        chosen = by_group[nearest, :, np.arange(len(nearest))]  # (n, views)
        return dict(zip(self.accepted, chosen.T, strict=True))

    def _familiar(self, rows: Mapping[str, Rows]) -> NDArray[np.bool_]:
        inside = [border.scores(rows[view]) <= 1 for view, border in self.familiar.items()]
        if self.origin is not None:
            inside.append(self.origin.at_home(rows[self.origin.view]))
        return np.asarray(np.all(inside, axis=0))

    def _inside(self, rows: Mapping[str, Rows], scores: Mapping[str, Rows]) -> NDArray[np.bool_]:
        """(n,): inside of all borders of a group, and upright as far as the gate can tell."""
        inside = np.all([values <= 1 for values in scores.values()], axis=0)
        if self.posture is not None:
            inside &= self.posture.probabilities(rows["trunk"]).argmax(axis=1) == POSTURES.index("upright")
        return np.asarray(inside)

    def _word(
        self, film: ModelPixels, scores: dict[str, float], accepted: bool, familiar: bool, network: Network
    ) -> Assessment:
        if float(film.std()) < BLANK_DEVIATION:
            return Assessment(False, "blank", {})
        if accepted:
            return Assessment(True, "" if familiar else "unlike_training", scores)
        return Assessment(False, self._reason(film, network), scores)

    def _reason(self, film: ModelPixels, network: Network) -> WarningCode:
        inverted = 255 - film
        if self._passes(inverted, network):
            return "inverted"
        if any(self._passes(other, network) for other in _turned(film)):
            return "rotated"
        if any(self._passes(other, network) for other in _turned(inverted)):
            return "inverted"
        return "not_frontal_chest"

    def _passes(self, film: ModelPixels, network: Network) -> bool:
        """Whether a film would be accepted. The network is asked only where its pixels pass."""
        one = np.ascontiguousarray(film)[None]
        seen = {view: look(view, one) for view in OF_PIXELS}
        if not any(
            all(group[view].scores(rows)[0] <= 1 for view, rows in seen.items()) for group in self._groups()
        ):
            return False
        outputs = network(one)
        rows = seen | {view: rows_of(view, one, outputs) for view in self._views() if view in OF_NETWORK}
        return bool(self._inside(rows, self._scores(rows))[0])


def _turned(film: ModelPixels) -> Iterator[ModelPixels]:
    """The film turned by 90, 180 and 270 degrees, and upside down."""
    for turns in (1, 2, 3):
        yield np.rot90(film, turns)
    yield film[::-1]


def rows_of(view: str, pixels: ModelPixels, outputs: Outputs) -> Rows:
    """Films (n, size, size) with the network's outputs for them, in one view: (n, d).

    Raises BundleError where the network has no frozen part, and the view is "trunk".
    """
    if view in OF_PIXELS:
        return look(view, pixels)
    rows = outputs.trunk if view == "trunk" else outputs.features
    if rows is None:
        raise BundleError(
            "The input gate needs a network with a frozen trunk, and this one has none. Fetch the bundle again."
        )
    return rows.astype(np.float64)


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
    arrays: dict[str, NDArray] = {"format": np.array([_FORMAT])}
    groups = (gate.accepted, gate.familiar, gate.place or {}, gate.phantoms or {})
    for group, borders in zip(_GROUPS, groups, strict=True):
        for view, border in borders.items():
            arrays |= {f"{group}_{view}_{name}": value for name, value in _border_arrays(border).items()}
    if gate.posture is not None:
        arrays |= {
            "posture_weights": gate.posture.weights.astype(np.float32),
            "posture_bias": gate.posture.bias.astype(np.float32),
        }
    if gate.origin is not None:
        arrays[f"origin_{gate.origin.view}_weights"] = gate.origin.weights.astype(np.float32)
        arrays["origin_bias"] = np.array([gate.origin.bias])
    np.savez(path, allow_pickle=False, **arrays)


def load_gate(path: Path) -> InputGate:
    """Read what `save_gate` wrote, now or for bundles up to 0.3.0. Raises BundleError for anything else."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as saved:
            arrays = {name: saved[name].astype(np.float64) for name in saved.files}
        return _gate(arrays) if "format" in arrays else _first_gate(arrays)
    except (OSError, ValueError, KeyError, IndexError, StopIteration, EOFError, BadZipFile) as error:
        raise BundleError(
            f"{path.name} does not hold an input gate that this version can read ({error}). "
            "Fetch the bundle again, or update the project."
        ) from error


def _border_arrays(border: Border) -> dict[str, NDArray]:
    cloud = border.cloud
    return {
        "mean": cloud.mean.astype(np.float32),
        "scale": np.broadcast_to(cloud.scale, cloud.mean.shape).astype(np.float32),
        "directions": cloud.directions.astype(np.float32),
        "variances": cloud.variances,
        "scalars": np.array([cloud.rest, border.limit]),
    }


def _gate(arrays: Mapping[str, Rows]) -> InputGate:
    if arrays["format"][0] != _FORMAT:
        raise ValueError(f"format {arrays['format'][0]:g}")
    accepted, familiar, place, phantoms = (
        {view: _border(arrays, f"{group}_{view}") for view in VIEWS if f"{group}_{view}_mean" in arrays}
        for group in _GROUPS
    )
    if not accepted or not familiar:
        raise KeyError("no view")
    for group, borders in (("place", place), ("phantoms", phantoms)):
        if borders and borders.keys() != accepted.keys():
            raise KeyError(f"other views of the {group}")
    posture = None
    if "posture_weights" in arrays:
        posture = Posture(arrays["posture_weights"], arrays["posture_bias"])
    return InputGate(accepted, familiar, posture, _origin(arrays), place or None, phantoms or None)


def _origin(arrays: Mapping[str, Rows]) -> Origin | None:
    if "origin_bias" not in arrays:
        return None
    view = next(view for view in OF_NETWORK if f"origin_{view}_weights" in arrays)
    return Origin(view, arrays[f"origin_{view}_weights"], float(arrays["origin_bias"][0]))


def _border(arrays: Mapping[str, Rows], name: str) -> Border:
    mean, scale, directions, variances, scalars = (
        arrays[f"{name}_{part}"] for part in ("mean", "scale", "directions", "variances", "scalars")
    )
    return Border(Cloud(mean, directions, variances, float(scalars[0]), scale), float(scalars[1]))


def _first_gate(arrays: Mapping[str, Rows]) -> InputGate:
    """The gate of a bundle up to 0.3.0: one cloud a view; beyond its warning an image is unfamiliar."""
    accepted, familiar = {}, {}
    for view in ("layout", "edges", "features"):
        mean, directions, variances, scalars = (
            arrays[f"{view}_{part}"] for part in ("mean", "directions", "variances", "scalars")
        )
        cloud = Cloud(mean, directions, variances, float(scalars[0]))
        accepted[view], familiar[view] = Border(cloud, float(scalars[1])), Border(cloud, float(scalars[2]))
    return InputGate(accepted, familiar)
