"""What is known of the model that serves: its name, its training data, its figures, its gallery."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cxr.model import figures
from cxr.model.bundle import Bundle
from cxr.model.figures import Metrics
from cxr.serving.slot import Served
from evaluation.calibration import wilson_interval

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


@dataclass(frozen=True)
class Pointed:
    """How often the map's peak lay on an opacity whose place is known.

    hit_rate: Share of the n images. baseline: The same for the mean map of all images or, where the bundle does not
    tell that, for a place drawn at random.
    """

    n: int
    hit_rate: float
    baseline: float


@dataclass(frozen=True)
class Pointing:
    """What the bundle's audit found of its maps: for planted opacities and, where there are boxes, for boxed ones."""

    planted: Pointed
    boxed: Pointed | None = None

    @property
    def convinces(self) -> bool:
        """Whether the map is shown unasked: its peak beats the baseline by far.

        By far: the hit rate is at least twice the baseline, and its 95% interval (Wilson) lies above the baseline.
        """
        found = self.planted
        low = float(wilson_interval(np.array([found.hit_rate]), np.array([found.n]))[0][0])
        return low > found.baseline and found.hit_rate >= 2 * found.baseline


def pointing(served: Served) -> Pointing | None:
    """How well the model's maps point, by its metrics.json; None where that does not tell."""
    measured = metrics(served)
    if measured is None or measured.audit is None:
        return None
    planted = _pointed(measured.audit.maps.planted_in_normal_films)
    boxes = measured.audit.boxes
    return Pointing(planted, _boxed(boxes) if boxes else None) if planted else None


def _boxed(boxes: figures.Boxes) -> Pointed | None:
    peak = boxes.peak
    if peak.model.value is None:
        return None
    baseline = peak.chance.value if peak.mean_map.value is None else peak.mean_map.value
    return Pointed(boxes.n, peak.model.value, baseline or 0.0)


def _pointed(found: figures.Pointing) -> Pointed | None:
    if not found.n or found.hit_rate is None:
        return None
    baseline = found.chance if found.hit_rate_of_mean_map is None else found.hit_rate_of_mean_map
    return Pointed(found.n, found.hit_rate, baseline or 0.0)


def origin(bundle: Bundle | None) -> Origin:
    """Whose films the model learned from, as far as its bundle says."""
    if bundle is None:
        return "unknown"
    data = bundle.description.training.data
    if data.startswith("phantom"):
        return "phantoms"
    return "children" if any(name in data for name in _KERMANY) else "other"
