"""What is known of the model that serves: its name, its training data, its figures, its gallery."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cxr.model.bundle import Bundle
from cxr.model.figures import Metrics
from cxr.serving.slot import Served

_KERMANY = ("chest_xray", "chest-xray-pneumonia")

Origin = Literal["children", "phantoms", "other", "unknown"]


@dataclass(frozen=True)
class Example:
    """One image of the bundle's gallery."""

    file: Path
    truth: str
    attribution: str


def model_name(served: Served) -> str:
    """The bundle's name, or the file's for a bare .h5."""
    predictor = served.predictor
    return predictor.bundle.description.name if predictor.bundle else predictor.identity.source


def examples(served: Served) -> list[Example]:
    """The bundle's gallery; empty where there is none."""
    bundle = served.predictor.bundle
    folder = bundle.folder / "examples" if bundle else None
    if folder is None or not (folder / "examples.csv").is_file():
        return []
    with (folder / "examples.csv").open(encoding="utf-8", newline="") as stream:
        # Plain names only: the table comes from whoever made the bundle.
        return [
            Example(folder / Path(row["file"]).name, row["truth"], row["attribution"])
            for row in csv.DictReader(stream)
        ]


def metrics(served: Served) -> Metrics | None:
    """The bundle's figures, or None where it has none."""
    bundle = served.predictor.bundle
    return bundle.metrics if bundle else None


def origin(bundle: Bundle | None) -> Origin:
    """Whose films the model learned from, as far as its bundle says."""
    if bundle is None:
        return "unknown"
    data = bundle.description.training.data
    if data.startswith("phantom"):
        return "phantoms"
    return "children" if any(name in data for name in _KERMANY) else "other"
