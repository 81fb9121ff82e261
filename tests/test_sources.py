"""Where films come from: folders, archives (hostile ones too) and phantoms; and the films as pixels."""

import io
import random
import stat
import struct
import threading
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr import phantom
from cxr.data import archive, loading, sources
from cxr.data.films import Film, check_films, describe
from cxr.data.loading import LoadedFilms, Unreadable, load_films
from cxr.data.sources import DEFAULT_PHANTOMS, FolderSource, ZipSource, open_data
from cxr.errors import CxrError, DataError, UsageError
from cxr.files import sha256_of
from cxr.imaging.decode import MAX_BYTES, decode
from cxr.imaging.preprocess import PreprocessSpec, to_model_pixels
from cxr.threads import cpu_count

SPEC = PreprocessSpec(size=32, resample="bicubic")
RECORDS = phantom.phantom_split(12)
FILES = {record.path.as_posix(): phantom.phantom_jpeg(record, 48) for record in RECORDS}


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


# --- Folders


def test_a_folder(tmp_path: Path) -> None:
    root = write_folder(
        tmp_path / "films", {**FILES, "train/NORMAL/notes.txt": b"", "train/NORMAL/a.gif": b""}
    )
    before = everything(tmp_path)
    source = open_data(str(root))
    assert isinstance(source, FolderSource)
    assert {film.path: source.read(film) for film in source.films} == FILES
    assert source.identity.id == "films"
    assert source.identity.notes == ("left out (2 files): 1 .gif, 1 .txt",)
    assert source.identity.passed_over == {".gif": 1, ".txt": 1}
    assert everything(tmp_path) == before


def test_a_film_that_has_gone_is_named_without_its_folder(tmp_path: Path) -> None:
    source = open_data(str(write_folder(tmp_path / "films", FILES)))
    film = source.films[0]
    (tmp_path / "films" / film.path).unlink()
    with pytest.raises(DataError, match=film.name) as caught:
        source.read(film)
    assert str(tmp_path) not in str(caught.value)


def test_an_empty_class_folder_says_so_later(tmp_path: Path) -> None:
    """The layout is there; that one class is missing is for require_both_classes to say."""
    files = {name: content for name, content in FILES.items() if "/NORMAL/" in name}
    root = write_folder(tmp_path / "films", files)
    (root / "train" / "PNEUMONIA").mkdir()
    assert {film.label for film in open_data(str(root)).films} == {"NORMAL"}


def test_a_folder_of_empty_class_folders_is_an_error(tmp_path: Path) -> None:
    for label in ("NORMAL", "PNEUMONIA"):
        (tmp_path / "train" / label).mkdir(parents=True)
    with pytest.raises(DataError, match="the data set holds no file"):
        open_data(str(tmp_path))


# --- Archives


@pytest.mark.parametrize("above", ["", "chest_xray/", "chest_xray/chest_xray/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_an_archive_is_read_in_place(tmp_path: Path, above: str, method: int) -> None:
    files = {above + name: content for name, content in FILES.items()}
    clutter = {"__MACOSX/._x": b"x", above + "train/NORMAL/.DS_Store": b"x", above + "empty/": b""}
    path = write_zip(tmp_path / "films.zip", {**files, **clutter}, method)
    source = open_data(str(path))
    assert isinstance(source, ZipSource)
    assert {film.path: source.read(film) for film in source.films} == files
    assert (source.identity.id, source.identity.notes) == ("films.zip", ())
    assert everything(tmp_path) == [path]


def test_an_archive_in_an_archive_is_no_layout(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "inner.zip", FILES)
    path = write_zip(tmp_path / "outer.zip", {"inner.zip": inner.read_bytes()})
    with pytest.raises(DataError, match="the data set holds 1 files in no folder"):
        open_data(str(path))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_archive(tmp_path: Path, kept: float) -> None:
    whole = write_zip(tmp_path / "films.zip", FILES).read_bytes()
    (tmp_path / "films.zip").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataError, match=r"films\.zip is no (\.zip or is damaged|DATA)") as caught:
        open_data(str(tmp_path / "films.zip"))
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "film.jpeg").write_bytes(next(iter(FILES.values())))
    with pytest.raises(DataError, match=r"film\.jpeg is no DATA: that is a folder, a \.zip, a table"):
        open_data(str(tmp_path / "film.jpeg"))


