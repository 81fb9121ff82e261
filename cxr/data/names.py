"""File names: which are films, which are clutter, and how a name that is no text is written.

A file's name is bytes. It becomes text here, once, where it is found; what is written of it later (a manifest, a
CSV, a message) is that text.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath

from cxr.errors import DataError
from cxr.imaging.decode import SUFFIXES
from cxr.imaging.dicom import is_dicom

PassedOver = Counter[str]
"""How many files were left out, by kind, such as ".txt" or "in no class folder (COVID)"."""

_SYSTEM_FOLDERS = r"__macosx|@eadir|\$recycle\.bin|system volume information"
_SYSTEM_FILES = r"thumbs\.db|ehthumbs\.db|desktop\.ini|icon(?:\r|\\r)"
_IN_SYSTEM_FOLDER = re.compile(rf"(?:^|[/\\])(?:{_SYSTEM_FOLDERS})[/\\]", re.IGNORECASE)
_CLUTTER = re.compile(rf"(?:^|[/\\])(?:\.|(?:{_SYSTEM_FOLDERS})[/\\]|(?:{_SYSTEM_FILES})$)", re.IGNORECASE)
_NEVER_FILMS = frozenset(
    {".txt", ".csv", ".tsv", ".json", ".xml", ".html", ".md", ".pdf", ".zip", ".py", ".xlsx"}
    | {".part", ".tmp", ".bak", ".download", ".crdownload"}  # half of a film is none
)
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_TIFF_STARTS = (b"II*\0", b"MM\0*")  # with which the raw files of cameras begin as well
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\0": "\\0"}


def printable(name: str) -> str:
    """A name as the operating system gives it (`os.fsdecode`), as text in one line.

    Bytes that are no UTF-8, and control characters, become \\xNN; line ends \\n and \\r.
    """
    if name.isascii() and name.isprintable():
        return name
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return _UNPRINTABLE.sub(lambda found: _SHORT.get(found[0]) or f"\\x{ord(found[0]):02x}", text)


def settle(names: Iterable[str], as_text: Callable[[str], str] = printable) -> dict[str, str]:
    """Each name as text, and the name that it stands for. Two names of one text are kept apart by a number."""
    settled: dict[str, str] = {}
    for name in names:
        text = as_text(name)
        number = 2
        while text in settled:
            place = PurePosixPath(as_text(name))
            text = str(place.with_name(f"{place.stem}~{number}{place.suffix}"))
            number += 1
        settled[text] = name
    return settled


def slashed(name: str) -> str:
    """A name as text, where programs that do not know "\\" unpacked a .zip of Windows: its folders are in the name."""
    return printable(name.replace("\\", "/"))


def is_clutter(path: str) -> bool:
    """True for what operating systems leave in folders and archives, and for hidden files and folders."""
    return _CLUTTER.search(path) is not None


def is_hidden_film(path: str) -> bool:
    """True for clutter that may be somebody's film: an image's name, in a hidden folder or with a dot in front."""
    name = path.replace("\\", "/").rpartition("/")[2]
    visible = name.startswith("._") or _IN_SYSTEM_FOLDER.search(path) is not None
    return suffix_of(name) in SUFFIXES and not visible and is_clutter(path)


def suffix_of(path: str) -> str:
    """The suffix in lower case, with its dot, or ""."""
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem and suffix else ""


def may_be_film(path: str) -> bool:
    """False where the name alone says that the file is no film."""
    return suffix_of(path) not in _NEVER_FILMS


def is_film(path: str, begins: Callable[[str], bytes]) -> bool:
    """Whether a file is a film: by its suffix, or, where that says nothing (none, a part of a UID, .jfif), by content.

    begins: gives the first bytes of the file; asked only where the name does not say. A file that cannot be read
    then is taken for a film, so that whoever reads it is told.
    """
    suffix = suffix_of(path)
    if suffix in SUFFIXES:
        return True
    if suffix in _NEVER_FILMS:
        return False
    try:
        start = begins(path)
    except DataError:
        return True
    unnamed = not suffix.strip(".0123456789")
    return (
        start.startswith(_STARTS)
        or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
        or (unnamed and start.startswith(_TIFF_STARTS))
        or is_dicom(start)
    )


def kind_of_other(path: str) -> str:
    """What a file that is no film is counted as: its suffix, as it is written."""
    return PurePosixPath(path).suffix or "(no suffix)"


def note_of_passed_over(passed_over: Mapping[str, int], shown: int = 8) -> tuple[str, ...]:
    """What was left out, as a note for people: one line, or none where nothing was."""
    if not passed_over:
        return ()
    ordered = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in ordered[:shown])
    more = f", and {len(ordered) - shown} more kinds" if len(ordered) > shown else ""
    return (f"left out ({sum(passed_over.values()):,} files): {kinds}{more}",)
