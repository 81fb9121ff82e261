"""File names as text, clutter, and which files are films; and the words for splits and classes."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from cxr.data.names import is_clutter, is_film, is_hidden_film, note_of_passed_over, printable, settle
from cxr.data.words import class_of, class_of_folder, split_of, subtype_of
from cxr.errors import DataError
from tests.dicom_files import dicom_bytes

FILM = np.full((64, 64), 90, np.uint8)


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(FILM).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain.png", "plain.png"),
        ("niño.png".encode(), "niño.png"),
        (b"ni\xf1o.png", "ni\\xf1o.png"),
        (b"two\nlines\r.png", "two\\nlines\\r.png"),
        (b"bell\x07.png", "bell\\x07.png"),
        ("肺.png".encode("shift-jis"), "\\x94x.png"),
    ],
)
def test_a_name_is_text_that_can_be_written_anywhere(name: bytes, text: str) -> None:
    found = printable(os.fsdecode(name))
    assert found == text
    assert json.dumps(found).encode()
    assert found.encode().decode() == found
    assert len(found.splitlines()) == 1


def test_names_of_one_text_are_kept_apart() -> None:
    names = ["a/ni\\xf1o.png", os.fsdecode(b"a/ni\xf1o.png")]
    assert settle(names) == {"a/ni\\xf1o.png": names[0], "a/ni\\xf1o~2.png": names[1]}


@pytest.mark.parametrize(
    ("path", "hidden_film"),
    [
        (".DS_Store", False),
        ("a/._x.png", False),
        ("__MACOSX/a/x.png", False),
        ("a/Thumbs.db", False),
        ("a/THUMBS.DB", False),
        ("a/desktop.ini", False),
        ("a/Desktop.ini", False),
        ("@eaDir/x.png", False),
        (".trash/x.png", True),
        ("a/.x.png", True),
        (".git/config", False),
        ("__MACOSX\\a\\x.png", False),
        ("a\\._x.png", False),
        ("a\\.x.png", True),
        ("Icon\r", False),
        ("$RECYCLE.BIN/x.png", False),
    ],
)
def test_clutter(path: str, hidden_film: bool) -> None:
    assert is_clutter(path)
    assert is_hidden_film(path) == hidden_film
    assert not is_clutter("NORMAL/x.png")


def nothing(path: str) -> bytes:
    raise AssertionError(f"{path} need not be opened")


@pytest.mark.parametrize(
    "path", ["MACOSX/x.png", "a.b/x.png", "desktop.ini/x.png", "a/xdesktop.ini", "Thumbs.db.png"]
)
def test_no_clutter(path: str) -> None:
    assert not is_clutter(path)


@pytest.mark.parametrize("name", ["a.jpg", "b.JPEG", "c.Png", "d.tif", "e.dcm", "f.DICOM", "g.webp"])
def test_known_suffixes_are_films(name: str) -> None:
    assert is_film(name, nothing)


@pytest.mark.parametrize(
    "name", ["a.txt", "films.csv", "x.zip", "a.png.part", "b.jpg.crdownload", "c.png.bak"]
)
def test_known_others_are_none(name: str) -> None:
    assert not is_film(name, nothing)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("photo.jfif", encoded("JPEG"), True),
        ("photo.jpe", encoded("JPEG"), True),
        ("photo.pjpeg", encoded("JPEG"), True),
        ("photo", encoded("JPEG"), True),
        ("photo", encoded("PNG"), True),
        ("photo", encoded("TIFF"), True),
        ("photo", encoded("WEBP"), True),
        ("1.2.826.0.1.3680043.8.498.1234", dicom_bytes(FILM), True),
        ("IM000001", dicom_bytes(FILM), True),
        ("image.ima", dicom_bytes(FILM), True),
        ("photo.gif", encoded("GIF"), False),
        ("photo.bmp", encoded("BMP"), False),
        ("camera.nef", encoded("TIFF"), False),  # raw files of cameras begin as TIFF does
        ("README", b"Read me, please", False),
        ("empty", b"", False),
    ],
)
def test_content_decides_where_the_name_does_not_say(name: str, content: bytes, expected: bool) -> None:
    assert is_film(name, lambda _: content[:256]) == expected


def test_a_file_that_cannot_be_opened_is_told_by_whoever_reads_it() -> None:
    def fails(path: str) -> bytes:
        raise DataError(f"{path} cannot be read.")

    assert is_film("IM0001", fails)


def test_what_was_left_out_in_words() -> None:
    assert note_of_passed_over({}) == ()
    assert note_of_passed_over({".txt": 1, ".gif": 1200}) == ("left out (1,201 files): 1,200 .gif, 1 .txt",)
    many = note_of_passed_over({f"in no class folder ({n:02})": 1 for n in range(20)})
    assert many[0].endswith("1 in no class folder (07), and 12 more kinds")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("NORMAL", ("NORMAL", "")),
        (" Pneumonia ", ("PNEUMONIA", "")),
        ("No Finding", ("NORMAL", "")),
        ("0", ("NORMAL", "")),
        ("1.0", ("PNEUMONIA", "")),
        ("True", ("PNEUMONIA", "")),
        ("Bacteria", ("PNEUMONIA", "bacterial")),
        ("viral_pneumonia", ("PNEUMONIA", "viral")),
        ("Neumonía", ("PNEUMONIA", "")),
        ("Infiltration|Pneumonia", ("PNEUMONIA", "")),
        ("Infiltration|Nodule", None),
        ("Atelectasis|No Finding", None),
        ("0_NORMAL", ("NORMAL", "")),
        ("NoFinding", ("NORMAL", "")),
        ("PNEUMONIA (viral)", ("PNEUMONIA", "viral")),
        ("Class 1", ("PNEUMONIA", "")),
        ("1,0", ("PNEUMONIA", "")),
        ("['pneumonia', 'pleural effusion']", ("PNEUMONIA", "")),
        ("[normal]", ("NORMAL", "")),
        ("Normal; Hernia", None),
        ("COVID", None),
        ("2", None),
        # What looks like 0 or 1 and is neither
        ("-1", None),
        ("0,5", None),
        ("[1, 0]", None),
        ("01", None),
        ("0 Nodule", None),
        ("", None),
    ],
)
def test_labels(word: str, expected: tuple[str, str] | None) -> None:
    assert class_of(word) == expected


def test_folders_and_splits() -> None:
    assert class_of_folder("1") is None
    assert split_of("VALID") == "val"
    assert split_of("fold1") is None
    assert (subtype_of("virus"), subtype_of("PNEUMONIA"), subtype_of("fungus")) == ("viral", None, None)
