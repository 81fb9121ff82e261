"""One film read for the page: its answer, what the viewer is given, and the words for what goes wrong."""

import secrets
import time
from dataclasses import replace

from cxr.errors import ImageError, RequestError
from cxr.model.answer import Answer
from cxr.model.decision import DecisionSpec
from cxr.serving.slot import Served
from ui.api.layers import has_heat, layers
from ui.html import panels
from ui.html.reading import Reading, reading_of
from ui.tabs.album import Item
from ui.tabs.problems import problem
from ui.words import Locale, say


def read_item(
    served: Served, item: Item | None, locale: Locale, own_threshold: float | None = None
) -> tuple[Reading, str, str]:
    """The reading of a film, its picture as HTML, and the key of that picture.

    Args:
        served: The model.
        item: The film; None where there is none yet.
        locale: The visitor's.
        own_threshold: The visitor's own threshold in (0, 1), in place of the model's.

    Raises:
        gr.Error: With words for people.
    """
    try:
        if item is None:
            raise RequestError("no_file", "There is no file. Choose a radiograph.")
        image = item.read()
    except (ImageError, RequestError) as error:
        raise problem(error.code, locale) from error
    except FileNotFoundError as error:
        raise problem("deleted", locale) from error
    start = time.perf_counter()
    explanation, temperature = served.predictor.explain(image), served.predictor.decision.temperature
    seconds, answer = time.perf_counter() - start, explanation.answer
    heat = answer.answered and has_heat(explanation.evidence, temperature)
    reading = replace(reading_of(served, answer, seconds, heat), truth=item.truth, source=item.source)
    key = secrets.token_hex(8)
    pointing = reading.model.pointing
    picture = panels.viewer(
        layers(image, explanation.evidence, temperature),
        key,
        heat=answer.answered,
        shown=pointing is None or pointing.convinces,
    )
    return with_threshold(reading, own_threshold), picture, key


def with_threshold(reading: Reading, own: float | None) -> Reading:
    """The reading at the visitor's own threshold in (0, 1), which has no uncertain band; as it is for None."""
    if own is None:
        return reading
    decision = own_decision(reading.decision, own)
    return replace(reading, decision=decision, answer=decided(reading.answer, decision), own_threshold=True)


def own_decision(decision: DecisionSpec, own: float) -> DecisionSpec:
    """The model's decision with the visitor's own threshold."""
    bare = {"uncertain_band": None, "unfamiliar_band": None, "unfamiliar_rule": ""}
    return decision.model_copy(update={**bare, "threshold": own, "rule": "the visitor's own"})


def decided(answer: Answer, decision: DecisionSpec) -> Answer:
    """The answer with the decision made anew; one without a probability as it is."""
    if answer.probability is None:
        return answer
    return replace(answer, decision=decision.decide(answer.probability))


def share_of(stated: str) -> float | None:
    """A percentage as a share; None for what is no number above 0 and below 100."""
    try:
        share = float(stated.strip().rstrip("%").replace(",", ".")) / 100
    except ValueError:
        return None
    return share if 0 < share < 1 else None


def shown_result(now: Reading | None, locale: Locale, stated: str) -> str:
    """The result panel, with what is wrong with the stated prevalence, if anything is."""
    share = share_of(stated)
    wrong = now and now.answer.answered and stated.strip() and share is None
    words = say("error.prevalence", locale, received=stated.strip()[:20]) if wrong else ""
    return panels.result(now, locale, share, words)
