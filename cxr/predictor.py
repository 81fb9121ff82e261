"""The predictor: the one code path from a radiograph to a probability, a decision and an evidence map.

The app serves from it and evaluation computes every published figure through it.
"""

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from PIL import Image

from cxr import export_cache
from cxr.bundle import Bundle, load_bundle, probe_pixels
from cxr.decision import DecisionSpec, Label
from cxr.errors import BundleError, UsageError
from cxr.files import sha256_of_file
from cxr.foreign import is_of_the_originals_kind
from cxr.gate import Assessment, InputGate, load_gate
from cxr.image import GrayImage
from cxr.preprocess import PreprocessSpec, to_input_batch, to_model_pixels
from cxr.types import EvidenceMap, Features, InputBatch, Logits, ModelPixels

if TYPE_CHECKING:
    from cxr.keras_backend import KerasBackend

_log = logging.getLogger(__name__)

BARE_THRESHOLD = 0.5
"""The original's operating point, used for a bare .h5, which carries none of its own."""


class Outputs(NamedTuple):
    """What a network gives for a batch of n films: logits (n,), and the features (n, d) that its last layer reads."""

    logits: Logits
    features: Features


class Backend(Protocol):
    """What computes a network."""

    @property
    def size(self) -> int:
        """Side of the square input, in pixels."""

    def outputs(self, batch: InputBatch) -> Outputs:
        """Logits and features of a batch."""

    def evidence(self, batch: InputBatch) -> tuple[Outputs, EvidenceMap]:
        """The same, and evidence maps (n, height, width) at the resolution of the last feature maps."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answered. `source` is as the user named it; `revision` is a Hub commit, or "" elsewhere."""

    source: str
    revision: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Prediction:
    """One answer.

    label: None where the input gate refuses the image; then `accepted` is false and the reason is among `warnings`.
    probability: calibrated P(PNEUMONIA), which means nothing for a refused image. warnings: codes, of decoding and
    of the gate. seconds: from decoded image to decision.
    """

    label: Label | None
    probability: float
    threshold: float
    accepted: bool
    warnings: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """A prediction and its evidence map, float32 with the radiograph's height and width.

    The map is HiResCAM (Draelos and Carin 2020) at the last feature maps: gradient of the logit times activation,
    summed over channels, here scaled so that its mean is the part of the logit that comes from the features. For
    a pooled head it is the exact class activation map. Above 0 speaks for PNEUMONIA, below 0 for NORMAL.
    """

    prediction: Prediction
    evidence: EvidenceMap


