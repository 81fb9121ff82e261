"""Films from a PACS and reports back to it, against a real Orthanc; and what a PACS does wrong, against a bad one."""

import csv
import io
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from highdicom.sr import srread
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.sr.codedict import codes

from cxr.errors import DataError, UsageError
from cxr.imaging.decode import decode
from cxr.model.answer import Answer
from cxr.model.predictor import Predictor
from evaluation.config import DISCLAIMER, ScoreConfig
from evaluation.pacs.address import parse_address
from evaluation.pacs.archive import Pacs, is_frontal_chest, silence
from evaluation.pacs.report import FINDING, PROBABILITY, structured_report
from evaluation.pacs.score import score_pacs
from tests import orthanc
from tests.dicom_files import SECRETS

needs_orthanc = pytest.mark.skipif(bool(orthanc.missing()), reason=orthanc.missing())


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[orthanc.Orthanc]:
    """An Orthanc with three films, a lateral view, and a film of a hand."""
    with orthanc.running(tmp_path / "orthanc") as server:
        for seed in range(3):
            server.post(orthanc.file_of(orthanc.film(seed, ("normal", "bacterial", "viral")[seed])))
        server.post(orthanc.file_of(orthanc.film(7, "normal", ViewPosition="LL")))
        server.post(orthanc.file_of(orthanc.film(8, "normal", BodyPartExamined="HAND")))
        yield server


def config(url: str, out: Path, store: bool = False, patience: float = 30.0) -> ScoreConfig:
    return ScoreConfig("model", f"dicomweb:{url}", out, store=store, patience=patience)


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


# --- Against Orthanc


