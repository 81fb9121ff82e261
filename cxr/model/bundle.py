"""The bundle: one folder that holds a model and all that is known of it. Save, load, verify.

The same folder is written by the trainer, published, pulled and served. Loading checks the schema, the sha256 of
every file, the class order and the input shape; the golden probe is checked by the predictor, which computes.
model.onnx may be missing, and is verified when it is read: what can be had from model.h5 is no reason to stop.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from cxr.errors import BundleError, DataError, first_problem
from cxr.files import sha256_of, sha256_of_file, write_bytes, write_json
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.decision import DecisionSpec
from cxr.model.figures import METRICS_FILE, Metrics, read_metrics
from cxr.model.input_gate import GATE_FILE
from cxr.model.predictions import PREDICTIONS_FILE, read_predictions
from cxr.model.training_record import TrainingRecord
from cxr.types import CLASSES, PNEUMONIA, ModelPixels

SCHEMA_VERSION: Final = "1"
DESCRIPTION = "bundle.json"
MODEL_FILE = "model.h5"
EXPORT_FILE = "model.onnx"
MAX_PROBABILITY_DIFFERENCE = 1e-5
MAX_EVIDENCE_DIFFERENCE = 1e-4
"""What an export may differ from model.h5: absolute; as a share of the largest evidence, where that is above 1."""
RENEW_EXPORT = "Run python -m trainer export on the bundle."
RESTORE = "Fetch or copy the bundle again."
_FOR_THE_RECORD = (
    "README.md",
    "history.csv",
    "manifest.csv",
    "recipe.json",
    "validation_predictions.csv",
    "plots/",
)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_serializer(mode="wrap")
    def _without_what_was_not_given(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An earlier bundle is described again as it was, without the parts of a later version."""
        given = self.model_fields_set
        return {name: value for name, value in write(self).items() if name in given or value is not None}


class NetworkSpec(_Strict):
    """A network of the registry and its settings (cxr.model.networks)."""

    name: str
    params: dict[str, Any] = {}


class GoldenProbe(_Strict):
    """A known input and the logit that it must give; the input is `probe_pixels` of the spec's size."""

    input: Literal["probe_v1"] = "probe_v1"
    logit: float
    tolerance: float = Field(default=1e-3, gt=0)


class ExportRecord(_Strict):
    """How model.onnx was compared with model.h5: on how many films of what kind, and the largest differences."""

    films: int = Field(ge=1)
    films_are: Literal["validation films", "phantoms and noise"]
    probability_difference: float = Field(ge=0, lt=MAX_PROBABILITY_DIFFERENCE)
    evidence_difference: float = Field(ge=0, lt=MAX_EVIDENCE_DIFFERENCE)


class ExportSpec(ExportRecord):
    """model.onnx: the same network for serving without TensorFlow. of_model: sha256 of the model.h5 it was made of."""

    of_model: str


class GateSettings(_Strict):
    """Where the input gate (cxr.model.input_gate) is, and in words how its limits were set."""

    file: Literal["gate.npz"] = GATE_FILE
    rule: str


class AdaptedFrom(_Strict):
    """The bundle that this one was adapted from, and what to (trainer.adapt).

    sha256: of the parent's model.h5. data: id of the place's films, of which there were `films` of `patients`. depth:
    what was refitted besides input gate, calibration and threshold. said: in plain words, whether it helped.
    """

    name: str
    version: str
    sha256: str
    data: str
    films: int
    patients: int
    depth: Literal["decision", "head", "all"]
    said: str


class BundleDescription(_Strict):
    """bundle.json.

    export: None where the bundle holds no model.onnx; model.h5 is the truth, with or without it.
    adapted_from: None for a bundle that was trained. `training` is the parent's, then.
    """

    schema_version: Literal["1"] = SCHEMA_VERSION
    name: str
    version: str
    network: NetworkSpec
    preprocess: PreprocessSpec
    classes: tuple[str, ...] = CLASSES
    positive_class: str = PNEUMONIA
    decision: DecisionSpec
    input_gate: GateSettings | None = None
    training: TrainingRecord
    probe: GoldenProbe
    export: ExportSpec | None = None
    adapted_from: AdaptedFrom | None = None
    sha256: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """A verified bundle folder."""

    folder: Path
    description: BundleDescription

    @property
    def model_path(self) -> Path:
        return self.folder / MODEL_FILE

    @property
    def model_sha256(self) -> str:
        return self.description.sha256[MODEL_FILE]

    @cached_property
    def metrics(self) -> Metrics | None:
        """metrics.json, or None where the bundle has none. Raises BundleError where it lacks a figure."""
        path = self.folder / METRICS_FILE
        return read_metrics(path) if path.is_file() else None

    def read_export(self) -> bytes:
        """The bytes of model.onnx, verified. Raises BundleError where it is missing, altered or of other weights."""
        recorded = self.description.export
        if recorded is None:
            raise BundleError(f"The bundle has no {EXPORT_FILE}. {RENEW_EXPORT}")
        if recorded.of_model != self.model_sha256:
            raise BundleError(f"{EXPORT_FILE} was made of another {MODEL_FILE}. {RENEW_EXPORT}")
        try:
            content = (self.folder / EXPORT_FILE).read_bytes()
        except OSError as error:
            raise BundleError(f"{EXPORT_FILE} cannot be read: {error.strerror}. {RENEW_EXPORT}") from error
        if sha256_of(content) != self.description.sha256.get(EXPORT_FILE):
            raise BundleError(f"{EXPORT_FILE} is not the file that bundle.json lists. {RENEW_EXPORT}")
        return content

    def read_weights(self) -> bytes:
        """The bytes of model.h5, in which model.onnx may name its weights. Raises BundleError where it was altered."""
        content = self.model_path.read_bytes()
        if sha256_of(content) != self.model_sha256:
            raise _altered(MODEL_FILE, self.model_sha256, sha256_of(content))
        return content


