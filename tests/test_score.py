"""Answers for unlabelled files: every file one row, whatever happens on the way."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr.errors import CxrError, DataError, UsageError
from cxr.imaging.decode import GrayImage, decode_file
from cxr.model.answer import Answer
from cxr.model.answer_csv import COLUMNS, csv_header
from cxr.model.predictor import Predictor
from cxr.serving import batch
from cxr.serving.slot import Served
from evaluation import score as scoring
from evaluation.answers_file import AnswersFile, row_name
from evaluation.config import ScoreConfig
from evaluation.score import answer_films, film_in_file, score
from tests.dicom_files import dicom_bytes
from tests.test_evaluation_run import brightness_predictor, write_film

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """20 good files, in two folders, and three that are none."""
    folder = tmp_path / "films"
    for number in range(20):
        write_film(folder / "abc"[number % 2] / f"film-{number:02}.png", 60 + 7 * number, number)
    (folder / "a" / "broken.png").write_bytes((folder / "a" / "film-00.png").read_bytes()[:200])
    (folder / "empty.jpg").touch()
    (folder / "notes.txt").write_text("no film")
    (folder / ".hidden.png").touch()
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_file_is_a_row_and_bad_ones_say_why(films: Path, tmp_path: Path, brightness: Predictor) -> None:
    out = tmp_path / "new" / "predictions.csv"
    counts = score(ScoreConfig("model", str(films), out))
    rows = {Path(row["file"]).name: row for row in table(out)}
    assert set(rows) == {*(f"film-{number:02}.png" for number in range(20)), "broken.png", "empty.jpg"}
    assert out.read_text().splitlines()[0] == "\ufeff" + ",".join(COLUMNS)
    assert counts["unreadable"] == 2 and counts.total() == 22
    for name in ("broken.png", "empty.jpg"):
        assert (
            rows[name]["error"].startswith(("damaged_image: ", "empty_file: "))
            and name in rows[name]["error"]
        )
        assert rows[name]["probability"] == rows[name]["decision"] == rows[name]["scope"] == ""
    for number in range(20):
        row = rows[f"film-{number:02}.png"]
        found = brightness.predict(decode_file(Path(row["file"])))
        assert row["probability"] == f"{found.probability:.6f}" and row["decision"] == found.decision
        assert (row["scope"], row["warnings"], row["error"]) == ("familiar", "", "")


def test_a_second_run_adds_what_is_new_and_repeats_nothing(
    films: Path, tmp_path: Path, brightness: Predictor
) -> None:
    out = tmp_path / "predictions.csv"
    score(ScoreConfig("model", str(films), out))
    before = out.read_bytes()
    assert score(ScoreConfig("model", str(films), out)).total() == 0
    assert out.read_bytes() == before
    write_film(films / "a" / "aa-first-by-name.png", 100)
    assert score(ScoreConfig("model", str(films), out)).total() == 1
    assert out.read_bytes().startswith(before) and len(table(out)) == 23


@pytest.mark.parametrize("kept", [1, 30, 60, 200, 500])
def test_a_torn_line_is_dropped_and_answered_again(
    films: Path, tmp_path: Path, brightness: Predictor, kept: int
) -> None:
    out = tmp_path / "predictions.csv"
    score(ScoreConfig("model", str(films), out))
    whole = out.read_bytes()
    out.write_bytes(whole[:kept])
    score(ScoreConfig("model", str(films), out))
    assert out.read_bytes() == whole


def test_a_killed_run_goes_on_without_doubles_or_torn_lines(films: Path, tmp_path: Path) -> None:
    """By the command itself and the embedded model, killed where nothing can be tidied up."""
    for number in range(20, 400):
        os.link(films / "a" / "film-00.png", films / f"film-{number}.png")
    out, unbroken = tmp_path / "killed.csv", tmp_path / "unbroken.csv"
    command = [
        sys.executable,
        "-m",
        "evaluation",
        "score",
        "--model",
        "bundles/default",
        "--files",
        str(films),
    ]
    with subprocess.Popen([*command, "--out", str(out)], cwd=ROOT, stderr=subprocess.DEVNULL) as started:
        while started.poll() is None and not (out.is_file() and out.stat().st_size > 2000):
            time.sleep(0.002)
        os.kill(started.pid, signal.SIGKILL)
    assert started.returncode == -signal.SIGKILL and len(table(out)) < 402
    for path in (out, unbroken):
        done = subprocess.run(
            [*command, "--out", str(path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert "Traceback" not in done.stderr
    assert out.read_bytes() == unbroken.read_bytes() and len(table(out)) == 402


def test_another_model_does_not_add_to_the_csv(
    films: Path, tmp_path: Path, brightness: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "predictions.csv"
    score(ScoreConfig("model", str(films), out))
    before = out.read_bytes()
    other = brightness_predictor()
    other.decision = other.decision.model_copy(update={"threshold": 0.51})
    monkeypatch.setattr(scoring, "open_model", lambda _: Served(other))
    with pytest.raises(UsageError, match="name another --out"):
        score(ScoreConfig("model", str(films), out))
    assert out.read_bytes() == before
    noted = json.loads((tmp_path / "predictions.csv.model.json").read_text())
    assert noted["sha256"] == brightness.identity.sha256


FOREIGN = {
    "other columns": (b"file,patient\nx,y\n", DataError),
    "a row of another length": (csv_header() + b"x,0.5\n", DataError),
    "no text": (b"\xff\xfe\n\n", DataError),
    "no note of the model": (csv_header() + b"x,,,,,NORMAL,0.5,familiar,,\n", DataError),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_left_as_it_is(
    films: Path, tmp_path: Path, brightness: Predictor, kind: str
) -> None:
    content, refused = FOREIGN[kind]
    out = tmp_path / "predictions.csv"
    out.write_bytes(content)
    with pytest.raises(refused):
        score(ScoreConfig("model", str(films), out))
    assert out.read_bytes() == content


@pytest.mark.parametrize("files", ["nowhere", "films/*.gif", "empty"])
def test_no_files_is_told_and_nothing_is_written(files: str, tmp_path: Path, brightness: Predictor) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CxrError, match="--files"):
        score(ScoreConfig("model", str(tmp_path / files), tmp_path / "out.csv"))
    assert not (tmp_path / "out.csv").exists()


def test_what_is_left_out_is_said(
    films: Path, brightness: Predictor, capsys: pytest.CaptureFixture[str]
) -> None:
    (films / "1.2.826.0.1.3680043.8.498.1234").write_bytes(dicom_bytes(np.full((64, 64), 120, np.uint8)))
    (films / "b" / "notes.txt").touch()
    counts = score(ScoreConfig("model", str(films), films.parent / "out.csv"))
    assert counts.total() == 23
    assert "left out (3 files): 2 .txt, 1 hidden" in capsys.readouterr().out


def test_odd_names_stay_one_row_each(tmp_path: Path, brightness: Predictor) -> None:
    folder = tmp_path / "films"
    names = [b"two\nlines.png", b'comma, "quote".png', b"latin-\xf1.png", "niño.png".encode()]
    write_film(folder / "plain.png", 120)
    for name in names:
        os.link(folder / "plain.png", os.fsencode(folder) + b"/" + name)
    out = tmp_path / "predictions.csv"
    for _ in range(2):
        score(ScoreConfig("model", str(folder), out))
        assert [Path(row["file"]).name for row in table(out)] == [
            'comma, "quote".png',
            "latin-\\xf1.png",
            "niño.png",
            "plain.png",
            "two\\nlines.png",
        ]
        assert {row["error"] for row in table(out)} == {""}


def test_large_films_give_the_same_answers_in_smaller_steps(
    films: Path, brightness: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(films.rglob("*.png"))
    expected = list(answer_films(brightness, map(film_in_file, paths)))
    monkeypatch.setattr(batch, "_MAX_CHUNK_PIXELS", 3000)
    assert list(answer_films(brightness, map(film_in_file, paths))) == expected


def test_paths_are_taken_as_they_are_needed(films: Path, brightness: Predictor) -> None:
    taken = count()
    endless = (films / "a" / "film-00.png" for _ in iter(lambda: next(taken), -1))
    answers = answer_films(brightness, map(film_in_file, endless))
    assert len(next(answers)) == batch.CHUNK
    answers.close()
    assert next(taken) < 200


class Refusing(Predictor):
    """Refuses dark films."""

    def predict_many(self, images: list[GrayImage]) -> list[Answer]:  # type: ignore[override]
        return [
            Answer(scope="refused", warnings=("blank", "inverted"))
            if np.mean(image.pixels) < 100
            else Answer(decision="NORMAL", probability=0.1, scope="familiar", warnings=("low_resolution",))
            for image in images
        ]


def test_refused_films_say_so(tmp_path: Path) -> None:
    base = brightness_predictor()
    write_film(tmp_path / "dark.png", 60)
    write_film(tmp_path / "light.png", 160)
    refusing = Refusing(base.backend, base.preprocess, base.decision, base.identity)
    paths = [tmp_path / "dark.png", tmp_path / "light.png"]
    [[dark, light]] = answer_films(refusing, map(film_in_file, paths))
    assert (dark.decision, dark.scope, dark.warnings) == (None, "refused", ("blank", "inverted"))
    assert (light.decision, light.scope, light.warnings) == ("NORMAL", "familiar", ("low_resolution",))


def test_the_command_needs_no_heavy_library(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(tmp_path / "film.png")
    code = f"""
