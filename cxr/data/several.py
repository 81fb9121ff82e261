"""Several DATA as one data set, each a source with a name; and whether source and class go together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cxr.data.base import DataIdentity, FilmSource
from cxr.data.films import Film
from cxr.data.patients import UNKNOWN
from cxr.errors import UsageError
from cxr.types import CLASSES, FloatArray

WARN_AT = 0.3
"""Cramér's V from which source and class are said to go together: a medium effect by Cohen (1988)."""


class SeveralSources:
    """Films of several DATA. A film's path begins with its source; patients of one name are one patient.

    The same hospital may be given in two parts, so a patient's name that occurs in both is taken for one person.
    """

    def __init__(self, named: Sequence[tuple[str, FilmSource]]) -> None:
        """Raises UsageError where two sources have one name."""
        twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
        if twice:
            raise UsageError(f"Two --data are called {twice[0]}. Give each a name: --data NAME=DATA.")
        self._origin: dict[str, tuple[FilmSource, Film]] = {}
        self.films: list[Film] = []
        for name, source in named:
            for film in source.films:
                placed = _placed(film, name)
                self._origin[placed.path] = (source, film)
                self.films.append(placed)
        notes = [f"{name}: {note}" for name, source in named for note in source.identity.notes]
        passed_over = {
            f"{name}: {kind}": count
            for name, source in named
            for kind, count in source.identity.passed_over.items()
        }
        self.identity = DataIdentity(
            " + ".join(source.identity.id for _, source in named),
            " + ".join(source.identity.revision for _, source in named if source.identity.revision),
            (*notes, *source_note(self.films)),
            passed_over,
        )

    def read(self, film: Film) -> bytes:
        source, original = self._origin[film.path]
        return source.read(original)


def _placed(film: Film, source: str) -> Film:
    path = f"{source}/{film.path}"
    patient = film.patient if film.has_known_patient else f"{UNKNOWN}{path}"
    return replace(film, path=path, patient=patient)


def source_note(films: Sequence[Film]) -> tuple[str, ...]:
    """A warning for people where a network could tell the classes by the source alone, with the numbers."""
    names = sorted({film.source for film in films})
    counts = Counter((film.source, film.label) for film in films)
    table = np.array([[counts[name, label] for label in CLASSES] for name in names], np.float64)
    strength = cramers_v(table)
    if strength < WARN_AT:
        return ()
    each = "; ".join(
        f"{name} {', '.join(f'{counts[name, label]:,} {label}' for label in CLASSES)}" for name in names
    )
    return (
        f"source and class go together (Cramér's V {strength:.2f}, {WARN_AT} and more is a warning): {each}. A "
        "network can learn to tell the sources apart in place of the disease; balance the classes within each source",
    )


def cramers_v(table: FloatArray) -> float:
    """Cramér's V of a table of counts, in [0, 1]: 0 where rows say nothing of columns, 1 where they settle them.

    V = sqrt(chi² / (n · (min(rows, columns) - 1))) (Cramér 1946, section 21.9); empty rows and columns do not count.
    """
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    smaller = min(table.shape) - 1
    if smaller < 1:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    return float(np.sqrt(((table - expected) ** 2 / expected).sum() / (table.sum() * smaller)))