def probe_pixels(size: int) -> ModelPixels:
    """The golden probe's input, uint8 (size, size): a pattern with smooth and sharp parts, by integers alone."""
    y, x = np.mgrid[0:size, 0:size]
    return ((x * 3 + y * 2 + (x * y) // 16 + 64 * ((x // 16 + y // 16) % 2)) % 256).astype(np.uint8)


def is_for_the_record(name: str) -> bool:
    """Whether a file of a bundle is for people alone, so that a model serves without it."""
    return any(name == part or (part.endswith("/") and name.startswith(part)) for part in _FOR_THE_RECORD)


def load_bundle(folder: Path, whole: bool = True) -> Bundle:
    """Load and verify a bundle folder.

    whole: every listed file must be there. A pulled snapshot is not whole: what is for the record may be missing
    from it; all that serving needs must be there, and what is there must be as it is listed.

    Raises BundleError, naming what was expected and what was found, where the folder is no bundle, its schema is
    unknown, a file is missing, altered or not listed, or its classes are not ours.
    """
    description = _read_description(folder)
    if description.classes != CLASSES or description.positive_class != PNEUMONIA:
        raise BundleError(
            f"The classes of {folder.name} are {', '.join(description.classes)}, with {description.positive_class} "
            f"as the positive one, but the project's are {', '.join(CLASSES)}, with {PNEUMONIA}. "
            "Use a bundle that python -m trainer wrote."
        )
    _check_files(folder, _expected_files(folder, description.sha256, whole))
    bundle = Bundle(folder, description)
    _check_record(bundle)
    return bundle


def altered_files(folder: Path) -> list[str]:
    """The files of a bundle folder that are there and not as they are listed. Raises BundleError for no bundle."""
    listed = _read_description(folder).sha256
    present = {name: folder / name for name in listed if _stays_inside(name) and (folder / name).is_file()}
    return [name for name, path in present.items() if sha256_of_file(path) != listed[name]]


def write_description(folder: Path, fields: Mapping[str, Any]) -> BundleDescription:
    """Hash every file of `folder`, then write bundle.json from `fields` and the hashes. To be called last."""
    description = BundleDescription(**fields, sha256=_hash_files(folder))
    write_json(folder / DESCRIPTION, description.model_dump(mode="json"))
    return description


def write_export(folder: Path, content: bytes, record: ExportRecord) -> ExportSpec:
    """Write model.onnx beside model.h5; what is returned belongs into bundle.json as `export`."""
    write_bytes(folder / EXPORT_FILE, content)
    return ExportSpec(of_model=sha256_of_file(folder / MODEL_FILE), **record.model_dump())


def add_export(bundle: Bundle, content: bytes, record: ExportRecord) -> None:
    """Add or renew the export of a bundle that exists; nothing else of it changes.

    Stopped half-way, it leaves a model.onnx that does not verify, and model.h5 serves.
    """
    added = {
        "export": write_export(bundle.folder, content, record),
        "sha256": bundle.description.sha256 | {EXPORT_FILE: sha256_of(content)},
    }
    description = bundle.description.model_copy(update=added)
    write_json(bundle.folder / DESCRIPTION, description.model_dump(mode="json"))


def _read_description(folder: Path) -> BundleDescription:
    path = folder / DESCRIPTION
    if not path.is_file():
        raise BundleError(
            f"{folder.name or folder} is not a bundle: it has no {DESCRIPTION}. "
            "Name a folder that python -m trainer train wrote."
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{DESCRIPTION} is not JSON: {error}. {RESTORE}") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{DESCRIPTION} has schema_version {version!r}, but this version of the project reads {SCHEMA_VERSION!r}. "
            "Update the project, or use another bundle."
        )
    try:
        return BundleDescription.model_validate(raw)
    except ValidationError as error:
        raise BundleError(f"{DESCRIPTION} cannot be used: {first_problem(error)}. {RESTORE}") from error


def _check_record(bundle: Bundle) -> None:
    """Read what is shown of the bundle, so that what it lacks is told now, and not to the page's first visitor."""
    _ = bundle.metrics
    predictions = bundle.folder / PREDICTIONS_FILE
    try:
        if predictions.is_file():
            read_predictions(predictions)
    except DataError as error:
        raise BundleError(f"{error} {RESTORE}") from error


def _hash_files(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: sha256_of_file(path) for name, path in names.items() if name != DESCRIPTION}


def _expected_files(folder: Path, listed: Mapping[str, str], whole: bool) -> dict[str, str]:
    return {
        name: sha256
        for name, sha256 in listed.items()
        if whole or not is_for_the_record(name) or (folder / name).exists()
    }


def _stays_inside(name: str) -> bool:
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _check_files(folder: Path, listed: Mapping[str, str]) -> None:
    if MODEL_FILE not in listed:
        raise BundleError(f"{DESCRIPTION} has no sha256 for {MODEL_FILE}. {RESTORE}")
    for name, expected in listed.items():
        path = folder / name
        if not _stays_inside(name):
            raise BundleError(
                f"{DESCRIPTION} lists {name!r}, which is outside the bundle. Do not use this bundle."
            )
        if name == EXPORT_FILE:  # see read_export
            continue
        if not path.is_file():
            raise BundleError(f"{name} is missing from the bundle. {RESTORE}")
        found = sha256_of_file(path)
        if found != expected:
            raise _altered(name, expected, found)


def _altered(name: str, expected: str, found: str) -> BundleError:
    return BundleError(
        f"{name} was altered: its sha256 is {found[:12]}, but {DESCRIPTION} lists {expected[:12]}. {RESTORE}"
    )
