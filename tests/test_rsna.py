"""rsna:DIR on small made-up DICOM in the challenge's layout."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from cxr.data.films import Box, read_manifest, write_manifest
from cxr.data.loading import load_films
from cxr.data.rsna import CLASSES_INFO, LABELS, box_mask
from cxr.data.sources import open_data, open_upload
from cxr.errors import DataError, UsageError
from cxr.imaging.preprocess import PreprocessSpec
from tests.dicom_files import dicom_bytes

PATIENTS = [f"{number}004cfab-14fd-4e49-80ba-63a80b6bddd6" for number in range(3)]


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    """One film of each class, the first with two boxes, and one of the challenge's test films."""
    root = tmp_path / "rsna"
    rng = np.random.default_rng(0)
    for folder, names in (("stage_2_train_images", PATIENTS), ("stage_2_test_images", ["unlabelled"])):
        (root / folder).mkdir(parents=True)
        for name in names:
            pixels = rng.integers(0, 255, (100, 200), np.uint8)
            (root / folder / f"{name}.dcm").write_bytes(dicom_bytes(pixels))
    (root / LABELS).write_text(
        "patientId,x,y,width,height,Target\n"
        f"{PATIENTS[0]},20.0,10.0,40.0,30.0,1\n{PATIENTS[0]},120.0,50.0,40.0,30.0,1\n"
        f"{PATIENTS[1]},,,,,0\n{PATIENTS[2]},,,,,0\n"
    )
    (root / CLASSES_INFO).write_text(
        "patientId,class\n"
        f"{PATIENTS[0]},Lung Opacity\n{PATIENTS[0]},Lung Opacity\n"
        f"{PATIENTS[1]},Normal\n{PATIENTS[2]},No Lung Opacity / Not Normal\n"
    )
    return root


def test_classes_patients_and_boxes(challenge: Path) -> None:
    source = open_data(f"rsna:{challenge}")
    assert [(film.label, film.patient, film.split) for film in source.films] == [
        ("PNEUMONIA", f"rsna{PATIENTS[0]}", "all"),
        ("NORMAL", f"rsna{PATIENTS[1]}", "all"),
    ]
    assert source.films[0].boxes == (Box(20, 10, 40, 30), Box(120, 50, 40, 30))
    assert source.identity.passed_over == {
        "with the class No Lung Opacity / Not Normal": 1,
        "without a label": 1,
    }
    others = open_data(f"rsna:{challenge}?others=normal")
    assert [film.label for film in others.films] == ["PNEUMONIA", "NORMAL", "NORMAL"]
    assert "counts as NORMAL" in others.identity.notes[0]


def test_it_is_known_without_its_prefix_as_a_zip_and_in_the_tab(challenge: Path, tmp_path: Path) -> None:
    path = tmp_path / "rsna.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(challenge.rglob("*.*")):
            archive.write(file, f"challenge/{file.relative_to(challenge)}")
    expected = open_data(f"rsna:{challenge}")
    for source in (open_data(str(challenge)), open_data(str(path)), open_upload(path)):
        assert [(film.name, film.label, film.boxes) for film in source.films] == [
            (film.name, film.label, film.boxes) for film in expected.films
        ]
        assert source.identity.passed_over == expected.identity.passed_over
        assert source.read(source.films[0]) == expected.read(expected.films[0])
    with pytest.raises(DataError, match=r"labels\.csv is neither a folder nor a \.zip"):
        open_data(f"rsna:{challenge / LABELS}")


def test_boxes_at_the_models_resolution_and_in_the_manifest(challenge: Path, tmp_path: Path) -> None:
    source = open_data(f"rsna:{challenge}")
    loaded, _ = load_films(source, source.films, PreprocessSpec(size=50, resample="bicubic"), progress=False)
    film = loaded.films[0]
    assert film.size == (200, 100)
    mask = box_mask(film, 50)
    expected = np.zeros((50, 50), bool)
    expected[5:20, 5:15] = expected[25:40, 30:40] = True
    np.testing.assert_array_equal(mask, expected)
    assert not box_mask(loaded.films[1], 50).any()
    write_manifest(tmp_path / "manifest.csv", loaded.films)
    assert read_manifest(tmp_path / "manifest.csv")[0] == film


def test_what_is_missing_or_contradictory_is_one_line(challenge: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not exist\. Write rsna:DIR"):
        open_data(f"rsna:{tmp_path / 'nowhere'}")
    (challenge / CLASSES_INFO).write_text(f"patientId,class\n{PATIENTS[0]},Normal\n")
    with pytest.raises(DataError, match="contradict each other about 0004cfab"):
        open_data(f"rsna:{challenge}")
    (challenge / CLASSES_INFO).unlink()
    with pytest.raises(DataError, match="has no stage_2_detailed_class_info"):
        open_data(f"rsna:{challenge}")
