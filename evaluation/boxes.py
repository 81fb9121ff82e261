"""Does the evidence map lie on the opacities that radiologists drew boxes around? Figures under "audit.boxes".

Two questions to each film with boxes, as the class activation maps of the field are judged:

    peak     does the map's highest place lie in a box, give or take half a cell? (Zhang et al. 2018)
    energy   which share of the evidence for pneumonia lies in the boxes? (Wang et al. 2020)

Each is set against chance, a place drawn at random or a map that is the same everywhere, and against a map that
knows the data set but not the film: the mean map of all others. A map that only knows where opacities usually lie
is no better than that one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cxr.data.loading import LoadedFilms
from cxr.data.rsna import box_mask
from cxr.model.predictor import Predictor
from cxr.types import FloatArray
from evaluation.evidence import Mask, energy_inside, evidence_maps, near, points_at
from evaluation.resampling import group_weights


def box_figures(
    predictor: Predictor, films: LoadedFilms, resamples: int = 2000, seed: int = 0
) -> dict[str, Any] | None:
    """How well the model's maps agree with boxes, or None where no film has any.

    Args:
        predictor: the model.
        films: through `predictor.preprocess`, with their original sizes.
        resamples: of the bootstrap over patient groups; 0 leaves the intervals out.
        seed: of the bootstrap.

    Returns:
        n and n_groups; "peak" and "energy", each with the figures of "model", "mean_map" and "chance", a figure
        being {"value", "ci95"}. The mean map is of the other films with boxes, None where there is only one.

    Raises:
        DataError: the original size of a film with boxes is not known.
    """
    boxed = films.take([bool(film.boxes) for film in films.films])
    if not boxed.films:
        return None
    maps, _ = evidence_maps(predictor, boxed.pixels)
    masks = [box_mask(film, predictor.preprocess.size) for film in boxed.films]
    groups = [film.patient for film in boxed.films]
    measured = {"model": _agreement(maps, masks), "mean_map": _agreement(_means_of_others(maps), masks)}
    chance = {
        "peak": np.array([near(mask, maps[0]).mean() for mask in masks]),
        "energy": np.array([mask.mean() for mask in masks]),
    }
    return {
        "n": len(groups),
        "n_groups": len(set(groups)),
        **{
            name: {
                **{whose: _figure(found[name], groups, resamples, seed) for whose, found in measured.items()},
                "chance": _figure(values, groups, resamples, seed),
            }
            for name, values in chance.items()
        },
    }


def _means_of_others(maps: FloatArray) -> FloatArray:
    """For each film the mean map of the other films, (n, height, width); NaN where there are no others."""
    with np.errstate(invalid="ignore"):
        return (maps.sum(axis=0) - maps) / np.float64(len(maps) - 1)


def _agreement(maps: FloatArray, masks: Sequence[Mask]) -> dict[str, FloatArray]:
    """Peak (0 or 1) and energy (0 to 1) of each film; NaN where there is no map, or no evidence for pneumonia."""
    pairs = [(one, mask, np.isfinite(one).all()) for one, mask in zip(maps, masks, strict=True)]
    return {
        "peak": np.array([float(points_at(one, mask)) if known else np.nan for one, mask, known in pairs]),
        "energy": np.array([energy_inside(one, mask) if known else np.nan for one, mask, known in pairs]),
    }


def _figure(values: FloatArray, groups: Sequence[str], resamples: int, seed: int) -> dict[str, Any]:
    """The mean over the films where it is defined, with its interval over patient groups."""
    known = np.isfinite(values)
    if not known.any():
        return {"value": None, "ci95": None}
    drawn_from = [group for group, kept in zip(groups, known, strict=True) if kept]
    # One group resampled is itself again.
    rounds = resamples if len(set(drawn_from)) > 1 else 0
    means = [
        weights @ values[known] / weights.sum(axis=1) for weights in group_weights(drawn_from, rounds, seed)
    ]
    interval = np.percentile(np.concatenate(means), [2.5, 97.5]).tolist() if means else None
    return {"value": float(values[known].mean()), "ci95": interval}
