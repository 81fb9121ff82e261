"""The configuration of `python -m trainer adapt`; its field docs are the command's help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import UseAppendAction

WishedDepth = Literal["auto", "decision", "head", "all"]


@dataclass(frozen=True)
class AdaptConfig:
    """Refit a bundle to labelled radiographs of a place of your own, and say by cross-validation whether it helped."""

    model: str
    """The parent: a bundle folder or hub:OWNER/NAME[@revision]."""
    data: UseAppendAction[tuple[str, ...]]
    """DATA of your place: a folder or .zip with folders NORMAL and PNEUMONIA, a table (films.csv), and so on, as for
    train. All its films are used, whatever their splits."""
    out: Path
    """Folder for the new bundle; it must be new or empty."""
    depth: WishedDepth = "auto"
    """What is refitted besides the input gate: decision, calibration and threshold; head, the last layer, too; all,
    every layer, too, which takes some hundreds of films and much longer. auto: head from 50 films of each class."""
    patient_pattern: str = ""
    """Regular expression that finds the patient in a film's path: its group (?P<patient>...), or its first."""
    columns: str = ""
    """What a table calls our columns, such as file=path,label=Target."""
    folds: int = 5
    """Parts that the patients are cut into for cross-validation."""
    seed: int = 0
    """Seed of the folds and of what is drawn at random."""
    name: str | None = None
    """Name of the new bundle; without it the parent's, with -adapted."""
    version: str | None = None
    """Version of the new bundle; without it the parent's."""
    skip_unreadable: bool = False
    """Leave unreadable files out, in place of stopping."""
    debug: bool = False
    """Show the traceback of an error."""
