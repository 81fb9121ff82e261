"""The container's steps without Docker: the same scripts, in a fresh virtual environment, without a network.

The whole of it collects and installs some 200 MB, which takes minutes: by hand, CXR_WHEELHOUSE=1 pytest
tests/test_container.py. Always run: installing a wheelhouse of our own making that has no libraries.
"""

import csv
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from cxr.phantom import phantom_jpeg, phantom_split

ROOT = Path(__file__).resolve().parents[1]
_NO_NETWORK = ("Connection", "connect", "resolve", "Could not fetch", "timed out", "No matching distribution")
START_SECONDS = 120
whole = pytest.mark.skipif(
    not os.environ.get("CXR_WHEELHOUSE"), reason="takes minutes; by hand: CXR_WHEELHOUSE=1"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheelhouse` and install.sh make; skipped where no package index can be reached."""
    folder = tmp_path_factory.mktemp("container")
    collect = ["sh", str(ROOT / "deploy" / "wheelhouse.sh"), str(folder / "wheelhouse"), sys.executable]
    done = subprocess.run(collect, cwd=ROOT, capture_output=True, text=True)
    if done.returncode and any(word in done.stderr for word in _NO_NETWORK):
        pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1][:200]}")
    assert done.returncode == 0, done.stderr
    done = install(folder / "wheelhouse", folder / "cxr")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder / "wheelhouse")
    return folder / "cxr"


def bare(home: Path) -> dict[str, str]:
    """The container's environment, and no settings of ours."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "PIP_CONFIG_FILE": os.devnull,
        "GRADIO_TEMP_DIR": str(home / "gradio"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def offline() -> list[str]:
    """A prefix that takes the network away, where this user may do that; `--no-index` is there anyway."""
    may = (
        subprocess.run(["unshare", "--net", "true"], capture_output=True) if shutil.which("unshare") else None
    )
    return ["unshare", "--net"] if may is not None and may.returncode == 0 else []


# --- Always


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    """As wheelhouse.sh lays it out, with a program of one line and no libraries."""
    folder = tmp_path / "wheelhouse"
    (folder / "app").mkdir(parents=True)
    (folder / "wheels").mkdir()
    (folder / "app" / "app.py").write_text("print('served')\n")
    (folder / "requirements.txt").write_text("# none\n")
    for name in ("install.sh", "healthcheck.py"):
        shutil.copy(ROOT / "deploy" / name, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(folder)}\n" for path in files
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


def install(wheelhouse: Path, target: Path) -> "subprocess.CompletedProcess[str]":
    command = [*offline(), "sh", str(wheelhouse / "install.sh"), str(target), sys.executable]
    return subprocess.run(command, env=bare(target.parent), capture_output=True, text=True)


def test_a_wheelhouse_installs_without_a_network(wheelhouse: Path, tmp_path: Path) -> None:
    target = tmp_path / "cxr"
    done = install(wheelhouse, target)
    assert done.returncode == 0, done.stderr
    assert list((target / "app" / "__pycache__").glob("app.*.pyc")), (
        "compiled for a file system that is read only"
    )
    command = [str(target / "venv" / "bin" / "python"), "app.py"]
    ran = subprocess.run(command, cwd=target / "app", env=bare(tmp_path), capture_output=True, text=True)
    assert ran.stdout == "served\n", ran.stderr


def test_an_altered_wheelhouse_is_not_installed(wheelhouse: Path, tmp_path: Path) -> None:
    (wheelhouse / "app" / "app.py").write_text("print('altered')\n")
    done = install(wheelhouse, tmp_path / "cxr")
    assert done.returncode != 0 and "app.py: FAILED" in done.stdout + done.stderr
    assert not (tmp_path / "cxr").exists()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check(status: int, code: int) -> None:
    asked: list[str] = []

    class App(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), App) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        env = {**os.environ, "GRADIO_SERVER_PORT": str(server.server_port), "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, str(ROOT / "deploy" / "healthcheck.py")]
        assert subprocess.run(command, env=env, capture_output=True).returncode == code
    assert asked == ["/gradio_api/startup-events"]


def test_the_services_may_write_nothing_and_are_nobody() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for service in services.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["user"] == "10001:10001" and service["security_opt"] == ["no-new-privileges:true"]
    assert services["score"]["network_mode"] == "none"
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("FROM ") for line in lines) == 2
    assert lines.index("USER 10001:10001") < next(
        i for i, line in enumerate(lines) if line.startswith("CMD ")
    )
    assert any(line.startswith("HEALTHCHECK ") for line in lines) and any(
        "HF_HUB_OFFLINE=1" in line for line in lines
    )


# --- By hand


@whole
@pytest.mark.timeout(1800)
def test_it_scores_without_a_network(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "film.jpeg").write_bytes(phantom_jpeg(phantom_split(12)[0]))
    command = [str(installed / "venv" / "bin" / "python"), "-m", "evaluation", "score"]
    command += [
        "--model",
        "bundles/default",
        "--files",
        str(tmp_path / "films"),
        "--out",
        str(tmp_path / "a.csv"),
    ]
    done = subprocess.run(
        [*offline(), *command], cwd=installed / "app", env=bare(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["scope"] and not row["error"]


@whole
@pytest.mark.timeout(1800)
def test_the_app_serves_from_a_tree_that_it_cannot_write(installed: Path, tmp_path: Path) -> None:
    """As another user where we are root, as in the container; it is healthy, and ends when it is told to."""
    python = str(installed / "venv" / "bin" / "python")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    user = 10001 if os.getuid() == 0 and is_open_to_all(Path(sys.base_prefix)) else None
    before = listing(installed)
    home = tmp_path / "home"
    home.mkdir()
    for folder in (home, *tmp_path.parents[:2], *installed.parents[:2]):
        folder.chmod(0o777)
    subprocess.run(["chmod", "-R", "a-w", str(installed / "app")], check=True)
    env = bare(home) | {"GRADIO_SERVER_PORT": port, "GRADIO_SERVER_NAME": "127.0.0.1"}
    health = [python, str(installed / "healthcheck.py")]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [python, "app.py"], cwd=installed / "app", env=env, user=user, stdout=log, stderr=log
        ) as app,
    ):
        until = time.monotonic() + START_SECONDS
        while (ill := subprocess.run(health, env=env, capture_output=True).returncode) and app.poll() is None:
            assert time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.5)
        assert ill == 0, (tmp_path / "log").read_text()
        app.send_signal(signal.SIGTERM)
        app.wait(timeout=60)
    # Gradio keeps a seed among its own files wherever it may, and root may everywhere.
    seed = {path for path in listing(installed) if path.endswith("gradio/hash_seed.txt")}
    assert listing(installed) - (set() if user else seed) == before
    assert subprocess.run(health, env=env, capture_output=True).returncode == 1


def is_open_to_all(folder: Path) -> bool:
    """Whether every user may run what lies there; a Python in root's own home is not."""
    return all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents))


def listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
