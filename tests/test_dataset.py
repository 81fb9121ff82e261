"""What names and places say of films, the checks before training, and the manifest."""

import csv
from dataclasses import fields
from pathlib import Path

import pytest

from cxr.data.films import (
    DataChecks,
    Film,
    check_films,
    describe,
    find_films,
    join_duplicates,
    read_manifest,
    require_both_classes,
    write_manifest,
)
from cxr.errors import DataError


@pytest.mark.parametrize(
    ("name", "patient", "subtype"),
    [
        ("person1_bacteria_2.jpeg", "person1", "bacterial"),
        ("person1_virus_6.jpeg", "person1", "viral"),  # the same number: in doubt, the same child
        ("person100_virus_184.jpeg", "person100", "viral"),
        ("person0100_virus_184.png", "person100", "viral"),  # zeros in front make no other patient
        ("IM-0115-0001.jpeg", "study115", ""),
        ("IM-0115-0001-0002.jpeg", "study115", ""),
        ("NORMAL2-IM-0115-0001.jpeg", "study115", ""),  # in doubt, the same child
        ("NORMAL2-IM-1427-0001-0001.jpeg", "study1427", ""),
        # Other forms: a patient each
        ("film.jpeg", "film:train/NORMAL/film.jpeg", ""),
        ("person1.jpeg", "film:train/NORMAL/person1.jpeg", ""),
        ("xperson1_virus_2.jpeg", "film:train/NORMAL/xperson1_virus_2.jpeg", ""),
        ("IM-x.jpeg", "film:train/NORMAL/IM-x.jpeg", ""),
    ],
)
def test_names_tell_patient_and_subtype(name: str, patient: str, subtype: str) -> None:
    film = describe(f"train/NORMAL/{name}", "train", "NORMAL")
    assert (film.patient, film.subtype, film.name) == (patient, subtype, name)


def test_one_name_in_two_folders_is_two_patients_where_it_names_none() -> None:
    films = [describe(f"{split}/{label}/0001.png", split, label) for split, label in PLACES]
    assert len({film.patient for film in films}) == len(films)


PLACES = [("train", "NORMAL"), ("train", "PNEUMONIA"), ("test", "NORMAL"), ("test", "PNEUMONIA")]
KAGGLE = [f"{split}/{label}/{label}{n}.jpeg" for split, label in PLACES for n in range(2)]


# --- Layouts


def places(films: list[Film]) -> set[tuple[str, str, str]]:
    return {(film.path, film.split, film.label) for film in films}


@pytest.mark.parametrize("above", ["", "chest_xray/", "chest_xray/chest_xray/"])
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
        "chest_xray/train/.DS_Store",
        "chest_xray/train/NORMAL/.DS_Store",
        "chest_xray/train/NORMAL/Thumbs.db",
        "chest_xray/train/NORMAL/._NORMAL0.jpeg",
    ]
    films, passed_over = find_films(paths)
    assert sorted(film.path for film in films) == sorted(f"chest_xray/{path}" for path in KAGGLE)
    assert not passed_over


def test_what_macos_leaves_behind_is_no_layout_even_where_it_is_nearer_to_the_top() -> None:
    films, _ = find_films(["a/b/train/NORMAL/x.jpeg", "__MACOSX/train/NORMAL/y.jpeg", ".bin/NORMAL/z.jpeg"])
    assert [film.name for film in films] == ["x.jpeg"]


def test_the_bare_layout() -> None:
    films, _ = find_films(["mine/NORMAL/a.png", "mine/PNEUMONIA/b.TIFF", "mine/readme.txt"])
    assert places(films) == {
        ("mine/NORMAL/a.png", "all", "NORMAL"),
        ("mine/PNEUMONIA/b.TIFF", "all", "PNEUMONIA"),
    }


