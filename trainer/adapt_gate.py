"""The input gate of a place that a bundle is adapted to: its own films are accepted and are what is familiar.

What the parent accepts is accepted still, as unfamiliar where it is unlike the place's films, and so what is refused is
refused for a true reason. Of a few films only the mean can be known; how films spread about it is then the parent's.
"""

from collections.abc import Mapping

import numpy as np

from cxr.data.loading import LoadedFilms
from cxr.model.backend import Outputs
from cxr.model.input_gate import Border, Cloud, InputGate, rows_of
from cxr.model.predictor import Predictor
from trainer.gating import FREE_DIRECTIONS, QUANTILE, SLACK, GateFilms, fit_cloud, fit_gate, with_copies
from trainer.references import halves

ENOUGH_FOR_A_CLOUD = 200
"""Films from which the place's own spread is fitted."""
_LIMITS = 0.3


def gate_of_place(parent: InputGate, predictor: Predictor, films: LoadedFilms, outputs: Outputs) -> InputGate:
    """The parent's gate, which accepts the place's films, too, and calls them familiar and no others.

    Args:
        parent: Of a network with the same gate features.
        predictor: Gives the network's outputs.
        films: The place's, which are taken to be frontal chest radiographs.
        outputs: The network's for them.
    """
    if len(films.films) < ENOUGH_FOR_A_CLOUD:
        usual = _moved(parent.accepted, films, outputs)
    else:
        usual = _own(parent, predictor, films)
    place = {view: Border(border.cloud, border.limit * SLACK[view]) for view, border in usual.items()}
    return InputGate(parent.accepted, usual, parent.posture, place=place, phantoms=parent.phantoms)


def gate_of_new_features(predictor: Predictor, films: LoadedFilms, seed: int) -> InputGate:
    """A gate from the place's films alone, for a network whose gate features are not the parent's any more."""
    fitted, limits = _parts(films)
    return fit_gate(predictor, GateFilms("the place", fitted.pixels, limits.pixels), seed=seed)


def gate_rule_of_place(films: int, renewed: bool) -> str:
    """In words, for bundle.json, how the gate of a place was set."""
    limits = f"the largest distance that {QUANTILE:.1%} of the place's films stay below"
    if renewed:
        return (
            f"accepted: within {limits} (of patients held out), with slack; fitted to {films:,} films of the place "
            "alone. Familiar: the same without slack"
        )
    spread = "their own" if films >= ENOUGH_FOR_A_CLOUD else "the parent's"
    return (
        f"accepted: what the parent accepts, or within {limits}, with slack ({films:,} films; spread about their mean: "
        f"{spread}). Familiar: within that distance without slack"
    )


def _moved(borders: Mapping[str, Border], films: LoadedFilms, outputs: Outputs) -> dict[str, Border]:
    """The parent's clouds about the mean of the place's films."""
    found = {}
    for view, border in borders.items():
        rows = rows_of(view, films.pixels, outputs)
        old = border.cloud
        cloud = Cloud(rows.mean(axis=0), old.directions, old.variances, old.rest, old.scale)
        # A film is farther from the mean of the others than from one that it took part in.
        others = (len(rows) / (len(rows) - 1)) ** 2
        found[view] = Border(cloud, others * float(np.quantile(cloud.distance(rows), QUANTILE)))
    return found


def _own(parent: InputGate, predictor: Predictor, films: LoadedFilms) -> dict[str, Border]:
    """Clouds of the place's films and a repositioned copy of each; other patients set the limits."""
    fitted, limits = _parts(films)
    pixels = with_copies(fitted.pixels, seed=0)
    seen, held_out = predictor.outputs(pixels), predictor.outputs(limits.pixels)
    found = {}
    for view in parent.accepted:
        cloud = fit_cloud(rows_of(view, pixels, seen), FREE_DIRECTIONS[view], scaled=view == "trunk")
        distances = cloud.distance(rows_of(view, limits.pixels, held_out))
        found[view] = Border(cloud, float(np.quantile(distances, QUANTILE)))
    return found


def _parts(films: LoadedFilms) -> tuple[LoadedFilms, LoadedFilms]:
    """Films to fit a gate to, and films of other patients that set its limits."""
    first, second = halves([film.patient for film in films.films])
    order = [*first, *second]
    chosen = set(order[: max(1, round(len(order) * _LIMITS))])
    limits = np.array([film.patient in chosen for film in films.films])
    return films.take(~limits), films.take(limits)
