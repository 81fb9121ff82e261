"""Films of other hospitals: which of their patients the gate may see, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.errors import DataError, UsageError
from cxr.imaging.preprocess import PreprocessSpec
from trainer.config import TrainConfig
from trainer.recipes import QUICK
from trainer.references import films_to_plant, halves, normal_films, open_references
from trainer.resume import settings_of

SPEC = PreprocessSpec(size=64, resample="bilinear")


@pytest.fixture(scope="module")
def reference():
    return open_references(["away=phantom:60"], SPEC)[0]


def test_no_patient_is_in_two_parts_and_none_is_lost(reference):
    parts = [
        {film.patient for film in part.films}
        for part in (reference.fitted, reference.held_out, reference.unseen)
    ]
    assert all(parts)
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert sum(len(part.films) for part in (reference.fitted, reference.held_out, reference.unseen)) == 60


def test_halves_do_not_depend_on_the_order_of_films():
    patients = [f"p{number % 30}" for number in range(90)]
    assert halves(patients) == halves(patients[::-1])
    used, unseen = halves(patients)
    assert (len(used), len(unseen), len({*used, *unseen})) == (15, 15, 30)
    assert halves(patients, seed=1) != halves(patients)


def test_reference_is_called_by_its_name_and_counted(reference):
    assert reference.record() == {
        "source": "away",
        "used_for": "input gate and the band for unfamiliar images",
        "films_fitted": len(reference.fitted.films),
        "films_for_limits": len(reference.held_out.films),
        "films_unseen": len(reference.unseen.films),
        "films_in_pairs": 0,
        "ages": None,
        "ages_known": 0,
        "citation": "",
    }


def test_normal_films_are_of_the_half_that_the_gate_sees(reference):
    found = normal_films([reference])
    expected = sum(
        film.label == "NORMAL" for part in (reference.fitted, reference.held_out) for film in part.films
    )
    assert found is not None and found.dtype == np.uint8
    assert len(found) == expected
    assert normal_films([]) is None


def test_too_few_patients_is_one_clear_error():
    with pytest.raises(DataError, match="16 patients; 20 are needed"):
        open_references(["phantom:20"], SPEC)


def test_two_of_one_name_is_one_clear_error():
    with pytest.raises(UsageError, match="Two --reference are called away"):
        open_references(["away=phantom:24", "away=phantom:30"], SPEC)


def test_a_run_with_references_can_be_resumed():
    """What is kept of a run's settings comes back from JSON as it was, or no such run could go on."""
    config = TrainConfig(out=Path("out"), data=("a", "b"), reference=("elsewhere=c", "d"))
    settings = settings_of(config, QUICK, None)
    assert json.loads(json.dumps(settings)) == settings


def test_opacities_are_planted_in_references_that_are_normal_throughout(reference):
    assert films_to_plant([reference]) is None  # it has both classes: kept to choose on
    parts = {name: getattr(reference, name) for name in ("fitted", "held_out", "unseen")}
    normal = replace(
        reference,
        **{name: part.take([not f.is_pneumonia for f in part.films]) for name, part in parts.items()},
    )
    assert len(films_to_plant([reference, normal])) == len(normal.fitted.films) > 0
    assert "planted opacities" in normal.record(planted=True)["used_for"]
    assert "planted opacities" not in normal.record()["used_for"]
    assert "planted opacities" not in reference.record(planted=True)["used_for"]
