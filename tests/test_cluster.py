# ruff: noqa: E402  what is imported needs Ray, without which this file is skipped
"""python -m evaluation score --engine ray: every film one row, whatever is killed, as the default engine has it."""

import csv
import io
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from cxr.data.names import PassedOver
from cxr.errors import BundleError, DataError, ImageError, UsageError
from cxr.phantom import phantom_jpeg, phantom_split
from evaluation import __main__ as command
from evaluation.config import ScoreConfig
from evaluation.score import score

ray = pytest.importorskip("ray", reason="Ray is not installed (extra cluster)")
pytest.importorskip("fsspec", reason="fsspec is not installed (extra cluster)")

from ray.exceptions import ActorDiedError, RayTaskError

from cxr.serving.opening import open_model
from cxr.threads import VARIABLE, cpu_count
from evaluation.cluster import score as engine
from evaluation.cluster.addresses import find_films
from evaluation.cluster.parts import PartsFolder, part_name
from evaluation.cluster.score import score_on_cluster
from evaluation.cluster.worker import Worker, films_of, packed, unpacked
from tests.ray_workers import kill_one

ROOT = Path(__file__).resolve().parents[1]
MODEL = str(ROOT / "bundles" / "default")
BUCKET = "films"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 phantoms in two folders, and three files that are none."""
    folder = tmp_path_factory.mktemp("films")
    for number, record in enumerate(phantom_split(48)):
        place = folder / "ab"[number % 2]
        place.mkdir(exist_ok=True)
        (place / f"film-{number:02}.jpeg").write_bytes(phantom_jpeg(record, 128))
    (folder / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "a" / "empty.jpg").touch()
    (folder / "notes.txt").write_text("no film")
    return folder


@pytest.fixture(scope="module")
def started() -> Iterator[None]:
    """An embedded Ray for all tests of this file, and a local S3 that its workers find in their environment."""
    if not os.environ.get("CXR_RAY"):
        pytest.skip("the Ray engine's tests take minutes on two cores: CXR_RAY=1 runs them")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "made-up")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("NO_PROXY", "127.0.0.1")
        try:
            engine.start(2)
        except DataError as error:  # five times in vain: the machine is too busy, which is no fault of ours
            pytest.skip(str(error))
        yield
        ray.shutdown()
    server.stop()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LARGEST_PART", 3)


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker settles the threads of its process, which is that of all tests here."""
    monkeypatch.setenv(VARIABLE, str(cpu_count()))


def config(files: Path | str, out: Path, workers: int = 2) -> ScoreConfig:
    return ScoreConfig(MODEL, str(files), out, "ray", workers)


