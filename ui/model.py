"""What the page and the API tell of the loaded model: its figures, its training data, its gallery."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cxr.bundle import Bundle
from cxr.predictor import Prediction
from cxr.serving import Served
from cxr.types import CLASSES, PNEUMONIA
from ui.text import say

SCHEMA_VERSION = "1"
HEADLINE = ("roc_auc", "sensitivity", "specificity")
"""The figures that the page shows, by their keys in metrics.json."""
_KERMANY = ("chest_xray", "chest-xray-pneumonia")

Origin = Literal["children", "phantoms", "other", "unknown"]


@dataclass(frozen=True)
class Example:
    """One image of the bundle's gallery."""

    file: Path
    truth: str
    attribution: str


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


def metrics(served: Served) -> dict[str, Any]:
    """metrics.json of the bundle; empty where there is none."""
    bundle = served.predictor.bundle
    path = bundle.folder / "metrics.json" if bundle else None
    if path is None or not path.is_file():
        return {}
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def origin(bundle: Bundle | None) -> Origin:
    """Whose films the model learned from, as far as its bundle says."""
    if bundle is None:
        return "unknown"
    data = str(bundle.description.training.get("data", ""))
    if data.startswith("phantom"):
        return "phantoms"
    return "children" if any(name in data for name in _KERMANY) else "other"


def prediction_json(served: Served, prediction: Prediction) -> dict[str, Any]:
    """The answer of /predict and /explain."""
    return {
        "schema_version": SCHEMA_VERSION,
        "label": prediction.label,
        "probability": prediction.probability,
        "threshold": prediction.threshold,
        "accepted": prediction.accepted,
        "warnings": [{"code": code, "message": say(f"warning.{code}", "en")} for code in prediction.warnings],
        "model": identity_json(served),
        "seconds": prediction.seconds,
    }


def identity_json(served: Served) -> dict[str, str]:
    """Which model answers."""
    identity = served.predictor.identity
    return {
        "source": identity.source,
        "revision": identity.revision,
        "version": identity.version,
        "sha256": identity.sha256,
    }


def model_json(served: Served) -> dict[str, Any]:
    """The answer of /model_info."""
    predictor = served.predictor
    decision, bundle = predictor.decision, predictor.bundle
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": say("notice", "en"),
        "model": identity_json(served),
        "name": model_name(served),
        "classes": list(CLASSES),
        "positive_class": PNEUMONIA,
        "input_size": predictor.preprocess.size,
        "calibrated": bundle is not None,
        "decision": {
            "threshold": decision.threshold,
            "rule": decision.rule,
            "uncertain_band": list(decision.uncertain_band) if decision.uncertain_band else None,
            "reference_prevalence": decision.reference_prevalence,
        },
        "trained_on": _training_json(bundle),
        "metrics": _metrics_json(metrics(served)),
    }


def model_name(served: Served) -> str:
    """The bundle's name, or the file's for a bare .h5."""
    predictor = served.predictor
    return predictor.bundle.description.name if predictor.bundle else predictor.identity.source


def _training_json(bundle: Bundle | None) -> dict[str, Any] | None:
    if bundle is None:
        return None
    training = bundle.description.training
    kept = ("data", "data_revision", "films", "prevalence", "split_rule")
    return {"synthetic": origin(bundle) == "phantoms", **{key: training.get(key) for key in kept}}


def _metrics_json(loaded: dict[str, Any]) -> dict[str, Any] | None:
    if not loaded:
        return None
    return {
        "split": loaded["data"]["split"],
        "n": loaded["n"],
        "n_normal": loaded["n_normal"],
        "n_pneumonia": loaded["n_pneumonia"],
        **{key: loaded[key] for key in HEADLINE},
    }
