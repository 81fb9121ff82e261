"""Fits the input gate (cxr.model.input_gate): what is a frontal chest radiograph, and of which kind.

Films of several hospitals say what is accepted: the training films, and `references`, films of other hospitals that
are used for the gate alone. The films of the data set on which the model is measured say what is familiar. No image
that is not a chest film takes part: what is unlike chest films is refused, whatever it is. Turned, inverted and
cropped copies of the same films teach what is not upright. Phantoms, which are no films, are a group apart, and only of
a bundle that shows them in place of films: the films' limits do not change by them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression

from cxr.imaging.decode import decode
from cxr.imaging.preprocess import PreprocessSpec, to_model_pixels
from cxr.model.backend import Outputs
from cxr.model.input_gate import (
    OF_PIXELS,
    POSTURES,
    Border,
    Cloud,
    InputGate,
    Origin,
    Posture,
    Rows,
    rows_of,
)
from cxr.model.predictor import Predictor
from cxr.phantom import phantom_jpeg, phantom_split
from cxr.types import ModelPixels
from trainer.perturb import perturb
from trainer.recipes import Augmentation

FREE_DIRECTIONS = {"layout": 60, "edges": 40, "trunk": 64, "features": 60}
QUANTILE, SLACK = 0.995, {"layout": 1.25, "edges": 1.25, "trunk": 1.25, "features": 1.5}
"""A limit is the largest over the hospitals of the distance that this share of a hospital's held-out films stays
below, times the slack of its view."""
MOST_FITTED = 2000
"""Of one hospital's films, how many the gate is fitted to at most: enough for 64 directions, and soon seen."""
POSTURE_FILMS = 800
"""How many films, as many of each group, are turned, inverted and cropped."""
ORIGIN_C = 0.01
"""Inverse strength of the penalty of what tells home from other hospitals; from 1e-4 to 0.1 it hardly matters."""
_PHANTOMS = 900
_ANOTHER_POSITION = Augmentation(rotation=7, zoom=0.1, stretch=0.1, shift=0.04, gamma=0.35)
"""What may differ between two takes of one child: the gate has to let it pass."""


@dataclass(frozen=True, eq=False)
class GateFilms:
    """Films of one hospital, uint8 (n, size, size): those that the gate is fitted to, and those that set limits.

    No patient may be in both.
    """

    source: str
    fitted: ModelPixels
    held_out: ModelPixels


@dataclass(frozen=True, eq=False)
class _Seen:
    """One hospital's films with the network's outputs for them."""

    pixels: ModelPixels
    outputs: Outputs


def phantoms_for_gate(spec: PreprocessSpec) -> GateFilms:
    """Phantoms of patients that no other set of phantoms has, as a network with this preprocessing sees them."""
    parts: dict[bool, list[ModelPixels]] = {True: [], False: []}
    for record in phantom_split(_PHANTOMS, seed=1):
        parts[record.split == "train"].append(to_model_pixels(decode(phantom_jpeg(record)), spec))
    return GateFilms("phantoms", np.stack(parts[True]), np.stack(parts[False]))


def gate_rule(references: Sequence[GateFilms], views: Iterable[str], with_phantoms: bool = False) -> str:
    """In words, for bundle.json, how the limits of a gate with these views were set."""
    elsewhere = "".join(f", {films.source} ({len(films.fitted):,} films)" for films in references)
    slacks = ", ".join(f"{SLACK[view]} for {view}" for view in views)
    origin = (
        f", and to a logistic regression at least as much like them as {QUANTILE:.1%} of the validation films and "
        "more like them than like the other hospitals"
    )
    drawn = "; or so within the distance from synthetic phantoms, a group apart" if with_phantoms else ""
    return (
        f"accepted: within the largest distance that {QUANTILE:.1%} of a hospital's held-out films stay below, times "
        f"{slacks}; hospitals: the training data{elsewhere}{drawn}. Familiar: within the distance from the training "
        f"films alone that {QUANTILE:.1%} of the validation films stay below{origin if references else ''}"
    )


