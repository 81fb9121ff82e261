"""DATA: where labelled radiographs come from, read in place.

a folder               in the Kaggle layout, or bare
a .zip of one          read without unpacking, so that nothing can be written outside or left behind
hub:OWNER/NAME[@rev]   a data set of the Hugging Face Hub, through `datasets`
phantom[:N]            N synthetic radiographs (default 1200)
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from cxr import phantom
from cxr.data.archive import Archive
from cxr.data.films import Film, describe, find_films
from cxr.errors import DataError, UsageError
from cxr.imaging.dicom import PEEK
from cxr.types import CLASSES

DEFAULT_HUB_DATA = "hub:hf-vision/chest-xray-pneumonia"
DEFAULT_PHANTOMS = 1200
_HUB_FORM = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_HUB_SPLITS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}


@dataclass(frozen=True)
class DataIdentity:
    """What the data set is, for the record: its id, its revision where it has one, and notes for people."""

    id: str
    revision: str = ""
    notes: tuple[str, ...] = ()


class FilmSource(Protocol):
    """Labelled films and their bytes. `read` may be called from several threads."""

    identity: DataIdentity
    films: list[Film]

    def read(self, film: Film) -> bytes:
        """The bytes of one film's file. Raises DataError if it cannot be read."""


def open_data(data: str) -> FilmSource:
    """Open DATA. Raises UsageError for a form that is none of the four, DataError for what cannot be read."""
    if data == "phantom" or data.startswith("phantom:"):
        return PhantomSource(_phantom_count(data))
    if data.startswith("hub:"):
        return HubSource(data)
    path = Path(data)
    if data and path.is_dir():  # "" would be the current folder
        return FolderSource(path)
    if path.is_file():
        return ZipSource(path)
    raise UsageError(
        "DATA to be a folder, a .zip, hub:OWNER/NAME[@revision] or phantom[:N]",
        f"{data!r}, which does not exist",
        "check the path",
    )


