"""hub: data through the real clients of the Hub, over HTTP, against a small Hub of our own."""

import io
import json
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import hub_server
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hub_kit import Ask, client

from cxr import phantom
from cxr.data.films import describe
from cxr.files import sha256_of
from cxr.types import CLASSES

RECORDS = phantom.phantom_split(12)
HUB_NAME_OF = {"train": "train", "val": "validation", "test": "test"}
Row = tuple[str | None, bytes | None, int | None]


def parquet(rows: Sequence[Row], names: Sequence[str] = CLASSES, label: str = "label") -> bytes:
    """Rows (file name, bytes, label) as the Hub holds image data sets."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            "image": pa.array([{"bytes": content, "path": name} for name, content, _ in rows], image),
            label: pa.array([value for _, _, value in rows], pa.int64()),
        }
    )
    features = {"image": {"_type": "Image"}, label: {"_type": "ClassLabel", "names": list(names)}}
    described = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    stream = io.BytesIO()
    pq.write_table(described, stream)
    return stream.getvalue()


def data_set(named: bool = True, **options: Any) -> dict[str, bytes]:
    """The phantoms of all splits, one parquet file each."""
    files = {}
    for split, hub_name in HUB_NAME_OF.items():
        rows: list[Row] = [
            (
                record.file_name if named else None,
                phantom.phantom_jpeg(record, 48),
                CLASSES.index(record.label),
            )
            for record in RECORDS
            if record.split == split
        ]
        files[f"data/{hub_name}-00000-of-00001.parquet"] = parquet(rows, **options)
    return files


ONE = phantom.phantom_jpeg(RECORDS[0], 48)


@pytest.fixture(scope="module")
def hub() -> Iterator[hub_server.Hub]:
    with hub_server.serve() as hub:
        yield hub


@pytest.fixture(scope="module")
def ask(hub: hub_server.Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Open DATA in a process that knows our Hub only and starts with an empty cache."""
    with client(hub.url, tmp_path_factory.mktemp("hf_home")) as request:
        yield lambda data, endpoint=hub.url: request(data=data, endpoint=endpoint)


def test_a_data_set_with_file_names(hub: hub_server.Hub, ask: Ask) -> None:
    sha = hub.commit("datasets", "owner/films", data_set())
    found = ask("hub:owner/films")
    expected = []
    for record in RECORDS:
        film = describe(record.path.as_posix(), record.split, record.label)
        content = phantom.phantom_jpeg(record, 48)
        expected.append([film.path, film.split, film.label, film.subtype, film.patient, sha256_of(content)])
    assert found["films"] == sorted(expected)
    assert {film[1] for film in found["films"]} == {"train", "val", "test"}
    assert (found["id"], found["revision"], found["notes"]) == ("hub:owner/films", sha, [])


def test_a_data_set_without_file_names(hub: hub_server.Hub, ask: Ask) -> None:
    """Its patients are not known, which is said; and no two films are taken for one patient's."""
    hub.commit("datasets", "owner/unnamed", data_set(named=False))
    found = ask("hub:owner/unnamed")
    assert len(found["films"]) == len({film[4] for film in found["films"]}) == 12
    assert len(found["notes"]) == 2
    assert found["notes"][0].startswith("12 of 12 films come without a file name")
    assert found["notes"][1].startswith("patients are not known for any film")
    expected = {sha256_of(phantom.phantom_jpeg(record, 48)) for record in RECORDS}
    assert {film[5] for film in found["films"]} == expected


def test_an_older_revision_is_the_one_that_was_asked_for(hub: hub_server.Hub, ask: Ask) -> None:
    old = hub.commit(
        "datasets", "owner/two", {"data/test-00000-of-00001.parquet": parquet([("a.jpeg", ONE, 0)])}
    )
    new = hub.commit(
        "datasets", "owner/two", {"data/test-00000-of-00001.parquet": parquet([("b.jpeg", ONE, 1)])}
    )
    assert old != new
    for data, sha, path in (
        (f"hub:owner/two@{old}", old, "test/NORMAL/a.jpeg"),
        ("hub:owner/two@main", new, "test/PNEUMONIA/b.jpeg"),
    ):
        found = ask(data)
        assert (found["revision"], [film[0] for film in found["films"]]) == (sha, [path])


def test_films_of_one_name_are_all_kept_with_their_patient(hub: hub_server.Hub, ask: Ask) -> None:
    rows: list[Row] = [
        (f"{folder}/person7_virus_1.jpeg", phantom.phantom_jpeg(RECORDS[n], 48), 1)
        for n, folder in enumerate("abc")
    ]
    hub.commit("datasets", "owner/same", {"data/train-00000-of-00001.parquet": parquet(rows)})
    films = ask("hub:owner/same")["films"]
    assert [(film[3], film[4]) for film in films] == [("viral", "person7")] * 3
    assert len({film[0] for film in films}) == len({film[5] for film in films}) == 3
    assert all(PurePosixPath(film[0]).suffix == ".jpeg" for film in films)


