"""Labelled films -> a model's answers, which predictions.csv keeps (cxr.model.predictions)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cxr.data.loading import LoadedFilms, Unreadable
from cxr.errors import ImageError
from cxr.model.answer import Answer, Failure, judge
from cxr.model.decision import DecisionSpec, logit
from cxr.model.input_gate import Assessment
from cxr.model.predictions import ScoredFilm
from cxr.model.predictor import Predictor
from cxr.types import Probabilities


def score_films(predictor: Predictor, loaded: LoadedFilms) -> list[ScoredFilm]:
    """The predictor's answers, in the films' order. `loaded` was preprocessed by `predictor.preprocess`.

    Raises:
        BundleError: An answer is not a number.
    """
    outputs = predictor.outputs(loaded.pixels)
    assessments = predictor.assess(loaded.pixels, outputs)
    rows = as_rows(loaded, predictor.decision, predictor.decision.probabilities(outputs.logits), assessments)
    return [
        replace(row, answer=predictor.with_decoding_warnings(row.answer, film.size, film.notes))
        if film.size
        else row
        for row, film in zip(rows, loaded.films, strict=True)
    ]


def unreadable_row(unreadable: Unreadable) -> Answer:
    """The row of a labelled film that could not be read; no figure counts it."""
    film, error = unreadable.film, unreadable.error
    # A DataError comes from an archive's member that is damaged.
    code = error.code if isinstance(error, ImageError) else "unreadable_file"
    return Answer(
        film.path,
        film.patient,
        film.label,
        film.subtype,
        film.source,
        error=Failure(code, str(error)),
    )


def as_rows(
    loaded: LoadedFilms,
    decision: DecisionSpec,
    y_prob: Probabilities,
    assessments: Sequence[Assessment] | None = None,
) -> list[ScoredFilm]:
    """Rows of films and their probabilities (n,); assessments: by the input gate, without which all pass."""
    judged = assessments if assessments is not None else [Assessment(True, "", {})] * len(y_prob)
    return [
        ScoredFilm(
            replace(
                judge(decision, probability, assessment),
                file=film.path,
                patient=film.patient,
                truth=film.label,
                subtype=film.subtype,
                source=film.source,
            ),
            probability,
        )
        for film, probability, assessment in zip(loaded.films, y_prob.tolist(), judged, strict=True)
    ]


def labels_and_probabilities(rows: Sequence[ScoredFilm]) -> tuple[np.ndarray, Probabilities]:
    """y_true uint8 (n,), 1 is PNEUMONIA; y_prob float64 (n,), of refused films too."""
    y_true = np.array([row.is_pneumonia for row in rows], np.uint8)
    return y_true, np.array([row.probability for row in rows], np.float64)


def worst_errors(rows: Sequence[ScoredFilm], threshold: float, at_most: int) -> list[ScoredFilm]:
    """The films on the wrong side of `threshold`, those whose log-odds lie farthest from it first."""
    wrong = [row for row in rows if (row.probability >= threshold) != row.is_pneumonia]
    centre = float(logit(np.array([threshold]))[0])

    def margin(row: ScoredFilm) -> float:
        return abs(float(logit(np.array([row.probability]))[0]) - centre)

    return sorted(wrong, key=lambda row: (-margin(row), row.file))[:at_most]