def fit_gate(
    predictor: Predictor,
    home: GateFilms,
    references: Sequence[GateFilms] = (),
    seed: int = 0,
    phantoms: GateFilms | None = None,
) -> InputGate:
    """The gate of a network.

    Args:
        predictor: Gives the network's outputs.
        home: The training films, and the validation films.
        references: Films of other hospitals, which the gate is to accept but not to call familiar.
        seed: Of the repositioned, turned and cropped copies.
        phantoms: Synthetic radiographs that are to be accepted, too; None for none.

    Returns:
        A gate whose clouds are fitted to the fitted films and a repositioned copy of each; every hospital weighs as
        much as all others do where there are references.
    """
    hospitals = [_at_most(films, MOST_FITTED, seed) for films in (home, *references)]
    fitted = [_seen(predictor, with_copies(films.fitted, seed)) for films in hospitals]
    held_out = [_seen(predictor, films.held_out) for films in hospitals]
    network_view = "features" if fitted[0].outputs.trunk is None else "trunk"
    weights = _weights(len(films.pixels) for films in fitted)
    accepted = {view: _accepted(view, fitted, held_out, weights) for view in (*OF_PIXELS, network_view)}
    # Without references nothing tells another hospital but being at the edge of this one, in any view.
    familiar_views = [network_view] if references else list(accepted)
    familiar = {view: _familiar(view, fitted[0], held_out[0]) for view in familiar_views}
    origin = _origin(network_view, fitted, held_out[0]) if references else None
    drawn = None
    if phantoms is not None:
        seen = _seen(predictor, with_copies(phantoms.fitted, seed))
        limits = _seen(predictor, phantoms.held_out)
        drawn = {view: _accepted(view, [seen], [limits], _weights([len(seen.pixels)])) for view in accepted}
        hospitals, fitted = [*hospitals, phantoms], [*fitted, seen]
    posture = _posture(predictor, hospitals, fitted, seed) if network_view == "trunk" else None
    return InputGate(accepted, familiar, posture, origin, phantoms=drawn)


