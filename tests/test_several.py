"""Several DATA as one: sources by name, films apart, patients joined, and a warning of source and class together."""

from pathlib import Path

import numpy as np
import pytest

from cxr import phantom
from cxr.data.several import cramers_v
from cxr.data.sources import open_data
from cxr.errors import UsageError
from evaluation.run import choose_films

FILMS = {record.path.as_posix(): phantom.phantom_jpeg(record, 48) for record in phantom.phantom_split(12)}


def folder(root: Path, keep: str = "") -> Path:
    for name, content in FILMS.items():
        if keep in name:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
    return root


def test_each_film_knows_its_source(tmp_path: Path) -> None:
    folder(tmp_path / "a")
    folder(tmp_path / "b")
    source = open_data([f"Guangzhou={tmp_path / 'a'}", str(tmp_path / "b")])
    assert {film.source for film in source.films} == {"Guangzhou", "b"}
    assert len(source.films) == len({film.path for film in source.films}) == 2 * len(FILMS)
    for film in source.films:
        assert film.path.startswith(f"{film.source}/")
        assert source.read(film) == FILMS[film.path.partition("/")[2]]
    assert source.identity.id == "a + b"


def test_one_data_has_its_id_as_source(tmp_path: Path) -> None:
    films = open_data(str(folder(tmp_path / "mine"))).films
    assert {(film.source, film.path in FILMS) for film in films} == {("mine", True)}
    assert {film.source for film in open_data(f"X={tmp_path / 'mine'}").films} == {"X"}
    odd = folder(tmp_path / "year=2020")
    assert {film.source for film in open_data(str(odd)).films} == {"year=2020"}


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    folder(tmp_path / "a" / "films")
    folder(tmp_path / "b" / "films")
    with pytest.raises(UsageError, match="Two --data are called films"):
        open_data([str(tmp_path / "a" / "films"), str(tmp_path / "b" / "films")])


def test_a_source_without_splits_is_evaluated_with_the_test_films_of_another(tmp_path: Path) -> None:
    folder(tmp_path / "a")
    for label in ("NORMAL", "PNEUMONIA"):
        content = next(content for name, content in FILMS.items() if label in name)
        (tmp_path / "b" / label).mkdir(parents=True)
        (tmp_path / "b" / label / "x.jpeg").write_bytes(content)
    split, films = choose_films(open_data([str(tmp_path / "a"), str(tmp_path / "b")]).films, "test")
    assert split == "test"
    assert {(film.source, film.split) for film in films} == {("a", "test"), ("b", "all")}


def test_source_and_class_together_are_warned_of_with_the_numbers(tmp_path: Path) -> None:
    folder(tmp_path / "ill", "PNEUMONIA")
    folder(tmp_path / "well", "NORMAL")
    note = open_data([str(tmp_path / "ill"), str(tmp_path / "well")]).identity.notes[-1]
    assert "Cramér's V 1.00" in note
    assert "ill 0 NORMAL, 6 PNEUMONIA; well 6 NORMAL, 0 PNEUMONIA" in note
    folder(tmp_path / "a")
    folder(tmp_path / "b")
    notes = open_data([str(tmp_path / "a"), str(tmp_path / "b")]).identity.notes
    assert not any("go together" in note for note in notes)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[10, 0], [0, 10]], 1.0),
        ([[5, 5], [50, 50]], 0.0),
        ([[5, 7]], 0.0),
        ([[5, 0], [7, 0]], 0.0),
        ([[1341, 3875], [2000, 0]], 0.667),
    ],
)
def test_cramers_v(table: list[list[int]], expected: float) -> None:
    assert cramers_v(np.array(table, np.float64)) == pytest.approx(expected, abs=1e-3)
