"""An evaluation from end to end: model and labelled radiographs -> predictions, figures, plots, report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cxr.data.films import BARE_SPLIT, Film
from cxr.data.loading import LoadedFilms, load_films
from cxr.data.sources import DataIdentity, FilmSource, open_data
from cxr.errors import DataError, UsageError
from cxr.files import new_folder, require_free, write_json
from cxr.model.predictions import ScoredFilm, write_predictions
from cxr.model.predictor import Predictor
from cxr.serving.opening import open_model
from evaluation.audit import audit
from evaluation.config import RunConfig
from evaluation.metrics import FIGURES, bare_figures, evaluate
from evaluation.plots import History, write_plots
from evaluation.predictions import score_films, worst_errors
from evaluation.report import write_report

LISTED_ERRORS = 20


def run(config: RunConfig) -> dict[str, Any]:
    """Evaluate `config.model` on `config.data`, write `config.out`, print the figures and return the metrics.

    The folder holds predictions.csv, metrics.json, plots/*.png and report.html, and is written whole or not
    at all. Raises UsageError, DataError or BundleError; what can be told early is told before any film is
    read.
    """
    require_free(config.out)
    if config.resamples < 0:
        raise UsageError("--resamples of 0 or more", str(config.resamples), "2000 is usual")
    source = open_data(config.data, config.patient_pattern, config.columns)
    split, films = choose_films(source.films, config.split)
    predictor = open_model(config.model).predictor
    loaded, identity = _load(source, films, predictor, config.skip_unreadable)
    found = _audit(config, source, split, predictor, loaded) if config.audit else None
    rows = score_films(predictor, loaded)
    with new_folder(config.out) as folder:
        metrics = evaluate_and_write(
            folder, predictor, loaded, rows, identity, split, config.resamples, config.seed, audit=found
        )
        context = {
            "trained_on": _trained_on(predictor),
            "worst_errors": [_listed(row) for row in worst_errors(rows, metrics["threshold"], LISTED_ERRORS)],
        }
        write_report(folder / "report.html", metrics, folder / "plots", context)
    print(describe(metrics))
    if predictor.bundle is None:
        print(describe_bare(bare_figures(rows)))
    print(f"report: {config.out / 'report.html'}")
    return metrics


def evaluate_and_write(
    folder: Path,
    predictor: Predictor,
    loaded: LoadedFilms,
    rows: Sequence[ScoredFilm],
    identity: DataIdentity,
    split: str,
    resamples: int = 2000,
    seed: int = 0,
    history: History | None = None,
    show_films: bool = True,
    audit: Mapping[str, Any] | None = None,
    also: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Fill `folder` with predictions.csv, metrics.json and plots/, and return the metrics.

    loaded: films through `predictor.preprocess`; rows: the predictor's answers for them (`score_films`);
    history: one mapping an epoch, for the training curves; show_films: whether the sample grid, which shows the
    films themselves, is drawn; audit: what evaluation.audit found; also: further entries of the metrics.
    Raises DataError for no films.
    """
    metrics = {
        "model": _model_record(predictor),
        "data": {
            "id": identity.id,
            "revision": identity.revision,
            "notes": list(identity.notes),
            "passed_over": dict(identity.passed_over),
            "split": split,
        },
        "decision": predictor.decision.model_dump(mode="json"),
        **evaluate(rows, predictor.decision.threshold, resamples, seed, predictor.decision.uncertain_band),
        **({"audit": audit} if audit else {}),
        **(also or {}),
    }
    write_predictions(folder / "predictions.csv", rows)
    write_json(folder / "metrics.json", metrics)
    write_plots(folder / "plots", rows, loaded.pixels if show_films else None, metrics, history)
    return metrics


def _audit(
    config: RunConfig, source: FilmSource, split: str, predictor: Predictor, loaded: LoadedFilms
) -> dict[str, Any]:
    """The audit, with baselines where the data has a train split other than the one that is evaluated."""
    train = [film for film in source.films if film.split == "train" != split]
    fitted_on = load_films(source, train, predictor.preprocess, config.skip_unreadable)[0] if train else None
    if fitted_on is not None and not fitted_on.films:
        fitted_on = None  # all of them unreadable: no baselines
    network = predictor.bundle.description.network if predictor.bundle else None
    return audit(predictor, loaded, fitted_on, source, network, config.seed, config.resamples)


def choose_films(films: Sequence[Film], split: str) -> tuple[str, list[Film]]:
    """The split's name and films. "test" of a source without splits is all of it.

    Raises UsageError, naming the splits that there are.
    """
    present = sorted({film.split for film in films})
    wanted = {split, BARE_SPLIT} if split == "test" else {split}
    chosen = [film for film in films if film.split in wanted]
    if not chosen:
        raise UsageError(f"The data has no split {split}, only {', '.join(present)}. Name one by --split.")
    return BARE_SPLIT if present == [BARE_SPLIT] else split, chosen


def describe(metrics: Mapping[str, Any]) -> str:
    """The figures as a plain table for the terminal."""
    data = metrics["data"]
    lines = [
        *data["notes"],
        f"{data['id']}, split {data['split']}: {metrics['n']:,} films ({metrics['n_normal']:,} normal, "
        f"{metrics['n_pneumonia']:,} pneumonia) of {metrics['n_groups']:,} patient groups",
        f"threshold {metrics['threshold']:.4f}: {metrics['decision']['rule']}",
        "",
        f"{'figure':<28}{'value':>10}   95% interval",
    ]
    for key, (name, _) in FIGURES.items():
        value, interval = metrics[key]["value"], metrics[key]["ci95"]
        shown = "undefined" if value is None else f"{value:.4f}"
        lines.append(
            f"{name:<28}{shown:>10}" + (f"   {interval[0]:.4f} to {interval[1]:.4f}" if interval else "")
        )
    cells = metrics["confusion"]
    lines += ["", f"tn {cells['tn']}  fp {cells['fp']}  fn {cells['fn']}  tp {cells['tp']}"]
    lines += [f"refused by the input gate: {metrics['refused']['n']}"]
    lines += [_of_source(name, figures) for name, figures in metrics.get("per_source", {}).items()]
    return "\n".join(lines)


def _of_source(name: str, figures: Mapping[str, Any]) -> str:
    told = {
        label: "undefined" if (value := figures[key]["value"]) is None else f"{value:.4f}"
        for key, label in (("roc_auc", "AUC"), ("sensitivity", "sensitivity"), ("specificity", "specificity"))
    }
    shown = ", ".join(f"{label} {value}" for label, value in told.items())
    return f"source {name}: {figures['n']:,} films, {shown}"


def describe_bare(figures: Mapping[str, float | None]) -> str:
    """The line that the original project printed, at its threshold of 0.5."""
    names = {
        "loss": "loss",
        "accuracy": "accuracy",
        "precision": "precision",
        "recall": "recall",
        "auc": "AUC",
    }
    shown = {
        name: "undefined" if figures[key] is None else f"{figures[key]:.4f}" for key, name in names.items()
    }
    return "  ".join(f"Test {name}: {value}" for name, value in shown.items())


def _listed(row: ScoredFilm) -> dict[str, Any]:
    return {**asdict(row.answer), "probability": row.probability}


def _load(
    source: FilmSource, films: Sequence[Film], predictor: Predictor, skip_unreadable: bool
) -> tuple[LoadedFilms, DataIdentity]:
    """The films, and the data's identity with a note for each file that was left out."""
    loaded, skipped = load_films(source, films, predictor.preprocess, skip_unreadable)
    if not loaded.films:
        raise DataError(f"None of the {len(films):,} films can be read, the first because of {skipped[0]}")
    notes = tuple(f"skipped, unreadable: {line}" for line in skipped)
    return loaded, replace(source.identity, notes=(*source.identity.notes, *notes))


def _model_record(predictor: Predictor) -> dict[str, str]:
    identity = predictor.identity
    return asdict(identity)


def _trained_on(predictor: Predictor) -> str:
    """What the bundle says of its training data, or "" where nothing is known."""
    if predictor.bundle is None:
        return ""
    training = predictor.bundle.description.training
    return " ".join(str(training[key]) for key in ("data", "data_revision") if training.get(key))
