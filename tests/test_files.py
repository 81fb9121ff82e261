"""Hashes, and writes that are whole or not at all."""

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from cxr import files
from cxr.errors import UsageError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def test_sha256(tmp_path: Path) -> None:
    assert files.sha256_of(b"abc") == ABC
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert files.sha256_of_file(path) == ABC
    large = bytes(range(256)) * 5000  # more than one read
    path.write_bytes(large)
    assert files.sha256_of_file(path) == hashlib.sha256(large).hexdigest()


def test_write_bytes_replaces_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    files.write_bytes(path, b"old and longer")
    files.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


def test_written_files_may_be_read_by_others(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "file", b"")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "file"
    files.write_bytes(path, b"old")

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if failing == "fsync" else Path, failing, disk_full)
    with pytest.raises(OSError, match="No space left"):
        files.write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf8(tmp_path: Path) -> None:
    files.write_text(tmp_path / "t", "radiografía\n")
    assert (tmp_path / "t").read_bytes() == b"radiograf\xc3\xada\n"


def test_json_layout_and_order(tmp_path: Path) -> None:
    value = {"z": [1, 0.1], "a": "ñ", "n": None}
    files.write_json(tmp_path / "j", value)
    text = (tmp_path / "j").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text == '{\n  "z": [\n    1,\n    0.1\n  ],\n  "a": "ñ",\n  "n": null\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_json_does_not_know(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "j", {"auc": value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("empty_before", [False, True])
def test_new_folder_appears_whole(tmp_path: Path, empty_before: bool) -> None:
    out = tmp_path / "deep" / "out"
    if empty_before:
        out.mkdir(parents=True)
    with files.new_folder(out) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_bytes(b"x")
        assert folder != out
        assert not out.exists() or not list(out.iterdir())
    assert (out / "sub" / "file").read_bytes() == b"x"
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt])
def test_new_folder_vanishes_where_the_block_fails(tmp_path: Path, raised: type[BaseException]) -> None:
    with pytest.raises(raised), files.new_folder(tmp_path / "out") as folder:
        (folder / "half").write_bytes(b"x")
        raise raised
    assert not list(tmp_path.iterdir())


def test_new_folder_overwrites_nothing(tmp_path: Path) -> None:
    taken = tmp_path / "out"
    taken.mkdir()
    (taken / "mine").write_bytes(b"precious")
    with pytest.raises(UsageError, match="already holds files"), files.new_folder(taken):
        pytest.fail("the block must not run")
    assert (taken / "mine").read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [taken]


def test_require_free(tmp_path: Path) -> None:
    files.require_free(tmp_path / "absent")
    files.require_free(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match="new or empty"):
            files.require_free(taken)
