"""An evaluation from end to end: model and labelled radiographs -> predictions, figures, plots, report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cxr import __version__
from cxr.data.films import BARE_SPLIT, Film
from cxr.data.loading import LoadedFilms, Unreadable, load_films
from cxr.data.sources import DataIdentity, FilmSource, open_data
from cxr.errors import DataError, UsageError
from cxr.files import new_folder, require_free, write_json
from cxr.model.answer import Answer
from cxr.model.figures import (
    FIGURES,
    METRICS_FILE,
    Figure,
    MeasuredData,
    MeasuredModel,
    Metrics,
    Summary,
)
from cxr.model.predictions import PREDICTIONS_FILE, ScoredFilm, write_predictions
from cxr.model.predictor import Predictor
from cxr.serving.opening import open_model
from evaluation.audit import audit
from evaluation.config import RunConfig
from evaluation.metrics import bare_figures, evaluate
from evaluation.plots import History, write_plots
from evaluation.predictions import score_films, unreadable_row, worst_errors
from evaluation.report import write_report

LISTED_ERRORS = 20


def run(config: RunConfig) -> Metrics:
    """Evaluate `config.model` on `config.data`, write `config.out` and print the figures.

    The folder holds predictions.csv, metrics.json, plots/*.png and report.html, and is written whole or not at all.

    Returns:
        What metrics.json holds.

    Raises:
        UsageError: Settings that cannot work, told before any film is read.
        DataError: Data that cannot be used.
        BundleError: The model does not verify.
    """
    require_free(config.out)
    if config.resamples < 0:
        raise UsageError(
            f"--resamples {config.resamples} is below 0. 2000 is usual; 0 leaves the intervals out."
        )
    source = open_data(config.data, config.patient_pattern, config.columns)
    split, films = choose_films(source.films, config.split)
    predictor = open_model(config.model).predictor
    loaded, identity, unreadable = _load(source, films, predictor, config.skip_unreadable)
    found = _audit(config, source, split, predictor, loaded) if config.audit else None
    rows = score_films(predictor, loaded)
    with new_folder(config.out) as folder:
        metrics = evaluate_and_write(
            folder,
            predictor,
            loaded,
            rows,
            identity,
            split,
            config.resamples,
            config.seed,
            audit=found,
            unreadable=[unreadable_row(one) for one in unreadable],
        )
        errors = worst_errors(rows, metrics.threshold, LISTED_ERRORS)
        write_report(folder / "report.html", metrics, folder / "plots", _trained_on(predictor), errors)
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
    unreadable: Sequence[Answer] = (),
) -> Metrics:
    """Fill `folder` with predictions.csv, metrics.json and plots/.

    Args:
        folder: Where to write.
        predictor: The model.
        loaded: Films through `predictor.preprocess`.
        rows: The predictor's answers for them (`score_films`).
        identity: Of the data that the films belong to.
        split: Which of its splits they are.
        resamples: Rounds of the bootstrap.
        seed: Of the bootstrap.
        history: One mapping an epoch, for the training curves.
        show_films: Whether the sample grid, which shows the films themselves, is drawn.
        audit: What evaluation.audit found.
        also: Further fields of `Metrics`.
        unreadable: Rows of films that could not be read.

    Returns:
        What metrics.json holds.

    Raises:
        DataError: There are no films.
    """
    decision = predictor.decision
    bands = (decision.uncertain_band, decision.unfamiliar_band)
    figures = evaluate(rows, decision.threshold, resamples, seed, *bands)
    more = {**({"audit": audit} if audit else {}), **(also or {})}
    metrics = Metrics(
        model=MeasuredModel(**asdict(predictor.identity)),
        data=MeasuredData(
            id=identity.id,
            revision=identity.revision,
            split=split,
            notes=identity.notes,
            passed_over=dict(identity.passed_over),
        ),
        decision=decision,
        code_version=__version__,
        **figures.given(),
        **more,
    )
    write_predictions(folder / PREDICTIONS_FILE, rows, unreadable)
    write_json(folder / METRICS_FILE, metrics.model_dump(mode="json"))
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


def describe(metrics: Metrics) -> str:
    """The figures as a plain table for the terminal."""
    data, cells = metrics.data, metrics.confusion
    lines = [
        *data.notes,
        f"{data.id}, split {data.split}: {metrics.n:,} films ({metrics.n_normal:,} normal, "
        f"{metrics.n_pneumonia:,} pneumonia) of {metrics.n_groups:,} patient groups",
        f"threshold {metrics.threshold:.4f}: {metrics.decision.rule}",
        "",
        f"{'figure':<28}{'value':>10}   95% interval",
        *(_line(name, metrics.figure(key)) for key, (name, _) in FIGURES.items()),
        "",
        f"tn {cells.tn}  fp {cells.fp}  fn {cells.fn}  tp {cells.tp}",
    ]
    if metrics.refused:
        lines.append(f"refused by the input gate: {metrics.refused.n}")
    lines += [_of_source(name, figures) for name, figures in (metrics.per_source or {}).items()]
    return "\n".join(lines)


def _line(name: str, figure: Figure) -> str:
    interval = f"   {figure.ci95[0]:.4f} to {figure.ci95[1]:.4f}" if figure.ci95 else ""
    return f"{name:<28}{_number(figure.value):>10}{interval}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _of_source(name: str, figures: Summary) -> str:
    return (
        f"source {name}: {figures.n:,} films, AUC {_number(figures.roc_auc.value)}, "
        f"sensitivity {_number(figures.sensitivity.value)}, specificity {_number(figures.specificity.value)}"
    )


def describe_bare(figures: Mapping[str, float | None]) -> str:
    """The line that the original project printed, at its threshold of 0.5."""
    names = {
        "loss": "loss",
        "accuracy": "accuracy",
        "precision": "precision",
        "recall": "recall",
        "auc": "AUC",
    }
    return "  ".join(f"Test {name}: {_number(figures[key])}" for key, name in names.items())


def _load(
    source: FilmSource, films: Sequence[Film], predictor: Predictor, skip_unreadable: bool
) -> tuple[LoadedFilms, DataIdentity, list[Unreadable]]:
    """The films, the data's identity with a note for each that was left out, and these."""
    loaded, skipped = load_films(source, films, predictor.preprocess, skip_unreadable)
    if not loaded.films:
        raise DataError(f"None of the {len(films):,} films can be read, the first because of {skipped[0]}")
    notes = tuple(f"skipped, unreadable: {line}" for line in skipped)
    return loaded, replace(source.identity, notes=(*source.identity.notes, *notes)), skipped


def _trained_on(predictor: Predictor) -> str:
    """What the bundle says of its training data, or "" where nothing is known."""
    if predictor.bundle is None:
        return ""
    training = predictor.bundle.description.training
    return f"{training.data} {training.data_revision}".strip()
