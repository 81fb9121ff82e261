"""Why an archive or a file cannot be used, told in the visitor's language by the error's rule, never in free text."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

import pytest
from fake_model import fake_predictor

from cxr.data import archive, table
from cxr.errors import DataError, DataRule, ImageError, RequestError
from cxr.model.predictor import Predictor
from evaluation.own_data import check_own_data
from tests.film_sets import film, zip_of
from tests.test_evaluation_run import brightness_predictor
from ui.api.batch import Batch
from ui.html import own_data
from ui.tabs.problems import refused
from ui.words import WORDS, reason_of, say

Make = Callable[[Path], object]
TWO = {"NORMAL/a.png": film(70), "PNEUMONIA/b.png": film(190)}


def files(content: Mapping[str, bytes]) -> Make:
    return lambda path: zip_of(path, content)


def listed(rows: str, **more: bytes) -> Make:
    return files({"films.csv": rows.encode("latin-1"), "a.png": film(70), "b.png": film(190), **more})


def cut_short(path: Path) -> None:
    path.write_bytes(zip_of(path, TWO).read_bytes()[:-40])


def swelling(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("NORMAL/big.png", bytes(archive.MAX_BYTES + 1))


REFUSED: dict[DataRule, Make] = {
    "not_a_zip": lambda path: path.write_text("plain words"),
    "other_archive": lambda path: path.write_bytes(b"Rar!\x1a\x07\x01\0" + bytes(90)),
    "damaged_zip": cut_short,
    "unsafe_name": files({"../a.png": film(70)}),
    "swelling_member": swelling,
    "table_not_csv": listed('file,label\n"a.png"x,NORMAL\n'),
    "table_not_text": files({"films.csv": bytes(40), **TWO}),
    "table_columns": listed("datei,klasse\na.png,NORMAL\n"),
    "table_contradiction": listed("file,label\na.png,NORMAL\na.png,PNEUMONIA\n"),
    "table_without_files": listed("file,label\nc.png,NORMAL\nd.png,PNEUMONIA\n"),
    "table_without_classes": listed("file,label\na.png,7\nb.png,8\n"),
    "folder_of_two_classes": files({"NORMAL/PNEUMONIA/a.png": film(70)}),
    "several_data_sets": files(
        {f"{name}/{path}": content for name in ("one", "two") for path, content in TWO.items()}
    ),
    "no_class_folders": files({"films/a.png": film(70)}),
    "one_class": files({"NORMAL/a.png": film(70), "PNEUMONIA/b.png": b"plain words"}),
    "no_film": files({"NORMAL/a.png": b"plain words", "PNEUMONIA/b.png": b"plain words"}),
    "too_many_labelled": files({**TWO, "NORMAL/c.png": film(75), "NORMAL/d.png": film(80)}),
}
"""How an archive breaks a rule. too_many_labelled: with at_most=3."""


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return brightness_predictor()


@pytest.mark.parametrize("rule", REFUSED)
def test_a_refused_archive_says_why_in_spanish(rule: DataRule, predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "placas.zip"
    REFUSED[rule](path)
    with pytest.raises(DataError) as caught:
        check_own_data(predictor, path, at_most=3, resamples=5)
    assert caught.value.rule == rule
    reason = reason_of(caught.value)
    for locale in ("en", "es"):
        told = {name: value for name, value in caught.value.told.items() if isinstance(value, str)}
        said = reason.say(locale)
        assert "{" not in said
        assert all(value in said for value in told.values())
    assert str(caught.value) not in reason.say("es")
    assert "inglés" not in reason.say("es")


def test_limits_on_files_and_tables_say_why_too(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = zip_of(tmp_path / "placas.zip", {"films.csv": b"file,label\na.png,NORMAL\n", **TWO})
    for module, limit, rule in (
        (archive, "MAX_MEMBERS", "too_many_members"),
        (table, "MOST_BYTES", "table_too_large"),
    ):
        with monkeypatch.context() as smaller, pytest.raises(DataError) as caught:
            smaller.setattr(module, limit, 1)
            check_own_data(predictor, path, at_most=9)
        assert caught.value.rule == rule
        assert "placas.zip" in reason_of(caught.value).say("es") or rule.startswith("table")


def test_every_rule_is_met_here() -> None:
    elsewhere = {"too_many_members", "table_too_large"}  # just above
    of_one_file = {"zip_method", "damaged_member", "table_row_without_file"}  # below
    assert set(get_args(DataRule)) == {*REFUSED, *elsewhere, *of_one_file}


def test_what_is_left_out_says_why_in_spanish(predictor: Predictor, tmp_path: Path) -> None:
    table_of_three = b"file,label\na.png,NORMAL\nb.png,PNEUMONIA\nc.png,NORMAL\nd.png,NORMAL\ne.png,NORMAL\n"
    path = tmp_path / "placas.zip"
    with zipfile.ZipFile(path, "w") as made:  # stored, so that a byte of a film can be found and altered
        made.writestr("films.csv", table_of_three)
        for name, content in {"a": film(70), "b": film(190), "c": film(80), "e": b"plain words"}.items():
            made.writestr(f"{name}.png", content)
    content = path.read_bytes()
    path.write_bytes(content.replace(film(80), film(80)[:-20] + bytes(20)))
    found = check_own_data(predictor, path, at_most=9, resamples=5)
    kept = own_data.remember(found)
    assert {one.file.rpartition("/")[2]: one.reason.key for one in kept.skipped} == {
        "c.png": "data.damaged_member",
        "d.png": "data.table_row_without_file",
        "e.png": "error.not_an_image",
    }
    shown = str(own_data.result(kept, "es", 0.9, 0.2))
    assert say("error.not_an_image", "es") in shown
    assert "está dañado o cifrado en el .zip" in shown


def test_a_packing_that_is_not_read_has_a_rule(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "placas.zip", TWO)
    content = path.read_bytes().replace(b"PK\x03\x04\x14\0\0\0\0\0", b"PK\x03\x04\x14\0\0\0\x09\0")
    path.write_bytes(content.replace(b"PK\x01\x02\x14\0\x14\0\0\0\0\0", b"PK\x01\x02\x14\0\x14\0\0\0\x09\0"))
    with pytest.raises(DataError) as caught:
        archive.Archive(path).read("NORMAL/a.png")
    assert caught.value.rule == "zip_method"


def test_a_refused_batch_says_what_is_wrong_with_its_archive(tmp_path: Path) -> None:
    path = tmp_path / "placas.zip"
    cut_short(path)
    with pytest.raises(RequestError) as caught, Batch([path]) as batch:
        batch.readers()
    assert refused(caught.value, "es").message == "No se puede leer este archivo. " + WORDS["es"][
        "data.damaged_zip"
    ].format(name="placas.zip")
    assert refused(RequestError("no_file", "none"), "es").message == say("error.no_file", "es")


def test_an_error_without_a_rule_keeps_its_message_and_says_that_it_is_english() -> None:
    assert (
        reason_of(DataError("The data are strange.")).say("es") == "Motivo, en inglés: The data are strange."
    )
    assert reason_of(DataError("The data are strange.")).say("en") == "The data are strange."
    assert reason_of(ImageError("document", "a.pdf is a document")).say("es") == say("error.document", "es")


def test_a_reading_model_answers_what_is_left(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "placas.zip", TWO | {"NORMAL/c.png": film(75), "PNEUMONIA/d.png": film(195)})
    found = check_own_data(fake_predictor(tmp_path / "fake"), path, at_most=9, resamples=5)
    assert own_data.remember(found).skipped == ()
