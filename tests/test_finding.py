"""Files on disk: one walk for every command, links followed once, odd names, and what is left out."""

import os
from pathlib import Path

import numpy as np
import pytest

from cxr.data.finding import find_film_files, walk
from cxr.data.names import PassedOver
from tests.dicom_files import dicom_bytes


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(root: Path) -> tuple[list[str], PassedOver]:
    passed_over = PassedOver()
    return list(walk(root, passed_over)), passed_over


def test_files_first_then_folders_in_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.png", "a/x/3.png", "z.png"):
        write(tmp_path / name)
    assert found(tmp_path) == (["z.png", "a/x/3.png", "b/1.png", "b/2.png"], {})


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path / "store" / "x.png")
    root = tmp_path / "data"
    write(root / "own" / "y.png")
    (root / "again").symlink_to(tmp_path / "store")
    (root / "linked").symlink_to(tmp_path / "store")
    (root / "zelf").symlink_to(root / "own")
    (root / "own" / "up").symlink_to(root)
    (root / "own" / "round").symlink_to("round")
    (root / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (root / "file.png").symlink_to(tmp_path / "store" / "x.png")
    files, passed_over = found(root)
    assert files == ["file.png", "own/y.png", "again/x.png"]
    assert passed_over == {
        "link to a folder that is read already (linked)": 1,
        "link to a folder that is read already (own/up)": 1,
        "link to a folder that is read already (zelf)": 1,
        "link that leads nowhere (own/round)": 1,
        "link that leads nowhere (lost.png)": 1,
    }


def test_a_link_inside_a_linked_folder_leads_no_circle(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.png")
    write(tmp_path / "b" / "y.png")
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to_a").symlink_to(tmp_path / "a")
    root = tmp_path / "data"
    root.mkdir()
    (root / "start").symlink_to(tmp_path / "a")
    assert found(root)[0] == ["start/x.png", "start/to_b/y.png"]


def test_pipes_and_hidden_things_are_said(tmp_path: Path) -> None:
    write(tmp_path / "x.png")
    write(tmp_path / ".secret.png")
    write(tmp_path / ".DS_Store")
    write(tmp_path / ".cache" / "y.png")
    os.mkfifo(tmp_path / "pipe")
    files, passed_over = found(tmp_path)
    assert files == ["x.png"]
    assert passed_over == {
        "hidden": 1,
        "hidden folder (.cache)": 1,
        "no file, but a pipe or a device (pipe)": 1,
    }


def test_a_tree_may_be_deep_and_system_folders_are_not_read(tmp_path: Path) -> None:
    """Deeper than Python's own limit of calls inside calls allows a walk that calls itself."""
    write(tmp_path / "__MACOSX" / "a" / "x.png")
    write(tmp_path / "@eaDir" / "x.png")
    deep = tmp_path
    for _ in range(1200):
        deep = deep / "d"
        deep.mkdir()
    film = deep / "x.png"
    film.touch()
    try:
        files, passed_over = found(tmp_path)
    finally:
        # Level by level: what tidies up after a later run calls itself at each, and would end that run with an error.
        film.unlink()
        while deep != tmp_path:
            deep.rmdir()
            deep = deep.parent
    assert files == [f"{'d/' * 1200}x.png"]
    assert not passed_over


def test_films_of_a_folder_a_glob_or_one_file(tmp_path: Path) -> None:
    dicom = dicom_bytes(np.full((64, 64), 90, np.uint8))
    for name in ("a.PNG", "b/c.jpg", "b/notes.txt"):
        write(tmp_path / name)
    for name in ("1.2.826.0.1.3680043.8.498.1234", "b/IM000001"):
        write(tmp_path / name, dicom)
    write(tmp_path / "photo.jfif", b"\xff\xd8\xff\xe0")
    write(tmp_path / "README")
    passed_over = PassedOver()
    names = [path.name for path in find_film_files(str(tmp_path), passed_over)]
    assert names == ["1.2.826.0.1.3680043.8.498.1234", "a.PNG", "photo.jfif", "IM000001", "c.jpg"]
    assert passed_over == {".txt": 1, "(no suffix)": 1}

    for glob, expected, left_out in (
        ("**/*.txt", ["notes.txt"], {}),
        (
            "*",
            ["1.2.826.0.1.3680043.8.498.1234", "README", "a.PNG", "photo.jfif"],
            {"folder, not a file (b)": 1},
        ),
        ("b/notes.txt", ["notes.txt"], {}),
        ("nothing/*", [], {}),
    ):
        passed_over = PassedOver()
        paths = find_film_files(f"{tmp_path}/{glob}", passed_over)
        assert sorted(path.name for path in paths) == expected
        assert passed_over == left_out


def test_a_folder_that_cannot_be_opened_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "x.png")
    locked = tmp_path / "locked"
    locked.mkdir()
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert found(tmp_path) == (["x.png"], {"folder that cannot be opened (locked: Permission denied)": 1})
