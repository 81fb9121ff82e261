"""`python app.py` as a process: its help, its flags, and that no upload outlives it."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from fake_model import phantom_file
from gradio import processing_utils

import app
from ui.api.uploads import own_uploads

APP = Path(app.__file__)


def test_help_is_help_and_starts_nothing() -> None:
    done = subprocess.run([sys.executable, str(APP), "--help"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    for flag in ("--model", "--revision", "--host", "--port"):
        assert flag in done.stdout
    assert "Running on" not in done.stdout


def test_an_unknown_flag_is_refused() -> None:
    done = subprocess.run([sys.executable, str(APP), "--modell", "x"], capture_output=True, timeout=200)
    assert done.returncode == 2


def test_uploads_are_gone_when_the_server_stops_with_a_page_open(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    film = phantom_file(tmp_path / "film.png")
    cache = tmp_path / "cache"
    address = f"http://127.0.0.1:{port}/gradio_api"
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(cache)}
    with subprocess.Popen(
        [sys.executable, str(APP), "--port", str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            _wait_for(address)
            upload = httpx.post(
                f"{address}/upload", files={"files": ("film.png", film.read_bytes())}, timeout=60
            )
            assert upload.status_code == 200
            assert any(cache.rglob("film.png"))
            example = re.search(
                r'[^"]*cxr-uploads-[^"]*\.jpe?g',
                httpx.get(f"http://127.0.0.1:{port}/config", timeout=60).text,
            )
            assert example, "the gallery lies in the same folder"
            assert httpx.get(f"{address}/file={example[0]}", timeout=60).status_code == 200
            guess = hashlib.sha256(processing_utils.hash_seed + film.read_bytes()).hexdigest()
            assert guess not in upload.text, "an address is keyed with a secret of the server's run"
            threading.Thread(target=_stay, args=(f"{address}/heartbeat/visit",), daemon=True).start()
            time.sleep(1)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=120)
        told = server.stdout.read() if server.stdout else ""
    assert f"Running on http://127.0.0.1:{port}/" in told
    assert "Traceback" not in told
    assert "share=True" not in told
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    assert list(cache.glob("cxr-uploads-*")) == []


def test_what_a_killed_server_left_is_deleted_and_a_running_ones_folder_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    abandoned = tmp_path / "cxr-uploads-abandoned"
    abandoned.mkdir()
    (abandoned / ".in-use").touch()
    (abandoned / "film.png").touch()
    mine = tmp_path / "not-ours"
    mine.mkdir()
    with own_uploads() as running:
        assert not abandoned.exists()
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
        with own_uploads() as another:
            assert running.exists()
            assert another != running
            assert os.environ["GRADIO_TEMP_DIR"] == str(another)
    assert list(tmp_path.iterdir()) == [mine]


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/startup-events", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    pytest.fail("the app did not start")


def _stay(address: str) -> None:
    """As a page does while it is open; it ends with the server."""
    try:
        with httpx.stream("GET", address, timeout=None) as stream:
            for _ in stream.iter_raw():
                pass
    except httpx.HTTPError:
        return
