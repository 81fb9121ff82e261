"""python -m trainer deploy over HTTP, and the proof that the Space's files install and start on their own."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
import yaml  # type: ignore[import-untyped]
from gradio_client import Client, handle_file
from hub_kit import REPO, ROOT, Ask, client
from hub_server import READER, WRITER, Fault

from trainer.deploy import README, space_files, write_readme

SPACE = "owner/app"
KEY = ("spaces", SPACE)


@pytest.fixture(scope="module")
def hub() -> Iterator[hub_server.Hub]:
    with hub_server.serve() as hub:
        yield hub


@pytest.fixture(autouse=True)
def fresh(hub: hub_server.Hub) -> None:
    """A Hub with a model, and nothing else, for each test."""
    for kept in (hub.repos, hub.tags, hub.stored, hub.requests, hub.faults, hub.private, hub.variables):
        kept.clear()
    hub.commit("models", REPO, {"bundle.json": b"{}"})


@pytest.fixture(scope="module")
def ask(hub: hub_server.Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with client(hub.url, tmp_path_factory.mktemp("hf_home")) as ask:
        yield ask


@pytest.fixture
def deploy(ask: Ask):
    def run(*options: str, token: str = WRITER):
        argv = ["deploy", "--space-id", SPACE, "--model-repo", REPO, "--patience", "20", *options]
        return ask(argv=argv, token=token)

    return run


def refused(answer) -> str:
    assert answer["code"] == 2, answer
    lines = [line for line in answer["err"].splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in answer["err"], answer["err"]
    assert "hf_" not in answer["err"] + answer["out"], "the token is shown"
    return lines[0]


def test_a_new_space_holds_what_the_app_needs_and_knows_its_model(hub, deploy):
    answer = deploy("--revision", "v0.1.0")
    assert answer["code"] == 0, answer
    assert f"deployed: {hub.url}/spaces/{SPACE}" in answer["out"]
    files = hub.find(*KEY).files
    assert set(files) == {*space_files(), README, ".gitattributes"}
    assert {
        "app.py",
        "requirements.txt",
        "LICENSE",
        "ui/assets/style.css",
        "bundles/default/model.onnx",
    } <= set(files)
    assert not [
        name for name in files if name.startswith(("trainer", "tests", "docs")) or "__pycache__" in name
    ]
    assert hub.variables == {SPACE: {"MODEL": f"hub:{REPO}@v0.1.0"}}
    front = yaml.safe_load(files[README].decode().split("---\n")[1])
    assert front["sdk"] == "gradio" and front["app_file"] == "app.py" and front["models"] == [REPO]
    assert {"sdk_version", "python_version", "license", "short_description", "tags"} <= set(front)
    assert len(hub.repos[KEY]) == 2, "its first commit, and ours"


def test_an_update_is_one_commit_and_removes_what_is_gone(hub, deploy):
    deploy()
    head = hub.find(*KEY)
    hub.commit(*KEY, {**head.files, "old.py": b"", "app.py": b"print()"})
    answer = deploy()
    assert answer["code"] == 0 and "removed old.py" in " ".join(answer["out"].split()), answer
    assert hub.find(*KEY).files == head.files and len(hub.repos[KEY]) == 4
    assert deploy()["code"] == 0 and len(hub.repos[KEY]) == 4, "nothing to change is no commit"


def test_dry_run_changes_nothing(hub, deploy):
    assert deploy("--dry-run")["code"] == 0
    assert KEY not in hub.repos and not hub.variables


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(402, "POST /api/repos/create"), "ZeroGPU hardware or a paid plan.*HTTP 402.*Choose a plan"),
        (Fault(403, "POST /api/repos/create"), "HTTP 403.*may write"),
        (Fault(503, "POST /api/spaces/.*/variables"), "variable MODEL.*HTTP 503"),
        (Fault("reset", "POST /api/spaces/.*/commit"), "whole or not at all.*deploy again"),
        (Fault(412, "POST /api/spaces/.*/commit"), "branch has moved on"),
    ],
)
def test_faults(hub, deploy, fault, said):
    hub.faults.append(fault)
    assert re.search(said, refused(deploy()))
    assert len(hub.repos.get(KEY, [])) <= 1


def test_tokens_and_models_that_are_none(hub, deploy):
    assert "HTTP 401" in refused(deploy(token="hf_wrong"))
    assert "HTTP 403" in refused(deploy(token=READER))
    hub.repos.clear()
    assert "Publish it first" in refused(deploy())


@pytest.mark.timeout(900)
def test_the_space_installs_and_starts_on_its_own(tmp_path: Path):
    """requirements.txt into a clean environment, and app.py from exactly the files that deploy uploads."""
    space = tmp_path / "space"
    for name, path in space_files().items():
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, space / name)
    write_readme(space / README, REPO)
    python = clean_environment(tmp_path)
    install(python, space / "requirements.txt", tmp_path)
    film = next((ROOT / "bundles" / "default" / "examples").glob("phantom-*"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MODEL")}
    settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen([str(python), "app.py"], cwd=space, env=kept | settings) as process:
        try:
            wait_for(port, process)
            app = Client(f"http://127.0.0.1:{port}", verbose=False)
            answer = app.predict(handle_file(film), api_name="/predict")
            assert 0 <= answer["probability"] <= 1 and answer["model"]["sha256"]
        finally:
            process.terminate()
            process.wait(timeout=30)


def clean_environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    return folder / "venv" / "bin" / "python"


def install(python: Path, requirements: Path, folder: Path) -> None:
    """Install, or skip where no package index answers. What the index refuses is a failure."""
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--retries", "1", "--timeout", "15", "-q"]
    probe = [*pip, "download", "--no-deps", "-d", str(folder / "probe"), "tqdm"]
    if subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("no package index answers, so the Space's requirements cannot be installed")
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements)]
    else:
        command = [*pip, "install", "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        assert process.poll() is None, "the app ended at its start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.3)
    raise AssertionError("the app did not start in time")