def fit_cloud(rows: Rows, directions: int, weights: Rows | None = None, scaled: bool = False) -> Cloud:
    """Probabilistic principal components of rows (n, d); fewer directions where rows are few.

    Args:
        rows: What the cloud is of.
        directions: How many are free.
        weights: (n,) of the rows, which all weigh the same without it.
        scaled: Whether each number is divided by its standard deviation first.
    """
    share = np.full(len(rows), 1 / len(rows)) if weights is None else weights / weights.sum()
    mean = share @ rows
    scale = np.sqrt(share @ (rows - mean) ** 2) + 1e-6 if scaled else np.ones(rows.shape[1])
    centred = (rows - mean) / scale
    variances, axes = np.linalg.eigh((centred * share[:, None]).T @ centred)
    variances, axes = np.maximum(variances[::-1], 0), axes[:, ::-1].T
    kept = min(directions, len(rows) // 4, rows.shape[1] - 1)
    rest = float(variances[kept:].mean())
    # A direction in which no training film varies must not make every other film infinitely far.
    floor = max(rest, 1e-6 * float(variances.sum()), 1e-12)
    return Cloud(mean, axes[:kept], np.maximum(variances[:kept], floor), floor, scale)


def _at_most(films: GateFilms, most: int, seed: int) -> GateFilms:
    chosen = np.random.default_rng(seed).permutation(len(films.fitted))[:most]
    return replace(films, fitted=films.fitted[chosen])


def with_copies(films: ModelPixels, seed: int) -> ModelPixels:
    """Films uint8 (n, size, size), and after them a repositioned copy of each."""
    return np.concatenate([films, perturb(films, _ANOTHER_POSITION, seed)])


def _seen(predictor: Predictor, pixels: ModelPixels) -> _Seen:
    return _Seen(pixels, predictor.outputs(pixels))


def _weights(counts: Iterable[int]) -> list[float]:
    """What one film of each hospital weighs: the home half of all, the references the other half by their films."""
    home, *others = counts
    return [1 / home, *(1 / sum(others) for _ in others)]


def _accepted(
    view: str, fitted: Sequence[_Seen], held_out: Sequence[_Seen], weights: Sequence[float]
) -> Border:
    rows = np.concatenate([rows_of(view, films.pixels, films.outputs) for films in fitted])
    share = np.concatenate([np.full(len(f.pixels), w) for f, w in zip(fitted, weights, strict=True)])
    cloud = fit_cloud(rows, FREE_DIRECTIONS[view], share, scaled=view == "trunk")
    return Border(cloud, max(_usual(cloud, view, films) for films in held_out) * SLACK[view])


def _familiar(view: str, fitted: _Seen, held_out: _Seen) -> Border:
    rows = rows_of(view, fitted.pixels, fitted.outputs)
    cloud = fit_cloud(rows, FREE_DIRECTIONS[view], scaled=view == "trunk")
    return Border(cloud, _usual(cloud, view, held_out))


def _usual(cloud: Cloud, view: str, films: _Seen) -> float:
    return float(np.quantile(cloud.distance(rows_of(view, films.pixels, films.outputs)), QUANTILE))


def _origin(view: str, fitted: Sequence[_Seen], held_out: _Seen) -> Origin:
    """Home, the first of `fitted`, against all others. held_out: films of home, which settle the limit.

    A distance alone calls a fifth of the adults' films of two other hospitals familiar: they lie within the spread of
    the films of home, in a part of it where those are rare.
    """
    joined = np.concatenate([rows_of(view, films.pixels, films.outputs) for films in fitted])
    home = np.arange(len(joined)) < len(fitted[0].pixels)
    mean, scale = joined.mean(axis=0), joined.std(axis=0) + 1e-6
    model = LogisticRegression(C=ORIGIN_C, max_iter=500, class_weight="balanced")
    model.fit((joined - mean) / scale, home)
    weights = model.coef_[0] / scale
    bias = float(model.intercept_[0] - weights @ mean)
    known = rows_of(view, held_out.pixels, held_out.outputs) @ weights + bias
    return Origin(view, weights, bias - max(0.0, float(np.quantile(known, 1 - QUANTILE))))


def _posture(
    predictor: Predictor, hospitals: Sequence[GateFilms], fitted: Sequence[_Seen], seed: int
) -> Posture:
    """A classifier of POSTURES on standardised trunk features, whose weights take the raw ones."""
    rng = np.random.default_rng(seed)
    each = POSTURE_FILMS // len(hospitals)
    chosen = np.concatenate([f.fitted[rng.permutation(len(f.fitted))[:each]] for f in hospitals])
    rows = [np.concatenate([rows_of("trunk", films.pixels, films.outputs) for films in fitted])]
    labels = [np.zeros(len(rows[0]), np.int64)]
    for name, change in _CHANGES:
        changed = _seen(predictor, np.stack([change(film, rng) for film in chosen]))
        rows.append(rows_of("trunk", changed.pixels, changed.outputs))
        labels.append(np.full(len(chosen), POSTURES.index(name)))
    joined = np.concatenate(rows)
    mean, scale = joined.mean(axis=0), joined.std(axis=0) + 1e-6
    model = LogisticRegression(C=0.1, max_iter=500, class_weight="balanced")
    model.fit((joined - mean) / scale, np.concatenate(labels))
    return Posture(model.coef_ / scale, model.intercept_ - model.coef_ @ (mean / scale))


def _turned(film: ModelPixels, rng: np.random.Generator, turns: Sequence[int]) -> ModelPixels:
    return np.ascontiguousarray(np.rot90(film, rng.choice(turns)))


def _inverted(film: ModelPixels, rng: np.random.Generator) -> ModelPixels:
    return 255 - np.ascontiguousarray(np.rot90(film, rng.choice((0, 0, 1, 2, 3))))


def _part(film: ModelPixels, rng: np.random.Generator) -> ModelPixels:
    """A square of 30% to 55% of the side, anywhere in the film, at the film's size."""
    size = len(film)
    side = int(size * rng.uniform(0.3, 0.55))
    top, left = rng.integers(0, size - side + 1, 2)
    cut = Image.fromarray(film[top : top + side, left : left + side])
    return np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR))


_CHANGES = (
    ("rotated", partial(_turned, turns=(1, 3))),
    ("rotated", partial(_turned, turns=(2,))),
    ("rotated", lambda film, rng: np.ascontiguousarray(film[::-1])),
    ("inverted", _inverted),
    ("part", _part),
)
