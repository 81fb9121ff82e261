"""Many films as HTML: progress, a table that sorts itself in the browser, thumbnails, the CSV file as a link.

Thumbnails travel apart from the table, in one picture that the browser keeps: the server remembers no pixel, and
the table can be said again in another language.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from cxr.imaging.decode import GrayImage
from ui.batch import BatchRow, csv_table
from ui.text import Language, number, percent, say, say_html

SIDE = 56
"""Of a thumbnail, in pixels."""
_COLUMNS = 20

# Sorting, by keyboard too, for the headings are buttons. Rows without a figure stay last both ways.
SORT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('th button');
  if (!button) return;
  const head = button.closest('th'), table = head.closest('table'), at = head.cellIndex;
  const down = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
  for (const other of table.querySelectorAll('th')) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down === 1 ? 'ascending' : 'descending');
  const key = (row) => row.cells[at].dataset.key ?? row.cells[at].innerText;
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === '' || y === '') return (x === '') - (y === '');
    return down * (head.dataset.kind === 'number' ? x - y : x.localeCompare(y, undefined, {numeric: true}));
  });
  table.tBodies[0].append(...rows);
});
"""


@dataclass(frozen=True)
class Row:
    """What the page remembers of one file: its name and its answer, no pixel. error: code, "" where it was read."""

    file: str
    label: str | None
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


def progress(done: int, total: int, language: Language) -> str:
    """How far a batch is."""
    words = escape(say("many.reading", language, done=number(done, language), total=number(total, language)))
    return (
        f'<p class="status" role="status">{words}</p>'
        f'<progress max="{total}" value="{done}" aria-label="{words}"></progress>'
    )


def summary(readings: Readings, language: Language) -> str:
    """How many files were read, and the link to the CSV file."""
    rows = readings.rows
    failed = sum(bool(row.error) for row in rows)
    refused = sum(not row.accepted for row in rows) - failed
    counts = {"total": len(rows), "read": len(rows) - failed - refused, "refused": refused, "failed": failed}
    said = say("many.done", language, **{key: number(count, language) for key, count in counts.items()})
    table = csv_table([row.cells for row in rows]).encode()
    link = f"data:text/csv;charset=utf-8;base64,{base64.b64encode(table).decode()}"
    return (
        f'<p class="status" role="status">{escape(said)}</p>'
        f'<p><a class="download" download="readings.csv" href="{link}">{say_html("many.csv", language)}</a></p>'
    )


def table(readings: Readings, language: Language) -> str:
    """A row for each file; the headings are buttons that sort."""
    heads = "".join(
        f'<th scope="col" data-kind="{kind}"><button type="button">{say_html(f"many.{key}", language)}</button></th>'
        for key, kind in (
            ("file", "text"),
            ("decision", "text"),
            ("probability", "number"),
            ("notes", "text"),
        )
    )
    body = "".join(_row(index, row, language) for index, row in enumerate(readings.rows))
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{say_html("many", language)}">'
        f'<table class="many"><caption>{say_html("many.table", language)}</caption>'
        f'<thead><tr><th scope="col"><span>{say_html("many.thumb", language)}</span></th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(index: int, row: Row, language: Language) -> str:
    label = "many.failed" if row.error else f"decision.{row.label or 'REFUSED'}"
    notes = (
        [say(f"error.{row.error}", language)]
        if row.error
        else [say(f"warning.{n}", language) for n in row.notes]
    )
    shown = "" if row.probability is None else percent(row.probability, language)
    bar = (
        ""
        if row.probability is None
        else f'<i class="level" aria-hidden="true"><i style="width:{row.probability:.1%}"></i></i>'
    )
    key = "" if row.probability is None else f"{row.probability:.8f}"
    thumb = "" if row.error else f'<i class="thumb thumb-{index}" aria-hidden="true"></i>'
    return (
        f'<tr data-label="{"FAILED" if row.error else row.label or "REFUSED"}"><td>{thumb}</td>'
        f'<th scope="row">{escape(row.file)}</th><td class="called">{say_html(label, language)}</td>'
        f'<td data-key="{key}">{escape(shown)}{bar}</td><td>{escape(" ".join(notes))}</td></tr>'
    )


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