def test_the_layout_nearest_to_the_top_counts() -> None:
    films, _ = find_films(["NORMAL/a.png", "PNEUMONIA/b.png", "old/train/NORMAL/c.png"])
    assert [film.path for film in films] == ["NORMAL/a.png", "PNEUMONIA/b.png"]


def test_split_folders_are_preferred_to_a_bare_layout_inside_them() -> None:
    films, _ = find_films(["test/NORMAL/a.png", "test/PNEUMONIA/b.png"])
    assert {film.split for film in films} == {"test"}


def test_other_folders_and_deeper_files_are_left_out() -> None:
    others = ["train/COVID/x.png", "extra/NORMAL/x.png", "train/NORMAL/deeper/x.png", "train/x.png"]
    films, _ = find_films([*KAGGLE, *others])
    assert sorted(film.path for film in films) == sorted(KAGGLE)


def test_other_files_are_counted_by_suffix() -> None:
    extra = ["a.txt", "b.txt", "c.gif", "README", "d.JPG", "e.webp", "f.tif"]
    films, passed_over = find_films([*KAGGLE, *(f"train/NORMAL/{name}" for name in extra)])
    assert passed_over == {".txt": 2, ".gif": 1, "(no suffix)": 1}
    assert len(films) == len(KAGGLE) + 3


def test_the_order_does_not_depend_on_the_disk() -> None:
    assert find_films(KAGGLE) == find_films(reversed(KAGGLE))


@pytest.mark.parametrize("paths", [[], ["a.png"], ["train/a.png"], ["normal/a.png"], [".NORMAL/a.png"]])
def test_no_layout_is_an_error_that_shows_the_one_expected(paths: list[str]) -> None:
    with pytest.raises(DataError, match="folders train, val, test with NORMAL and PNEUMONIA"):
        find_films(paths)


# --- Duplicates and groups


def film(path: str, patient: str, sha256: str, split: str = "train", label: str = "NORMAL") -> Film:
    return Film(path, split, label, "", patient, sha256)


def test_films_with_identical_bytes_join_their_groups_and_all_that_hangs_on_them() -> None:
    films = [
        film("1", "d", "x"),
        film("2", "c", "x"),  # d = c
        film("3", "c", "y"),
        film("4", "b", "y"),  # c = b, so that d = b as well
        film("5", "b", "z"),
        film("6", "e", "w"),  # alone
        film("7", "d", "v"),  # no duplicate itself, but of the group d
    ]
    joined = join_duplicates(films)
    assert [film.patient for film in joined] == ["b", "b", "b", "b", "b", "e", "b"]
    assert [film.path for film in joined] == [film.path for film in films]
    assert films[0].patient == "d"  # the input is not changed


def test_joining_does_not_depend_on_the_order() -> None:
    films = [film("1", "c", "x"), film("2", "a", "x"), film("3", "a", "y"), film("4", "b", "y")]
    for order in (films, films[::-1], [films[2], films[0], films[3], films[1]]):
        assert {film.patient for film in join_duplicates(order)} == {"a"}


def test_films_without_a_hash_are_no_duplicates() -> None:
    films = [film("1", "a", ""), film("2", "b", "")]
    assert join_duplicates(films) == films


CHECKED = [
    film("train/NORMAL/a", "p1", "1"),
    film("train/NORMAL/b", "p2", "1"),  # = a, in one split
    film("train/PNEUMONIA/c", "p3", "2", label="PNEUMONIA"),
    film("test/PNEUMONIA/d", "p3", "3", "test", "PNEUMONIA"),  # p3 in train and test
    film("test/NORMAL/e", "p4", "4", "test"),
    film("val/NORMAL/f", "p5", "4", "val"),  # = e, in another split
]


