"""The model card: model_card.md filled from what bundle.json and metrics.json hold. Nothing is typed by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from cxr.data.sources import DEFAULT_HUB_DATA
from cxr.files import write_text
from cxr.model.figures import FIGURES, Figure, Metrics, Pointing
from evaluation.report import BASELINE_NAMES, BOX_NAMES, VIEW_NAMES

_ROOT = Path(__file__).resolve().parent.parent
TEMPLATE, ADAPTED_TEMPLATE = _ROOT / "model_card.md", _ROOT / "adapted_card.md"
_DATASET = DEFAULT_HUB_DATA.removeprefix("hub:")
_HUB_METRICS = {
    "accuracy": "accuracy",
    "sensitivity": "recall",
    "precision": "precision",
    "f1": "f1",
    "roc_auc": "roc_auc",
    "brier": "brier_score",
}
"""Our figures -> the names under which the Hub's `evaluate` knows them; the others it does not know."""
_LIBRARY = "cxr"
"""Not "keras": for that the Hub offers keras.saving.load_model("hf://..."), which needs the weights a second time."""


@dataclass(frozen=True)
class Home:
    """Where a published model is found: its repository, its Space and the code; "" where there is none."""

    repo_id: str = ""
    space_id: str = ""
    code_url: str = ""


def write_card(
    folder: Path,
    fields: Mapping[str, Any],
    metrics: Metrics,
    previous: Mapping[str, Any] | None = None,
    home: Home | None = None,
) -> None:
    """Write README.md into a bundle folder, by another template for a bundle that was adapted.

    previous: bundle.json of the version before, with its figures, or None, as `metrics`: the card says what changed.
    home: Where the model is published; None for a bundle that is not.
    """
    synthetic = fields["training"]["data"].startswith("phantom")
    adapted_from = fields.get("adapted_from")
    card = ModelCard.from_template(
        _front_matter(fields, metrics, synthetic),
        template_path=str(ADAPTED_TEMPLATE if adapted_from else TEMPLATE),
        synthetic=synthetic,
        adapted_from=adapted_from,
        figures={key: name for key, (name, _) in FIGURES.items()},
        metrics=metrics,
        show=show,
        interval=interval,
        plain=plain,
        views=VIEW_NAMES,
        baselines=BASELINE_NAMES,
        boxed=BOX_NAMES,
        maps=_maps(metrics),
        home=home or Home(),
        previous=previous,
        changes=_changes(fields, previous) if previous else [],
        **{
            name: fields[name]
            for name in ("name", "version", "network", "preprocess", "decision", "input_gate", "training")
        },
    )
    write_text(folder / "README.md", str(card).rstrip() + "\n")


def _changes(fields: Mapping[str, Any], previous: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(what, before, now) of everything recorded that differs, except what differs between any two runs."""
    parts = ("network", "preprocess", "decision", "training")
    now, before = (_flat({part: source[part] for part in parts}) for source in (fields, previous))
    keys = sorted({*now, *before} - {"training.fingerprint", "training.code_commit"})
    return [
        (key, before.get(key, "-"), now.get(key, "-"))
        for key in keys
        if before.get(key, "-") != now.get(key, "-")
    ]


def _maps(metrics: Metrics) -> list[tuple[str, Pointing]]:
    """What the map's peak was looked for on, with what the audit found."""
    audit = metrics.audit
    if audit is None:
        return []
    return [
        ("an opacity planted in a lung of a normal film", audit.maps.planted_in_normal_films),
        ("the opacity of a phantom", audit.maps.phantoms),
    ]


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {name: value}
    inner = (_flat(part, f"{name}.{key}" if name else str(key)) for key, part in value.items())
    return {key: leaf for leaves in inner for key, leaf in leaves.items()}


def show(figure: Figure) -> str:
    """A figure to three decimals, or a dash where it is undefined."""
    return plain(figure.value)


def plain(value: float | None) -> str:
    """A bare number to three decimals, or a dash where it is undefined."""
    return "-" if value is None else f"{value:.3f}"


def interval(figure: Figure) -> str:
    """A 95% interval to three decimals, or a dash."""
    return "-" if figure.ci95 is None else "{:.3f} to {:.3f}".format(*figure.ci95)


def _front_matter(fields: Mapping[str, Any], metrics: Metrics, synthetic: bool) -> ModelCardData:
    training, adapted = fields["training"], fields.get("adapted_from") is not None
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type="local" if adapted else "phantom" if synthetic else _DATASET,
            dataset_name=_dataset_name(adapted, synthetic),
            dataset_split=metrics.data.split,
            dataset_revision=None if adapted else training["data_revision"] or None,
            metric_type=_HUB_METRICS.get(key, key),
            metric_name=name,
            metric_value=round(value, 4),
        )
        for key, (name, _) in FIGURES.items()
        if (value := metrics.figure(key).value) is not None
    ]
    return ModelCardData(
        model_name=fields["name"],
        language=["en", "es"],
        license="apache-2.0",
        library_name=_LIBRARY,
        pipeline_tag="image-classification",
        tags=[
            "chest-x-ray",
            "pneumonia",
            "radiograph",
            "medical-imaging",
            "explainability",
            *(["synthetic"] if synthetic else []),
        ],
        datasets=None if synthetic else [_DATASET],
        metrics=list(_HUB_METRICS.values()),
        eval_results=results,
    )


def _dataset_name(adapted: bool, synthetic: bool) -> str:
    if adapted:
        return "films of the place that it was adapted to"
    return "synthetic phantoms" if synthetic else "Chest X-Ray Images (Pneumonia)"
