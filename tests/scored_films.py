"""A labelled film with its answer, for tests of figures."""

from cxr.model.answer import Answer
from cxr.model.predictions import ScoredFilm
from cxr.types import Decision


def scored_film(
    file: str, patient: str, truth: str, subtype: str, probability: float, decision: Decision
) -> ScoredFilm:
    """A film that the input gate lets pass."""
    answer = Answer(file, patient, truth, subtype, "", decision, probability, "familiar")
    return ScoredFilm(answer, probability)
