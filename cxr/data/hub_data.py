"""hub:OWNER/NAME[@revision]: a data set of the Hugging Face Hub with an image column and a label column."""

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from cxr.data.archive import reason
from cxr.data.base import Reading, identify
from cxr.data.films import Film, describe
from cxr.data.names import PassedOver, printable
from cxr.data.words import class_of, split_of
from cxr.errors import DataError, UsageError

DEFAULT_HUB_DATA = "hub:hf-vision/chest-xray-pneumonia"
_FORM = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_SHOWN = 5


class HubSource:
    """A data set of the Hub. Labels are common words for the classes, or 0 and 1."""

    def __init__(self, data: str, reading: Reading) -> None:
        """Raises UsageError for another form, DataError for what the Hub does not give or we cannot read."""
        match = _FORM.fullmatch(data)
        if not match:
            raise UsageError(
                f"{data!r} names no data set of the Hub. Write hub:OWNER/NAME[@revision], such as {DEFAULT_HUB_DATA}."
            )
        self._repo = match[1]
        self._image = reading.columns.get("file", "image")
        self._label = reading.columns.get("label", "label")
        self._passed_over = PassedOver()
        commit, self._tables = self._load(match[2])
        self._rows: dict[str, tuple[str, int]] = {}
        self.films: list[Film] = []
        unnamed = sum(self._add(name, split_of(name) or name, reading) for name in self._tables)
        if not self.films:
            raise DataError(f"{self._repo} holds no film: its splits are empty. Use another data set.")
        self.films.sort(key=lambda film: film.path)
        note = (
            f"{unnamed:,} of {len(self.films):,} films come without a file name, so only films with identical bytes "
            "can be kept on one side of a split"
        )
        notes = (note,) if unnamed else ()
        self.identity = identify(f"hub:{self._repo}", self.films, self._passed_over, reading, notes, commit)

    def read(self, film: Film) -> bytes:
        split, index = self._rows[film.path]
        return bytes(self._tables[split][index][self._image]["bytes"])

    def _add(self, name: str, split: str, reading: Reading) -> int:
        """Take the films of the split that the Hub calls `name`; how many of them have no file name."""
        unnamed = 0
        for index, (label, path) in enumerate(self._labelled(name)):
            found = class_of(label)
            if found is None:
                self._passed_over[f"with the label {label}"] += 1
                continue
            unnamed += not path
            file = PurePosixPath(printable(path) if path else f"{index:05d}.jpeg")
            place = f"{split}/{found[0]}/{file.name}"
            if place in self._rows:  # after the stem, whose beginning names the patient
                place = f"{split}/{found[0]}/{file.stem}-row{index:05d}{file.suffix}"
            self._rows[place] = (name, index)
            self.films.append(describe(place, split, *found, reading.patient_of))
        return unnamed

    def _load(self, revision: str | None) -> tuple[str, dict[str, Any]]:
        """The commit, and the tables of known splits by their own names, with undecoded images."""
        import datasets  # here, because only this form of DATA needs it, and its import takes seconds
        from httpx2 import HTTPError  # what huggingface_hub lets through where a connection fails
        from huggingface_hub import HfApi

        try:
            commit = HfApi().dataset_info(self._repo, revision=revision).sha or ""
            loaded = datasets.load_dataset(self._repo, revision=commit)
        except (HTTPError, OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            said = [line.strip() for line in reason(error).splitlines() if line.strip()]
            raise DataError(
                f"The data set {self._repo} cannot be had from the Hub ({' '.join(said[:2])}). "
                "Check its name, your access and the network."
            ) from error
        tables = {name: table for name, table in loaded.items() if split_of(name)}
        if not tables:
            raise DataError(
                f"{self._repo} has the splits {', '.join(sorted(loaded))}, none of which is train, validation or "
                "test. Use another data set."
            )
        for name, table in loaded.items():
            if name not in tables:
                self._passed_over[f"in the split {name}"] += len(table)
        missing = {self._image, self._label} - set(next(iter(tables.values())).column_names)
        if missing:
            raise DataError(
                f"{self._repo} has no column {', '.join(sorted(missing))}; its columns are "
                f"{', '.join(next(iter(tables.values())).column_names)}. Name them by --columns file=...,label=..., "
                "or use another data set."
            )
        return commit, {
            name: table.cast_column(self._image, datasets.Image(decode=False))
            for name, table in tables.items()
        }

    def _labelled(self, name: str) -> list[tuple[str, str | None]]:
        """(label, file name or None) of each row of a split. Raises DataError for empty cells and foreign labels."""
        table = self._tables[name]
        names = getattr(table.features[self._label], "names", None)
        # A film without a label has None, or -1, which would count from the end of the names.
        labels = [
            None if value is None or (names and value < 0) else str(names[value] if names else value)
            for value in table[self._label]
        ]
        self._refuse_empty(name, "label", self._label, labels.count(None))
        chunks = table.data.column(self._image).chunks
        self._refuse_empty(name, "image", self._image, sum(map(_empty_images, chunks)))
        known = Counter(label for label in labels if label is not None)
        if labels and not any(map(class_of, known)):
            raise DataError(
                f"{self._repo} has the labels {', '.join(list(known)[:_SHOWN])}, none of which is a word for NORMAL "
                "or PNEUMONIA. Use another data set."
            )
        paths = [path for chunk in chunks for path in chunk.field("path").to_pylist()]
        return list(zip(map(str, labels), paths, strict=True))

    def _refuse_empty(self, split: str, what: str, column: str, empty: int) -> None:
        if empty:
            raise DataError(
                f"In the split {split} of {self._repo} {empty:,} of {len(self._tables[split]):,} rows have no {what} "
                f"in the column {column}. Choose another revision or data set, or fill them."
            )


def _empty_images(images: Any) -> int:
    """How many cells of an Arrow array of undecoded images hold no bytes; the bytes are not read."""
    there = zip(images.is_valid().to_pylist(), images.field("bytes").is_valid().to_pylist(), strict=True)
    return sum(not all(pair) for pair in there)