class FolderSource:
    """A folder on disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        paths = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        self.films, passed_over = find_films(paths, self._begins)
        self.identity = DataIdentity(root.resolve().name, notes=_notes(passed_over))

    def _begins(self, path: str) -> bytes:
        try:
            with (self._root / path).open("rb") as stream:
                return stream.read(PEEK)
        except OSError as error:
            raise DataError("a file that can be read", f"{path} ({error.strerror})", "check it") from error

    def read(self, film: Film) -> bytes:
        try:
            return (self._root / film.path).read_bytes()
        except OSError as error:
            raise DataError(
                "a file that can be read", f"{film.path} ({error.strerror})", "check it"
            ) from error


class ZipSource:
    """A .zip, read in place. Names that lead outside and members that swell are refused before anything is read."""

    def __init__(self, path: Path) -> None:
        self._archive = Archive(path, "DATA to be a folder or a whole .zip")
        names = (member.filename for member in self._archive.members)
        self.films, passed_over = find_films(names, lambda name: self._archive.read(name, PEEK))
        self.identity = DataIdentity(path.name, notes=_notes(passed_over))

    def read(self, film: Film) -> bytes:
        return self._archive.read(film.path)


class PhantomSource:
    """Synthetic radiographs, drawn when they are read."""

    def __init__(self, count: int) -> None:
        try:
            records = phantom.phantom_split(count, seed=0)
        except ValueError as error:
            raise UsageError(
                f"phantom:N with N of {phantom.MIN_PHANTOMS} or more",
                f"phantom:{count}",
                "ask for more, so that train, val and test each hold both classes",
            ) from error
        self._records = {record.path.as_posix(): record for record in records}
        self.films = [
            describe(path, record.split, record.label) for path, record in sorted(self._records.items())
        ]
        self.identity = DataIdentity(
            f"phantom:{count}", notes=("synthetic images, not radiographs of people",)
        )

    def read(self, film: Film) -> bytes:
        return phantom.phantom_jpeg(self._records[film.path])


class HubSource:
    """A data set of the Hugging Face Hub with an image column and a label column of NORMAL and PNEUMONIA."""

    def __init__(self, data: str) -> None:
        match = _HUB_FORM.fullmatch(data)
        if not match:
            raise UsageError("hub:OWNER/NAME[@revision]", repr(data), f"for example {DEFAULT_HUB_DATA}")
        commit, self._tables = _load_hub(match[1], match[2])
        self._rows: dict[str, tuple[str, int]] = {}
        unnamed = 0
        for split, table in self._tables.items():
            for index, (label, path) in enumerate(_hub_rows(table)):
                unnamed += not path
                name = PurePosixPath(path or f"{index:05d}.jpeg")
                place = f"{split}/{label}/{name.name}"
                if place in self._rows:  # after the stem, whose beginning names the patient
                    place = f"{split}/{label}/{name.stem}-row{index:05d}{name.suffix}"
                self._rows[place] = (split, index)
        self.films = [
            describe(place, split, place.split("/")[1]) for place, (split, _) in sorted(self._rows.items())
        ]
        note = (
            f"{unnamed} of {len(self.films)} films come without a file name, so their patients are not known: "
            "only films with identical bytes can be kept on one side of a split"
        )
        self.identity = DataIdentity(f"hub:{match[1]}", commit, (note,) if unnamed else ())

    def read(self, film: Film) -> bytes:
        split, index = self._rows[film.path]
        content = self._tables[split][index]["image"]["bytes"]
        if content is None:
            raise DataError(
                "images inside the data set", f"{film.path} without bytes", "choose another revision"
            )
        return bytes(content)


def _load_hub(repo: str, revision: str | None) -> tuple[str, dict[str, Any]]:
    """The commit, and the tables by our split names with undecoded images."""
    import datasets  # here, because only this form of DATA needs it, and its import takes seconds
    from httpx2 import HTTPError  # what huggingface_hub lets through where a connection fails
    from huggingface_hub import HfApi

    try:
        commit = HfApi().dataset_info(repo, revision=revision).sha or ""
        loaded = datasets.load_dataset(repo, revision=commit)
    except (HTTPError, OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        told = [line.strip() for line in _reason(error).splitlines() if line.strip()]
        raise DataError(
            "a data set that the Hub gives us",
            f"{repo} ({' '.join(told[:2])})",
            "check its name, your access and the network",
        ) from error
    tables = {_HUB_SPLITS[name]: table for name, table in loaded.items() if name in _HUB_SPLITS}
    if not tables:
        raise DataError(
            f"splits named {', '.join(_HUB_SPLITS)}", f"{repo} with {sorted(loaded)}", "use another data set"
        )
    for table in tables.values():
        missing = {"image", "label"} - set(table.column_names)
        if missing:
            raise DataError(
                "columns image and label",
                f"{repo} without {sorted(missing)}",
                "use a data set in the image-folder form",
            )
    return commit, {
        name: table.cast_column("image", datasets.Image(decode=False)) for name, table in tables.items()
    }


def _hub_rows(table: Any) -> list[tuple[str, str | None]]:
    """(class name, file name or None) of each row; class names are compared without regard to case."""
    names = getattr(table.features["label"], "names", None)
    # A film without a label has None, or -1, which would count from the end of the names.
    labels = [
        str(names[value] if names and value is not None and value >= 0 else value).upper()
        for value in table["label"]
    ]
    unknown = sorted(set(labels) - set(CLASSES))
    if unknown:
        raise DataError(f"labels {list(CLASSES)}", f"{unknown[:5]}", "use a data set with these two classes")
    paths = [row["path"] for row in table["image"]]
    return list(zip(labels, paths, strict=True))


def _reason(error: Exception) -> str:
    """The error in words, without the folder that an OSError's own text shows."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _notes(passed_over: Counter[str]) -> tuple[str, ...]:
    if not passed_over:
        return ()
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in passed_over.most_common())
    return (f"files passed over because they are no JPEG, PNG, TIFF, WebP or DICOM by name: {kinds}",)


def _phantom_count(data: str) -> int:
    _, _, count = data.partition(":")
    if data == "phantom":
        return DEFAULT_PHANTOMS
    if not count.isdecimal():
        raise UsageError("phantom or phantom:N", repr(data), "for example phantom:1200")
    return int(count)
