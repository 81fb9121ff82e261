"""The configurations of the commands; their field docs are the commands' help. Imports nothing that takes seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import UseAppendAction

DISCLAIMER = "For research and teaching; not a medical device."


@dataclass(frozen=True)
class RunConfig:
    """Score labelled radiographs with a model; write predictions, figures, plots and a report."""

    model: str
    """MODEL: a bundle folder, hub:OWNER/NAME[@revision], or a bare .h5 such as the original's mejor_modelo.h5."""
    out: Path
    """Folder for the results; it must be new or empty."""
    data: UseAppendAction[tuple[str, ...]] = ()
    """DATA: a folder or .zip with folders NORMAL and PNEUMONIA, a table (films.csv), rsna:DIR,
    hub:OWNER/DATASET[@revision], or phantom[:N]; NAME=DATA gives it a name. Repeat --data for several sources.
    Without it: hub:hf-vision/chest-xray-pneumonia."""
    patient_pattern: str = ""
    """Regular expression that finds the patient in a film's path: its group (?P<patient>...), or its first."""
    columns: str = ""
    """What a table calls our columns, such as file=path,label=Target."""
    split: str = "test"
    """Split to evaluate. A data set without splits is evaluated as a whole."""
    skip_unreadable: bool = False
    """Leave unreadable files out, in place of stopping."""
    audit: bool = True
    """Look for shortcuts and check the maps too; a minute's work, and a part of it needs TensorFlow."""
    resamples: int = 2000
    """Bootstrap resamples for the intervals; 0 leaves the intervals out."""
    seed: int = 0
    """Seed of the bootstrap."""
    debug: bool = False
    """Show the whole traceback of an error."""


@dataclass(frozen=True)
class ScoreConfig:
    """Answer for unlabelled radiographs; append one row a file to a CSV. Run again, it goes on where it stopped."""

    model: str
    """MODEL: a bundle folder, hub:OWNER/NAME[@revision], or a bare .h5 such as the original's mejor_modelo.h5."""
    files: str
    """A folder, whose images are taken at any depth, or a glob such as 'films/**/*.png', or one file.

    With --engine ray also an address that fsspec knows, such as s3://bucket/films or hf://datasets/OWNER/NAME.
    dicomweb:URL?query reads the frontal chest radiographs of a PACS, for example
    'dicomweb:https://pacs.example/dicom-web?StudyDate=20260101-20260131'; see docs/deploy.md."""
    out: Path
    """CSV of answers; files that it already names are passed over. With --engine ray a folder, for CSV and Parquet."""
    engine: Literal["threads", "ray"] = "threads"
    """threads: the processors of this machine. ray: worker processes on this machine, or on the Ray cluster that
    RAY_ADDRESS names; see docs/deploy.md."""
    workers: int = 0
    """With --engine ray: workers, each with a model and a processor of its own; 0 is one for each processor."""
    store: bool = False
    """With dicomweb: store in each film's study a DICOM Structured Report, and the evidence map as a picture."""
    patience: float = 60.0
    """With dicomweb: seconds that the PACS may be silent before the run stops."""
    debug: bool = False
    """Show the whole traceback of an error."""
