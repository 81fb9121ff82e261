"""Patients and pathogens by the names of files and folders."""

import pytest

from cxr.data.films import describe
from cxr.data.patients import note_of_unknown, patient_by_name, patient_by_pattern
from cxr.errors import UsageError


@pytest.mark.parametrize(
    ("name", "patient", "subtype"),
    [
        ("person1_bacteria_2.jpeg", "person1", "bacterial"),
        ("person1_virus_6.jpeg", "person1", "viral"),  # the same number: in doubt, the same child
        ("person0100_virus_184.png", "person100", "viral"),  # zeros in front make no other patient
        ("IM-0115-0001.jpeg", "study115", ""),
        ("IM-0115-0001-0002.jpeg", "study115", ""),
        ("NORMAL2-IM-0115-0001.jpeg", "study115", ""),  # in doubt, the same child
        # Mendeley's own names: CLASS-patient-image
        ("BACTERIA-198200-0002.jpeg", "patient198200", "bacterial"),
        ("VIRUS-5051946-0002.jpeg", "patient5051946", "viral"),
        ("NORMAL-28501-0001.jpeg", "patient28501", ""),
        ("normal-28501-0002.JPEG", "patient28501", ""),
        # NIH, CheXpert, MIMIC, Shenzhen, Open-i, BIDS, RSNA
        ("00000013_005.png", "nih00000013", ""),
        ("patient64541/study1/view1_frontal.jpg", "patient64541", ""),
        ("p10/p10000032/s50414267/02aa804e-bde0afdd.jpg", "p10000032", ""),
        ("CHNCXR_0327_1.png", "tb327", ""),
        ("CXR1_1_IM-0001-3001.png", "openi1", ""),
        ("1_IM-0001-4001.dcm.png", "openi1", ""),
        ("sub-S03047/ses-E07985/sub-S03047_ses-E07985_run-1_bp-chest_vp-ap_cr.png", "sub-s03047", ""),
        ("0004cfab-14fd-4e49-80ba-63a80b6bddd6.dcm", "rsna0004cfab-14fd-4e49-80ba-63a80b6bddd6", ""),
        ("patient7/a.png", "patient7", ""),
        ("Paciente 12/a.png", "patient12", ""),
        ("patient-003_lateral.png", "patient3", ""),
        ("pat_0007_2.png", "patient7", ""),
        ("PID 31/a.png", "patient31", ""),
        ("JPCLN012.png", "jsrtjpcln012", ""),
        # A second copy is of the same patient
        ("person12_virus_3 (1).jpeg", "person12", "viral"),
        ("BACTERIA-198200-0002 (2).jpeg", "patient198200", "bacterial"),
        ("VIRUS-5051946-0002 - Copy.jpeg", "patient5051946", "viral"),
        ("00000013_005 - copia (3).png", "nih00000013", ""),
        # Other forms name nobody
        ("pattern3.png", "", ""),
        ("ptx12.png", "", ""),
        ("film.jpeg", "", ""),
        ("person1.jpeg", "", ""),
        ("xperson1_virus_2.jpeg", "", ""),
        ("IM-x.jpeg", "", ""),
        ("Normal-2593.jpeg", "", ""),
        ("COVID-19/12.png", "", ""),
        ("20210312_001_a.png", "", ""),
    ],
)
def test_names_tell_patient_and_subtype(name: str, patient: str, subtype: str) -> None:
    path = f"train/NORMAL/{name}"
    film = describe(path, "train", "NORMAL")
    assert patient_by_name(path) == patient
    assert (film.patient, film.subtype) == (patient or f"film:{path}", subtype)
    assert film.has_known_patient == bool(patient)


@pytest.mark.parametrize(
    ("pattern", "path", "patient"),
    [
        (r"P(\d+)_", "train/NORMAL/P0017_2.png", "0017"),
        (r"/(?P<hospital>[AB])-(?P<patient>\d+)", "all/A-12/x.png", "12"),
        (r"^([^/]+)/", "jane/NORMAL/x.png", "jane"),
        (r"P(\d+)?_", "P_1.png", ""),
        (r"P(\d+)_", "x.png", ""),
    ],
)
def test_a_pattern_names_patients(pattern: str, path: str, patient: str) -> None:
    assert patient_by_pattern(pattern)(path) == patient


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "is no regular expression"), (r"\d+", "has no group"), ("(?:a)", "has no group")],
)
def test_a_pattern_that_cannot_work(pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        patient_by_pattern(pattern)


def test_unknown_patients_in_words() -> None:
    assert note_of_unknown(0, 10, True) == ()
    note = note_of_unknown(3, 10, True)[0]
    assert note.startswith("patients are not known for 3 of 10 films")
    assert "--patient-pattern" in note
    assert "both sides of a split" in note
    assert note_of_unknown(10, 10, False)[0].startswith("patients are not known for any film")
    assert "--" not in note_of_unknown(10, 10, False)[0]
