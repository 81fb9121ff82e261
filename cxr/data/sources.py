"""DATA: where labelled radiographs come from, read in place.

a folder               with folders of classes (`cxr.data.layout`), or with a table films.csv in it
a .zip of one          read without unpacking, so that nothing can be written outside or left behind
films.csv, .tsv        a table (`cxr.data.table`)
rsna:DIR               the RSNA Pneumonia Detection Challenge (`cxr.data.rsna`)
hub:OWNER/NAME[@rev]   a data set of the Hugging Face Hub, through `datasets`
phantom[:N]            N synthetic radiographs (default 1200)

Each may have a name in front, as in NAME=DATA; several of them are one data set of several sources.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cxr.data.archive import is_archive, kind_of_archive
from cxr.data.base import DataIdentity, FilmSource, Reading, with_source
from cxr.data.hub_data import DEFAULT_HUB_DATA, HubSource
from cxr.data.patients import patient_by_name, patient_by_pattern
from cxr.data.phantoms import DEFAULT_PHANTOMS, PhantomSource, phantom_count
from cxr.data.several import SeveralSources
from cxr.data.table import SUFFIXES, read_columns
from cxr.data.trees import FolderSource, RsnaSource, TableSource, ZipSource
from cxr.errors import DataError, UsageError

__all__ = [
    "DEFAULT_HUB_DATA",
    "DEFAULT_PHANTOMS",
    "DataIdentity",
    "FilmSource",
    "FolderSource",
    "PhantomSource",
    "TableSource",
    "ZipSource",
    "open_data",
    "open_upload",
]
_NAMED = re.compile(r"([\w.-]+)=(.+)")
_FORMS = "a folder, a .zip, a table in .csv or .tsv, rsna:DIR, hub:OWNER/NAME[@revision] or phantom[:N]"


def open_data(data: str | Sequence[str], patient_pattern: str = "", columns: str = "") -> FilmSource:
    """Open DATA, or several of them as one; the default is the data set of the Hub.

    data: each may have a name in front, NAME=DATA, by which its films are known as a source; else its id is that.
    patient_pattern: a regular expression whose group `patient`, or first group, finds the patient in a film's path;
    columns: the names of a table's columns, such as "file=path,label=Target". Raises UsageError for a form of DATA
    that is none of ours, DataError for what cannot be read.
    """
    patient_of = patient_by_pattern(patient_pattern) if patient_pattern else patient_by_name
    reading = Reading(patient_of, read_columns(columns))
    several = [data] if isinstance(data, str) else list(data) or [DEFAULT_HUB_DATA]
    named = [_open_named(one, reading) for one in several]
    source = named[0][1] if len(named) == 1 else SeveralSources(named)
    if patient_pattern and not any(film.has_known_patient for film in source.films):
        raise UsageError(
            f"--patient-pattern {patient_pattern!r} fits no film of {source.identity.id}, such as "
            f"{source.films[0].path}. Correct it."
        )
    return source


def _open_named(data: str, reading: Reading) -> tuple[str, FilmSource]:
    """A DATA with its name, which its films have as their source."""
    match = None if Path(data).exists() else _NAMED.fullmatch(data)
    source = _open(match[2], replace(reading, source=match[1])) if match else _open(data, reading)
    name = match[1] if match else source.identity.id
    source.films = with_source(source.films, name)
    return name, source


def open_upload(path: Path) -> FilmSource:
    """Open the .zip that a visitor of the page sent. No other form: it must not name files of this machine.

    Raises DataError, whose message says nothing of commands.
    """
    source = ZipSource(path, Reading(has_options=False))
    source.films = with_source(source.films, source.identity.id)
    return source


def _open(data: str, reading: Reading) -> FilmSource:
    if data == "phantom" or data.startswith("phantom:"):
        return PhantomSource(phantom_count(data))
    if data.startswith("hub:"):
        return HubSource(data, reading)
    if data.startswith("rsna:"):
        return RsnaSource(data, reading)
    path = Path(data)
    if data and path.is_dir():  # "" would be the current folder
        return FolderSource(path, reading)
    if not path.is_file():
        raise UsageError(f"DATA {data!r} does not exist. It is {_FORMS}.")
    if path.suffix.lower() in SUFFIXES:
        return TableSource(path, reading)
    if path.suffix.lower() == ".xlsx":
        raise DataError(f"{path.name} is a workbook. Save its sheet as CSV and pass that.")
    if is_archive(path):
        return ZipSource(path, reading)
    if kind := kind_of_archive(path):
        raise DataError(f"{path.name} is {kind}. Unpack it and pass the folder, or pack it as a .zip.")
    raise DataError(f"{path.name} is no DATA: that is {_FORMS}.")
