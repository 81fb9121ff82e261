"""python -m benchmarks.adaptation DATA: how much adapting gains from 25, 50, 100, 200 and 400 films of a place.

Films of some patients are drawn, the last layer, calibration and threshold are refitted to them, and the parent and the
adapted model are measured on the films of all other patients; the mean over draws goes into docs/adapt.md.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from cxr.cli import run_command
from cxr.errors import UsageError
from cxr.files import write_json, write_text
from cxr.serving.local import open_bundle
from cxr.types import Logits
from evaluation.resampling import weighted_figures
from trainer.adapt_all import parents_model
from trainer.adapt_config import AdaptConfig
from trainer.adapt_fit import settle_head
from trainer.adapt_folds import Index, patient_folds
from trainer.adapt_head import read_by_head
from trainer.adapt_place import Place, open_place

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "adapt.md", ROOT / "benchmarks" / "adaptation.json"
BEGIN, END = "<!-- learning curve: python -m benchmarks.adaptation -->", "<!-- end of learning curve -->"
SIZES = (25, 50, 100, 200, 400)
FOLDS = 5
LEAST_OF_CLASS = 5
"""A draw with fewer films of a class is drawn anew: nothing can be settled on it."""


@dataclass(frozen=True)
class Config:
    """Measure the learning curve of adapting a bundle to a place, and write it into docs/adapt.md."""

    data: tyro.conf.Positional[str]
    """DATA of the place."""
    model: Path = ROOT / "bundles" / "default"
    """The parent: a bundle folder."""
    draws: int = 10
    """Random draws of each size."""
    debug: bool = False
    """Show the traceback of an error."""


def measure(config: Config) -> None:
    """Write benchmarks/adaptation.json, and the table of docs/adapt.md. Raises UsageError for too few films."""
    parent = open_bundle(config.model)
    place = open_place(AdaptConfig(str(config.model), (config.data,), Path()), parent)
    if len(place.films.films) <= max(SIZES):
        raise UsageError(
            f"{config.data} holds {len(place.films.films)} films; more than {max(SIZES)} are needed."
        )
    if parent.bundle is None:
        raise UsageError(f"{config.model} is no bundle.")
    features = read_by_head(place.outputs, parents_model(parent.bundle))
    patients = np.array(place.patients)
    before = parent.decision.probabilities(place.outputs.logits)
    curve = []
    for size in SIZES:
        rows = []
        for draw in range(config.draws):
            chosen = _draw(place, size, np.random.default_rng((size, draw)))
            rest = np.flatnonzero(~np.isin(patients, patients[chosen]))
            after = _adapted(place, features, chosen, draw)
            rows.append({"parent": _figures(place, before, rest), "adapted": _figures(place, after, rest)})
        curve.append(
            {"films": size, **{who: _means([row[who] for row in rows]) for who in ("parent", "adapted")}}
        )
        print(_row(curve[-1]), flush=True)
    found = {
        "model": parent.bundle.description.name,
        "version": parent.bundle.description.version,
        "data": place.identity.id,
        "draws": config.draws,
        "curve": curve,
    }
    write_json(RESULTS, found)
    _write_page(found)


def _draw(place: Place, size: int, rng: np.random.Generator) -> Index:
    """Films of patients in random order, cut off at `size`."""
    patients = np.array(place.patients)
    while True:
        order = rng.permutation(np.unique(patients))
        chosen = np.concatenate([np.flatnonzero(patients == patient) for patient in order])[:size]
        groups = [len(np.unique(patients[chosen][place.films.y_true[chosen] == label])) for label in (0, 1)]
        if min(groups) >= LEAST_OF_CLASS:
            return np.sort(chosen)


def _adapted(place: Place, features: np.ndarray, chosen: Index, seed: int) -> np.ndarray:
    """Probabilities of all films by a model that was adapted to the chosen ones, as `trainer.adapt` does it."""
    y_true, logits = place.films.y_true[chosen], place.outputs.logits
    mine, read = logits[chosen], features[chosen]
    folds = patient_folds(y_true, [place.patients[at] for at in chosen], FOLDS, seed)

    settled, change = settle_head(mine, read, y_true, folds)
    new: Logits = change.logits(logits, features)
    return settled.decision.probabilities(new)


def _figures(place: Place, y_prob: np.ndarray, rest: Index) -> dict[str, float]:
    """ROC AUC and log loss on films, and ROC AUC on those of them that stand in pairs."""
    paired = np.array([place.films.films[at].pair != "" for at in rest])
    found = _once(place, y_prob, rest)
    named = {"roc_auc": found["roc_auc"], "log_loss": found["log_loss"]}
    if paired.any():
        named["pairs_roc_auc"] = _once(place, y_prob, rest[paired])["roc_auc"]
    return named


def _once(place: Place, y_prob: np.ndarray, rows: Index) -> dict[str, float]:
    found = weighted_figures(place.films.y_true[rows], y_prob[rows], np.ones((1, len(rows))), 0.5)
    return {name: float(value[0]) for name, value in found.items()}


def _means(rows: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "mean": float(np.mean([row[name] for row in rows])),
            "sd": float(np.std([row[name] for row in rows])),
        }
        for name in rows[0]
    }


def _row(point: dict[str, Any]) -> str:
    def shown(who: str, name: str) -> str:
        if name not in point[who]:
            return "-"
        return f"{point[who][name]['mean']:.3f} ± {point[who][name]['sd']:.3f}"

    cells = [
        shown(who, name) for name in ("roc_auc", "pairs_roc_auc", "log_loss") for who in ("parent", "adapted")
    ]
    return f"| {point['films']} | {' | '.join(cells)} |"


def _write_page(found: dict[str, Any]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise UsageError(f"{PAGE.name} has no place for the learning curve. Restore it.")
    head = [
        f"{found['model']} {found['version']}, films of {found['data']}, {found['draws']} draws of each size "
        "(mean ± standard deviation over draws), measured on the films of all other patients:",
        "",
        "| films | ROC AUC, parent | adapted | on pairs, parent | adapted | log loss, parent | adapted |",
        "|---|---|---|---|---|---|---|",
    ]
    table = "\n".join([*head, *map(_row, found["curve"])])
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    write_text(PAGE, f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    settings = tyro.cli(Config, prog="python -m benchmarks.adaptation")
    sys.exit(run_command(lambda: measure(settings), settings.debug))
