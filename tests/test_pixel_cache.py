"""Films decoded once and kept on disk: the same pixels as in memory, shared between runs, whole after a kill."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr.data import loading
from cxr.data.films import Film
from cxr.data.loading import LoadedFilms, load_films
from cxr.data.pixel_cache import PixelCache, gathered
from cxr.errors import DataError, UsageError
from cxr.files import sha256_of
from cxr.imaging.preprocess import PreprocessSpec

SPEC = PreprocessSpec(size=32, resample="bilinear")


class Source:
    """Films of noise, some of them twice; counts what is read."""

    def __init__(self, count: int) -> None:
        self.films = [Film(f"train/NORMAL/{i}.png", "train", "NORMAL", "", f"p{i}") for i in range(count)]

    def read(self, film: Film) -> bytes:
        number = int(Path(film.path).stem) % 700  # film 700 has the bytes of film 0
        rng = np.random.default_rng(number)
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (40 + number % 3, 50), np.uint8)).save(stream, "PNG")
        return stream.getvalue()


def load(source: Source, cache: Path | None, films: list[Film] | None = None) -> LoadedFilms:
    return load_films(source, films or source.films, SPEC, progress=False, cache=cache)[0]  # type: ignore[arg-type]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the films that are decoded."""
    names: list[str] = []

    def noting(content: bytes, name: str) -> object:
        names.append(name)
        return decode(content, name)

    decode = loading.decode
    monkeypatch.setattr(loading, "decode", noting)
    return names


def test_the_cache_gives_what_memory_gives_and_decodes_once(tmp_path: Path, decoded: list[str]) -> None:
    source = Source(800)
    expected = load(source, None)
    decoded.clear()
    first = load(source, tmp_path)
    assert len(decoded) in range(700, 801)  # a copy may be under way before the film itself is in
    decoded.clear()
    again = load(source, tmp_path)
    assert decoded == []
    for loaded in (first, again):
        assert loaded.films == expected.films and np.array_equal(loaded.pixels, expected.pixels)
        assert isinstance(loaded.pixels, np.memmap) and not loaded.pixels.flags.writeable
    assert (tmp_path / first.scratch.name / "pixels.u8").stat().st_size == 700 * 32 * 32  # type: ignore[union-attr]


def test_a_part_of_them_stays_on_disk(tmp_path: Path) -> None:
    loaded = load(Source(60), tmp_path)
    keep = np.arange(60) % 3 > 0
    part = loaded.take(keep)
    assert isinstance(part.pixels, np.memmap) and part.films == [
        f for f, k in zip(loaded.films, keep, strict=True) if k
    ]
    assert np.array_equal(part.pixels, np.asarray(loaded.pixels)[keep])
    assert np.array_equal(part.take([True] + [False] * 39).pixels, part.pixels[:1])
    assert len(part.take([False] * 40).pixels) == 0


def test_films_of_other_sets_and_other_preprocessing(tmp_path: Path, decoded: list[str]) -> None:
    source = Source(40)
    load(source, tmp_path, source.films[:20])
    decoded.clear()
    mixed = load(source, tmp_path, source.films[15:25] + source.films[:3])
    assert sorted(decoded) == [f"{number}.png" for number in range(20, 25)]
    assert np.array_equal(mixed.pixels, load(source, None, source.films[15:25] + source.films[:3]).pixels)
    other = SPEC.model_copy(update={"size": 48})
    assert load_films(source, source.films, other, progress=False, cache=tmp_path)[0].pixels.shape[1] == 48  # type: ignore[arg-type]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


@pytest.mark.parametrize(("name", "left"), [("pixels.u8", 5 * 1024 + 7), ("films.bin", 3 * 44 + 11)])
def test_what_a_kill_cut_short_is_done_again(tmp_path: Path, name: str, left: int) -> None:
    source = Source(12)
    expected = load(source, tmp_path)
    store = next(path for path in tmp_path.iterdir())
    content = (store / name).read_bytes()
    (store / name).write_bytes(content[:left])
    assert np.array_equal(load(source, tmp_path).pixels, expected.pixels)
    assert (store / name).stat().st_size == len(content)


def test_unreadable_films_are_told_and_not_kept(tmp_path: Path) -> None:
    source = Source(5)
    read = source.read
    source.read = lambda film: b"no image" if film.path.endswith("3.png") else read(film)  # type: ignore[method-assign]
    with pytest.raises(DataError, match="1 of 5 films cannot be read"):
        load(source, tmp_path)
    loaded, skipped = load_films(
        source, source.films, SPEC, skip_unreadable=True, progress=False, cache=tmp_path
    )  # type: ignore[arg-type]
    assert len(loaded.films) == len(loaded.pixels) == 4 and len(skipped) == 1


def test_a_file_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(UsageError, match=r"--cache .* is a file"):
        PixelCache(tmp_path / "cache", SPEC)


def of_pixels(pixels: np.ndarray) -> Film:
    """A film as it is once its file has been read."""
    return Film("x", "train", "NORMAL", "", "p", sha256=sha256_of(pixels.tobytes()), size=(32, 32))


def test_what_decoding_noted_is_kept(tmp_path: Path) -> None:
    source = Source(2)
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)).save(stream, "PNG")
    read = source.read
    source.read = lambda film: stream.getvalue() if film.path.endswith("1.png") else read(film)  # type: ignore[method-assign]
    for _ in range(2):
        assert [film.notes for film in load(source, tmp_path).films] == [(), ("colour",)]


def test_rows_that_follow_each_other_are_not_copied(tmp_path: Path) -> None:
    with PixelCache(tmp_path, SPEC) as store:
        films = np.random.default_rng(0).integers(0, 255, (6, 32, 32), np.uint8)
        rows = [store.add(of_pixels(film), film) for film in films]
        pixels = store.pixels(rows)
    assert np.shares_memory(gathered(pixels, np.arange(2, 5), tmp_path), pixels)
    mixed = gathered(pixels, np.array([4, 0, 2]), tmp_path)
    assert np.array_equal(mixed, films[[4, 0, 2]]) and not list(tmp_path.glob("tmp*"))
