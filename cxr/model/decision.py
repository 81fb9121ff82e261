"""Logit -> calibrated probability -> decision. Arithmetic only: the figures come from the bundle."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cxr.types import NORMAL, PNEUMONIA, UNCERTAIN, Decision, Logits, Probabilities

Share = Field(gt=0, lt=1)
BARE_THRESHOLD = 0.5
"""The original's operating point, used for a bare .h5, which carries none of its own."""


class DecisionSpec(BaseModel):
    """How a logit becomes a probability and a decision; fitted on validation films, never on test films.

    temperature, bias: P(PNEUMONIA) = sigmoid(logit / temperature + bias) (Guo et al. 2017; Platt 1999).
    threshold: PNEUMONIA at or above it. rule: in words, how it was chosen.
    uncertain_band: probabilities (low, high) around the threshold that are called UNCERTAIN: low <= p < high.
    unfamiliar_band: the same for images that the input gate calls unfamiliar; not narrower than uncertain_band. None
    where nothing is known of such images, which are then decided as all others. unfamiliar_rule: how it was chosen.
    reference_prevalence: the prevalence that the probability assumes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(gt=0)
    bias: float = 0.0
    threshold: float = Share
    rule: str
    uncertain_band: tuple[float, float] | None = None
    unfamiliar_band: tuple[float, float] | None = None
    unfamiliar_rule: str = ""
    reference_prevalence: float | None = Field(default=None, gt=0, lt=1)

    @model_serializer(mode="wrap")
    def _without_what_was_not_given(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An earlier bundle's decision is written again as it was read, without the fields of a later version."""
        given = self.model_fields_set
        return {
            name: value for name, value in write(self).items() if name in given or value not in (None, "")
        }

    @model_validator(mode="after")
    def _bands_hold_threshold(self) -> "DecisionSpec":
        inner = self.uncertain_band or (self.threshold, self.threshold)
        for name, held, band in (
            ("uncertain_band", (self.threshold, self.threshold), self.uncertain_band),
            ("unfamiliar_band", inner, self.unfamiliar_band),
        ):
            if band and not 0 <= band[0] <= held[0] <= held[1] <= band[1] <= 1:
                raise ValueError(f"{name} {band} does not hold {held}")
        return self

    def probabilities(self, logits: Logits) -> Probabilities:
        """Calibrated P(PNEUMONIA), float64 in [0, 1], for logits (n,)."""
        return sigmoid(np.asarray(logits, np.float64) / self.temperature + self.bias)

    def band(self, familiar: bool) -> tuple[float, float] | None:
        """The uncertain band for an image that is familiar, or for one that is not."""
        return self.uncertain_band if familiar or self.unfamiliar_band is None else self.unfamiliar_band

    def decide(self, probability: float, familiar: bool = True) -> Decision:
        """The decision in words for one calibrated probability of an image; familiar: by the input gate."""
        band = self.band(familiar)
        if band and band[0] <= probability < band[1]:
            return UNCERTAIN
        return PNEUMONIA if probability >= self.threshold else NORMAL


def bare_decision() -> DecisionSpec:
    """The decision for a bare .h5: uncalibrated, the original's threshold."""
    return DecisionSpec(temperature=1.0, threshold=BARE_THRESHOLD, rule="0.5, the original's")


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)) without overflow."""
    return np.exp(-np.logaddexp(0.0, -x))


def logit(p: NDArray[np.float64], bound: float = 1e-7) -> NDArray[np.float64]:
    """log(p / (1 - p)), p held within [bound, 1 - bound]: a float32 sigmoid reaches 0 and 1 exactly."""
    held = np.clip(p, bound, 1 - bound)
    return np.log(held) - np.log1p(-held)


def shift_prevalence(probability: float, assumed: float, stated: float) -> float:
    """P(PNEUMONIA) for another prevalence, both in (0, 1) (Saerens, Latinne and Decaestecker 2002).

    Holds where the films of each class look the same in both settings and only the mix differs.
    """
    shift = math.log(stated / (1 - stated)) - math.log(assumed / (1 - assumed))
    return float(sigmoid(logit(np.array([probability])) + shift)[0])
