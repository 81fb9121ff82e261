"""A fitted network -> a bundle folder: decision, figures, plots, gallery, card, and at last bundle.json."""

import logging
import platform
import subprocess
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras

from cxr import __version__
from cxr.data.films import Film, write_manifest
from cxr.data.sources import PhantomSource
from cxr.export.onnx_export import export_checked
from cxr.files import sha256_of_file, write_json, write_text
from cxr.model.bundle import (
    MODEL_FILE,
    ExportSpec,
    GateSettings,
    GoldenProbe,
    write_description,
    write_export,
)
from cxr.model.decision import DecisionSpec
from cxr.model.figures import Metrics
from cxr.model.input_gate import GATE_FILE, save_gate
from cxr.model.keras_backend import KerasBackend
from cxr.model.onnx_backend import OnnxBackend
from cxr.model.predictions import write_predictions
from cxr.model.predictor import ModelIdentity, Predictor
from cxr.serving.local import open_bundle
from evaluation.audit import audit
from evaluation.metrics import evaluate
from evaluation.predictions import score_films
from evaluation.run import evaluate_and_write
from trainer.calibrate import HALF, fit_decision, widen_for_unfamiliar
from trainer.card import write_card
from trainer.config import TrainConfig
from trainer.examples import write_examples
from trainer.fit import Fitted, history_csv
from trainer.gating import GateFilms, fit_gate, gate_rule, phantoms_for_gate
from trainer.members import joined_network, members_alone
from trainer.prepared import Prepared
from trainer.recipes import Recipe
from trainer.references import measure_unseen, normal_films
from trainer.training_run import TrainingRun

RESAMPLES = 2000
_PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "numpy", "pillow", "scikit-learn")


def write_bundle(
    folder: Path, config: TrainConfig, run: TrainingRun, prepared: Prepared, fitted: Fitted
) -> None:
    """Fill `folder`, which exists and is empty, and check the result by loading it.

    Args:
        folder: becomes the bundle.
        config: name, version, and what the bundle may show.
        run: how `fitted` was trained.
        prepared: the run's films; without test films the headline figures are of the validation films.
        fitted: the trained network.

    Raises:
        BundleError: what was written does not answer as the trained network does.
    """
    save_model(fitted.model, folder / MODEL_FILE)
    write_text(folder / "history.csv", history_csv(fitted.history))
    recipe = _without_folders(run)
    write_json(folder / "recipe.json", recipe.model_dump(mode="json"))
    write_manifest(folder / "manifest.csv", _manifest(prepared))
    predictor, export = _choose_decision_and_gate(folder, config, run, prepared)
    metrics = _measure(folder, predictor, config, run, prepared, fitted)
    write_examples(folder / "examples", predictor, prepared.source, prepared.held_out[1], config.pictures)
    fields = {
        "name": config.name,
        "version": config.version,
        "network": joined_network(recipe),
        "preprocess": recipe.preprocess,
        "decision": predictor.decision,
        "input_gate": GateSettings(rule=_gate_rule(predictor, prepared)),
        "training": _training_record(recipe, run, prepared, fitted),
        "probe": GoldenProbe(logit=predictor.probe_logit),
        "export": export,
    }
    write_card(folder, fields, metrics)
    write_description(folder, fields)
    open_bundle(folder)


def _without_folders(run: TrainingRun) -> Recipe:
    """The recipe with files by their names: a bundle travels, and the folders of this machine are nobody's business."""
    names = {
        "initial_weights": Path(run.recipe.initial_weights).name,
        "teacher": run.teacher.identity.source if run.teacher else "",
    }
    return run.recipe.model_copy(update=names)


def save_model(model: keras.Model, path: Path) -> None:
    """Write a network as model.h5, without an optimizer."""
    # Keras warns on every save that HDF5 is legacy; here the format is the contract.
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)
    try:
        model.save(path, include_optimizer=False)
    finally:
        absl.setLevel(level)


