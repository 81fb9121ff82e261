"""Data as people have it, through the commands: what is found, what is said, and what is refused in one line.

Each group stands for a kind of input that went wrong in public reports; `tests.test_archive_doors` has the archives,
`tests.test_hub_data` the Hub, `tests.test_hub_foreign` the .h5 files, `tests.test_score` what --out must not touch.
"""

import csv
import html
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.data.films import read_manifest, write_manifest
from cxr.data.sources import open_data
from cxr.errors import DataError
from cxr.serving.slot import Served
from evaluation import score as scoring
from evaluation.config import ScoreConfig
from evaluation.own_data import check_own_data
from evaluation.score import score
from tests.dicom_files import dicom_bytes
from tests.film_sets import ILL, NORMAL, evaluate, film, of_classes, write, zip_of
from tests.test_evaluation_run import brightness_predictor
from trainer.config import TrainConfig
from trainer.prepared import Prepared
from trainer.run import prepare, resolve_recipe

LABELS = ("NORMAL", "PNEUMONIA")
LATIN_1 = os.fsdecode(b"ni\xf1o.png")


@pytest.fixture
def metrics_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs python -m evaluation run on DATA, which must succeed, and gives its metrics.json."""

    def run(*words: object) -> dict[str, Any]:
        out = tmp_path / "results"
        assert evaluate(monkeypatch, "--no-audit", *words, "--out", out) == 0
        return dict(json.loads((out / "metrics.json").read_text(encoding="utf-8")))

    return run


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs python -m evaluation score on files and gives the names that it answered for."""

    def run(files: Path) -> list[str]:
        monkeypatch.setattr(scoring, "open_model", lambda _: Served(brightness_predictor()))
        out = tmp_path / "answers.csv"
        score(ScoreConfig("brightness", str(files), out))
        with out.open(encoding="utf-8-sig", newline="") as stream:
            return [os.path.relpath(row["file"], files) for row in csv.DictReader(stream) if not row["error"]]

    return run


def prepared(data: Path, **changes: Any) -> Prepared:
    """What python -m trainer train knows before it fits."""
    config = TrainConfig(out=data.with_name("bundle"), recipe="quick", folds=2, **changes)
    return prepare(open_data(str(data), config.patient_pattern), config, resolve_recipe(config))


def tree(*splits: str, each: int = 2) -> dict[str, bytes]:
    """Films of both classes in every split, no two of them alike."""
    places = [f"{split}/{label}" for split in splits for label in LABELS]
    return {
        name: content
        for at, place in enumerate(places)
        for name, content in of_classes(place, each=each, first=50 * at).items()
    }


# --- Names that are no text


def test_a_latin_1_name_goes_through_evaluation_scoring_and_manifest(
    tmp_path: Path, metrics_of: Any, scored: Any
) -> None:
    data = write(tmp_path / "data", tree("train", "test"))
    for split in ("train", "test"):
        (data / split / "NORMAL" / LATIN_1).write_bytes(film(NORMAL, 900 + len(split)))
    assert metrics_of("--data", data)["n"] == 5
    predictions = (tmp_path / "results" / "predictions.csv").read_text(encoding="utf-8-sig")
    assert "test/NORMAL/ni\\xf1o.png" in predictions
    assert "test/NORMAL/ni\\xf1o.png" in scored(data)

    found = prepared(data)
    films = [*found.train.films, *found.validation.films]
    write_manifest(tmp_path / "manifest.csv", films)
    written = [(one.path, one.sha256, one.patient) for one in read_manifest(tmp_path / "manifest.csv")]
    assert written == [(one.path, one.sha256, one.patient) for one in films]
    assert "train/NORMAL/ni\\xf1o.png" in {film.path for film in films}


def test_a_table_names_a_latin_1_file_in_its_own_encoding(tmp_path: Path, metrics_of: Any) -> None:
    data = write(tmp_path / "data", {"b.png": film(ILL)})
    (data / LATIN_1).write_bytes(film(NORMAL))
    (data / "films.csv").write_bytes("file;label\nniño.png;normal\nb.png;pneumonia\n".encode("cp1252"))
    assert metrics_of("--data", data / "films.csv")["n"] == 2


