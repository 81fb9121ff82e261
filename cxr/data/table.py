"""A table of films: films.csv, .tsv, or whatever a spreadsheet made of it, as rows by our names of columns.

    file     the radiograph, relative to the table                                           needed
    label    NORMAL or PNEUMONIA, or another common word for them; bacteria and virus        needed
    patient, split, subtype, source, age, sex, view, pair                                          where there are

UTF-8 with or without a mark, UTF-16, or Windows-1252; ",", ";", "|" or a tab between cells, whichever the first line
holds most; Excel's line "sep=;" is known.
"""

import codecs
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

from cxr.data.base import Reading
from cxr.errors import DataError, UsageError

COLUMNS = ("file", "label", "patient", "split", "subtype", "source", "age", "sex", "view", "pair")
_NEEDED = COLUMNS[:2]
SUFFIXES = (".csv", ".tsv")
MOST_BYTES = 256 * 2**20
csv.field_size_limit(2**20)


@dataclass(frozen=True)
class Row:
    """One line of a table. cells: text by our names of columns, without spaces around it; "" where there is none."""

    line: int
    cells: Mapping[str, str]


def read_columns(text: str) -> dict[str, str]:
    """--columns, such as "file=path,label=Target": our name of a column -> the table's. Raises UsageError."""
    columns = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        ours, _, theirs = (word.strip() for word in part.partition("="))
        if ours not in COLUMNS or not theirs:
            raise UsageError(
                f"--columns holds {part!r}. Write OURS=THEIRS with commas between, such as file=path,label=Target; "
                f"ours are {', '.join(COLUMNS)}."
            )
        columns[ours] = theirs
    return columns


def read_table(content: bytes, name: str, reading: Reading) -> list[Row]:
    """The rows of a table. name: of its file, for messages.

    Raises DataError for what is no such table.
    """
    lines = io.StringIO(_text(content, name), newline="")
    first = lines.readline()
    if first.strip().lower().startswith("sep="):
        separator = first.strip()[4:] or ","
    else:
        separator = max(",;\t|", key=first.count)
        lines.seek(0)
    try:
        reader = csv.reader(lines, delimiter=separator, strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        places = _places(header, name, reading)
        return [
            Row(
                reader.line_num,
                {ours: cells[at].strip() for ours, at in places.items() if at < len(cells)},
            )
            for cells in reader
            if any(map(str.strip, cells))
        ]
    except csv.Error as error:
        raise DataError(
            f"{name} is no table in CSV ({error}). Save it again as CSV.", "table_not_csv", table=name
        ) from error


def _text(content: bytes, name: str) -> str:
    if len(content) > MOST_BYTES:
        most = MOST_BYTES // 2**20
        raise DataError(
            f"{name} is larger than {most} MiB. Split it into several tables.",
            "table_too_large",
            table=name,
            most=most,
        )
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"]  # what Excel writes in western Europe and America
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise DataError(f"{name} is no text. Save it as CSV in UTF-8.", "table_not_text", table=name)


def _places(header: list[str], name: str, reading: Reading) -> dict[str, int]:
    """Where each of our columns stands. Raises DataError where one that is needed or asked for is not there."""
    columns = reading.columns
    plain = {cell.casefold(): at for at, cell in reversed(list(enumerate(header)))}
    exact = {cell: at for at, cell in reversed(list(enumerate(header)))}
    places = {}
    for ours in COLUMNS:
        theirs = columns.get(ours, ours)
        found = exact.get(theirs, plain.get(theirs.casefold(), plain.get(ours)))
        if found is not None:
            places[ours] = found
    missing = [ours for ours in COLUMNS if ours not in places and (ours in _NEEDED or ours in columns)]
    if missing:
        wanted = ", ".join(columns.get(ours, ours) for ours in missing)
        option = ", or say which they are by --columns, such as file=path,label=Target"
        there = ", ".join(header)[:300]
        raise DataError(
            f"{name} has no column {wanted}; its columns are {there or 'none'}. "
            f"Rename them{option if reading.has_options else ''}.",
            "table_columns",
            table=name,
            wanted=wanted,
            there=there or "-",
        )
    return places
