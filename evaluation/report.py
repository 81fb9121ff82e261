"""report.html: one page that stands alone, with no script and nothing fetched."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.files import write_text
from cxr.model.figures import FIGURES, Metrics
from cxr.model.predictions import ScoredFilm
from evaluation.config import DISCLAIMER
from evaluation.drawing import PHANTOM_NOTE, is_phantom
from evaluation.html import html_templates

SUBGROUP_FIGURES = ("roc_auc", "accuracy", "sensitivity", "specificity")

PLOTS = {
    "roc.png": (
        "ROC curve",
        "Sensitivity against the false positive rate over all thresholds; the dot is the operating point.",
    ),
    "precision_recall.png": (
        "Precision-recall curve",
        "The dashed line is the prevalence among these films, which a model without skill would reach.",
    ),
    "confusion.png": ("Confusion matrix", "Counts, and their share of the films of that true class."),
    "reliability.png": (
        "Calibration",
        "On the diagonal, films that were given a probability of 0.8 have pneumonia in 80% of cases.",
    ),
    "scores.png": (
        "Scores by true class",
        "How the probabilities of normal and pneumonia films lie about the threshold; counts on a log scale.",
    ),
    "sample_grid.png": (
        "Films as the model sees them, with truth and prediction",
        "The most confident errors first, then a random sample of the other films.",
    ),
    "training_curves.png": ("Training curves", "Loss, validation figures and learning rate by epoch."),
}
"""File name -> (title, caption)."""
_WIDE = "sample_grid.png"

VIEW_NAMES = {
    "as_is": "the films as they are",
    "mirrored": "mirrored left to right",
    "border_blanked": "outer tenth blanked",
    "outside_lungs_greyed": "all outside the lungs' region greyed",
    "lungs_greyed": "the lungs' region greyed",
    "blurred": "blurred by one pixel",
}
BASELINE_NAMES = {
    "exposure_and_sharpness": "16 numbers of exposure and sharpness",
    "geometry": "width, height and aspect ratio of the file",
}
BOX_NAMES = {
    "peak": "Films whose map has its peak in a box, give or take half a cell",
    "energy": "Share of the evidence for pneumonia inside the boxes",
}
POINTED_NAMES = {
    "planted_in_normal_films": "opacity planted in a normal film",
    "phantoms": "phantoms with an opacity",
}

_TEMPLATES = html_templates(Path(__file__).with_name("templates"))


@dataclass(frozen=True)
class _Picture:
    """A plot as a data URL, with its words."""

    title: str
    caption: str
    url: str
    wide: bool


def write_report(
    path: Path, metrics: Metrics, plots_folder: Path, trained_on: str = "", errors: Sequence[ScoredFilm] = ()
) -> None:
    """Write the report of one evaluation (evaluation/templates/report.html).

    Args:
        path: The file.
        metrics: What metrics.json holds.
        plots_folder: Those of PLOTS that are in it are shown.
        trained_on: What is known of the model's training data, or "".
        errors: Films on the wrong side of the threshold, worst first.
    """
    page = _TEMPLATES.get_template("report.html").render(
        metrics=metrics,
        rows=_model_and_data(metrics, trained_on),
        notice=f"{DISCLAIMER} {PHANTOM_NOTE}: the figures say nothing of patients."
        if is_phantom(metrics.data)
        else DISCLAIMER,
        pictures=_pictures(plots_folder),
        errors=errors,
        names=FIGURES,
        brief={key: FIGURES[key][0] for key in SUBGROUP_FIGURES},
        views=VIEW_NAMES,
        baselines=BASELINE_NAMES,
        pointed=POINTED_NAMES,
        boxed=BOX_NAMES,
        style=(Path(__file__).with_name("templates") / "report.css").read_text(encoding="utf-8"),
    )
    write_text(path, page)


def _model_and_data(metrics: Metrics, trained_on: str) -> list[tuple[str, str]]:
    """What was evaluated, and on what: (name, value), without what is not known."""
    model, data = metrics.model, metrics.data
    rows = [
        ("Model", model.source),
        ("Model revision", model.revision),
        ("Model version", model.version or "none: a bare model file"),
        ("Code version", "" if metrics.code_version == model.version else metrics.code_version or ""),
        ("Model sha256", model.sha256),
        ("Trained on", trained_on or "not recorded with the model"),
        ("Threshold", f"{metrics.threshold:.4f}: {metrics.decision.rule}"),
        ("Data", data.id),
        ("Data revision", data.revision),
        ("Split", data.split),
        (
            "Films",
            f"{metrics.n:,}: {metrics.n_normal:,} normal and {metrics.n_pneumonia:,} pneumonia, of "
            f"{metrics.n_groups:,} patient groups; prevalence {metrics.n_pneumonia / metrics.n:.1%}",
        ),
        *(("Note on the data", note) for note in data.notes),
    ]
    return [(name, value) for name, value in rows if value]


def _pictures(folder: Path) -> list[_Picture]:
    return [
        _Picture(title, caption, _data_url(folder / name), name == _WIDE)
        for name, (title, caption) in PLOTS.items()
        if (folder / name).is_file()
    ]


def _data_url(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
