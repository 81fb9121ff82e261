"""An adapted model -> a bundle folder like any other, which names its parent. Importing this module imports TensorFlow.

The place's files and patients go into it as numbers: a bundle travels, and the names are nobody's business.
"""

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cxr.data.loading import LoadedFilms
from cxr.export.onnx_export import export_checked
from cxr.files import sha256_of_file
from cxr.imaging.decode import decode
from cxr.model.bundle import (
    EXPORT_FILE,
    MODEL_FILE,
    AdaptedFrom,
    Bundle,
    ExportRecord,
    ExportSpec,
    GateSettings,
    GoldenProbe,
    write_description,
    write_export,
)
from cxr.model.decision import DecisionSpec, logit
from cxr.model.input_gate import GATE_FILE, save_gate
from cxr.model.keras_backend import KerasBackend
from cxr.model.onnx_backend import OnnxBackend
from cxr.model.predictor import ModelIdentity, Predictor
from cxr.serving.local import open_bundle
from evaluation.predictions import as_rows
from evaluation.run import evaluate_and_write
from trainer.adapt_config import AdaptConfig
from trainer.adapt_gate import gate_of_new_features, gate_of_place, gate_rule_of_place
from trainer.adapt_place import Adapted, Place
from trainer.bundling import save_model
from trainer.calibrate import with_unfamiliar_band
from trainer.card import write_card
from trainer.examples import probability_cell, write_table

SPLIT = "cross-validation"
_COMPARED_FILMS = 200
"""Films on which the export is compared with the network."""


def write_adapted(
    folder: Path, config: AdaptConfig, parent: Predictor, place: Place, adapted: Adapted
) -> None:
    """Fill `folder`, which exists and is empty, and check the result by loading it.

    Raises:
        BundleError: what was written does not answer as the adapted network does.
    """
    bundle = parent.bundle
    assert bundle is not None and parent.gate is not None  # as trainer.adapt.adapt has made sure
    described = bundle.description
    name, version = config.name or f"{described.name}-adapted", config.version or described.version
    decision = _decision(adapted, parent.decision)
    export = _write_network(folder, bundle, place, adapted, decision)
    content, weights = (folder / EXPORT_FILE).read_bytes(), (folder / MODEL_FILE).read_bytes()
    identity = ModelIdentity(name, "", version, sha256_of_file(folder / MODEL_FILE))
    bare = Predictor(OnnxBackend(content, weights), described.preprocess, decision, identity)
    outputs = bare.outputs(place.films.pixels)
    renewed = _looks_otherwise(parent, place, bare)
    if renewed:
        gate = gate_of_new_features(bare, place.films, config.seed)
    else:
        gate = gate_of_place(parent.gate, bare, place.films, outputs)
    save_gate(folder / GATE_FILE, gate)
    predictor = Predictor(bare.backend, described.preprocess, decision, identity, gate=gate)
    nameless = _nameless(place.films)
    rows = as_rows(nameless, decision, adapted.settled.y_prob, predictor.assess(place.films.pixels, outputs))
    metrics = evaluate_and_write(
        folder,
        predictor,
        nameless,
        rows,
        place.identity,
        SPLIT,
        seed=config.seed,
        show_films=False,
        also={"adapted": adapted.figures},
    )
    _copy_examples(bundle.folder / "examples", folder / "examples", predictor)
    if (bundle.folder / "recipe.json").is_file():
        shutil.copyfile(bundle.folder / "recipe.json", folder / "recipe.json")
    fields: dict[str, Any] = {
        "name": name,
        "version": version,
        "network": described.network,
        "preprocess": described.preprocess,
        "decision": decision,
        "input_gate": GateSettings(rule=gate_rule_of_place(len(nameless.films), renewed)),
        "training": described.training.model_dump(mode="json"),
        "probe": GoldenProbe(logit=predictor.probe_logit),
        "export": export,
        "adapted_from": AdaptedFrom(
            name=described.name,
            version=described.version,
            sha256=bundle.model_sha256,
            data=place.identity.id,
            films=len(nameless.films),
            patients=len(set(place.patients)),
            depth=adapted.depth,
            said=adapted.figures["said"],
        ),
    }
    write_card(folder, fields, metrics)
    write_description(folder, fields)
    open_bundle(folder)


def _decision(adapted: Adapted, parents: DecisionSpec) -> DecisionSpec:
    """The settled decision; for unfamiliar images its band is as wide in log-odds as the parent's."""
    decision = adapted.settled.decision
    if parents.unfamiliar_band is None:
        return decision
    ends = logit(np.array([parents.threshold, *parents.unfamiliar_band]))
    rule = "as far from the threshold in log-odds as in the bundle that this one was adapted from"
    return with_unfamiliar_band(decision, float(np.abs(ends[1:] - ends[0]).max()), rule)


def _write_network(
    folder: Path, bundle: Bundle, place: Place, adapted: Adapted, decision: DecisionSpec
) -> ExportSpec:
    """model.h5 and model.onnx: the parent's files where the weights are, else new ones that are proven equal."""
    described = bundle.description
    path = folder / MODEL_FILE
    if adapted.model is None:
        shutil.copyfile(bundle.model_path, path)
    else:
        save_model(adapted.model, path)
    if adapted.model is None and described.export is not None:
        compared = ExportRecord(**described.export.model_dump(exclude={"of_model"}))
        return write_export(folder, bundle.read_export(), compared)
    truth = KerasBackend.from_weights(path, described.network, described.preprocess.size)
    content, record = export_checked(truth, decision, place.films.pixels[:_COMPARED_FILMS], path)
    return write_export(folder, content, record)


def _looks_otherwise(parent: Predictor, place: Place, adapted: Predictor) -> bool:
    """Whether the gate's features of the network have changed, so that the parent's gate cannot read them."""
    some = slice(0, 8)
    now = adapted.outputs(place.films.pixels[some])
    if now.trunk is None or place.outputs.trunk is None:
        before, after = place.outputs.features[some], now.features
    else:
        before, after = place.outputs.trunk[some], now.trunk
    return not np.allclose(before, after, rtol=1e-3, atol=1e-3)


def _nameless(films: LoadedFilms) -> LoadedFilms:
    """The films with numbers in place of paths and patients."""
    numbers = {
        patient: number for number, patient in enumerate(dict.fromkeys(f.patient for f in films.films), 1)
    }
    renamed = [
        replace(film, path=f"film-{number}", patient=f"patient-{numbers[film.patient]}", sha256="")
        for number, film in enumerate(films.films, 1)
    ]
    return LoadedFilms(renamed, films.pixels)


def _copy_examples(source: Path, target: Path, predictor: Predictor) -> None:
    """The parent's gallery, with the adapted model's probabilities."""
    table = source / "examples.csv"
    if not table.is_file():
        return
    target.mkdir()
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        name = Path(row["file"]).name
        shutil.copyfile(source / name, target / name)
        answer = predictor.predict(decode((source / name).read_bytes(), name))
        row["probability"] = probability_cell(answer.probability)
    write_table(target, rows)