def test_the_checks_find_counts_duplicates_and_groups_on_two_sides() -> None:
    assert check_films(CHECKED) == DataChecks(
        counts={
            "train": {"NORMAL": 2, "PNEUMONIA": 1},
            "test": {"NORMAL": 1, "PNEUMONIA": 1},
            "val": {"NORMAL": 1, "PNEUMONIA": 0},
        },
        duplicates_within=[["train/NORMAL/a", "train/NORMAL/b"]],
        duplicates_across=[["test/NORMAL/e", "val/NORMAL/f"]],
        groups_on_two_sides={"p3": ["test", "train"]},
    )


def test_the_findings_in_words() -> None:
    assert check_films(CHECKED).lines() == [
        "     train: 2 NORMAL, 1 PNEUMONIA",
        "      test: 1 NORMAL, 1 PNEUMONIA",
        "       val: 1 NORMAL, 0 PNEUMONIA",
        "exact duplicates within a split: 1\n            train/NORMAL/a = train/NORMAL/b",
        "exact duplicates across splits: 1\n            test/NORMAL/e = val/NORMAL/f",
        "patient groups named in several splits: 1 (p3, ...)",
    ]


def test_the_findings_show_a_few_examples_only() -> None:
    films = [film(f"train/NORMAL/{n}-{twin}", f"p{n}", str(n)) for n in range(9) for twin in "ab"]
    lines = check_films(films).lines(shown=2)
    assert "\n".join(lines).count(" = ") == 2
    assert "exact duplicates within a split: 9" in lines[1]


def test_nothing_found() -> None:
    assert check_films(CHECKED[:1]).lines() == [
        "     train: 1 NORMAL, 0 PNEUMONIA",
        "exact duplicates within a split: 0",
        "exact duplicates across splits: 0",
        "patient groups named in several splits: 0",
    ]


def test_thousands_are_written_with_a_comma() -> None:
    films = [film(str(n), str(n), str(n)) for n in range(1341)]
    assert check_films(films).lines()[0] == "     train: 1,341 NORMAL, 0 PNEUMONIA"


@pytest.mark.parametrize(
    ("labels", "received", "hint"),
    [
        (["NORMAL"], "1 NORMAL and 0 PNEUMONIA", "folder PNEUMONIA"),
        (["PNEUMONIA"] * 2, "0 NORMAL and 2 PNEUMONIA", "folder NORMAL"),
        ([], "0 NORMAL and 0 PNEUMONIA", "folder NORMAL and PNEUMONIA"),
    ],
)
def test_both_classes_are_required(labels: list[str], received: str, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        require_both_classes([film("x", "x", "x", label=label) for label in labels], "train")
    assert "both classes in train" in caught.value.expected
    assert caught.value.received == received
    assert caught.value.hint.endswith(hint)


def test_both_classes_are_enough() -> None:
    require_both_classes(CHECKED, "the data set")


# --- The manifest


def test_the_manifest_round_trips_through_csv(tmp_path: Path) -> None:
    films = [
        describe("train/PNEUMONIA/person1_bacteria_2.jpeg", "train", "PNEUMONIA"),
        film('val/NORMAL/with, comma "quotes" and ñ.png', "study5", "f" * 64, "val"),
    ]
    path = tmp_path / "run" / "manifest.csv"
    write_manifest(path, films)
    with path.open(newline="", encoding="utf-8") as stream:
        assert [Film(**row) for row in csv.DictReader(stream)] == films
    assert read_manifest(path) == films


@pytest.mark.parametrize(
    "content", [None, b"path,split\na,train\n", b"\xff\xfe"], ids=["none", "columns", "bytes"]
)
def test_what_is_no_manifest_is_told(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"a manifest at manifest.csv"):
        read_manifest(path)


def test_the_manifest_has_a_row_a_film_and_the_fields_as_columns(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(path, CHECKED)
    text = path.read_bytes().decode()
    assert text.splitlines()[0].split(",") == [field.name for field in fields(Film)]
    assert text.count("\n") == len(CHECKED) + 1
    assert "\r" not in text


def test_a_film_knows_its_class() -> None:
    assert [film.is_pneumonia for film in CHECKED] == [False, False, True, True, False, False]
