"""`training` in bundle.json: what a network learned from, and how."""

from typing import Annotated

from pydantic import Field

from cxr.model.figures import Count, Record


class FilmCounts(Record):
    """How many films a network was trained on, and how many chose epoch, decision and threshold."""

    train: Count
    validation: Count


class ReferenceRecord(Record):
    """Films of another hospital that the input gate and the band for unfamiliar images were fitted to."""

    source: str
    used_for: str
    films_fitted: Count
    films_for_limits: Count
    films_unseen: Count
    films_in_pairs: Count = 0
    ages: tuple[int, int] | None = None
    ages_known: Count = 0
    citation: str = ""


class TrainingRecord(Record):
    """What the trainer recorded, for people, the card and the page; what an older bundle does not tell is None or "".

    Attributes:
        data: The data set's id.
        data_revision: Its revision on the Hub, or "".
        prevalence: Share of pneumonia among the training films, in (0, 1).
        split_rule: How validation films were held out, in words.
        code_version: The project's version that trained it; None up to 0.3.0.
        code_commit: The project's commit, "+changes" after it where files differed from it.
    """

    data: str
    data_revision: str
    films: FilmCounts
    prevalence: Annotated[float, Field(gt=0, lt=1)]
    split_rule: str
    data_notes: tuple[str, ...] = ()
    fingerprint: str = ""
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    references: tuple[ReferenceRecord, ...] = ()
    sampling: str = ""
    recipe: str = ""
    initial_weights: str = ""
    members: int = 1
    teacher: dict[str, str] | None = None
    epochs: int | None = None
    best_epochs: tuple[int, ...] = ()
    seed: int | None = None
    precision: str = ""
    parameters: int | None = None
    libraries: dict[str, str] = Field(default_factory=dict)
    python: str = ""
    code_version: str | None = None
    code_commit: str = ""
