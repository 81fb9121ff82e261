"""The predictor: the one code path from a radiograph to a probability, a decision and an evidence map.

The app serves from it and evaluation computes every published figure through it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image

from cxr.errors import BundleError
from cxr.imaging.decode import GrayImage
from cxr.imaging.preprocess import PreprocessSpec, to_input_batch, to_model_pixels
from cxr.model.answer import Answer, judge
from cxr.model.backend import Backend, Outputs
from cxr.model.bundle import Bundle, probe_pixels
from cxr.model.decision import DecisionSpec
from cxr.model.input_gate import Assessment, InputGate
from cxr.threads import cpu_count
from cxr.types import EvidenceMap, Logits, ModelPixels, WarningCode


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answered. `source` is as the user named it; `revision` is a Hub commit, or "" elsewhere."""

    source: str
    revision: str
    version: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Explanation:
    """An answer and its evidence map, float32 with the radiograph's height and width.

    The map is HiResCAM (Draelos and Carin 2020) at the last feature maps: gradient of the logit times activation,
    summed over channels, here scaled so that its mean is the part of the logit that comes from the features. For
    a pooled head it is the exact class activation map. Above 0 speaks for PNEUMONIA, below 0 for NORMAL.
    """

    answer: Answer
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
                f"The network reads images of {backend.size} x {backend.size} pixels, but preprocessing makes "
                f"{preprocess.size} x {preprocess.size}. Fetch or copy the bundle again."
            )
        self.backend = backend
        self.preprocess = preprocess
        self.decision = decision
        self.identity = identity
        self.bundle = bundle
        self.gate = gate

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
            with ThreadPoolExecutor(cpu_count()) as pool:
                parts = list(pool.map(part, starts))
        trunks = [one.trunk for one in parts if one.trunk is not None]
        return Outputs(
            _finite(np.concatenate([one.logits for one in parts])),
            np.concatenate([one.features for one in parts]),
            np.concatenate(trunks) if trunks else None,
        )

    def predict(self, image: GrayImage) -> Answer:
        """The answer for one image."""
        return self.predict_many([image])[0]

    def predict_many(self, images: Sequence[GrayImage]) -> list[Answer]:
        """The answers for several images, in order; none of them depends on the other images."""
        if not images:
            return []
        pixels = np.stack([self.pixels(image) for image in images])
        outputs = self.outputs(pixels)
        assessments = self.assess(pixels, outputs)
        return [
            self._answer(image, value, assessment)
            for image, value, assessment in zip(images, outputs.logits, assessments, strict=True)
        ]

    def explain(self, image: GrayImage) -> Explanation:
        """The answer and the evidence map for one image."""
        pixels = self.pixels(image)[None]
        outputs, maps = self.backend.evidence(to_input_batch(pixels))
        assessment = self.assess(pixels, outputs)[0]
        coarse = Image.fromarray(maps[0].astype(np.float32))
        evidence = np.asarray(coarse.resize((image.width, image.height), Image.Resampling.BILINEAR))
        value = float(_finite(outputs.logits)[0])
        return Explanation(self._answer(image, value, assessment), evidence)

    def assess(self, pixels: ModelPixels, outputs: Outputs) -> list[Assessment]:
        """The input gate's word on each of n preprocessed films; without a gate, every film is familiar."""
        if self.gate is None or not len(pixels):
            return [Assessment(True, "", {})] * len(pixels)
        return self.gate.assess(pixels, outputs, self.outputs)

    def _answer(self, image: GrayImage, value: float, assessment: Assessment) -> Answer:
        answer = judge(self.decision, float(self.decision.probabilities(np.array([value]))[0]), assessment)
        return self.with_decoding_warnings(answer, (image.width, image.height), image.notes)

    def with_decoding_warnings(
        self, answer: Answer, size: tuple[int, int], notes: Sequence[WarningCode]
    ) -> Answer:
        """The answer with what the image's size, (width, height) in pixels, and its decoding give reason to mind."""
        small: tuple[WarningCode, ...] = ("low_resolution",) if min(size) < self.preprocess.size else ()
        return replace(answer, warnings=(*answer.warnings, *small, *notes))

    @cached_property
    def probe_logit(self) -> float:
        """The logit of the golden probe's input."""
        return float(self.logits(probe_pixels(self.preprocess.size)[None])[0])

    def check_probe(self, expected: float, tolerance: float) -> None:
        """Raises BundleError unless the golden probe's logit is `expected`, within `tolerance`."""
        if not abs(self.probe_logit - expected) <= tolerance:
            raise BundleError(
                f"The golden probe's logit is {self.probe_logit:.6f}, not {expected:.6f} (within {tolerance}): the "
                "weights do not fit the network or its preprocessing. Fetch or copy the bundle again."
            )


def _finite(logits: Logits) -> Logits:
    """The logits as they are; a NaN would pass every comparison as NORMAL."""
    if not np.isfinite(logits).all():
        raise BundleError(
            "The network answers NaN or infinity: its weights are damaged. Use another bundle or model file."
        )
    return logits