@needs_orthanc
def test_films_in_reports_out(
    pacs: orthanc.Orthanc, tmp_path: Path, brightness: Predictor, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each film has a row, a report and a map in its study; CSV and terminal tell nothing of the patient."""
    out = tmp_path / "answers.csv"
    films = {film.SOPInstanceUID: film for film in pacs.instances("DX") if film.BodyPartExamined == "CHEST"}
    films = {uid: film for uid, film in films.items() if film.ViewPosition == "PA"}
    assert score_pacs(config(pacs.url, out, store=True)).total() == 3
    rows = table(out)
    assert set(rows) == set(films)
    reports, maps = pacs.instances("SR"), pacs.instances("OT")
    assert len(reports) == len(maps) == 3
    for report in reports:
        group = _group(report)
        film = films[group.source_images[0].referenced_sop_instance_uid]
        row = rows[film.SOPInstanceUID]
        assert (report.StudyInstanceUID, report.PatientID) == (film.StudyInstanceUID, film.PatientID)
        assert group.finding_type == FINDING
        (probability,) = group.get_measurements(PROBABILITY)
        assert f"{float(probability.value):.6f}" == row["probability"]
        (evaluation,) = group.get_qualitative_evaluations(codes.DCM.PresenceOfProperty)
        expected = {"PNEUMONIA": codes.DCM.Present, "NORMAL": codes.DCM.Absent}
        assert evaluation.value == expected.get(row["decision"], codes.DCM.PresenceUndetermined)
    for picture in maps:
        source = picture.SourceImageSequence[0].ReferencedSOPInstanceUID
        assert picture.StudyInstanceUID == films[source].StudyInstanceUID
        assert picture.pixel_array.ndim == 3 and np.ptp(picture.pixel_array) > 100
    told = out.read_text(encoding="utf-8-sig") + "".join(capfd.readouterr())
    assert not [secret for secret in SECRETS if secret in told]


@needs_orthanc
def test_a_second_run_stores_nothing_twice(
    pacs: orthanc.Orthanc, tmp_path: Path, brightness: Predictor
) -> None:
    score_pacs(config(pacs.url, tmp_path / "one.csv", store=True))
    first = {report.SOPInstanceUID for report in pacs.instances("SR")}
    assert score_pacs(config(pacs.url, tmp_path / "one.csv", store=True)).total() == 0
    # As after a kill between the report and its row.
    score_pacs(config(pacs.url, tmp_path / "two.csv", store=True))
    assert {report.SOPInstanceUID for report in pacs.instances("SR")} == first


@needs_orthanc
def test_the_query_chooses_the_studies(pacs: orthanc.Orthanc, tmp_path: Path, brightness: Predictor) -> None:
    assert score_pacs(config(f"{pacs.url}?AccessionNumber=A1", tmp_path / "one.csv")).total() == 1
    with pytest.raises(UsageError, match="no study"):
        score_pacs(config(f"{pacs.url}?AccessionNumber=NONE", tmp_path / "none.csv"))
    assert not (tmp_path / "none.csv").exists()


@needs_orthanc
def test_a_broken_film_is_a_row(pacs: orthanc.Orthanc, tmp_path: Path, brightness: Predictor) -> None:
    short = orthanc.film(5, "normal", StudyDescription="Dulcinea")
    short.PixelData = short.PixelData[:100]
    pacs.post(orthanc.file_of(short))
    counts = score_pacs(config(pacs.url, tmp_path / "answers.csv", store=True))
    assert counts["unreadable"] == 1 and counts.total() == 4
    row = table(tmp_path / "answers.csv")[short.SOPInstanceUID]
    assert row["error"] and row["decision"] == ""
    assert not [secret for secret in SECRETS if secret in row["error"]]
    assert len(pacs.instances("SR")) == 3


@needs_orthanc
def test_a_password_comes_from_the_environment(
    tmp_path: Path, brightness: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with orthanc.running(tmp_path / "locked", {"reader": "s3cret"}) as server:
        with pytest.raises(DataError, match=r"refuses access \(status 401\)"):
            score_pacs(config(server.url, tmp_path / "answers.csv"))
        monkeypatch.setenv("DICOMWEB_USER", "reader")
        monkeypatch.setenv("DICOMWEB_PASSWORD", "s3cret")
        with pytest.raises(UsageError, match="no study"):
            score_pacs(config(server.url, tmp_path / "answers.csv"))


# --- A PACS that does wrong


@pytest.fixture
def bad_pacs() -> Iterator[tuple[HTTPServer, list[str]]]:
    """A server whose answer to every request is the first of the list that it yields, "slow" for none at all."""
    answers: list[str] = []
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if answers[0] == "slow":
                ended.wait(20)
                return
            status, _, body = answers[0].partition(" ")
            self.send_response(int(status))
            self.send_header("Content-Type", "application/dicom+json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server, answers
    ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("401 ", "refuses access"),
        ("404 ", "no DICOMweb service"),
        ("500 Alonso^Quixote", "status 500"),
        ("503 ", "too busy"),
        ("200 <html>Alonso^Quixote</html>", "not answer as a DICOMweb service"),
        ("slow", "within 0.5 seconds"),
    ],
)
def test_what_a_pacs_does_wrong_is_one_line(
    bad_pacs: tuple[HTTPServer, list[str]], answer: str, message: str
) -> None:
    server, answers = bad_pacs
    answers.append(answer)
    address = parse_address(f"dicomweb:http://127.0.0.1:{server.server_port}/dicom-web?PatientName=Quixote")
    with pytest.raises(DataError, match=message) as error:
        Pacs(address, 0.5).studies()
    assert "\n" not in str(error.value) and "Quixote" not in str(error.value)
    assert error.value.__cause__ is None and error.value.__suppress_context__


def test_a_pacs_that_is_down_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DataError, match="cannot be reached"):
        Pacs(parse_address(f"dicomweb:http://127.0.0.1:{port}/dicom-web"), 5).studies()


# --- Addresses


@pytest.mark.parametrize("files", ["dicomweb:", "dicomweb:/films", "dicomweb:ftp://pacs/x"])
def test_an_address_that_is_none_is_refused(files: str) -> None:
    with pytest.raises(UsageError, match="http or https"):
        parse_address(files)


def test_a_password_on_the_command_line_is_refused() -> None:
    with pytest.raises(UsageError, match="DICOMWEB_PASSWORD") as error:
        parse_address("dicomweb:https://me:s3cret@pacs/dicom-web")
    assert "s3cret" not in str(error.value)


def test_the_query_is_decoded() -> None:
    address = parse_address(
        "dicomweb:https://pacs:8443/dicom-web/?StudyDate=20260101-20260131&PatientID=a%20b"
    )
    assert address.url == "https://pacs:8443/dicom-web" and address.shown == "pacs:8443"
    assert address.filters == {"StudyDate": "20260101-20260131", "PatientID": "a b"}


@pytest.mark.parametrize(
    ("view", "body_part", "wanted"),
    [
        ("PA", "CHEST", True),
        ("AP", "", True),
        ("", "", True),  # left out: the input gate looks at the pixels
        ("LL", "CHEST", False),
        ("LATERAL", "CHEST", False),
        ("PA", "HAND", False),
        ("pa", "Thorax", True),
    ],
)
def test_frontal_chest(view: str, body_part: str, wanted: bool) -> None:
    assert is_frontal_chest(view, body_part) is wanted


# --- The report


def _group(report: Dataset) -> "object":
    stream = io.BytesIO()
    dcmwrite(stream, report, enforce_file_format=True)
    stream.seek(0)
    (group,) = srread(stream).content.get_image_measurement_groups()
    return group


def _texts(report: Dataset) -> list[str]:
    return [item.TextValue for item in report.ContentSequence if item.ValueType == "TEXT"]


def test_the_report_says_who_answered_and_what_it_is_not(brightness: Predictor) -> None:
    film = orthanc.film(1, "normal")
    answer = brightness.predict(decode(orthanc.file_of(film)))
    report = structured_report(film, answer, brightness.identity, brightness.decision)
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert DISCLAIMER in _texts(report)
    (measurements,) = (item for item in report.ContentSequence if item.ValueType == "CONTAINER")
    algorithm = _texts(measurements.ContentSequence[0])
    assert brightness.identity.source in algorithm
    assert f"weights sha256 {brightness.identity.sha256}" in algorithm


def test_a_refused_film_has_a_report_without_finding(brightness: Predictor) -> None:
    answer = Answer(scope="refused", warnings=("not_frontal_chest",))
    report = structured_report(orthanc.film(1, "normal"), answer, brightness.identity, brightness.decision)
    group = _group(report)
    assert group.get_measurements() == [] and group.get_qualitative_evaluations() == []
    assert any(text.startswith("No answer") for text in _texts(report))
    assert "Warnings: not frontal chest." in _texts(report)


def test_odd_names_of_patients_reach_the_report_unchanged_and_no_log(
    brightness: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    silence()
    film = orthanc.film(1, "normal", PatientName="Quixote=^=^^^^^Alonso", PatientSex="Mancha")
    answer = brightness.predict(decode(orthanc.file_of(film)))
    report = structured_report(film, answer, brightness.identity, brightness.decision)
    stream = io.BytesIO()
    dcmwrite(stream, report, enforce_file_format=True)
    stream.seek(0)
    assert dcmread(stream).PatientName == film.PatientName
    assert "Quixote" not in caplog.text
