"""A published model as a Hugging Face Inference Endpoint: what is published, run as the endpoint's server runs it."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_kit import REPO, client, serve
from hub_server import WRITER, Hub
from PIL import Image

from cxr.imaging.decode import decode
from cxr.phantom import make_phantom, phantom_jpeg, phantom_split
from cxr.serving.local import open_bundle
from tests.dicom_files import dicom_bytes

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "bundles" / "default"
KEY = ("models", REPO)
FILM = phantom_jpeg(phantom_split(12)[7])
Post = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Path]]:
    """A Hub after `publish --endpoint`, and the repository as a server set up for PyTorch downloads it."""
    folder = tmp_path_factory.mktemp("repository")
    with serve() as hub, client(hub.url, tmp_path_factory.mktemp("hf_home")) as ask:
        stale = {"endpoint/cxr/gone.py": b"old", "endpoint/ui/words/gone.json": b"{}", "theirs.txt": b"mine"}
        hub.commit(*KEY, stale)
        answer = ask(argv=["publish", str(BUNDLE), "--repo-id", REPO, "--endpoint"], token=WRITER)
        assert answer["code"] == 0, answer
        for name, content in hub.find(*KEY).files.items():
            if not name.endswith("onnx"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
        again = ask(argv=["publish", str(BUNDLE), "--repo-id", REPO, "--tag", "another"], token=WRITER)
        assert "--endpoint renews them" in again["out"] and again["code"] == 0
        yield hub, folder


@pytest.fixture(scope="module")
def post(published: tuple[Hub, Path]) -> Iterator[Post]:
    """Send a request to the endpoint: `post(type, body, query)`."""
    command = [sys.executable, "-I", str(ROOT / "tests" / "endpoint_toolkit.py"), str(published[1])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        requests, answers = process.stdin, process.stdout

        def ask(content_type: str, body: bytes, **query: Any) -> dict[str, Any]:
            request = {"type": content_type, "body": base64.b64encode(body).decode(), "query": query}
            requests.write(json.dumps(request) + "\n")
            requests.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield ask
        requests.close()
        assert process.wait(timeout=20) == 0


def in_json(content: bytes, **parameters: Any) -> bytes:
    file = base64.b64encode(content).decode()
    return json.dumps({"inputs": {"file": file}, "parameters": parameters}).encode()


def test_the_repository_holds_a_bundle_and_the_program_of_this_release(published: tuple[Hub, Path]) -> None:
    hub, _ = published
    files = hub.find(*KEY).files
    assert {"handler.py", "requirements.txt", "endpoint/LICENSE", "endpoint/cxr/errors.py"} <= set(files)
    assert files["endpoint/network"] == files["model.onnx"]
    assert "theirs.txt" in files and not [name for name in files if "gone" in name]
    listed = files["requirements.txt"].decode().split()
    assert all(line in (ROOT / "requirements.txt").read_text().split() for line in listed) and listed
    assert not [name for name in files if "__pycache__" in name or name.startswith("endpoint/ui/tabs")]


def test_its_answer_is_the_apps(post: Post) -> None:
    """However the image comes: as the body, which the server opens itself, or as base64."""
    content, expected = FILM, open_bundle(BUNDLE).predict(decode(FILM))
    bare = json.dumps({"inputs": base64.b64encode(content).decode()}).encode()
    for kind, body in (
        ("image/jpeg", content),
        ("application/json", in_json(content)),
        ("application/json", bare),
    ):
        found = post(kind, body)
        assert found["status"] == 200, found
        answer = found["answer"]
        assert (answer["decision"], answer["probability"]) == (expected.decision, expected.probability)
        assert (answer["schema_version"], answer["scope"]) == ("2", expected.scope)
        assert {"threshold", "warnings", "model", "seconds"} <= set(answer)
        assert set(found["loaded"]).isdisjoint({"gradio", "tensorflow", "keras", "sklearn", "matplotlib"})
        assert "huggingface_hub" not in found["loaded"]


def test_dicom_and_parameters(post: Post) -> None:
    found = post(
        "application/json",
        in_json(dicom_bytes(make_phantom(3, "bacterial").pixels), explain=True, prevalence=0.2),
    )
    assert found["status"] == 200, found
    picture = Image.open(io.BytesIO(base64.b64decode(found["answer"]["overlay"])))
    assert picture.format == "PNG" and picture.mode == "RGB"
    by_address = post("image/jpeg", FILM, prevalence="0.2")["answer"]
    if by_address["probability"] is not None:
        assert by_address["at_prevalence"]["prevalence"] == 0.2


@pytest.mark.parametrize(
    ("body", "query", "words"),
    [
        (in_json(b""), {}, "empty_file: the image is empty"),
        (in_json(b"%PDF-1.7 and so on"), {}, "document: "),
        (json.dumps({"inputs": "no base64!"}).encode(), {}, "no_file: inputs is not base64"),
        (json.dumps({"inputs": 7}).encode(), {}, "no_file: There is no image"),
        (in_json(FILM, prevalence=2), {}, "bad_prevalence: "),
        (in_json(FILM, prevalence="much"), {}, "bad_prevalence: "),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    post: Post, body: bytes, query: dict[str, Any], words: str
) -> None:
    found = post("application/json", body, **query)
    assert found["status"] == 400 and found["answer"]["error"].startswith(words), found