class Predictor:
    """A loaded model with its preprocessing and decision. Safe to call from several threads."""

    def __init__(
        self,
        backend: Backend,
        preprocess: PreprocessSpec,
        decision: DecisionSpec,
        identity: ModelIdentity,
        bundle: Bundle | None = None,
        gate: InputGate | None = None,
    ) -> None:
        if backend.size != preprocess.size:
            raise BundleError(
                f"a network that reads {preprocess.size} x {preprocess.size}",
                f"one that reads {backend.size} x {backend.size}",
                "restore the bundle",
            )
        self.backend = backend
        self.preprocess = preprocess
        self.decision = decision
        self.identity = identity
        self.bundle = bundle
        self.gate = gate

    @classmethod
    def from_bundle(
        cls, folder: Path, source: str | None = None, revision: str = "", whole: bool = True
    ) -> "Predictor":
        """Load a bundle folder, verify it (`whole` as for load_bundle), and check its golden probe.

        Served from model.onnx; where that is missing or does not verify, Keras computes model.h5, and why is logged.
        Raises BundleError.
        """
        bundle = load_bundle(folder, whole)
        described = bundle.description
        identity = ModelIdentity(source or folder.name, revision, described.version, bundle.model_sha256)
        gate = load_gate(bundle.folder / described.input_gate.file) if described.input_gate else None

        def checked(backend: Backend) -> Predictor:
            predictor = cls(backend, described.preprocess, described.decision, identity, bundle, gate)
            predictor._check_probe(described.probe.logit, described.probe.tolerance)
            return predictor

        try:
            return checked(_onnx(bundle.read_export(), bundle.read_weights()))
        except BundleError as error:
            keras_backend = _keras_for(folder.name, error)
            if described.export is not None:
                _log.warning("served by Keras, more slowly: %s", error)
        return checked(
            keras_backend.from_weights(bundle.model_path, described.network, described.preprocess.size)
        )

    @classmethod
    def from_h5(cls, path: Path, preprocess: PreprocessSpec | None = None) -> "Predictor":
        """Load a bare .h5: threshold 0.5, uncalibrated.

        preprocess: how its films are to be read; None only for the original's kind of network, whose way is known.

        It is exported once and the export kept for the next time (`cxr.export_cache`). Raises BundleError where
        the file is not a Keras model of one grayscale square input and one probability.
        """
        if preprocess is None and not is_of_the_originals_kind(path):
            raise BundleError(
                "the preprocessing of a .h5 that is not of the original's kind",
                f"{path.name} without",
                'state it, for example MODEL_PREPROCESS=\'{"size": 224, "resample": "bilinear"}\'',
            )
        sha256 = sha256_of_file(path)
        content = export_cache.find(sha256)
        backend = _onnx(content) if content is not None else _exported(path, sha256)
        identity = ModelIdentity(path.name, "", "", sha256)
        return cls(backend, preprocess or seed_preprocess(backend.size), bare_decision(), identity)

    def pixels(self, image: GrayImage) -> ModelPixels:
        """The model's input for one radiograph, uint8 (size, size)."""
        return to_model_pixels(image, self.preprocess)

    def logits(self, pixels: ModelPixels, batch_size: int = 64) -> Logits:
        """Logits (n,) of preprocessed films uint8 (n, size, size). Raises BundleError if one is not finite."""
        return self.outputs(pixels, batch_size).logits

    def outputs(self, pixels: ModelPixels, batch_size: int = 64) -> Outputs:
        """Logits and features of preprocessed films uint8 (n, size, size). Raises as `logits`.

        Several batches are computed at once, on all cores.
        """

        if not len(pixels):
            return Outputs(np.empty(0), np.empty((0, 0), np.float32))

        def part(start: int) -> Outputs:
            return self.backend.outputs(to_input_batch(pixels[start : start + batch_size]))

        starts = range(0, len(pixels), batch_size)
        if len(starts) == 1:
            parts = [part(0)]
        else:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                parts = list(pool.map(part, starts))
        logits, features = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Outputs(_finite(logits), features)

    def predict(self, image: GrayImage) -> Prediction:
        """Probability and decision for one radiograph."""
        return self.predict_many([image])[0]

    def predict_many(self, images: Sequence[GrayImage]) -> list[Prediction]:
        """Probability and decision for several radiographs; each one's answer does not depend on the others."""
        if not images:
            return []
        start = time.perf_counter()
        pixels = np.stack([self.pixels(image) for image in images])
        found = self.outputs(pixels)
        judged = self.assess(pixels, found.features)
        seconds = (time.perf_counter() - start) / len(images)
        return [
            self._prediction(image, value, assessment, seconds)
            for image, value, assessment in zip(images, found.logits, judged, strict=True)
        ]

    def explain(self, image: GrayImage) -> Explanation:
        """Probability, decision and evidence map for one radiograph."""
        start = time.perf_counter()
        pixels = self.pixels(image)[None]
        found, maps = self.backend.evidence(to_input_batch(pixels))
        assessment = self.assess(pixels, found.features)[0]
        coarse = Image.fromarray(maps[0].astype(np.float32))
        evidence = np.asarray(coarse.resize((image.width, image.height), Image.Resampling.BILINEAR))
        value = float(_finite(found.logits)[0])
        prediction = self._prediction(image, value, assessment, time.perf_counter() - start)
        return Explanation(prediction, evidence)

    def assess(self, pixels: ModelPixels, features: Features) -> list[Assessment]:
        """The input gate's word on each of n preprocessed films; without a gate, every film is accepted."""
        if self.gate is None:
            return [Assessment(True, "", {})] * len(pixels)
        return [self.gate.assess(film, row) for film, row in zip(pixels, features, strict=True)]

    def _prediction(
        self, image: GrayImage, value: float, assessment: Assessment, seconds: float
    ) -> Prediction:
        probability = float(self.decision.probabilities(np.array([value]))[0])
        label = self.decision.label(probability) if assessment.accepted else None
        small = ("low_resolution",) if min(image.width, image.height) < self.preprocess.size else ()
        warnings = (*((assessment.code,) if assessment.code else ()), *small, *image.notes)
        threshold = self.decision.threshold
        return Prediction(label, probability, threshold, assessment.accepted, warnings, seconds)

    @cached_property
    def probe_logit(self) -> float:
        """The logit of the golden probe's input."""
        return float(self.logits(probe_pixels(self.preprocess.size)[None])[0])

    def _check_probe(self, expected: float, tolerance: float) -> None:
        if not abs(self.probe_logit - expected) <= tolerance:
            raise BundleError(
                f"logit {expected:.6f} (within {tolerance}) for the golden probe",
                f"{self.probe_logit:.6f}",
                "the weights do not fit the network: fetch the bundle again",
            )


