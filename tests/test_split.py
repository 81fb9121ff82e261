"""Validation made from train: whole patient groups, every kind of film, the seed decides."""

from collections import Counter

import numpy as np
import pytest

from cxr.data.films import describe
from cxr.errors import DataError
from trainer.split import validation_mask


def films(patients: int = 60, each: int = 3):
    return [
        describe(f"train/{label}/{name.format(p=p, n=n)}.jpeg", "train", label)
        for label, name in (("NORMAL", "IM-{p:04d}-{n:04d}"), ("PNEUMONIA", "person{p}_bacteria_{n}"))
        for p in range(patients)
        for n in range(each)
    ] + [describe(f"train/PNEUMONIA/person{p}_virus_1.jpeg", "train", "PNEUMONIA") for p in range(100, 130)]


def test_no_patient_on_both_sides_and_all_kinds_held_out():
    every = films()
    mask = validation_mask(every, folds=8, fold=0, seed=0)
    sides = [
        {f.patient for f, held in zip(every, mask, strict=True) if held is side} for side in (True, False)
    ]
    assert mask.dtype == bool and not sides[0] & sides[1]
    kinds = Counter(f.label + f.subtype for f, held in zip(every, mask, strict=True) if held)
    assert set(kinds) == {"NORMAL", "PNEUMONIAbacterial", "PNEUMONIAviral"}
    assert 0.08 < mask.mean() < 0.18


def test_folds_cover_every_film_once():
    masks = [validation_mask(films(), 8, fold, 0) for fold in range(8)]
    assert (np.sum(masks, axis=0) == 1).all()


def test_seed_decides():
    first = validation_mask(films(), 8, 0, 0)
    np.testing.assert_array_equal(first, validation_mask(films(), 8, 0, 0))
    assert (first != validation_mask(films(), 8, 0, 1)).any()


def test_too_few_patients_is_told():
    with pytest.raises(DataError, match="too few patient groups for 8 folds: 4 of NORMAL"):
        validation_mask(films(patients=4), 8, 0, 0)
