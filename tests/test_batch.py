"""Many films: order, bad files among good ones, archives, limits, and the table."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fake_model import fake_predictor, phantom_file
from PIL import Image

from cxr.errors import RequestError
from cxr.imaging.decode import decode_file, from_array
from cxr.model.answer_csv import COLUMNS, answers_csv, plain_cell
from cxr.model.predictor import Predictor
from cxr.serving.batch import Answered
from ui.api import batch
from ui.api.batch import Batch


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return fake_predictor(tmp_path_factory.mktemp("bundle"))


def level(path: Path, value: int) -> Path:
    """A flat film, whose answer tells it from the others."""
    Image.fromarray(np.full((64, 64), value, np.uint8)).save(path)
    return path


def rows_of(paths: list[Path], predictor: Predictor) -> list[Answered[int]]:
    with Batch(paths) as films:
        rows = list(films.rows(predictor, keep=lambda film: film.width))
        assert len(rows) == len(films)
    return rows


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_each_film_gets_its_own_answer_in_order(tmp_path: Path, predictor: Predictor) -> None:
    """More films than go into one batch of the network."""
    levels = [60 + (37 * index) % 100 for index in range(40)]
    rows = rows_of([level(tmp_path / f"{index}.png", value) for index, value in enumerate(levels)], predictor)
    assert [row.answer.file for row in rows] == [f"{index}.png" for index in range(40)]
    for row, value in zip(rows, levels, strict=True):
        alone = predictor.predict(from_array(np.full((64, 64), value, np.uint8)))
        assert row.answer.probability == pytest.approx(alone.probability, abs=1e-12)
        assert row.answer.decision == alone.decision


def test_a_bad_file_is_one_row_with_its_reason(tmp_path: Path, predictor: Predictor) -> None:
    words, empty = tmp_path / "words.png", tmp_path / "empty.jpeg"
    words.write_text("plain words, not pixels")
    empty.write_bytes(b"")
    films = [phantom_file(tmp_path / "a.png"), words, empty, phantom_file(tmp_path / "b.png", seed=2)]
    rows = rows_of(films, predictor)
    assert [row.answer.error.code if row.answer.error else "" for row in rows] == [
        "",
        "not_an_image",
        "empty_file",
        "",
    ]
    for row, path in ((rows[0], films[0]), (rows[3], films[3])):
        assert row.answer.answered
        assert row.answer.probability == predictor.predict(decode_file(path)).probability
        assert row.kept == decode_file(path).width
    assert rows[1].answer.decision is rows[1].answer.probability is rows[1].kept is None
    assert not rows[1].answer.answered
    assert str(tmp_path) not in rows[1].answer.error.message


def test_only_bad_files_is_no_error(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "words.png").write_text("words")
    assert [bool(row.answer.error) for row in rows_of([tmp_path / "words.png"], predictor)] == [True]


def test_an_archive_gives_the_same_answers_as_its_files(tmp_path: Path, predictor: Predictor) -> None:
    films = [phantom_file(tmp_path / f"{seed}.png", seed) for seed in range(5)]
    inside = {f"Some Person/study {index}/{path.name}": path.read_bytes() for index, path in enumerate(films)}
    inside |= {"__MACOSX/._0.png": b"clutter", ".DS_Store": b"clutter", "notes/read me.txt": b"words"}
    rows = rows_of([zipped(tmp_path / "films.zip", inside)], predictor)
    plain = rows_of(films, predictor)
    assert [row.answer.file for row in rows] == ["0.png", "1.png", "2.png", "3.png", "4.png", "read me.txt"]
    assert [row.answer.probability for row in rows[:5]] == [row.answer.probability for row in plain]
    assert rows[5].answer.error is not None
    assert rows[5].answer.error.code == "not_an_image"


def test_a_film_damaged_inside_an_archive_is_one_row(tmp_path: Path, predictor: Predictor) -> None:
    content = phantom_file(tmp_path / "film.png").read_bytes()
    path = zipped(tmp_path / "films.zip", {"people/one.png": content, "people/two.png": content})
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"one.png") + 600] ^= 0xFF
    path.write_bytes(damaged)
    first, second = rows_of([path], predictor)
    assert first.answer.error is not None
    assert first.answer.error.code == "damaged_image"
    assert "people" not in first.answer.error.message
    assert second.answer.decision is not None


@pytest.mark.parametrize(
    ("name", "content"),
    [("cut.zip", b"PK\x03\x04" + bytes(100)), ("words.zip", b"words"), ("unnamed", b"PK\x03\x04cut")],
)
def test_a_broken_archive_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError) as caught:
        Batch([tmp_path / name])
    assert caught.value.code == "bad_archive"
    assert str(tmp_path) not in str(caught.value)


def test_an_archive_that_leads_outside_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        Batch([zipped(tmp_path / "films.zip", {"../../outside.png": b""})])
    assert caught.value.code == "bad_archive"


def test_limits_on_count_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films: list[Path | str] = [level(tmp_path / f"{value}.png", value) for value in range(3)]
    monkeypatch.setattr(batch, "MAX_FILMS", 2)
    with pytest.raises(RequestError, match="There are 3 files, but at most 2 are read at a time") as caught:
        Batch(films)
    assert caught.value.code == "too_many_files"
    monkeypatch.setattr(batch, "MAX_BATCH_BYTES", 10)
    with pytest.raises(RequestError) as caught:
        Batch(films[:2])
    assert caught.value.code == "batch_too_large"
    with pytest.raises(RequestError) as caught:
        Batch([zipped(tmp_path / "films.zip", {"swollen.png": bytes(11)})])
    assert caught.value.code == "batch_too_large"
    with pytest.raises(RequestError) as caught:
        Batch([])
    assert caught.value.code == "no_file"


def test_only_a_few_films_are_decoded_ahead(
    tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory does not grow with the batch: a film is opened only when those before it are nearly answered."""
    monkeypatch.setenv("CXR_THREADS", "2")  # how far ahead goes by the threads
    films = [level(tmp_path / f"{index}.png", 100) for index in range(200)]
    with Batch(films) as opened:
        rows = opened.rows(predictor)
        next(rows)
        for path in films[100:]:
            path.unlink()
        rest = list(rows)
    assert [row.answer.error.code for row in rest[99:] if row.answer.error] == ["unreadable_file"] * 100