def _choose_decision_and_gate(
    folder: Path, config: TrainConfig, run: TrainingRun, prepared: Prepared
) -> tuple[Predictor, ExportSpec]:
    """The predictor of the saved file, with the decision from the tuning films and the gate from the validation films.

    It computes by the export, as the app will; that this equals model.h5 is proven on the validation films.
    """
    recipe, validation = run.recipe, prepared.validation
    path = folder / MODEL_FILE
    truth = KerasBackend.from_weights(path, joined_network(recipe), recipe.preprocess.size)
    identity = ModelIdentity(config.name, "", config.version, sha256_of_file(path))
    draft = Predictor(truth, recipe.preprocess, HALF, identity)
    decision: DecisionSpec = HALF
    if recipe.decide == "sensitivity":
        films = (
            "validation films, perturbed as training films are" if recipe.perturbed else "validation films"
        )
        decision = fit_decision(run.tuning.y_true, draft.logits(run.tuning.pixels), films)
    content, record = export_checked(truth, decision, validation.pixels, path)
    export = write_export(folder, content, record)
    served = Predictor(OnnxBackend(content, path.read_bytes()), recipe.preprocess, decision, identity)
    home = GateFilms(prepared.identity.id, prepared.train.pixels, validation.pixels)
    references = [reference.for_gate for reference in prepared.references]
    phantoms = phantoms_for_gate(recipe.preprocess) if _shows_phantoms(config, prepared) else None
    gate = fit_gate(served, home, references, run.seed, phantoms)
    save_gate(folder / GATE_FILE, gate)
    normal = normal_films(prepared.references)
    if normal is not None:
        decision = widen_for_unfamiliar(decision, served.logits(normal))
    return Predictor(served.backend, recipe.preprocess, decision, identity, gate=gate), export


def _shows_phantoms(config: TrainConfig, prepared: Prepared) -> bool:
    """Whether the gallery holds images that are of another kind than the films, and is to be read all the same."""
    return config.pictures == "phantoms" and not isinstance(prepared.source, PhantomSource)


def _gate_rule(predictor: Predictor, prepared: Prepared) -> str:
    gate = predictor.gate
    references = [reference.for_gate for reference in prepared.references]
    return gate_rule(references, gate.accepted if gate else (), bool(gate and gate.phantoms))


def _measure(
    folder: Path,
    predictor: Predictor,
    config: TrainConfig,
    run: TrainingRun,
    prepared: Prepared,
    fitted: Fitted,
) -> Metrics:
    """Write predictions, plots and metrics.json; its headline is the test split where there is one.

    The test films are scored here for the first and only time, when nothing is left to choose.
    """
    name, films = prepared.held_out
    validation = score_films(predictor, prepared.validation)
    rows = validation
    if name != "validation":
        write_predictions(folder / "validation_predictions.csv", validation)
        rows = score_films(predictor, films)
    decision = predictor.decision
    bands = (decision.uncertain_band, decision.unfamiliar_band)
    figures = evaluate(validation, decision.threshold, RESAMPLES, run.seed, *bands)
    also: dict[str, Any] = {
        "validation": figures,
        "elsewhere": measure_unseen(predictor, prepared.references),
    }
    if (members := run.recipe.members) > 1:
        head = fitted.model.layers[-1].get_weights()[0]
        also["members"] = members_alone(predictor, head, members, run.tuning, films)
    return evaluate_and_write(
        folder,
        predictor,
        films,
        rows,
        prepared.identity,
        name,
        resamples=RESAMPLES,
        seed=run.seed,
        history=fitted.history,
        show_films=config.pictures == "films",
        audit=audit(predictor, films, prepared.train, prepared.source, joined_network(run.recipe)),
        also=also,
    )


def _manifest(prepared: Prepared) -> list[Film]:
    """All films of the run with the part that each played."""
    held_out = [replace(film, split="validation") for film in prepared.validation.films]
    tested = prepared.test.films if prepared.test is not None else []
    return [*prepared.train.films, *held_out, *tested]


def _training_record(recipe: Recipe, run: TrainingRun, prepared: Prepared, fitted: Fitted) -> dict[str, Any]:
    positive = prepared.train.y_true.mean()
    return {
        "data": prepared.identity.id,
        "data_revision": prepared.identity.revision,
        "data_notes": list(prepared.notes),
        "fingerprint": prepared.fingerprint,
        "counts": prepared.checks.counts,
        "films": {"train": len(prepared.train.films), "validation": len(prepared.validation.films)},
        "references": [reference.record(run.reference is not None) for reference in prepared.references],
        "prevalence": float(positive),
        "sampling": recipe.sampling,
        "split_rule": prepared.split_rule,
        "recipe": recipe.name,
        "initial_weights": recipe.initial_weights,
        "members": recipe.members,
        "teacher": asdict(run.teacher.identity) if run.teacher else None,
        "epochs": max(row["epoch"] for row in fitted.history),
        "best_epochs": list(fitted.best_epochs),
        "seed": run.seed,
        "precision": run.precision,
        "parameters": fitted.model.count_params(),
        "libraries": _library_versions(),
        "python": platform.python_version(),
        "code_version": __version__,
        "code_commit": _code_commit(),
    }


def _library_versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # tensorflow and tensorflow-cpu stand for each other
            continue
    return found


def _code_commit() -> str:
    """The project's commit, "+changes" after it if files differ from it, or "" outside a git checkout."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        result = subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True
        )
        return result.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (
            "+changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