def _finite(logits: Logits) -> Logits:
    """The logits as they are; a NaN would pass every comparison as NORMAL."""
    if not np.isfinite(logits).all():
        raise BundleError(
            "finite logits", "NaN or infinity from the network", "the weights are damaged: use others"
        )
    return logits


def _onnx(content: bytes, weights: bytes | None = None) -> Backend:
    from cxr.onnx_backend import OnnxBackend  # here, because it imports ONNX Runtime

    return OnnxBackend(content, weights)


def _keras_for(name: str, reason: BundleError) -> "type[KerasBackend]":
    """The Keras backend, or a BundleError that says what to install."""
    try:
        from cxr.keras_backend import KerasBackend  # here, because it imports TensorFlow
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("tensorflow", "keras"):
            raise
        raise BundleError(
            f"Keras and TensorFlow to compute {name} ({reason})",
            f"no {error.name}",
            "pip install keras tensorflow-cpu",
        ) from error
    return KerasBackend


def _exported(path: Path, sha256: str) -> Backend:
    """A bare .h5 by its fresh export, or by Keras where it cannot be exported."""
    no_export = BundleError("an export of it in the cache", "none", "it is made once")
    original = _keras_for(path.name, no_export).from_whole_model(path)
    from cxr.onnx_export import export_checked

    try:
        content, _ = export_checked(original, bare_decision())
    except BundleError as error:
        _log.warning("served by Keras, more slowly: %s", error)
        return original
    export_cache.keep(sha256, content)
    return _onnx(content)


def bare_decision() -> DecisionSpec:
    """The decision for a bare .h5: uncalibrated, the original's threshold."""
    return DecisionSpec(temperature=1.0, threshold=BARE_THRESHOLD, rule="0.5, the original's")


def seed_preprocess(size: int = 150) -> PreprocessSpec:
    """The original's preprocessing: stretch to a square by the nearest pixel, divide by 255."""
    return PreprocessSpec(size=size, resample="nearest")


def load_model(model: str, preprocess: PreprocessSpec | None = None) -> Predictor:
    """Load MODEL: a bundle folder or a bare .h5 file, which may need its preprocessing stated (Predictor.from_h5).

    Raises UsageError if it is neither, else BundleError.
    """
    path = Path(model)
    if path.is_dir():
        return Predictor.from_bundle(path)
    if path.is_file() and path.suffix in (".h5", ".hdf5"):
        return Predictor.from_h5(path, preprocess)
    raise UsageError(
        "MODEL to be a bundle folder or a bare .h5 file", repr(model), "check the path, or train one first"
    )