def test_a_caller_may_stop_early(tmp_path: Path, predictor: Predictor) -> None:
    films = [level(tmp_path / f"{index}.png", 100) for index in range(60)]
    with Batch(films) as opened:
        rows = opened.rows(predictor)
        next(rows)
        rows.close()  # type: ignore[attr-defined]


def test_the_table_is_csv_and_no_cell_is_a_formula(tmp_path: Path, predictor: Predictor) -> None:
    names = ["=cmd|'calc'!A0.png", "+1.png", "-1.png", "@sum.png", 'a,"b".png', "\t=1.png", "línea.png"]
    content = phantom_file(tmp_path / "film.png").read_bytes()
    rows = rows_of(
        [zipped(tmp_path / "films.zip", {**dict.fromkeys(names, content), "x.png": b"x"})], predictor
    )
    written = answers_csv([row.answer for row in rows])
    assert written.startswith(b"\xef\xbb\xbffile,"), "by its mark Excel takes the file for UTF-8"
    table = list(csv.DictReader(io.StringIO(written.decode("utf-8-sig"))))
    assert list(table[0]) == list(COLUMNS)
    assert [line["file"] for line in table[:4]] == [f"'{name}" for name in names[:4]]
    assert table[4]["file"] == 'a,"b".png'
    assert table[5]["file"] == "\\x09=1.png", "the archive's reader has made it text"
    assert table[6]["file"] == "línea.png"
    assert [plain_cell(line["file"]) for line in table[:5]] == names[:5]
    assert not any(cell[:1] in "=+-@" for line in table for cell in line.values() if cell)
    assert float(table[0]["probability"]) == pytest.approx(rows[0].answer.probability, abs=1e-6)
    assert table[0]["decision"] == rows[0].answer.decision
    error = rows[7].answer.error
    assert error is not None
    assert table[7] == {
        **dict.fromkeys(COLUMNS, ""),
        "file": "x.png",
        "error": f"not_an_image: {error.message}",
    }
