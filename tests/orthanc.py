"""A real Orthanc with its DICOMweb plugin, in a process of its own on free ports, for tests and `make demo-pacs`."""

import io
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from cxr.phantom import make_phantom
from tests.dicom_files import dataset, written

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_SECONDS = 60


def missing() -> str:
    """Why Orthanc cannot run here; "" where it can."""
    if shutil.which("Orthanc") is None:
        return "Orthanc is not installed (Debian: apt-get install orthanc orthanc-dicomweb)"
    return "" if PLUGIN.exists() else "Orthanc's DICOMweb plugin is not installed (Debian: orthanc-dicomweb)"


class Orthanc:
    """A running Orthanc. `url` is the root of its DICOMweb service."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/dicom-web"

    def get(self, path: str) -> Any:
        """A resource of Orthanc's own interface, in JSON."""
        with urllib.request.urlopen(f"{self.root}{path}", timeout=60) as answer:
            return json.load(answer)

    def post(self, content: bytes) -> None:
        """Put one DICOM file in."""
        request = urllib.request.Request(f"{self.root}/instances", content, method="POST")
        urllib.request.urlopen(request, timeout=60).close()

    def instances(self, modality: str) -> list[Dataset]:
        """Every stored instance of one modality."""
        found = []
        for name in self.get("/instances"):
            with urllib.request.urlopen(f"{self.root}/instances/{name}/file", timeout=60) as answer:
                data = dcmread(io.BytesIO(answer.read()))
            if data.Modality == modality:
                found.append(data)
        return found


@contextmanager
def running(folder: Path, users: dict[str, str] | None = None) -> Iterator[Orthanc]:
    """An empty Orthanc that keeps its films in `folder`; with `users`, it asks for one's password."""
    http, dicom = _free_port(), _free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "Name": "test",
        "HttpPort": http,
        "DicomPort": dicom,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": bool(users),
        "RegisteredUsers": users or {},
        "StorageDirectory": str(folder / "films"),
        "IndexDirectory": str(folder / "index"),
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "ConcurrentJobs": 1,
        "HttpThreadsCount": 8,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log) as process,
    ):
        try:
            server = Orthanc(http)
            _wait(server, process, folder / "log")
            yield server
        finally:
            process.terminate()
            process.wait(timeout=60)


def film(seed: int, subtype: str, **elements: Any) -> Dataset:
    """A phantom as a digital radiograph of a made-up patient, one film a study."""
    image = Image.fromarray(make_phantom(seed, subtype).pixels)  # type: ignore[arg-type]
    data = dataset(np.asarray(image))
    data.SOPClassUID = DigitalXRayImageStorageForPresentation
    data.Modality = "DX"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID = (generate_uid() for _ in range(3))
    data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20260105", "101500", "1", f"A{seed}"
    data.PatientSex = "O"
    data.BodyPartExamined, data.ViewPosition = "CHEST", "PA"
    for name, value in elements.items():
        setattr(data, name, value)
    return data


def file_of(data: Dataset) -> bytes:
    """The data set as a DICOM file."""
    return written(data, ExplicitVRLittleEndian)


def _wait(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            server.get("/system")
        except urllib.error.HTTPError:
            return  # it asks for a password
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"Orthanc did not start: {log.read_text(errors='replace')[-500:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
