"""What the page remembers of a film that was read: figures and the model that gave them; no pixel, no name."""

from dataclasses import dataclass, replace

from cxr.model.answer import Answer
from cxr.model.decision import DecisionSpec, shift_prevalence
from cxr.serving.slot import Served, State
from ui.api.served_model import Pointing, model_name, pointing


@dataclass(frozen=True)
class ModelFacts:
    """Which model gave a reading.

    state: how it came to serve; calibrated: False for a bare weights file; pointing: how well its maps point.
    """

    name: str
    version: str
    revision: str
    sha256: str
    state: State
    calibrated: bool
    pointing: Pointing | None = None


@dataclass(frozen=True)
class Reading:
    """One film's answer, sayable again in another language even when another model serves by then.

    seconds: from decoded image to decision. heat: whether its heat map shows anything. truth: the label, where it is
    known. source: the attribution of an example. own_threshold: whether `decision` has the visitor's own threshold.
    """

    answer: Answer
    decision: DecisionSpec
    model: ModelFacts
    heat: bool
    seconds: float = 0.0
    truth: str | None = None
    source: str = ""
    own_threshold: bool = False


@dataclass(frozen=True)
class Scale:
    """A probability with the threshold and the uncertain band that it is held against, all for one prevalence.

    stated: the prevalence that the visitor gave, None where it is the model's own.
    """

    probability: float
    threshold: float
    band: tuple[float, float] | None
    reference: float | None
    stated: float | None = None


def facts_of(served: Served) -> ModelFacts:
    """The facts of the model that serves."""
    predictor = served.predictor
    identity = predictor.identity
    return ModelFacts(
        model_name(served),
        identity.version,
        identity.revision,
        identity.sha256,
        served.state,
        predictor.bundle is not None,
        pointing(served),
    )


def reading_of(served: Served, answer: Answer, seconds: float, heat: bool) -> Reading:
    """The reading of one film by the model that serves."""
    return Reading(answer, served.predictor.decision, facts_of(served), heat, seconds)


def scale_of(reading: Reading, stated: float | None) -> Scale | None:
    """The reading's scale at a prevalence in (0, 1), or at the model's own for None or where it has none.

    None for a refused image, which has no probability.

    Threshold and band move along with the probability: they mark which films are called, and a film's place among
    others does not depend on how many of them are ill. So the decision is the same at every prevalence.
    """
    decision, probability = reading.decision, reading.answer.probability
    if probability is None:
        return None
    scale = Scale(
        probability,
        decision.threshold,
        decision.band(reading.answer.scope != "unfamiliar"),
        decision.reference_prevalence,
    )
    assumed = decision.reference_prevalence
    if stated is None or assumed is None:
        return scale

    def moved(probability: float) -> float:
        return shift_prevalence(probability, assumed, stated)

    band = scale.band and (moved(scale.band[0]), moved(scale.band[1]))
    return replace(
        scale,
        probability=moved(scale.probability),
        threshold=moved(scale.threshold),
        band=band,
        stated=stated,
    )