# --- Patients


@pytest.mark.parametrize(
    ("form", "subtypes"),
    [
        ("{kind}-{patient}-{number:04d}.jpeg", ["bacterial", "viral"]),  # Mendeley's own
        ("person{patient}_{kind}_{number}.jpeg", ["bacterial", "viral"]),
        ("{patient:08d}_{number:03d}.png", []),
        ("patient{patient}/study{number}/view1_frontal.png", []),
        ("sub-{patient}_run-{number}_cr.png", []),
        ("person{patient}_{kind}_7 ({number}).jpeg", ["bacterial", "viral"]),
    ],
)
def test_films_of_one_patient_are_in_one_part(
    form: str, subtypes: list[str], tmp_path: Path, metrics_of: Any
) -> None:
    """20 patients of two films each, in train as in test."""
    files, owner = {}, {}
    for split, first in (("train", 100), ("test", 500)):
        for at in range(20):
            label, kind = ("NORMAL", "virus") if at % 2 else ("PNEUMONIA", "bacteria" if at % 4 else "virus")
            if label == "NORMAL" and "{kind}" in form:
                kind = "NORMAL" if form.startswith("{kind}") else kind
            for number in (1, 2):
                name = form.format(
                    kind=kind.upper() if form.startswith("{kind}") else kind,
                    patient=first + at,
                    number=number,
                )
                path = f"{split}/{label}/{name}"
                files[path] = film(ILL if label == "PNEUMONIA" else NORMAL, first + 2 * at + number)
                owner[path] = first + at
    data = write(tmp_path / "data", files)
    found = prepared(data)
    sides = defaultdict(set)
    for part, films in (("train", found.train.films), ("validation", found.validation.films)):
        for one in films:
            sides[owner[one.path]].add(part)
    assert len(sides) == 20
    assert all(len(parts) == 1 for parts in sides.values())
    assert not any("patients are not known" in note for note in found.notes)
    measured = metrics_of("--data", data)
    assert (measured["n"], measured["n_groups"]) == (40, 20)
    assert sorted(set(measured["subgroups"]) & {"bacterial", "viral"}) == subtypes


def test_unknown_patients_are_said_and_can_be_named(
    tmp_path: Path, metrics_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        f"{split}/{label}/{split}{who}_{view}.png": film(
            NORMAL if label == "NORMAL" else ILL, 100 * len(split) + 10 * at + who
        )
        for split in ("train", "test")
        for label in LABELS
        for who in range(4)
        for at, view in enumerate("ab")
    }
    data = write(tmp_path / "data", files)
    assert any(line.startswith("patients are not known for any film") for line in prepared(data).lines())
    assert metrics_of("--data", data)["n_groups"] == 16
    assert "patients are not known for any film" in capsys.readouterr().out
    pattern = r"(?P<patient>[a-z]+\d)_[ab]\.png"
    known = prepared(data, patient_pattern=pattern)
    assert len({one.patient for one in [*known.train.films, *known.validation.films]}) == 4
    assert not any("not known" in line for line in known.lines())


# --- Links


def test_linked_folders_are_read_once(tmp_path: Path, metrics_of: Any, scored: Any) -> None:
    store = write(tmp_path / "store", tree("train", "test"))
    linked = tmp_path / "linked"
    for split in ("train", "test"):
        (linked / split).mkdir(parents=True)
        for label in LABELS:
            (linked / split / label).symlink_to(store / split / label, target_is_directory=True)
    (linked / "test" / "NORMAL again").symlink_to(store / "test" / "NORMAL", target_is_directory=True)
    (linked / "train" / "round").symlink_to(linked, target_is_directory=True)
    assert len(scored(linked)) == 8
    found = metrics_of("--data", linked)
    assert found["n"] == 4
    assert found["data"]["passed_over"] == {
        "link to a folder that is read already (test/NORMAL again)": 1,
        "link to a folder that is read already (train/round)": 1,
    }