def test_an_archive_that_may_not_be_read_is_named_without_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "films.zip", FILES)

    def refuse(file: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(zipfile, "ZipFile", refuse)
    with pytest.raises(DataError, match="Permission denied") as caught:
        open_data(str(path))
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "../train/NORMAL/a.jpeg",
        "train/../../NORMAL/a.jpeg",
        "train/NORMAL/..",
        "/train/NORMAL/a.jpeg",
        "//server/train/NORMAL/a.jpeg",
        "..\\train\\NORMAL\\a.jpeg",
        "train\\..\\..\\a.jpeg",
        "\\train\\NORMAL\\a.jpeg",
        "C:\\train\\NORMAL\\a.jpeg",
        "c:train/NORMAL/a.jpeg",
    ],
)
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "films.zip", {**FILES, name: b"x"})
    with pytest.raises(DataError, match=r"a name that leads outside the \.zip"):
        open_data(str(path))
    assert everything(tmp_path) == [path]


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    """It is read as the text that it holds, which is no image."""
    (tmp_path / "secret").write_bytes(b"secret")
    path = write_zip(tmp_path / "films.zip", FILES)
    link = zipfile.ZipInfo("train/NORMAL/link.jpeg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(tmp_path / "secret"))
    source = open_data(str(path))
    film = next(film for film in source.films if film.name == "link.jpeg")
    assert source.read(film) == str(tmp_path / "secret").encode()


def declare(path: Path, name: str, size: int) -> None:
    """Let the archive's directory lie about the unpacked size of a member."""
    content = bytearray(path.read_bytes())
    place = content.rindex(name.encode()) - 46  # the last mention is the one in the directory
    assert content[place : place + 4] == b"PK\x01\x02"
    content[place + 24 : place + 28] = struct.pack("<I", size)
    path.write_bytes(content)


BOMB = "train/NORMAL/bomb.jpeg"


def test_a_bomb_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "films.zip", {**FILES, BOMB: bytes(MAX_BYTES + 1)})
    assert path.stat().st_size < 2**20
    with pytest.raises(DataError, match=r"bomb\.jpeg.*would swell to 64 MiB"):
        open_data(str(path))


@pytest.mark.parametrize("declared", [2**31, 2**32 - 2])
def test_a_declared_bomb_is_refused(tmp_path: Path, declared: int) -> None:
    path = write_zip(tmp_path / "films.zip", {**FILES, BOMB: bytes(1000)})
    declare(path, BOMB, declared)
    with pytest.raises(DataError, match="would swell to"):
        open_data(str(path))


@pytest.mark.parametrize("declared", [10, 5000])
def test_a_member_that_lies_about_its_size_is_unreadable(tmp_path: Path, declared: int) -> None:
    """One that says 10 bytes and unpacks to more, and one that says more than it has."""
    path = write_zip(tmp_path / "films.zip", {**FILES, BOMB: bytes(1000)})
    declare(path, BOMB, declared)
    source = open_data(str(path))
    film = next(film for film in source.films if film.path == BOMB)
    if declared < 1000:
        with pytest.raises(DataError, match=r"bomb\.jpeg is damaged or encrypted in the \.zip"):
            source.read(film)
    else:
        assert source.read(film) == bytes(1000)


def test_a_large_member_is_not_read_whole(tmp_path: Path) -> None:
    """One that hardly shrinks is no bomb; of it, no more is read than tells the decoder that it is too large."""
    block = random.Random(0).randbytes(2**16)
    content = b"".join(block[:-4] + struct.pack("<I", n) for n in range(1040)) + bytes(1000)
    path = write_zip(tmp_path / "films.zip", {**FILES, BOMB: content}, zipfile.ZIP_STORED)
    source = open_data(str(path))
    film = next(film for film in source.films if film.path == BOMB)
    assert len(source.read(film)) == MAX_BYTES + 1 < len(content)


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", len(FILES))
    open_data(str(write_zip(tmp_path / "films.zip", FILES)))
    path = write_zip(tmp_path / "films.zip", {**FILES, "one more": b""})
    with pytest.raises(DataError, match="holds 13 files; at most 12 are read"):
        open_data(str(path))


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "films.zip", FILES)
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        local = struct.unpack("<I", content[place + 42 : place + 46])[0]
        content[place + 8] |= 1
        content[local + 6] |= 1
        place = content.find(b"PK\x01\x02", place + 1)
    path.write_bytes(content)
    source = open_data(str(path))
    with pytest.raises(DataError, match=r"is damaged or encrypted in the \.zip \(.*encrypted"):
        source.read(source.films[0])


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_random_damage_of_an_archive_is_a_data_error_or_none(tmp_path: Path, method: int) -> None:
    files = {
        f"{split}/{label}/ñ.jpeg": bytes(range(256)) * 2 for split in ("train", "test") for label in LABELS
    }
    whole = write_zip(tmp_path / "whole.zip", files, method).read_bytes()
    rng = random.Random(method)
    path = tmp_path / "damaged.zip"
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            first = 0 if rng.random() < 0.5 else len(damaged) - 400
            damaged[rng.randrange(first, len(damaged))] = rng.choice([0, 1, 8, 128, 255, rng.randrange(256)])
        path.write_bytes(damaged)
        try:
            source = ZipSource(path)
            for film in source.films:
                source.read(film)
        except CxrError as error:
            assert isinstance(error, DataError)


