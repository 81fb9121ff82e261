"""Validation made from train: by patient group, seeded, stratified by class and pathogen."""

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from cxr.data.films import Film
from cxr.errors import DataError

RULE = (
    "group-wise split of the official train films into {folds} parts, stratified by class and pathogen, "
    "one part held out (scikit-learn StratifiedGroupKFold, shuffled, seed {seed}, part {fold})"
)


def validation_mask(films: Sequence[Film], folds: int, fold: int, seed: int) -> np.ndarray:
    """True, bool (n,), for the films that validate: part `fold` of `folds`; no patient is on both sides.

    Raises DataError where a class has fewer patient groups than parts.
    """
    strata = np.array([film.label + film.subtype for film in films])
    groups = np.array([film.patient for film in films])
    scarce = {name: len(set(groups[strata == name])) for name in map(str, np.unique(strata))}
    if min(scarce.values()) < folds:
        found = ", ".join(f"{count} of {name}" for name, count in scarce.items())
        raise DataError(
            f"The train films have too few patient groups for {folds} folds: {found}. Use more films, or fewer --folds."
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    _, held_out = list(splitter.split(np.zeros(len(films)), strata, groups))[fold]
    mask = np.zeros(len(films), bool)
    mask[held_out] = True
    return mask
