"""What names and places say of films, the checks before training, and the manifest."""

from dataclasses import replace
from pathlib import Path

import pytest

from cxr.data.films import (
    Box,
    DataChecks,
    Film,
    check_films,
    describe,
    join_duplicates,
    read_manifest,
    require_both_classes,
    write_manifest,
)
from cxr.errors import DataError


def test_one_name_in_two_folders_is_two_patients_where_it_names_none() -> None:
    films = [describe(f"{split}/{label}/0001.png", split, label) for split, label in PLACES]
    assert len({film.patient for film in films}) == len(films)


PLACES = [("train", "NORMAL"), ("train", "PNEUMONIA"), ("test", "NORMAL"), ("test", "PNEUMONIA")]


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
    ("labels", "message"),
    [
        (["NORMAL"], "train holds 1 NORMAL and 0 PNEUMONIA films. Add PNEUMONIA films."),
        (["PNEUMONIA"] * 2, "train holds 2 PNEUMONIA and 0 NORMAL films. Add NORMAL films."),
        ([], "No film is left in train"),
    ],
)
def test_both_classes_are_required(labels: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        require_both_classes([film("x", "x", "x", label=label) for label in labels], "train")


def test_both_classes_are_enough() -> None:
    require_both_classes(CHECKED, "the data set")


# --- The manifest


def test_the_manifest_round_trips_through_csv(tmp_path: Path) -> None:
    films = [
        describe("train/PNEUMONIA/person1_bacteria_2.jpeg", "train", "PNEUMONIA"),
        film('val/NORMAL/with, comma "quotes" and ñ.png', "study5", "f" * 64, "val"),
        replace(film("a.dcm", "7", "e" * 64), source="rsna", age="31", sex="F", view="PA", pair="3"),
        replace(
            film("b.dcm", "8", "d" * 64, label="PNEUMONIA"),
            boxes=(Box(264, 152.5, 213, 379), Box(562, 152, 256, 453)),
            size=(1024, 1000),
        ),
    ]
    path = tmp_path / "run" / "manifest.csv"
    write_manifest(path, films)
    assert read_manifest(path) == films


def test_the_manifest_has_a_row_a_film_and_columns_that_some_film_fills(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(path, CHECKED)
    text = path.read_bytes().decode()
    assert text.splitlines()[0] == "path,sha256,patient,label,subtype,source,split"
    assert text.count("\n") == len(CHECKED) + 1
    assert "\r" not in text
    write_manifest(path, [replace(CHECKED[0], sex="M")])
    assert path.read_text().splitlines()[0] == "path,sha256,patient,label,subtype,source,split,sex"


def test_a_manifest_of_an_older_bundle_is_read(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("path,split,label,subtype,patient,sha256\na.png,train,PNEUMONIA,viral,person3,abc\n")
    assert read_manifest(path) == [Film("a.png", "train", "PNEUMONIA", "viral", "person3", "abc")]


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"path,split\na,train\n",
        b"\xff\xfe",
        b"path,split,label,subtype,patient,sha256\na,b\n",
        b"path,split,label,subtype,patient,sha256\na,b,c,d,e,f,g\n",
    ],
    ids=["none", "columns", "bytes", "too few cells", "too many cells"],
)
def test_what_is_no_manifest_is_told(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.csv is missing or is no manifest"):
        read_manifest(path)


def test_a_film_knows_its_class() -> None:
    assert [film.is_pneumonia for film in CHECKED] == [False, False, True, True, False, False]