LABELS = ("NORMAL", "PNEUMONIA")

# --- Phantoms and other forms


def test_phantoms() -> None:
    source = open_data("phantom:12")
    assert {film.path for film in source.films} == set(FILES)
    assert source.identity.id == "phantom:12"
    assert "not radiographs of people" in source.identity.notes[0]
    film = source.films[3]
    record = next(record for record in RECORDS if record.path.as_posix() == film.path)
    assert (film.split, film.label) == (record.split, record.label)
    assert film.subtype == {"normal": ""}.get(record.subtype, record.subtype)
    assert source.read(film) == phantom.phantom_jpeg(record)


def test_the_patients_of_phantoms_are_as_planned() -> None:
    records = {record.path.as_posix(): record.patient for record in phantom.phantom_split(100)}
    films = open_data("phantom:100").films
    pairs = {(film.patient, records[film.path]) for film in films}
    assert len(pairs) == len({name for name, _ in pairs}) == len({number for _, number in pairs}) < len(films)


def test_phantom_without_a_number() -> None:
    source = open_data("phantom")
    assert (len(source.films), source.identity.id) == (DEFAULT_PHANTOMS, f"phantom:{DEFAULT_PHANTOMS}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("phantom:", "phantom or phantom:N"),
        ("phantom:many", "'phantom:many' names no number"),
        ("phantom:-5", "phantom or phantom:N"),
        ("phantom:1.5", "phantom or phantom:N"),
        ("phantom:0", "phantom:0 is too few.*12 or more"),
        ("phantom:11", "phantom:11 is too few.*12 or more"),
        ("hub:", "hub:OWNER/NAME"),
        ("hub:name", "hub:OWNER/NAME"),
        ("hub:owner/name@", "hub:OWNER/NAME"),
        ("hub:a/b/c", "hub:OWNER/NAME"),
        ("nowhere/to/be/found", "does not exist"),
        ("", "does not exist"),
        ("phantoms", "does not exist"),
    ],
)
def test_data_of_no_known_form(
    data: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        open_data(data)


# --- Films as pixels


class Memory:
    """A source of files that are held here, which counts the threads that read."""

    def __init__(self, files: dict[str, bytes | DataError]) -> None:
        self.identity = sources.DataIdentity("memory")
        self.films = [describe(name, *name.split("/")[:2]) for name in files]
        self.threads: set[int] = set()
        self._files = files

    def read(self, film: Film) -> bytes:
        self.threads.add(threading.get_ident())
        content = self._files[film.path]
        if isinstance(content, DataError):
            raise content
        return content


def load(source: sources.FilmSource, **options: bool) -> tuple[LoadedFilms, list[Unreadable]]:
    return load_films(source, source.films, SPEC, progress=False, **options)


def test_films_keep_their_order_and_get_their_hash() -> None:
    source = open_data("phantom:14")
    films = source.films[::-1]
    loaded, unreadable = load_films(source, films, SPEC, progress=False)
    assert unreadable == []
    assert [film.path for film in loaded.films] == [film.path for film in films]
    assert loaded.pixels.dtype == np.uint8
    assert loaded.pixels.shape == (14, 32, 32)
    for film, pixels in zip(loaded.films, loaded.pixels, strict=True):
        content = source.read(film)
        assert film.sha256 == sha256_of(content)
        np.testing.assert_array_equal(pixels, to_model_pixels(decode(content), SPEC))
    assert loaded.y_true.tolist() == [film.label == "PNEUMONIA" for film in films]
    assert loaded.y_true.dtype == np.uint8


def test_threads_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        f"train/NORMAL/{n}-{Path(name).name}": content for n in range(8) for name, content in FILES.items()
    }
    for source in (
        open_data(str(write_folder(tmp_path / "films", names))),
        open_data(str(write_zip(tmp_path / "films.zip", names))),
        Memory(dict(names)),
    ):
        results = []
        for workers in (1, 8):
            monkeypatch.setenv("CXR_THREADS", str(workers))
            results.append(load(source)[0])
        alone, together = results
        assert alone.films == together.films
        np.testing.assert_array_equal(alone.pixels, together.pixels)
        assert len(alone.films) == len(names)


def test_several_threads_read() -> None:
    if cpu_count() == 1:
        pytest.skip("a machine with one core")
    source = Memory(dict.fromkeys((f"train/NORMAL/{n}.jpeg" for n in range(200)), next(iter(FILES.values()))))
    load(source)
    assert len(source.threads) > 1


