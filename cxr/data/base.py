"""What every form of DATA gives: films, their bytes, and what is to be told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from cxr.data.films import Film
from cxr.data.names import PassedOver, note_of_passed_over
from cxr.data.patients import Naming, note_of_unknown, patient_by_name


@dataclass(frozen=True)
class DataIdentity:
    """What the data set is, for the record: its id, its revision where it has one, and notes for people.

    passed_over: how many files were left out, by kind; the notes say it too.
    """

    id: str
    revision: str = ""
    notes: tuple[str, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)


class FilmSource(Protocol):
    """Labelled films and their bytes. `read` may be called from several threads."""

    identity: DataIdentity
    films: list[Film]

    def read(self, film: Film) -> bytes:
        """The bytes of one film's file. Raises DataError if it cannot be read."""


@dataclass(frozen=True)
class Reading:
    """How DATA is to be read.

    patient_of: tells patients; columns: our name of a column -> the table's; has_options: whether the reader of a
    message can pass the options of a command, or only send other files, as on the page; source: the name that was
    given to the DATA, if one was.
    """

    patient_of: Naming = patient_by_name
    columns: Mapping[str, str] = field(default_factory=dict)
    has_options: bool = True
    source: str = ""


def identify(
    name: str,
    films: Sequence[Film],
    passed_over: PassedOver,
    reading: Reading,
    notes: Sequence[str] = (),
    revision: str = "",
) -> DataIdentity:
    """The identity of films, with notes of what was left out and of unknown patients."""
    unknown = sum(not film.has_known_patient for film in films)
    every = (
        *notes,
        *note_of_passed_over(passed_over),
        *note_of_unknown(unknown, len(films), reading.has_options),
    )
    return DataIdentity(name, revision, every, dict(passed_over.most_common()))


def with_source(films: Sequence[Film], name: str) -> list[Film]:
    """The films with `name` as their source, where they have none of their own."""
    return [film if film.source else replace(film, source=name) for film in films]
