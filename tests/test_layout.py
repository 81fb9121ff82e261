"""Folders that name splits and classes: whose films they are, what is left out, and what is refused."""

from collections import Counter

import pytest

from cxr.data.films import Film
from cxr.data.layout import find_films
from cxr.errors import DataError

PLACES = [("train", "NORMAL"), ("train", "PNEUMONIA"), ("test", "NORMAL"), ("test", "PNEUMONIA")]
KAGGLE = [f"{split}/{label}/{label}{n}.jpeg" for split, label in PLACES for n in range(2)]


def places(films: list[Film]) -> set[tuple[str, str, str]]:
    return {(film.path, film.split, film.label) for film in films}


def counts(paths: list[str]) -> dict[tuple[str, str, str], int]:
    films, passed_over = find_films(paths)
    assert not passed_over
    return Counter((film.split, film.label, film.subtype) for film in films)


@pytest.mark.parametrize("above", ["", "chest_xray/", "chest_xray/chest_xray/", "pneumonia/", "test/normal/"])
def test_the_kaggle_layout_at_any_depth(above: str) -> None:
    films, passed_over = find_films(above + path for path in KAGGLE)
    assert places(films) == {(above + path, path.split("/")[0], path.split("/")[1]) for path in KAGGLE}
    assert not passed_over


def test_kaggles_own_archive() -> None:
    """It holds the films twice, once in a nested folder, and what macOS leaves behind."""
    paths = [
        *(f"chest_xray/{path}" for path in KAGGLE),
        *(f"chest_xray/chest_xray/{path}" for path in KAGGLE),
        *(f"chest_xray/__MACOSX/{path}" for path in KAGGLE),
        *(f"__MACOSX/chest_xray/{path.replace('NORMAL/', 'NORMAL/._')}" for path in KAGGLE),
        "chest_xray/.DS_Store",
        "chest_xray/train/NORMAL/Thumbs.db",
        "chest_xray/train/NORMAL/desktop.ini",
        "chest_xray/train/NORMAL/._NORMAL0.jpeg",
    ]
    films, passed_over = find_films(paths)
    assert [film.path for film in films] == sorted(f"chest_xray/{path}" for path in KAGGLE)
    assert passed_over == {"in a second copy of the data set (chest_xray/chest_xray)": len(KAGGLE)}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Train", "Val", "Test"),
        ("training", "validation", "testing"),
        ("TRAIN", "valid", "test"),
        ("Train", "dev", "TESTING"),
        ("Training_Set", "Validation Set", "test-set"),
        ("entrenamiento", "Validación", "prueba"),
        ("train_images", "val_images", "test_images"),
        ("TrainData", "ValidateData", "TestData"),
        ("01_train", "02_val", "03_test"),
        ("trainset", "development", "eval"),
        ("X-Ray Train", "X-Ray Valid", "X-Ray Hold-out"),
    ],
)
def test_splits_have_common_names(train: str, val: str, test: str) -> None:
    paths = [f"{split}/{label}/{n}.png" for split in (train, val, test) for label in LABELS for n in range(2)]
    assert counts(paths) == {(split, label, ""): 2 for split in ("train", "val", "test") for label in LABELS}


LABELS = ("NORMAL", "PNEUMONIA")


@pytest.mark.parametrize(
    ("normal", "pneumonia"),
    [
        ("Normal", "Pneumonia"),
        ("normal", "pneumonia"),
        ("0", "1"),
        ("Negative", "POSITIVE"),
        ("no_finding", "Pneumonia"),
        ("No Pneumonia", "Pneumonia"),
        ("no", "yes"),
        ("sano", "Neumonía"),
        ("0_normal", "1_pneumonia"),
        ("NoFinding", "PneumoniaCases"),
        ("normal images", "Pneumonia (X-rays)"),
        ("class_0", "class_1"),
    ],
)
def test_classes_have_common_names(normal: str, pneumonia: str) -> None:
    paths = [f"{split}/{name}/a.png" for split in ("train", "test") for name in (normal, pneumonia)]
    assert counts(paths) == {(split, label, ""): 1 for split in ("train", "test") for label in LABELS}


def test_several_names_of_one_class_and_split_are_one() -> None:
    paths = [
        "Train/NORMAL/a.png",
        "train/Normal/b.png",
        "TRAIN/pneumonia/c.png",
        "valid/0/a.png",
        "dev/1/b.png",
    ]
    found = find_films([*paths, "valid/1/x.png", "dev/0/x.png"])[0]
    assert Counter((film.split, film.label) for film in found) == {
        ("train", "NORMAL"): 2,
        ("train", "PNEUMONIA"): 1,
        ("val", "NORMAL"): 2,
        ("val", "PNEUMONIA"): 2,
    }


@pytest.mark.parametrize(
    ("folder", "subtype"),
    [
        ("BACTERIA", "bacterial"),
        ("Virus", "viral"),
        ("Viral Pneumonia", "viral"),
        ("PNEUMONIA/bacterial", "bacterial"),
        ("pneumonia_virus", "viral"),
        ("PNEUMONIA/site2/VIRUS/2019", "viral"),
        ("PNEUMONIA", ""),
    ],
)
def test_pathogens_are_subtypes_of_pneumonia(folder: str, subtype: str) -> None:
    films, passed_over = find_films(["train/NORMAL/a.png", f"train/{folder}/b.png"])
    found = next(film for film in films if film.name == "b.png")
    assert (found.label, found.subtype, found.split) == ("PNEUMONIA", subtype, "train")
    assert not passed_over