def test_a_split_that_is_a_link_is_no_other_data_set(tmp_path: Path, metrics_of: Any) -> None:
    half = write(tmp_path / "half", tree("train"))
    store = write(tmp_path / "store", tree("test", each=3))
    (half / "test").symlink_to(store / "test", target_is_directory=True)
    found = metrics_of("--data", half)
    assert (found["data"]["split"], found["n"]) == ("test", 6)


# --- Names of files that say nothing


def test_run_and_score_know_the_same_films_whatever_their_names(
    tmp_path: Path, metrics_of: Any, scored: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    dicom = dicom_bytes(np.frombuffer(film(NORMAL)[-1600:].ljust(1600, b"z"), np.uint8).reshape(40, 40))
    names = {
        "1.2.826.0.1.3680043.8.498.1234": dicom,
        "1.2.826.0.1.3680043.8.498.77.5": dicom,
        "IM000001": dicom,
        "A.DCM": dicom,
        "scan.ima": dicom,
        "photo.jfif": film(NORMAL, 1, "JPEG"),
        "photo.pjpeg": film(NORMAL, 2, "JPEG"),
        "b.PNG": film(NORMAL, 3),
        "c.TIFF": film(NORMAL, 4, "TIFF"),
        "d.webp": film(NORMAL, 5, "WEBP"),
    }
    others = {"README": b"Read me", "notes.txt": b"x", "x.gif": film(NORMAL, 6, "GIF"), "DICOMDIR.bak": dicom}
    bare = {f"{label}/{name}": content for label in LABELS for name, content in (names | others).items()}
    data = write(tmp_path / "labelled", bare)
    assert sorted(name.partition("/")[2] for name in scored(data)) == sorted([*names] * 2)
    printed = capsys.readouterr().out
    assert "left out (8 files)" in printed
    found = metrics_of("--data", data)
    assert found["n"] == 2 * len(names)
    assert found["data"]["passed_over"] == {"(no suffix)": 2, ".txt": 2, ".gif": 2, ".bak": 2}
    assert "left out (8 files)" in capsys.readouterr().out


# --- Folders of other names


@pytest.mark.parametrize(
    ("splits", "normal", "ill"),
    [
        (("Train", "Test", "Val"), "NORMAL", "PNEUMONIA"),
        (("training", "testing", "validation"), "NORMAL", "PNEUMONIA"),
        (("train", "test", "valid"), "Normal", "Pneumonia"),
        (("TRAIN_SET", "TEST_SET", "DEV_SET"), "normal", "pneumonia"),
        (("train_data", "test_data", "val_data"), "0", "1"),
        (("X-ray/train", "X-ray/eval", "X-ray/dev"), "Negative", "Positive"),
    ],
)
def test_other_names_of_splits_and_classes(
    splits: tuple[str, str, str], normal: str, ill: str, tmp_path: Path, metrics_of: Any
) -> None:
    """The trainer learns from train, and the test split is what is measured, whatever comes first in the alphabet."""
    files = {}
    for at, (split, each) in enumerate(zip(splits, (6, 3, 2), strict=True)):
        for label, level in ((normal, NORMAL), (ill, ILL)):
            files |= {
                f"{split}/{label}/{split[0]}{number}.png": film(level, 20 * at + number)
                for number in range(each)
            }
    data = write(tmp_path / "data", files)
    found = prepared(data)
    assert {split: sum(each.values()) for split, each in found.checks.counts.items()} == {
        "train": 12,
        "test": 6,
        "val": 4,
    }
    assert len(found.train.films) + len(found.validation.films) == 12
    assert metrics_of("--data", data)["n"] == 6


def test_what_is_left_out_is_named_on_the_terminal_and_in_the_metrics(
    tmp_path: Path, metrics_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    files = tree("train", "test") | {
        "test/COVID/x.png": film(ILL, 901),
        "test/y.png": film(ILL, 902),
        "test/NORMAL/masks/z.png": film(ILL, 903),
        "old/test/NORMAL/w.png": film(NORMAL, 904),
        "test/NORMAL/notes.docx": b"x",
    }
    data = write(tmp_path / "data", files)
    expected = {
        "in no class folder (test/COVID)": 1,
        "in no class folder (test)": 1,
        "masks, not films (test/NORMAL/masks)": 1,
        "in a data set inside (old)": 1,
        ".docx": 1,
    }
    found = metrics_of("--data", data)
    assert (found["n"], found["data"]["passed_over"]) == (4, expected)
    printed = capsys.readouterr().out
    assert "left out (5 files)" in printed
    assert all(f"1 {kind}" in printed for kind in expected)
    assert any("left out (5 files)" in line for line in prepared(data).lines())


def test_two_data_sets_side_by_side_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data", tree("hospital A/test", "hospital B/test"))
    assert evaluate(monkeypatch, "--data", data, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: 2 data sets lie side by side: hospital A, hospital B. Choose one")
    assert said.count("\n") == 1


# --- Nothing is left

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


def test_a_train_split_of_test_films_only_is_one_line(tmp_path: Path) -> None:
    same = {name.replace("train", "test"): content for name, content in tree("train").items()}
    data = write(tmp_path / "data", tree("train") | same)
    with pytest.raises(DataError, match=r"^No film is left in train \(without 4 films that test holds too\)"):
        prepared(data)


def test_a_train_split_of_one_class_but_for_test_films_is_one_line(tmp_path: Path) -> None:
    same = {
        name.replace("train", "test"): content for name, content in tree("train").items() if "NORMAL" in name
    }
    data = write(tmp_path / "data", tree("train") | same | of_classes("test/PNEUMONIA", first=700))
    with pytest.raises(DataError, match="holds 2 PNEUMONIA and 0 NORMAL films"):
        prepared(data)


def test_a_train_split_of_pointers_is_one_line(tmp_path: Path) -> None:
    data = write(tmp_path / "data", dict.fromkeys(tree("train"), POINTER) | tree("test"))
    with pytest.raises(DataError, match=r"(?s)4 of 8 films cannot be read.*Git LFS pointer.*git lfs pull"):
        prepared(data)
    with pytest.raises(DataError, match=r"^No film is left in train \(without 4 unreadable films\)"):
        prepared(data, skip_unreadable=True)


def test_a_test_split_of_pointers_is_told_before_and_not_after_the_training(tmp_path: Path) -> None:
    data = write(tmp_path / "data", dict.fromkeys(tree("test"), POINTER) | tree("train"))
    with pytest.raises(
        DataError, match=r"^No film of the split test can be read.*LFS pointer.*by --no-test\.$"
    ):
        prepared(data, skip_unreadable=True)
    found = prepared(data, skip_unreadable=True, test=False)
    assert len(found.train.films) + len(found.validation.films) == 4


def test_an_evaluation_of_pointers_is_one_line_and_the_audit_does_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "data", dict.fromkeys(tree("train"), POINTER) | tree("test"))
    out = tmp_path / "out"
    words = ("--skip-unreadable", "--data", data, "--out", out)
    assert evaluate(monkeypatch, *words, "--split", "train") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: None of the 4 films can be read, the first because of train/NORMAL/f0.png")
    assert "Git LFS pointer" in said
    assert not out.exists()
    monkeypatch.setattr("evaluation.audit.POINTED_FILMS", 1)
    assert evaluate(monkeypatch, *words) == 0
    baselines = json.loads((out / "metrics.json").read_text())["audit"]["baselines"]
    assert baselines["exposure_and_sharpness"] is None


# --- The command and the tab for own data read the same

PHANTOM_TABLE = "file;label;patient\nA.png;sano;1\nsub/b.png;neumonía;1\nc.png;COVID;2\n"
TREES: dict[str, dict[str, bytes]] = {
    "splits": tree("train", "test"),
    "other words": tree("Training", "Testing"),
    "subtypes": of_classes("NORMAL", "BACTERIA", first=0) | of_classes("VIRUS", first=80),
    "a copy inside": tree("test") | {f"again/{name}": content for name, content in tree("test").items()},
    "a table": {
        "films.csv": PHANTOM_TABLE.encode("utf-16"),
        "a.png": film(NORMAL),
        "sub/b.png": film(ILL),
        "c.png": film(ILL, 3),
        "d.png": film(ILL, 4),
    },
    "an unreadable film": tree("test") | {"test/NORMAL/x.png": b"no film"},
    "names without suffixes": {name.removesuffix(".png"): content for name, content in tree("test").items()},
}
REFUSED: dict[str, dict[str, bytes]] = {
    "no layout": {"a.png": film(NORMAL), "COVID/b.png": film(ILL)},
    "side by side": tree("a/test", "b/test"),
    "two classes in one folder": tree("test") | {"test/NORMAL/pneumonia/x.png": film(ILL, 800)},
    "a table without its columns": {"films.csv": b"path,class\na.png,0\n", "a.png": film(NORMAL)},
    "a table of nothing": {"films.csv": b"file,label\nz.png,0\n", "a.png": film(NORMAL)},
    "a table that contradicts itself": {
        "films.csv": b"file,label\na.png,0\na.png,1\n",
        "a.png": film(NORMAL),
    },
}


@pytest.mark.parametrize("name", TREES)
def test_the_tab_reads_what_the_command_reads(name: str, tmp_path: Path, metrics_of: Any) -> None:
    archive = zip_of(tmp_path / "own.zip", TREES[name])
    told = metrics_of("--skip-unreadable", "--data", archive)
    shown = check_own_data(brightness_predictor(), archive, at_most=100, resamples=5)
    figures = ("n", "n_normal", "n_pneumonia", "n_groups", "roc_auc", "sensitivity", "confusion")
    measured = shown.metrics.model_dump(mode="json")
    assert {key: measured[key] for key in figures} == {key: told[key] for key in figures}
    for_both = [
        note for note in told["data"]["notes"] if "Name patients by" not in note and "skipped" not in note
    ]
    assert [note for note in shown.notes if "Name patients" not in note] == for_both
    assert [f"skipped, unreadable: {line}" for line in shown.skipped] == [
        note for note in told["data"]["notes"] if note.startswith("skipped")
    ]


@pytest.mark.parametrize("name", REFUSED)
def test_the_tab_refuses_what_the_command_refuses_in_the_same_words(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = zip_of(tmp_path / "own.zip", REFUSED[name])
    assert evaluate(monkeypatch, "--data", archive, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err.removeprefix("error: ").strip()
    with pytest.raises(DataError) as caught:
        check_own_data(brightness_predictor(), archive, at_most=100)
    option = ", or say which they are by --columns, such as file=path,label=Target"
    assert str(caught.value) == said.replace(option, "")
    assert "--" not in str(caught.value)


# --- Several sources


def test_sources_have_figures_and_a_warning_on_the_terminal_and_in_the_report(
    tmp_path: Path, metrics_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where all children come from one hospital and all healthy adults from another."""
    children = write(
        tmp_path / "children", of_classes("test/PNEUMONIA", each=8) | of_classes("test/NORMAL", each=1)
    )
    adults = write(tmp_path / "adults", of_classes("NORMAL", each=6, first=50) | {"NORMAL/notes.txt": b"x"})
    found = metrics_of("--data", f"Guangzhou={children}", "--data", f"Bethesda={adults}")
    assert {name: figures["n"] for name, figures in found["per_source"].items()} == {
        "Bethesda": 6,
        "Guangzhou": 9,
    }
    assert found["data"]["passed_over"] == {"Bethesda: .txt": 1}
    printed = capsys.readouterr().out
    assert "source and class go together (Cramér's V 0.87" in printed
    assert "Bethesda 6 NORMAL, 0 PNEUMONIA; Guangzhou 1 NORMAL, 8 PNEUMONIA" in printed
    assert "source Guangzhou: 9 films, AUC" in printed
    assert "left out (1 files): 1 .txt" in printed
    page = html.unescape((tmp_path / "results" / "report.html").read_text(encoding="utf-8"))
    assert "source and class go together (Cramér's V 0.87" in page
    assert '<th scope="row">Guangzhou</th>' in page
    assert '<th scope="row">Bethesda: .txt</th>' in page
