"""The predictor: the one code path from a radiograph to a probability, a decision and an evidence map.

The app serves from it and evaluation computes every published figure through it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

from cxr.bundle import Bundle, load_bundle, probe_pixels
from cxr.decision import DecisionSpec, Label
from cxr.errors import BundleError, UsageError
from cxr.files import sha256_of_file
from cxr.image import GrayImage
from cxr.preprocess import PreprocessSpec, to_input_batch, to_model_pixels
from cxr.types import EvidenceMap, Features, InputBatch, Logits, ModelPixels

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

    @classmethod
    def from_bundle(
        cls, folder: Path, source: str | None = None, revision: str = "", whole: bool = True
    ) -> "Predictor":
        """Load a bundle folder, verify it (`whole` as for load_bundle), and check its golden probe.

        Raises BundleError.
        """
        from cxr.keras_backend import KerasBackend  # here, because it imports TensorFlow

        bundle = load_bundle(folder, whole)
        described = bundle.description
        backend = KerasBackend.from_weights(bundle.model_path, described.network, described.preprocess.size)
        identity = ModelIdentity(source or folder.name, revision, described.version, bundle.model_sha256)
        predictor = cls(backend, described.preprocess, described.decision, identity, bundle)
        predictor._check_probe(described.probe.logit, described.probe.tolerance)
        return predictor

    @classmethod
    def from_h5(cls, path: Path) -> "Predictor":
        """Load a bare Keras .h5 such as the original's: input as the original's, threshold 0.5, uncalibrated.

        Raises BundleError where the file is not a Keras model of one grayscale square input and one probability.
        """
        from cxr.keras_backend import KerasBackend

        backend = KerasBackend.from_whole_model(path)
        identity = ModelIdentity(path.name, "", "", sha256_of_file(path))
        decision = DecisionSpec(temperature=1.0, threshold=BARE_THRESHOLD, rule="0.5, the original's")
        return cls(backend, seed_preprocess(backend.size), decision, identity)

    def pixels(self, image: GrayImage) -> ModelPixels:
        """The model's input for one radiograph, uint8 (size, size)."""
        return to_model_pixels(image, self.preprocess)

    def logits(self, pixels: ModelPixels, batch_size: int = 64) -> Logits:
        """Logits (n,) of preprocessed films uint8 (n, size, size). Raises BundleError if one is not finite."""
        return self.outputs(pixels, batch_size).logits

    def outputs(self, pixels: ModelPixels, batch_size: int = 64) -> Outputs:
        """Logits and features of preprocessed films uint8 (n, size, size), n at least 1. Raises as `logits`."""
        parts = [
            self.backend.outputs(to_input_batch(pixels[start : start + batch_size]))
            for start in range(0, len(pixels), batch_size)
        ]
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
        found = self.outputs(np.stack([self.pixels(image) for image in images]))
        seconds = (time.perf_counter() - start) / len(images)
        return [
            self._prediction(image, value, seconds) for image, value in zip(images, found.logits, strict=True)
        ]

    def explain(self, image: GrayImage) -> Explanation:
        """Probability, decision and evidence map for one radiograph."""
        start = time.perf_counter()
        found, maps = self.backend.evidence(to_input_batch(self.pixels(image)[None]))
        coarse = Image.fromarray(maps[0].astype(np.float32))
        evidence = np.asarray(coarse.resize((image.width, image.height), Image.Resampling.BILINEAR))
        prediction = self._prediction(image, float(_finite(found.logits)[0]), time.perf_counter() - start)
        return Explanation(prediction, evidence)

    def _prediction(self, image: GrayImage, value: float, seconds: float) -> Prediction:
        probability = float(self.decision.probabilities(np.array([value]))[0])
        label = self.decision.label(probability)
        return Prediction(label, probability, self.decision.threshold, True, image.notes, seconds)

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


def seed_preprocess(size: int = 150) -> PreprocessSpec:
    """The original's preprocessing: stretch to a square by the nearest pixel, divide by 255."""
    return PreprocessSpec(size=size, resample="nearest")


def load_model(model: str) -> Predictor:
    """Load MODEL: a bundle folder or a bare .h5 file. Raises UsageError if it is neither, else BundleError."""
    path = Path(model)
    if path.is_dir():
        return Predictor.from_bundle(path)
    if path.is_file() and path.suffix in (".h5", ".hdf5"):
        return Predictor.from_h5(path)
    raise UsageError(
        "MODEL to be a bundle folder or a bare .h5 file", repr(model), "check the path, or train one first"
    )