def test_folders_below_a_class_belong_to_it() -> None:
    """Also where they are called 0, 1, 2: patients, not classes."""
    paths = [
        f"test/{label}/{patient}/{n}.png" for label in LABELS for patient in ("0", "1", "2") for n in "ab"
    ]
    assert counts(paths) == {("test", label, ""): 6 for label in LABELS}
    paths = [f"test/{label}/{patient}/x.png" for label in LABELS for patient in ("0", "1")]
    assert counts(paths) == {("test", label, ""): 2 for label in LABELS}


def test_splits_may_lie_below_the_classes_or_far_above_them() -> None:
    below = [f"{label}/{split}/{n}.png" for label in LABELS for split in ("Train", "test") for n in "ab"]
    above = [
        f"{split}/site1/2020/{label}/{n}.png" for label in LABELS for split in ("Train", "test") for n in "ab"
    ]
    for paths in (below, above):
        assert counts(paths) == {(split, label, ""): 2 for split in ("train", "test") for label in LABELS}


def test_a_split_is_never_taken_for_the_whole() -> None:
    """Whatever the first folder in the alphabet is."""
    films, _ = find_films(
        [f"{split}/{label}/x.png" for split in ("Train", "Test", "Val") for label in LABELS]
    )
    assert Counter(film.split for film in films) == {"train": 2, "test": 2, "val": 2}


def test_the_bare_layout() -> None:
    films, passed_over = find_films(["mine/NORMAL/a.png", "mine/PNEUMONIA/b.TIFF", "mine/readme.txt"])
    assert places(films) == {
        ("mine/NORMAL/a.png", "all", "NORMAL"),
        ("mine/PNEUMONIA/b.TIFF", "all", "PNEUMONIA"),
    }
    assert passed_over == {".txt": 1}


def test_the_layout_nearest_to_the_top_counts() -> None:
    films, passed_over = find_films(["NORMAL/a.png", "PNEUMONIA/b.png", "old/train/NORMAL/c.png"])
    assert [film.path for film in films] == ["NORMAL/a.png", "PNEUMONIA/b.png"]
    assert passed_over == {"in a data set inside (old)": 1}


@pytest.mark.parametrize(
    ("tops", "message"),
    [
        (
            ("chest_xray", "chest_xray (1)"),
            "2 data sets lie side by side: chest_xray, chest_xray .1.. Choose one",
        ),
        (("a", "b/c"), "2 data sets lie side by side: a, b/c"),
        (tuple("abcdefg"), "7 data sets lie side by side: a, b, c, d, e and 2 more"),
    ],
)
def test_data_sets_side_by_side_are_refused_by_name(tops: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_films(f"{top}/{path}" for top in tops for path in KAGGLE)


def test_a_folder_of_both_classes_is_refused() -> None:
    with pytest.raises(DataError, match="PNEUMONIA/negative names two classes"):
        find_films([*KAGGLE, "test/PNEUMONIA/negative/x.png"])


def test_what_is_left_out_is_counted_by_its_place() -> None:
    others = [
        "train/COVID/x.png",
        "train/COVID/y.png",
        "extra/NORMAL/x.png",
        "train/x.png",
        "x.png",
        "PNEUMONIA/x.png",
        ".trash/train/NORMAL/x.png",
        "notes.pdf",
    ]
    films, passed_over = find_films([*KAGGLE, *others])
    assert sorted(film.path for film in films) == sorted(KAGGLE)
    assert passed_over == {
        "in no class folder (train/COVID)": 2,
        "in a data set inside (extra)": 1,
        "in no class folder (train)": 1,
        "in no class folder (the top folder)": 1,
        "beside the folders of splits (PNEUMONIA)": 1,
        "hidden": 1,
        ".pdf": 1,
    }


def test_masks_beside_the_films_of_a_class_are_no_films() -> None:
    """As in the COVID-19 Radiography Database, where each class has a folder images and a folder masks."""
    paths = [f"{name}/{part}/a.png" for name in ("Normal", "Viral Pneumonia") for part in ("images", "masks")]
    films, passed_over = find_films([*paths, "COVID/images/a.png", "COVID/masks/a.png"])
    assert [film.path for film in films] == ["Normal/images/a.png", "Viral Pneumonia/images/a.png"]
    assert passed_over == {
        "masks, not films (Normal/masks)": 1,
        "masks, not films (Viral Pneumonia/masks)": 1,
        "masks, not films (COVID/masks)": 1,
        "in no class folder (COVID/images)": 1,
    }


def test_other_files_are_counted_by_suffix() -> None:
    extra = ["a.txt", "b.txt", "c.gif", "README", "d.JPG", "e.webp", "f.tif"]
    films, passed_over = find_films([*KAGGLE, *(f"train/NORMAL/{name}" for name in extra)])
    assert passed_over == {".txt": 2, ".gif": 1, "(no suffix)": 1}
    assert len(films) == len(KAGGLE) + 3


def test_the_order_does_not_depend_on_the_disk() -> None:
    assert find_films(KAGGLE) == find_films(reversed(KAGGLE))


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ([], "no file"),
        (["a.png"], "1 files in no folder"),
        (["train/a.png", "COVID/b.png", "c.png"], "the folders COVID, train and 1 files in no folder"),
        (["1/a.png", "2/b.png"], "the folders 1, 2"),
        ([".NORMAL/a.png"], "no file"),
        (["NORMAL/readme.txt"], "the folders NORMAL"),
    ],
)
def test_no_layout_is_an_error_that_says_what_is_there(paths: list[str], found: str) -> None:
    with pytest.raises(
        DataError, match=f"the data set holds {found}. Put radiographs into folders NORMAL and PNEU"
    ):
        find_films(paths)