def rows_of(out: Path) -> list[dict[str, str]]:
    """All rows of a CSV, or of a folder's parts, by file."""
    found = []
    for path in [out] if out.is_file() else sorted(out.glob("part-*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            found += list(csv.DictReader(stream))
    return sorted(found, key=lambda row: row["file"])


# --- With Ray, which warns of its own settings

RAYS_OWN = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@RAYS_OWN
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("started", "small_parts")
def test_a_killed_worker_costs_nothing_and_the_rows_are_the_default_engines(
    films: Path, tmp_path: Path
) -> None:
    out, killed, over = tmp_path / "answers", [], threading.Event()

    def kill() -> None:
        written = lambda: len(list(out.glob("part-*.csv"))) in range(1, 12)  # noqa: E731
        killed.append(kill_one(os.getpid(), written, over.is_set, signal.SIGKILL))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        counts = score_on_cluster(config(films, out))
    finally:
        over.set()
        killer.join()
    assert killed and killed[0], "no worker was killed on the way"
    expected = score(ScoreConfig(MODEL, str(films), tmp_path / "default.csv"))
    assert rows_of(out) == rows_of(tmp_path / "default.csv") and len(rows_of(out)) == 50
    assert counts == expected and counts["unreadable"] == 2
    tables = [pq.read_table(path).to_pylist() for path in out.glob("*.parquet")]
    by_file = {row["file"]: row for table in tables for row in table}
    for row in rows_of(out):
        same = by_file.pop(row["file"])
        assert same["decision"] == (row["decision"] or None) and same["error"] == (row["error"] or None)
        assert ("" if same["probability"] is None else f"{same['probability']:.6f}") == row["probability"]
    assert not by_file


@RAYS_OWN
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("started")
def test_films_in_an_object_store(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By s3:// against a local server; the same answers as for the files, and an empty object says so."""
    import s3fs

    store = s3fs.S3FileSystem()
    store.mkdir(BUCKET)
    chosen = [*sorted(films.glob("a/film-*.jpeg"))[:6], films / "a" / "broken.png", films / "a" / "empty.jpg"]
    for path in [*chosen, films / "notes.txt"]:
        store.pipe_file(f"{BUCKET}/some/{path.name}", path.read_bytes())
    out = tmp_path / "answers"
    counts = score_on_cluster(config(f"s3://{BUCKET}/some", out, 1))
    assert counts.total() == 8 and "1 .txt" in capsys.readouterr().out
    rows = rows_of(out)
    assert [row["file"] for row in rows] == sorted(f"s3://{BUCKET}/some/{path.name}" for path in chosen)
    score(ScoreConfig(MODEL, str(films / "a"), tmp_path / "default.csv"))
    by_name = {Path(row["file"]).name: row for row in rows_of(tmp_path / "default.csv")}
    for row in rows:
        assert row | {"file": ""} == by_name[Path(row["file"]).name] | {"file": ""}
    # Everything has its row, so that no worker is started.
    assert score_on_cluster(config(f"s3://{BUCKET}/some/*", out, 1)).total() == 0


# --- Without


def test_a_run_that_was_stopped_goes_on_and_repeats_nothing(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is killed between a part's CSV and its Parquet, and the archive has grown since."""
    out, answered = tmp_path / "answers", Counter[str]()
    here = Worker(MODEL, open_model(MODEL).predictor.identity.sha256)

    def answers(names, model, identity, total, workers):
        for part in engine._parts(names, 4):
            answered.update(unpacked(part["films"]))
            found = here({name: [value] for name, value in part.items()})
            yield found["part"][0], found["lines"][0], Counter(a=4)

    class _Started:
        def __enter__(self) -> int:
            return 1

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(engine, "_answers", answers)
    monkeypatch.setattr(engine, "_ray", lambda _: _Started())
    grown = tmp_path / "films"
    grown.mkdir()
    for number, path in enumerate(sorted(films.glob("a/film-*.jpeg"))[:10]):
        os.link(path, grown / f"m{number}.jpeg")
    write = PartsFolder.write

    def killed(self: PartsFolder, part: str, lines: bytes) -> None:
        write(self, part, lines)
        if len(list(out.glob("part-*.csv"))) == 2:
            (out / f"{part}.parquet").unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PartsFolder, "write", killed)
        score_on_cluster(config(grown, out))
    os.link(films / "b" / "film-01.jpeg", grown / "a-first-by-name.jpeg")
    answered.clear()
    score_on_cluster(config(grown, out))
    assert sorted(Path(name).name for name in answered) == ["a-first-by-name.jpeg", "m8.jpeg", "m9.jpeg"]
    assert len(rows_of(out)) == 11 and {row["error"] for row in rows_of(out)} == {""}
    assert len(list(out.glob("*.parquet"))) == len(list(out.glob("part-*.csv"))) == 3
    answered.clear()
    score_on_cluster(config(grown, out))
    assert not answered


def test_folders_that_are_not_ours_stay_as_they_are(tmp_path: Path) -> None:
    predictor = open_model(MODEL).predictor
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        PartsFolder(tmp_path / "theirs", predictor)
    assert os.listdir(tmp_path / "theirs") == ["notes.txt"]  # noqa: PTH208
    (tmp_path / "file.csv").touch()
    with pytest.raises(UsageError, match="name a folder"):
        PartsFolder(tmp_path / "file.csv", predictor)
    with PartsFolder(tmp_path / "ours", predictor), pytest.raises(UsageError, match="Another run is writing"):
        PartsFolder(tmp_path / "ours", predictor)
    predictor.decision = predictor.decision.model_copy(update={"threshold": 0.51})
    with pytest.raises(UsageError, match="answers of another model"):
        PartsFolder(tmp_path / "ours", predictor)


@pytest.mark.parametrize("content", [b"file,patient\nx,y\n", b'\xef\xbb\xbffile,"'])
def test_a_damaged_part_is_named(content: bytes, tmp_path: Path) -> None:
    predictor = open_model(MODEL).predictor
    with PartsFolder(tmp_path, predictor):
        (tmp_path / "part-1.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"part-1\.csv is"):
        PartsFolder(tmp_path, predictor)


def test_names_of_films_and_parts() -> None:
    names = ["a b.png", os.fsdecode(b"latin-\xf1.png"), "two\nlines.png"]
    assert unpacked(packed(names)) == names
    assert part_name(names) == part_name(list(names)) != part_name(names[::-1])


def test_addresses_of_other_file_systems(films: Path) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    for name in ("c/2.png", "c/1.dcm", "c/.hidden.png", "c/readme.md", "c/sub/3"):
        store.pipe_file(f"/{name}", b"\xff\xd8\xff" if name.endswith("3") else b"x")
    passed = PassedOver()
    assert list(find_films("memory://c", passed)) == [
        "memory:///c/1.dcm",
        "memory:///c/2.png",
        "memory:///c/sub/3",
    ]
    assert passed == {"hidden": 1, ".md": 1}
    assert list(find_films("memory://c/*.png", PassedOver())) == ["memory:///c/2.png"]
    local = list(find_films(str(films), PassedOver()))
    assert list(find_films(f"file://{films}", PassedOver())) == local and len(local) == 50
    with pytest.raises(UsageError, match="nowhere://x cannot be opened"):
        list(find_films("nowhere://x", PassedOver()))


def test_films_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is a row; when none can be, the run stops: the access is gone, not the films."""
    import fsspec

    store = fsspec.filesystem("memory")
    stream = io.BytesIO()
    Image.new("L", (64, 64), 90).save(stream, "PNG")
    for number in range(40):
        store.pipe_file(f"/d/{number:02}.png", stream.getvalue())
    names = [f"memory:///d/{number:02}.png" for number in range(40)]
    store.rm("/d/07.png")
    found = {film.name: film.read for film in films_of(names)}
    assert list(found) == names
    assert found.pop(names[7]) and all(read().width == 64 for name, read in found.items())
    with pytest.raises(ImageError, match=r"07.png cannot be read"):
        list(films_of(names[6:9]))[1].read()
    store.rm("/d", recursive=True)
    with pytest.raises(DataError, match="None of 16 films in a row can be read"):
        list(films_of(names))


def test_another_model_on_a_worker_does_not_answer() -> None:
    with pytest.raises(BundleError, match="is not the model that the command opened"):
        Worker(MODEL, "0" * 64)
    assert os.environ["CXR_THREADS"] == "1"


def test_what_ray_raises_becomes_a_sentence() -> None:
    ours = BundleError("model.h5 is altered. Restore it.")
    raised = RayTaskError("f", "Traceback ...", ours)
    assert engine._in_words(raised) is ours
    assert "more than 3 times" in str(engine._in_words(ActorDiedError()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--files", "s3://bucket/films"], "--files s3://bucket/films needs --engine ray."),
        (["--files", "dicomweb:http://x", "--engine", "ray"], "--engine ray does not read from a PACS."),
        (["--files", "/no/such/folder", "--engine", "ray"], "holds no radiograph"),
    ],
)
def test_what_the_command_says(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parsed = ["score", "--model", MODEL, "--out", str(tmp_path / "out"), *arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["evaluation", *parsed])
        assert command.main() == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
