"""Many films as HTML: progress, a table that sorts itself in the browser, thumbnails, the CSV file as a link.

Thumbnails travel apart from the table, in one picture that the browser keeps: the server remembers no pixel, and
the table can be said again in another language.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from PIL import Image

from cxr.imaging.decode import GrayImage
from ui.api.batch import BatchRow, csv_table
from ui.html.render import render
from ui.words import Locale, number

SIDE = 56
"""Of a thumbnail, in pixels."""
_COLUMNS = 20


@dataclass(frozen=True)
class Row:
    """What the page remembers of one file: its name and its answer, no pixel. error: code, "" where it was read."""

    file: str
    decision: str | None
    probability: float | None
    accepted: bool
    notes: tuple[str, ...]
    error: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Readings:
    """A batch that was read."""

    rows: tuple[Row, ...]


def row_of(found: BatchRow) -> Row:
    """A batch's row without its film."""
    return Row(
        found.file,
        found.label,
        found.probability if found.accepted else None,
        found.accepted,
        found.warnings,
        found.error.code if found.error else "",
        found.cells(),
    )


def progress(done: int, total: int, locale: Locale) -> Markup:
    """How far a batch is."""
    return render("many_progress", locale, done=done, total=total)


def summary(readings: Readings, locale: Locale) -> Markup:
    """How many files were read, and the link to the CSV file."""
    rows = readings.rows
    failed = sum(bool(row.error) for row in rows)
    refused = sum(not row.accepted for row in rows) - failed
    counts = {"total": len(rows), "read": len(rows) - failed - refused, "refused": refused, "failed": failed}
    table = csv_table([row.cells for row in rows]).encode()
    return render(
        "many_summary",
        locale,
        counts={key: number(count, locale) for key, count in counts.items()},
        link=f"data:text/csv;charset=utf-8;base64,{base64.b64encode(table).decode()}",
    )


def table(readings: Readings, locale: Locale) -> Markup:
    """A row for each file; the headings are buttons that sort."""
    return render("many_table", locale, rows=readings.rows)


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