import sys
from pathlib import Path
import evaluation.__main__
from evaluation.config import ScoreConfig
from evaluation.score import score
score(ScoreConfig("bundles/default", {str(tmp_path)!r}, Path({str(tmp_path / "out.csv")!r})))
print(*{{"tensorflow", "keras", "sklearn", "matplotlib", "gradio"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_a_path_is_shown_in_one_line() -> None:
    assert row_name(Path("a/b\nc.png")) == "a/b\\nc.png"
    assert "\n" not in row_name(Path("a\r\n\0"))


def test_two_asks_for_one_file_make_one_row(tmp_path: Path, brightness: Predictor) -> None:
    with AnswersFile(tmp_path / "out.csv", brightness) as answers:
        assert [answers.claim("x"), answers.claim("x")] == [True, False]


KEPT = {
    "labels.csv": b"file,label\nf0.jpeg,NORMAL\nf1.jpeg,PNEUMONIA",
    "notes.txt": b"my only copy of a very long line of notes",
    "film.jpeg": b"\xff\xd8\xff\xe0 a film\nof several lines\n and no last one",
    "marked.csv": b"\xef\xbb\xbf",
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_not_ours_keeps_its_bytes(
    films: Path, tmp_path: Path, brightness: Predictor, name: str
) -> None:
    out = tmp_path / name
    out.write_bytes(KEPT[name])
    with pytest.raises(DataError, match="Name another --out"):
        score(ScoreConfig("model", str(films), out))
    assert out.read_bytes() == KEPT[name]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["films", name])


def test_a_film_as_out_and_a_link_to_one_keep_their_bytes(
    films: Path, tmp_path: Path, brightness: Predictor
) -> None:
    film = films / "a" / "film-00.png"
    before = film.read_bytes()
    (tmp_path / "link.csv").symlink_to(film)
    for out in (film, tmp_path / "link.csv"):
        with pytest.raises(DataError, match="Name another --out"):
            score(ScoreConfig("model", str(films), out))
    assert film.read_bytes() == before


def test_a_folder_is_no_out(films: Path, tmp_path: Path, brightness: Predictor) -> None:
    with pytest.raises(UsageError, match="is not a file"):
        score(ScoreConfig("model", str(films), films))


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b'{"mine": 1}'])
def test_a_note_that_is_not_ours_stays(
    films: Path, tmp_path: Path, brightness: Predictor, content: bytes
) -> None:
    note = tmp_path / "new.csv.model.json"
    note.write_bytes(content)
    with pytest.raises(UsageError, match="Name another --out"):
        score(ScoreConfig("model", str(films), tmp_path / "new.csv"))
    assert note.read_bytes() == content and not (tmp_path / "new.csv").exists()


def test_two_runs_do_not_write_one_csv(films: Path, tmp_path: Path, brightness: Predictor) -> None:
    out = tmp_path / "out.csv"
    with AnswersFile(out, brightness):
        before = out.read_bytes()
        with pytest.raises(UsageError, match="Another run is writing"):
            score(ScoreConfig("model", str(films), out))
        assert out.read_bytes() == before
    assert score(ScoreConfig("model", str(films), out)).total() == 22, "the lock is gone with its run"


def test_an_out_among_the_films_is_no_film(films: Path, brightness: Predictor) -> None:
    for _ in range(2):
        score(ScoreConfig("model", f"{films}/**/*", films / "answers"))
    assert "answers" not in {Path(row["file"]).name for row in table(films / "answers")}
