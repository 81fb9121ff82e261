"""Answers as CSV: one set of columns and one writer for every command, the page and the API.

UTF-8 with a byte order mark, by which Excel knows it; RFC 4180, but with line feeds; every row is one line. Names of
files come from whoever made them, so that a cell which a spreadsheet would run as a formula gets an apostrophe in
front (OWASP, CSV injection); `plain_cell` takes it away again.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

from cxr.model.answer import Answer

COLUMNS: Final = (
    "file",
    "patient",
    "truth",
    "subtype",
    "source",
    "decision",
    "probability",
    "scope",
    "warnings",
    "error",
)

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_RISKY = re.compile(r"'*\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*\s")
_ESCAPES = {"\r": "\\r", "\n": "\\n", "\0": "\\0"}


def cells_of(answer: Answer) -> list[str]:
    """The answer as text, by COLUMNS; empty where there is nothing to say."""
    return [
        answer.file,
        answer.patient,
        answer.truth,
        answer.subtype,
        answer.source,
        answer.decision or "",
        "" if answer.probability is None else f"{answer.probability:.6f}",
        answer.scope or "",
        ";".join(answer.warnings),
        f"{answer.error.code}: {answer.error.message}" if answer.error else "",
    ]


def csv_header(columns: Sequence[str] = COLUMNS) -> bytes:
    """The file's first line, with the byte order mark."""
    return codecs.BOM_UTF8 + csv_lines([columns])


def csv_lines(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows of cells as lines of the file. Characters that UTF-8 does not know are written as escapes."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([harmless_cell(cell) for cell in row] for row in rows)
    return stream.getvalue().encode("utf-8", "backslashreplace")


def answers_csv(answers: Iterable[Answer]) -> bytes:
    """A whole CSV of answers."""
    return csv_header() + csv_lines(map(cells_of, answers))


def harmless_cell(cell: str) -> str:
    """A cell in one line that a spreadsheet takes for text or for a number, never for a formula."""
    for character, escape in _ESCAPES.items():
        cell = cell.replace(character, escape)
    return f"'{cell}" if _RISKY.match(cell) and not _NUMBER.fullmatch(cell) else cell


def plain_cell(cell: str) -> str:
    """The cell that `harmless_cell` was given, but for line breaks."""
    return cell[1:] if cell.startswith("'") and _RISKY.match(cell) else cell
