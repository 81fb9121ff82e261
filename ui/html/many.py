"""Many films as HTML: progress, a table that sorts itself in the browser, thumbnails, the CSV file as a link.

Thumbnails travel apart from the table, in one picture that the browser keeps: the server remembers no pixel, and
the table can be said again in another language.
"""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from PIL import Image

from cxr.imaging.decode import GrayImage
from cxr.model.answer import Answer
from cxr.model.answer_csv import answers_csv
from ui.html.render import render
from ui.words import Locale, number

SIDE = 56
"""Of a thumbnail, in pixels."""
_COLUMNS = 20
_KINDS = ("PNEUMONIA", "UNCERTAIN", "NORMAL", "REFUSED", "FAILED")


@dataclass(frozen=True)
class Readings:
    """What the page remembers of a batch that was read: names and answers, no pixel.

    own_threshold: the visitor's own, by which it was decided; None for the model's.
    """

    rows: tuple[Answer, ...]
    own_threshold: float | None = None


def progress(done: int, total: int, locale: Locale) -> Markup:
    """How far a batch is."""
    return render("many_progress", locale, done=done, total=total)


def summary(readings: Readings, locale: Locale) -> Markup:
    """How many files were read, and the link to the CSV file."""
    rows = readings.rows
    failed = sum(bool(row.error) for row in rows)
    refused = sum(row.refused for row in rows)
    counts = {"total": len(rows), "read": len(rows) - failed - refused, "refused": refused, "failed": failed}
    return render(
        "many_summary",
        locale,
        counts={key: number(count, locale) for key, count in counts.items()},
        own=readings.own_threshold,
        link=f"data:text/csv;charset=utf-8;base64,{base64.b64encode(answers_csv(rows)).decode()}",
    )


def table(readings: Readings, locale: Locale) -> Markup:
    """A row for each file, whose name opens it; how many there are of each kind; headings that sort."""
    kinds = Counter(_kind_of(row) for row in readings.rows)
    counts = [(kind, kinds[kind]) for kind in _KINDS if kinds[kind]]
    return render("many_table", locale, rows=readings.rows, counts=counts, kind_of=_kind_of)


def _kind_of(row: Answer) -> str:
    return "FAILED" if row.error else row.decision or "REFUSED"


def thumbnail(film: GrayImage) -> Image.Image:
    """A film that fits into SIDE x SIDE pixels, on black."""
    small = Image.fromarray(film.to_8bit())
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    square = Image.new("L", (SIDE, SIDE))
    square.paste(small, ((SIDE - small.width) // 2, (SIDE - small.height) // 2))
    return square


def thumbnails(pictures: Sequence[Image.Image | None]) -> str:
    """All thumbnails as one picture, and the style that gives each row its part of it."""
    lines = -(-len(pictures) // _COLUMNS)
    sheet = Image.new("L", (SIDE * _COLUMNS, SIDE * max(1, lines)))
    places = []
    for index, picture in enumerate(pictures):
        x, y = SIDE * (index % _COLUMNS), SIDE * (index // _COLUMNS)
        if picture:
            sheet.paste(picture, (x, y))
            places.append(f".thumb-{index}{{background-position:-{x}px -{y}px}}")
    stream = io.BytesIO()
    sheet.save(stream, format="JPEG", quality=80)
    url = f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
    return f"<style>.thumb{{background-image:url({url})}}{''.join(places)}</style>"
