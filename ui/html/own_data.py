"""A check on the visitor's own data as HTML: figures, curves, a suggested threshold, and how firm that is."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from markupsafe import Markup
from PIL import Image

from cxr.imaging.decode import GrayImage
from cxr.model.answer_csv import answers_csv
from cxr.model.figures import Evaluation
from cxr.model.predictions import ScoredFilm
from evaluation.operating_point import Explorer, Share, Suggestion
from ui.html import about
from ui.html.render import render
from ui.words import Locale, Reason, percent, reason_of, say

if TYPE_CHECKING:  # it brings scikit-learn with it
    from evaluation.own_data import OwnData


MOST_UNFAMILIAR = 0.2
"""Share of films that are refused or unfamiliar above which the model may gain from adapting."""
GOOD_AUC = 0.95
"""Where even the upper end of the AUC's interval is below, it may gain as well."""
FILMS_TO_ADAPT = 50
"""Of each class, for a new last layer (trainer.adapt_fit.ENOUGH_FOR_HEAD)."""
SCARCE = 100
"""Films of a class, below which the page warns that the figures say little."""
_SIDE = 160


@dataclass(frozen=True)
class Picture:
    """A film that the model got wrong, small: a data URL, its label, and its probability in [0, 1]."""

    url: str
    truth: str
    probability: float


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and why."""

    file: str
    reason: Reason


@dataclass(frozen=True, eq=False)
class Checked:
    """What the page remembers of a check: answers and figures, no pixel."""

    explorer: Explorer
    rows: Sequence[ScoredFilm]
    metrics: Evaluation
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...] = ()

    @property
    def n_errors(self) -> int:
        """Films on the wrong side of the threshold."""
        return self.metrics.confusion.fn + self.metrics.confusion.fp


def errors(pictures: Sequence[Picture], count: int, locale: Locale) -> Markup:
    """The films that the model got wrong, worst first; each opens in the viewer. count: of all of them."""
    return render("own_errors", locale, pictures=pictures, count=count)


def picture_of(film: GrayImage, row: ScoredFilm) -> Picture:
    """A film that the model got wrong, small."""
    small = Image.fromarray(film.to_8bit())
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=80)
    url = f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
    return Picture(url, row.answer.truth, row.probability)


def csv_link(rows: Sequence[ScoredFilm]) -> Markup:
    """The answers as a CSV file for the browser to keep: the server forgets the files' names."""
    table = answers_csv([row.answer for row in rows])
    return render(
        "own_csv", "en", link=f"data:text/csv;charset=utf-8;base64,{base64.b64encode(table).decode()}"
    )


def remember(found: "OwnData") -> Checked:
    """What the page needs to say it again, in another language or for another wish; of the files, no name."""
    rows = tuple(replace(row, answer=replace(row.answer, file="", patient="")) for row in found.rows)
    skipped = tuple(Skipped(one.film.path, reason_of(one.error)) for one in found.skipped)
    return Checked(found.explorer, rows, found.metrics, skipped, found.notes)


def result(checked: Checked, locale: Locale, target: float, prevalence: float) -> Markup:
    """All of it.

    Args:
        checked: The answers and their figures.
        locale: The visitor's.
        target: The sensitivity that the visitor needs, in (0, 1).
        prevalence: Of the visitor's setting, in (0, 1).
    """
    explorer = checked.explorer
    point = explorer.at(checked.metrics.threshold, prevalence)
    suggestion = explorer.suggest(target)
    return render(
        "own_data",
        locale,
        checked=checked,
        prevalence=prevalence,
        point=point,
        explored=about.explored(explorer, list(checked.rows), point, locale),
        found=suggestion,
        expected=_expected(suggestion, locale),
        few=_few(suggestion),
        adapting=_adapting(checked),
        scarce=SCARCE if min(checked.metrics.n_normal, checked.metrics.n_pneumonia) < SCARCE else None,
        tiles=about.tiles(explorer.at(suggestion.threshold, prevalence), locale),
        table=about.figures_table(checked.metrics, locale),
    )


def _expected(suggestion: Suggestion, locale: Locale) -> dict[str, str] | None:
    """Sensitivity and specificity to expect on other films, where they could be estimated."""
    new = (suggestion.new_sensitivity, suggestion.new_specificity)
    if suggestion.reached is None or any(share.ci95 is None for share in new):
        return None
    return {
        name: _with_range(share, locale)
        for name, share in zip(("sensitivity", "specificity"), new, strict=True)
    }


def _few(suggestion: Suggestion) -> str:
    """The key of a warning where the suggestion hangs on very few films."""
    if suggestion.may_miss >= 5 and suggestion.interval:
        return ""
    return "suggest.few" if suggestion.may_miss else "suggest.one"


def _adapting(checked: Checked) -> str:
    """The key of the advice on `python -m trainer adapt`; "" where the model does as well here as where it was made."""
    unfamiliar = sum(row.answer.scope != "familiar" for row in checked.rows)
    interval = checked.metrics.roc_auc.ci95
    strange = unfamiliar > MOST_UNFAMILIAR * len(checked.rows)
    if not strange and (interval is None or interval[1] >= GOOD_AUC):
        return ""
    fewest = min(checked.metrics.n_normal, checked.metrics.n_pneumonia)
    return "own.adapt" if fewest >= FILMS_TO_ADAPT else "own.adapt.few"


def _with_range(share: Share, locale: Locale) -> str:
    if share.value is None or share.ci95 is None:
        return "-"
    low, high = (percent(edge, locale) for edge in share.ci95)
    return say("range", locale, value=percent(share.value, locale), low=low, high=high)
