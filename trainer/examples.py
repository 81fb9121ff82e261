"""The bundle's gallery: a few held-out films with their truth, or phantoms plainly named so."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cxr.data.films import Film
from cxr.data.loading import LoadedFilms, load_films
from cxr.data.sources import FilmSource, PhantomSource
from cxr.files import write_bytes, write_text
from cxr.imaging.decode import decode
from cxr.model.decision import logit
from cxr.model.input_gate import Assessment
from cxr.model.predictor import Predictor
from cxr.types import NORMAL, UNCERTAIN

COLUMNS = ("file", "truth", "probability", "attribution")
PHANTOM_ATTRIBUTION = "synthetic phantom, not a radiograph of a person"
_PHANTOMS = 400
"""How many the gallery is chosen from, where it may not show films."""


def write_examples(
    folder: Path, predictor: Predictor, source: FilmSource, held_out: LoadedFilms, kind: str
) -> None:
    """Write images and examples.csv. `kind` is "films" (held-out films of the data set) or "phantoms"."""
    drawn = kind == "phantoms" and not isinstance(source, PhantomSource)
    if drawn:
        source = PhantomSource(_PHANTOMS)
        held_out, _ = load_films(source, source.films, predictor.preprocess)
    attribution = (
        PHANTOM_ATTRIBUTION if isinstance(source, PhantomSource) else f"held-out film of {source.identity.id}"
    )
    rows = []
    for film in _telling_films(predictor, held_out, only_passing=drawn):
        content = source.read(film)
        name = f"phantom-{film.name}" if attribution == PHANTOM_ATTRIBUTION else film.name
        probability = predictor.predict(decode(content, film.name)).probability
        write_bytes(folder / name, content)
        rows.append(
            {
                "file": name,
                "truth": film.label,
                "probability": probability_cell(probability),
                "attribution": attribution,
            }
        )
    write_table(folder, rows)


def write_table(folder: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write examples.csv, with COLUMNS of `rows`."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "examples.csv", stream.getvalue())


def probability_cell(probability: float | None) -> str:
    """A probability as examples.csv holds it; empty for an image that is refused."""
    return "" if probability is None else f"{probability:.6f}"


def _passing(words: Sequence[Assessment]) -> list[bool]:
    """The phantoms that the input gate reads without a warning; else those it reads; all, where it reads none."""
    for kept in ([word.accepted and not word.code for word in words], [word.accepted for word in words]):
        if any(kept):
            return kept
    return [True] * len(words)


def _telling_films(predictor: Predictor, held_out: LoadedFilms, only_passing: bool) -> list[Film]:
    """Two clear films of each kind, and where there are such an error of each kind and an uncertain one."""
    outputs = predictor.outputs(held_out.pixels)
    words = predictor.assess(held_out.pixels, outputs)
    kept = np.array(_passing(words) if only_passing else [True] * len(words))
    held_out = held_out.take(kept)
    probabilities = predictor.decision.probabilities(outputs.logits[kept])
    familiar = [not word.code for word, taken in zip(words, kept, strict=True) if taken]
    threshold = predictor.decision.threshold
    margin = np.abs(logit(probabilities) - logit(np.array([threshold])))
    wrong = (probabilities >= threshold) != held_out.y_true.astype(bool)
    labels = np.array(
        [
            predictor.decision.decide(value, known)
            for value, known in zip(probabilities, familiar, strict=True)
        ]
    )
    kinds = np.array([film.subtype or film.label for film in held_out.films])
    chosen: list[int] = []
    for kind in np.unique(kinds):
        right = np.flatnonzero((kinds == kind) & ~wrong & (labels != UNCERTAIN))
        # From the middle of the ranking: typical, neither the easiest nor the hardest.
        middle = right[np.argsort(margin[right])][len(right) // 2 :]
        chosen += list(middle[: 4 if kind == NORMAL else 2])
    for telling in (
        wrong & (labels != UNCERTAIN) & (held_out.y_true == 0),
        wrong & (labels != UNCERTAIN) & (held_out.y_true == 1),
        labels == UNCERTAIN,
    ):
        rows = np.setdiff1d(np.flatnonzero(telling), chosen)
        chosen += list(rows[np.argsort(margin[rows])][:1])
    return [held_out.films[row] for row in chosen]
