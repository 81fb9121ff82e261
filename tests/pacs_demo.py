"""make demo-pacs: an Orthanc with ten studies of phantoms, scored by the command itself, and ten reports in it."""

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from highdicom.sr import EnhancedSR
from pydicom.sr.codedict import codes

from cxr.cli import run_command
from cxr.errors import CxrError, UsageError
from evaluation.pacs.report import PROBABILITY
from tests import orthanc

ROOT = Path(__file__).resolve().parents[1]
STUDIES = 10
_KINDS = ("normal", "bacterial", "viral")


def main() -> None:
    """Run the demonstration. Raises CxrError where a report is missing or says another thing than the CSV."""
    if reason := orthanc.missing():
        raise UsageError(f"{reason}.")
    with tempfile.TemporaryDirectory(prefix="cxr-pacs-") as scratch:
        with orthanc.running(Path(scratch) / "orthanc") as server:
            for seed in range(STUDIES):
                server.post(orthanc.file_of(orthanc.film(seed, _KINDS[seed % 3])))
            out = Path(scratch) / "answers.csv"
            files = f"dicomweb:{server.url}?StudyDate=20260101-20260131"
            command = [sys.executable, "-m", "evaluation", "score", "--model", "bundles/default"]
            command += ["--files", files, "--out", str(out), "--store"]
            subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
            reports = server.instances("SR")
        with out.open(encoding="utf-8-sig", newline="") as stream:
            rows = {row["file"]: row for row in csv.DictReader(stream)}
    print(f"\n{'film':<14}{'decision':<12}{'probability':>12}  report in the PACS")
    for report in map(EnhancedSR.from_dataset, reports):
        (group,) = report.content.get_image_measurement_groups()
        row = rows.pop(group.source_images[0].referenced_sop_instance_uid)
        _show(row, group)
    if rows:
        raise CxrError(f"{len(rows)} films have no report. This is a fault of the project.")
    print(f"{len(reports)} reports for {STUDIES} studies")


def _show(row: dict[str, str], group: object) -> None:
    found = [f"{float(item.value):.6f}" for item in group.get_measurements(PROBABILITY)]  # type: ignore[attr-defined]
    named = group.get_qualitative_evaluations(codes.DCM.PresenceOfProperty)  # type: ignore[attr-defined]
    presence = f"pneumonia {named[0].value.meaning.lower()}" if named else "no finding: the film was refused"
    print(
        f"...{row['file'][-10:]:<11}{row['decision'] or row['scope']:<12}{row['probability']:>12}  {presence}"
    )
    if found != [row["probability"]] and (found or row["probability"]):
        raise CxrError("A report and the CSV differ in a probability. This is a fault of the project.")


if __name__ == "__main__":
    sys.exit(run_command(main))
