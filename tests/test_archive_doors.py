"""A .zip as Windows and macOS write it is the same data set as its folder, at every door."""

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_model import fake_predictor

from cxr.data.sources import open_data, open_upload
from cxr.errors import DataError
from cxr.serving.slot import Served
from evaluation import score as scoring
from evaluation.config import ScoreConfig
from evaluation.own_data import check_own_data
from evaluation.score import score
from tests.film_sets import evaluate, film, of_classes, write, zip_of
from tests.test_evaluation_run import brightness_predictor
from trainer.config import TrainConfig
from trainer.run import prepare, resolve_recipe
from ui.api.batch import Batch

PLACES = [f"{split}/{label}" for split in ("train", "test") for label in ("NORMAL", "PNEUMONIA")]
FILMS = {
    name: content
    for at, place in enumerate(PLACES)
    for name, content in of_classes(place, first=9 * at).items()
}
SPANISH = {name.replace("/f0", "/niño"): content for name, content in FILMS.items()}
RESOURCE_FORK = b"\0\5\x16\7" + bytes(60)
LEFT_BEHIND = {
    "set/test/desktop.ini": b"[.ShellClassInfo]\r\n",
    "set/test/NORMAL/Thumbs.db": b"\xd0\xcf\x11\xe0",
    "set/test/NORMAL/.DS_Store": b"\0\0\0\1Bud1",
    "set/test/NORMAL/._f1.png": RESOURCE_FORK,
    "__MACOSX/set/test/NORMAL/._f1.png": RESOURCE_FORK,
    "__MACOSX/set/test/._NORMAL": RESOURCE_FORK,
}


def windows(path: Path) -> Path:
    """As PowerShell 5 packs a folder: "\\" between folders, and entries for folders."""
    files = {f"set/{name}": content for name, content in SPANISH.items()} | LEFT_BEHIND
    folders = {"set\\": b"", "set\\test\\": b""}
    return zip_of(path, folders | {name.replace("/", "\\"): content for name, content in files.items()})


def macos(path: Path) -> Path:
    """As the Finder packs a folder: UTF-8 without saying so, and a second tree of resource forks."""
    files = {f"set/{name}": content for name, content in SPANISH.items()} | LEFT_BEHIND
    return zip_of(path, files, utf8_flag=False)


EXPECTED = {f"set/{name}": content for name, content in SPANISH.items()}


@pytest.fixture(params=[windows, macos], ids=["windows", "macos"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return request.param(tmp_path / "set.zip")


def test_the_archives_are_what_they_claim(tmp_path: Path) -> None:
    """Else the tests below would prove nothing."""
    with zipfile.ZipFile(windows(tmp_path / "w.zip")) as opened:
        assert all("/" not in member.orig_filename for member in opened.infolist())
    with zipfile.ZipFile(macos(tmp_path / "m.zip")) as opened:
        assert not any(member.flag_bits & 0x800 for member in opened.infolist())
        assert any("ni├▒o" in name for name in opened.namelist())


def test_as_data_of_trainer_and_evaluation_and_as_own_data(archive: Path) -> None:
    for source in (open_data(str(archive)), open_upload(archive)):
        assert {film.path: source.read(film) for film in source.films} == EXPECTED
        assert not source.identity.passed_over


def test_the_trainer(archive: Path, tmp_path: Path) -> None:
    config = TrainConfig(out=tmp_path / "bundle", recipe="quick", folds=2)
    prepared = prepare(open_data(str(archive)), config, resolve_recipe(config))
    assert {split: sum(found.values()) for split, found in prepared.checks.counts.items()} == {
        "test": 4,
        "train": 4,
    }


def test_the_evaluation(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluate(monkeypatch, "--no-audit", "--data", archive, "--out", tmp_path / "out") == 0
    with (tmp_path / "out" / "predictions.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["file"] for row in rows} == {name for name in EXPECTED if name.startswith("set/test/")}


def test_the_own_data_tab(archive: Path) -> None:
    found = check_own_data(brightness_predictor(), archive, at_most=10, resamples=5)
    assert {row.answer.file for row in found.rows} == {
        name for name in EXPECTED if name.startswith("set/test/")
    }
    assert (found.metrics.n, found.skipped) == (4, [])


def test_the_batch_tab(archive: Path, tmp_path: Path) -> None:
    with Batch([archive]) as films:
        rows = [row.answer for row in films.rows(fake_predictor(tmp_path / "fake"))]
    assert [row.file for row in rows] == [name.rpartition("/")[2] for name in EXPECTED]
    assert [row.error for row in rows] == [None] * len(EXPECTED)


@pytest.mark.parametrize("make", [windows, macos])
def test_a_folder_into_which_it_was_unpacked_as_it_stands(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a program that takes "\\" for a sign of the name: every door that reads folders knows better."""
    root = tmp_path / "unpacked"
    with zipfile.ZipFile(make(tmp_path / "set.zip")) as opened:
        files = {member.orig_filename: opened.read(member) for member in opened.infolist()}
    write(root, {name: content for name, content in files.items() if not name.endswith("\\")})
    source = open_data(str(root))
    assert sorted(source.read(film) for film in source.films) == sorted(FILMS.values())
    monkeypatch.setattr(scoring, "open_model", lambda _: Served(brightness_predictor()))
    counts = score(ScoreConfig("brightness", str(root), tmp_path / "answers.csv"))
    assert counts.total() == len(FILMS)
    assert "unreadable" not in counts


def test_an_archive_as_one_of_the_files_to_score_is_one_row(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "open_model", lambda _: Served(brightness_predictor()))
    out = tmp_path / "answers.csv"
    assert score(ScoreConfig("brightness", str(archive), out)) == {"unreadable": 1}
    assert (
        "is a ZIP archive or an Office document, which is not read here. Unpack it first."
        in out.read_text("utf-8-sig")
    )


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"Rar!\x1a\x07\1\0", "is a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "is a 7z archive"),
        (b"\x1f\x8b\x08", "is a gzip archive"),
    ],
)
@pytest.mark.parametrize("name", ["set.zip", "set.rar"])
def test_an_archive_of_another_kind_is_named(start: bytes, said: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(start + bytes(100))
    with pytest.raises(DataError, match=f"^{name} {said}.* a .zip"):
        open_data(str(path))


def test_a_packing_that_is_not_read_is_named(tmp_path: Path) -> None:
    """Windows takes Deflate64 for large files."""
    path = zip_of(tmp_path / "set.zip", {"NORMAL/a.png": film(70), "PNEUMONIA/b.png": film(190)})
    content = path.read_bytes().replace(b"PK\x03\x04\x14\0\0\0\0\0", b"PK\x03\x04\x14\0\0\0\x09\0")
    content = content.replace(b"PK\x01\x02\x14\0\x14\0\0\0\0\0", b"PK\x01\x02\x14\0\x14\0\0\0\x09\0")
    path.write_bytes(content)
    source = open_data(str(path))
    with pytest.raises(
        DataError, match=r"is packed by a method that is not read here .*by Deflate, the usual method"
    ):
        source.read(source.films[0])
