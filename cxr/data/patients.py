"""Which patient a film is of, told from its name and its folders.

Films of one patient must stand on one side of a split, so a data set is known by the scheme that its publisher
names files in. Where in doubt, films share a patient: a number that stands with a bacterial and a viral film, or
with and without the NORMAL2 prefix, is one child. A name of no scheme makes a film a patient of its own, and the
run says so.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cxr.data.words import subtype_of
from cxr.errors import UsageError

UNKNOWN = "film:"
"""What the patient of a film begins with where nothing names one; the film's path follows."""


@dataclass(frozen=True)
class _Scheme:
    """A way of naming files. patient: from the match of `pattern` at the beginning of a file's name."""

    pattern: re.Pattern[str]
    patient: Callable[[re.Match[str]], str]


def _scheme(pattern: str, prefix: str) -> _Scheme:
    return _Scheme(re.compile(pattern, re.IGNORECASE), lambda match: prefix + _number(match["patient"]))


def _number(text: str) -> str:
    """Zeros in front make no other patient."""
    return str(int(text)) if text.isdecimal() else text.lower()


_WORDS = "(patient|paciente|subject|pat|pid|pt|subj)"
_FILE_SCHEMES = (
    # Kaggle's "Chest X-Ray Images (Pneumonia)": person<patient>_<pathogen>_<n>, and IM-<study>-<n> for normal films
    _scheme(r"person(?P<patient>\d+)_(bacteria|virus)_\d+", "person"),
    _scheme(r"(NORMAL2-)?IM-(?P<patient>\d+)-\d+", "study"),
    # The same films as Mendeley Data publishes them: CLASS-<patient>-<image>
    _scheme(r"(NORMAL|BACTERIA|VIRUS|PNEUMONIA)-(?P<patient>\d+)-\d+$", "patient"),
    # NIH ChestX-ray14: <patient, eight digits>_<follow-up>
    _Scheme(re.compile(r"(\d{8})_\d{3}$"), lambda match: f"nih{match[1]}"),
    # JSRT (Shiraishi et al. 2000): one film a patient, with a nodule or without
    _scheme(r"(?P<patient>JPC[LN]N\d{3})$", "jsrt"),
    # Shenzhen and Montgomery County sets (Jaeger et al. 2014), one film a patient: <set>_<patient>_<0 or 1>
    _scheme(r"(CHN|MCU)CXR_(?P<patient>\d+)_[01]$", "tb"),
    # Open-i, Indiana University: CXR<patient>_<study>_IM-<n>-<image>, on Kaggle without CXR
    _scheme(r"(CXR)?(?P<patient>\d+)_(\d+_)?IM-\d+-\d+", "openi"),
    # RSNA Pneumonia Detection Challenge: a UUID is the patient, one film each
    _scheme(r"(?P<patient>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$", "rsna"),
    # BIDS (BIMCV and others): sub-<patient>_...
    _scheme(r"sub-(?P<patient>[a-z0-9]+)(_|$)", "sub-"),
    # Said in words
    _scheme(rf"{_WORDS}[ _-]*(?P<patient>\d+)", "patient"),
)
_FOLDER_SCHEMES = (
    # CheXpert: patient<n>/study<n>/view<n>_frontal; and folders of a hospital's own, one a patient
    _scheme(r"(patient|paciente|subject)[ _-]*(?P<patient>\w+)$", "patient"),
    _scheme(rf"{_WORDS}[ _-]*(?P<patient>\d+)$", "patient"),
    _scheme(r"sub-(?P<patient>[a-z0-9]+)$", "sub-"),
    # MIMIC-CXR: p10/p10000032/s50414267/<image>
    _scheme(r"p(?P<patient>\d{8})$", "p"),
)
_COPY = re.compile(r"([ _-]*(copy|copia|\(\d+\)))+$", re.IGNORECASE)
"""What systems add to the name of a second copy: " (1)", " - Copy"."""
_PATHOGENS = re.compile(r"person\d+_(bacteria|virus)_\d+|(BACTERIA|VIRUS)-\d+-\d+$", re.IGNORECASE)


class Naming(Protocol):
    """Tells the patient from a film's path inside its data set, with "/"; "" where nothing names one."""

    def __call__(self, path: str, /) -> str: ...


def patient_by_name(path: str) -> str:
    """The patient by a known scheme of names, of the file first and then of its folders; "" by none."""
    *folders, name = path.split("/")
    stem = _stem(name)
    for schemes, words in ((_FILE_SCHEMES, [stem]), (_FOLDER_SCHEMES, folders[::-1])):
        for word in words:
            if found := _first(schemes, word):
                return found
    return ""


def _stem(name: str) -> str:
    """A file's name without its suffix and without the mark of a copy."""
    stem = name.rpartition(".")[0] or name
    if not stem.endswith((")", "y", "Y", "a", "A")):  # quicker than the pattern, for each of many films
        return stem
    return _COPY.sub("", stem) or stem


def _first(schemes: Sequence[_Scheme], word: str) -> str:
    for scheme in schemes:
        if match := scheme.pattern.match(word):
            return scheme.patient(match)
    return ""


def subtype_by_name(path: str) -> str:
    """bacterial or viral where the file's name says so, else ""."""
    match = _PATHOGENS.match(_stem(path.rpartition("/")[2]))
    return (subtype_of(match[1] or match[2]) or "") if match else ""


def patient_by_pattern(pattern: str) -> Naming:
    """A naming by the user's regular expression: its group `patient`, or its first, searched in a film's path.

    Raises UsageError for what is no regular expression, or one without a group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--patient-pattern {pattern!r} is no regular expression ({error}). "
            "Write one whose group (?P<patient>...) finds the patient in a film's path."
        ) from error
    if not compiled.groups:
        raise UsageError(
            f"--patient-pattern {pattern!r} has no group. Put the part that names the patient in parentheses."
        )
    group: str | int = "patient" if "patient" in compiled.groupindex else 1

    def find(path: str) -> str:
        match = compiled.search(path)
        return (match[group] or "") if match else ""

    return find


def note_of_unknown(unknown: int, total: int, has_options: bool) -> tuple[str, ...]:
    """A note for people where films have no known patient: how many, what that means and what to do.

    has_options: whether they can pass options of a command.
    """
    if not unknown:
        return ()
    which = "any film" if unknown == total else f"{unknown:,} of {total:,} films"
    option = "by --patient-pattern, or " if has_options else ""
    return (
        f"patients are not known for {which}: nothing in the names tells, so each film counts as a patient of its "
        "own. Films of one patient may stand on both sides of a split, which flatters figures and narrows their "
        f"intervals. Name patients {option}in a table's column patient",
    )