def test_class_names_are_compared_without_regard_to_case(hub: hub_server.Hub, ask: Ask) -> None:
    names = ["Pneumonia", "normal"]  # in another order, too
    rows: list[Row] = [("a.jpeg", ONE, 0), ("b.jpeg", ONE, 1)]
    hub.commit("datasets", "owner/case", {"data/train-00000-of-00001.parquet": parquet(rows, names)})
    found = ask("hub:owner/case")
    assert [film[0] for film in found["films"]] == ["train/NORMAL/b.jpeg", "train/PNEUMONIA/a.jpeg"]


def test_splits_and_labels_have_common_names(hub: hub_server.Hub, ask: Ask) -> None:
    """Pathogens are subtypes, other splits and labels are left out and counted."""
    rows: list[Row] = [(f"{n}.jpeg", phantom.phantom_jpeg(RECORDS[n], 48), n) for n in range(4)]
    files = {
        f"data/{split}-00000-of-00001.parquet": parquet(rows, ["normal", "BACTERIA", "Virus", "COVID"])
        for split in ("training", "dev", "extra")
    }
    hub.commit("datasets", "owner/words", files)
    found = ask("hub:owner/words")
    assert [film[:4] for film in found["films"]] == [
        [f"{split}/{label}/{n}.jpeg", split, label, subtype]
        for split in ("train", "val")
        for n, (label, subtype) in enumerate(
            [("NORMAL", ""), ("PNEUMONIA", "bacterial"), ("PNEUMONIA", "viral")]
        )
    ]
    assert found["notes"][0] == "left out (6 files): 4 in the split extra, 2 with the label COVID"


def test_empty_images_are_one_line(hub: hub_server.Hub, ask: Ask) -> None:
    table = pq.read_table(io.BytesIO(data_set()["data/train-00000-of-00001.parquet"]))
    images = [None, *table.column("image").to_pylist()[1:]]
    holed = table.set_column(0, "image", pa.array(images, table.schema.field("image").type))
    stream = io.BytesIO()
    pq.write_table(holed, stream)
    hub.commit("datasets", "owner/holed", {"data/train-00000-of-00001.parquet": stream.getvalue()})
    _assert_data_error(
        ask("hub:owner/holed"),
        r"In the split train of owner/holed 1 of \d+ rows have no image in the column image",
    )


# Repository -> its files, and what the message has to say
FAULTY: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "owner/no-label": (
        lambda: data_set(label="finding"),
        r"owner/no-label has no column label; its columns are image, finding",
    ),
    "owner/other-labels": (
        lambda: data_set(names=["cat", "dog"]),
        r"has the labels cat, dog, none of which",
    ),
    # ClassLabel -1 is "not labelled", and no index from the end
    "owner/unlabelled": (
        lambda: {"data/test-00000-of-00001.parquet": parquet([("a.jpeg", ONE, -1)])},
        r"In the split test of owner/unlabelled 1 of 1 rows have no label in the column label",
    ),
    "owner/null-label": (
        lambda: {"data/test-00000-of-00001.parquet": parquet([("a.jpeg", ONE, None)])},
        r"In the split test of owner/null-label 1 of 1 rows have no label in the column label",
    ),
    "owner/other-splits": (
        lambda: {
            "data/hospital-00000-of-00001.parquet": parquet([("a.jpeg", ONE, 0)]),
        },
        r"has the splits hospital, none of which is train",
    ),
    # Files of one split that do not fit together, which shows only when they are read
    "owner/mixed": (
        lambda: {
            "data/train-00000-of-00002.parquet": parquet([("a.jpeg", ONE, 0)]),
            "data/train-00001-of-00002.parquet": parquet([("a.jpeg", ONE, 0)], label="finding"),
        },
        r"owner/mixed cannot be had from the Hub \(",
    ),
    "owner/empty": (lambda: {"README.md": b"nothing here"}, r"owner/empty cannot be had from the Hub \("),
    "owner/damaged": (
        lambda: {"data/train-00000-of-00001.parquet": data_set()["data/train-00000-of-00001.parquet"][:900]},
        r"owner/damaged cannot be had from the Hub \(",
    ),
}


@pytest.mark.parametrize("repo", FAULTY)
def test_a_data_set_of_another_kind_is_one_clear_error(hub: hub_server.Hub, ask: Ask, repo: str) -> None:
    make, message = FAULTY[repo]
    hub.commit("datasets", repo, make())
    _assert_data_error(ask(f"hub:{repo}"), message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("hub:owner/nowhere", r"owner/nowhere cannot be had from the Hub \(404.*Repository Not Found"),
        (
            "hub:owner/films@no-such-branch",
            r"owner/films cannot be had from the Hub \(404.*Revision Not Found",
        ),
    ],
)
def test_an_unknown_repository_or_revision(hub: hub_server.Hub, ask: Ask, data: str, message: str) -> None:
    hub.commit("datasets", "owner/films", data_set())
    _assert_data_error(ask(data), message)


def test_a_hub_that_is_down(hub: hub_server.Hub, ask: Ask) -> None:
    hub.commit("datasets", "owner/films", data_set())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = ask("hub:owner/films", endpoint=f"http://127.0.0.1:{port}")
    _assert_data_error(found, r"owner/films cannot be had from the Hub \(.*refused\).*the network")


def _assert_data_error(found: dict[str, Any], message: str) -> None:
    assert found.get("error") == "DataError", found
    assert "\n" not in found["message"]
    assert re.search(message, found["message"]), found["message"]