DAMAGED: dict[str, Callable[[bytes], bytes | DataError]] = {
    "text renamed": lambda _: b"this is no image",
    "cut short": lambda content: content[:300],
    "empty": lambda _: b"",
    "unreadable": lambda _: DataError("The .zip is damaged. Make it again."),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_an_unreadable_film_is_listed_or_skipped(kind: str) -> None:
    files: dict[str, bytes | DataError] = dict(FILES)
    bad = list(FILES)[4]
    files[bad] = DAMAGED[kind](FILES[bad])
    source = Memory(files)
    with pytest.raises(DataError, match="1 of 12 films cannot be read") as caught:
        load(source)
    assert bad in str(caught.value)
    assert "--skip-unreadable" in str(caught.value)
    loaded, unreadable = load(source, skip_unreadable=True)
    assert [film.path for film in loaded.films] == [name for name in FILES if name != bad]
    assert len(loaded.pixels) == 11
    whole = load(Memory(dict(FILES)))[0]
    np.testing.assert_array_equal(loaded.pixels, np.delete(whole.pixels, 4, axis=0))
    assert len(unreadable) == 1
    assert str(unreadable[0]).startswith(f"{bad}: ")


def test_every_unreadable_film_is_listed() -> None:
    bad = list(FILES)[2:5]
    with pytest.raises(DataError, match="3 of 12 films cannot be read") as caught:
        load(Memory({**FILES, **dict.fromkeys(bad, b"no image")}))
    assert all(name in str(caught.value) for name in bad)


def test_nothing_readable_is_no_crash() -> None:
    loaded, unreadable = load(Memory(dict.fromkeys(FILES, b"")), skip_unreadable=True)
    assert (loaded.films, loaded.pixels.shape, len(unreadable)) == ([], (0, 32, 32), 12)
    assert loaded.y_true.shape == (0,)


def test_a_fault_of_ours_is_not_taken_for_an_unreadable_film(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(loading, "to_model_pixels", broken)
    with pytest.raises(RuntimeError, match="a fault"):
        load(Memory(dict(FILES)), skip_unreadable=True)


def test_films_with_identical_bytes_share_a_group() -> None:
    first, second, third = list(FILES)[:3]
    loaded, _ = load(Memory({**FILES, second: FILES[first]}))
    groups = {film.path: film.patient for film in loaded.films}
    assert groups[first] == groups[second] != groups[third]


def test_take_keeps_films_and_pixels_together() -> None:
    loaded, _ = load(Memory(dict(FILES)))
    keep = [index in (1, 5, 6) for index in range(12)]
    taken = loaded.take(keep)
    assert taken.films == [loaded.films[index] for index in (1, 5, 6)]
    np.testing.assert_array_equal(taken.pixels, loaded.pixels[[1, 5, 6]])
    with pytest.raises(ValueError, match="zip"):
        loaded.take([True])


# --- The real data


@pytest.fixture(scope="module")
def real_films(chest_xray: Path) -> LoadedFilms:
    """All films; reading them is what takes the time."""
    source = open_data(str(chest_xray))
    films = []
    for film in source.films:
        content = source.read(film)
        film = replace(film, sha256=sha256_of(content))
        image = decode(content)
        assert image.notes == (), film.path
        assert image.pixels.shape == (224, 224)
        films.append(film)
    return LoadedFilms(films, np.empty((len(films), 0, 0), np.uint8))


def test_the_real_films_are_those_of_their_readme(real_films: LoadedFilms) -> None:
    kinds = Counter((film.split, film.label, film.subtype) for film in real_films.films)
    assert kinds == {
        ("train", "NORMAL", ""): 1341,
        ("train", "PNEUMONIA", "bacterial"): 2530,
        ("train", "PNEUMONIA", "viral"): 1345,
        ("val", "NORMAL", ""): 8,
        ("val", "PNEUMONIA", "bacterial"): 8,
        ("test", "NORMAL", ""): 234,
        ("test", "PNEUMONIA", "bacterial"): 242,
        ("test", "PNEUMONIA", "viral"): 148,
    }


def test_every_real_name_is_understood(real_films: LoadedFilms) -> None:
    assert not [film.path for film in real_films.films if film.patient.startswith("film:")]


def test_no_real_film_is_in_two_splits(real_films: LoadedFilms) -> None:
    assert check_films(real_films.films).duplicates_across == []


def test_a_real_film_is_read_as_pillow_reads_it(chest_xray: Path) -> None:
    path = chest_xray / "test" / "NORMAL" / "IM-0001-0001.jpeg"
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        expected = np.asarray(image)
    np.testing.assert_array_equal(
        decode(path.read_bytes()).pixels, expected if expected.ndim == 2 else expected[..., 0]
    )
