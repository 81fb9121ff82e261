"""The API by its document: snippets, endpoints, errors, agents' tools, limits and privacy, against a started server."""

import asyncio
import base64
import csv
import io
import json
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
import pytest
from dicom_files import SECRETS, dicom_bytes
from fake_model import fake_predictor, phantom_file, served
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from cxr import __version__
from cxr.errors import ImageRule, RequestRule
from cxr.imaging.decode import decode_file, from_array
from cxr.model.answer_csv import COLUMNS
from cxr.model.decision import shift_prevalence
from cxr.model.predictor import Predictor
from cxr.phantom import make_phantom
from cxr.serving.slot import Served
from ui.api.guard import HEADERS
from ui.api.schema import identity_json

DOCUMENT = (Path(__file__).resolve().parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:7860"
TOOLS = {
    "classify_chest_xray",
    "explain_chest_xray",
    "classify_many_chest_xrays",
    "describe_chest_xray_model",
}


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return fake_predictor(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("served")) as address:
        yield address.rstrip("/")


@pytest.fixture(scope="module")
def client(server: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(server, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


# --- The document


def snippet(language: str, server: str) -> str:
    match = re.search(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert match
    assert ADDRESS in match[1]
    return match[1].replace(ADDRESS, server)


def run(command: list[str], folder: Path) -> str:
    phantom_file(folder / "film.png")
    phantom_file(folder / "other.png", seed=2)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def expected(predictor: Predictor, path: Path) -> tuple[str | None, float]:
    found = predictor.predict(decode_file(path))
    return found.decision, found.probability


def test_the_python_snippet(server: str, predictor: Predictor, tmp_path: Path) -> None:
    said = run([sys.executable, "-c", snippet("python", server)], tmp_path).splitlines()
    label, probability = expected(predictor, tmp_path / "film.png")
    assert said[0] == f"{label} {probability}"
    assert float(said[1].split()[0]) == pytest.approx(shift_prevalence(probability, 0.5, 0.1))
    assert said[2:] == [
        f"film.png {label} None",
        f"other.png {expected(predictor, tmp_path / 'other.png')[0]} None",
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH")
def test_the_curl_snippet(server: str, predictor: Predictor, tmp_path: Path) -> None:
    said = run(["bash", "-c", snippet("bash", server)], tmp_path)
    assert "event: complete" in said
    answer = json.loads(said.partition("data: ")[2])[0]
    assert (answer["decision"], answer["probability"]) == expected(predictor, tmp_path / "film.png")


def test_the_javascript_snippet(server: str, predictor: Predictor, tmp_path: Path) -> None:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node and npm on PATH")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "@gradio/client"]
    if subprocess.run(install, cwd=tmp_path, capture_output=True, check=False, timeout=120).returncode:
        pytest.skip("npm could not fetch @gradio/client")
    (tmp_path / "call.mjs").write_text(snippet("javascript", server))
    said = run(["node", "call.mjs"], tmp_path).split()
    label, probability = expected(predictor, tmp_path / "film.png")
    assert said == [label, str(probability)]


def test_the_document_names_every_code_and_no_other() -> None:
    table = DOCUMENT.partition("## Errors")[2].partition("## Python")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    of_the_server = ["unknown_endpoint", "cross_origin"]
    assert sorted(named) == sorted([*get_args(ImageRule), *get_args(RequestRule), *of_the_server])


# --- Endpoints


def test_dicom_and_png_of_the_same_pixels_give_the_same_answer(client: Client, tmp_path: Path) -> None:
    """With a suffix and without; and no text of the file is in the answer."""
    pixels = make_phantom(4, "viral").pixels
    Image.fromarray(pixels).save(tmp_path / "film.png")
    answers = []
    for name in ("film.png", "film.dcm", "IM0001"):
        if name != "film.png":
            (tmp_path / name).write_bytes(dicom_bytes(pixels))
        answers.append(client.predict(handle_file(tmp_path / name), api_name="/predict"))
    assert answers[0]["probability"] == answers[1]["probability"] == answers[2]["probability"]
    assert not any(secret in json.dumps(answers) for secret in SECRETS)


def test_a_prevalence_is_told_beside_the_probability_and_changes_nothing_else(
    client: Client, predictor: Predictor, tmp_path: Path
) -> None:
    film = handle_file(phantom_file(tmp_path / "film.png"))
    for endpoint in ("/predict", "/explain"):
        plain, shifted = (client.predict(film, *given, api_name=endpoint) for given in ((), (0.05,)))
        if endpoint == "/explain":
            plain, shifted = plain[0], shifted[0]
        there = shifted.pop("at_prevalence")
        assert there["prevalence"] == 0.05
        assert there["probability"] == pytest.approx(shift_prevalence(plain["probability"], 0.5, 0.05))
        assert {**shifted, "seconds": 0} == {**plain, "seconds": 0}


@pytest.mark.parametrize("prevalence", [0, 1, -0.2, 50, "0,2", "0.2", True, [0.2]])
def test_an_impossible_prevalence_is_a_typed_error(client: Client, tmp_path: Path, prevalence: Any) -> None:
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(phantom_file(tmp_path / "film.png")), prevalence, api_name="/predict")
    assert caught.value.title == "bad_prevalence"


def test_a_batch_gives_rows_and_a_csv_file(client: Client, predictor: Predictor, tmp_path: Path) -> None:
    films = [phantom_file(tmp_path / f"{seed}.png", seed) for seed in range(3)]
    (tmp_path / "words.png").write_text("words")
    paths = [films[0], tmp_path / "words.png", films[1], films[2]]
    archive = tmp_path / "films.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for path in paths:
            stream.write(path, f"someone/{path.name}")
    answers = [
        client.predict([handle_file(path) for path in given], api_name="/predict_batch")
        for given in (paths, [archive])
    ]
    for table, file in answers:
        assert (table["schema_version"], table["n"], table["n_errors"]) == ("2", 4, 1)
        assert [row["file"] for row in table["rows"]] == [path.name for path in paths]
        assert table["rows"][1]["error"]["code"] == "not_an_image"
        for row, path in zip(table["rows"], paths, strict=True):
            if row["error"] is None:
                assert (row["decision"], row["probability"]) == expected(predictor, path)
        with Path(file).open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
        assert list(rows[0]) == list(COLUMNS)
        assert [row["file"] for row in rows] == [path.name for path in paths]
        assert not any(word in json.dumps(table) for word in ("/tmp", "gradio", "someone"))
    assert answers[0][0]["rows"] == answers[1][0]["rows"]


@pytest.mark.parametrize(("given", "code"), [([], "no_file"), ([b"PK\x03\x04cut"], "bad_archive")])
def test_a_batch_that_cannot_be_read_is_a_typed_error(
    client: Client, tmp_path: Path, given: list[bytes], code: str
) -> None:
    files = []
    for content in given:
        (tmp_path / "films.zip").write_bytes(content)
        files.append(handle_file(tmp_path / "films.zip"))
    with pytest.raises(AppError) as caught:
        client.predict(files, api_name="/predict_batch")
    assert caught.value.title == code
    assert "/tmp" not in str(caught.value.message)


def test_answers_tell_how_the_model_came_to_serve(predictor: Predictor) -> None:
    assert identity_json(Served(predictor))["state"] == "as_asked"
    assert identity_json(Served(predictor, "cached"))["state"] == "cached"


# --- Wrong calls, as curl sends them

FILE = {"path": "nowhere.png", "meta": {"_type": "gradio.FileData"}}


def posted(server: str, endpoint: str, body: Any) -> tuple[int, dict[str, Any]]:
    """Status and error of a call by two requests: {"title", "error"} of the event, or what the first is answered."""
    call = httpx.post(f"{server}/gradio_api/call/{endpoint}", json=body, timeout=60)
    if call.status_code != 200:
        return call.status_code, dict(call.json()["error"])
    address = f"{server}/gradio_api/call/{endpoint.removeprefix('v2/')}/{call.json()['event_id']}"
    event, data = httpx.get(address, timeout=60).text.strip().splitlines()[-2:]
    assert event == "event: error"
    return 200, dict(json.loads(data.removeprefix("data: ")))


@pytest.mark.parametrize(
    ("endpoint", "data", "code", "says"),
    [
        ("predict", ["film.png", None], "bad_file", 'image is "film.png", which is not a file.'),
        ("predict", [5, None], "bad_file", "image is 5, which is not a file."),
        ("explain", [[FILE], None], "bad_file", "image is a list, which is not a file."),
        ("predict", [{"path": "film.png"}, None], "bad_file", "image is an object, which is not a file."),
        ("predict", [FILE, None], "bad_file", "The file was not uploaded to this server"),
        ("predict", [{**FILE, "path": "/etc/passwd"}, None], "bad_file", "was not uploaded to this server"),
        ("predict_batch", [FILE], "bad_file", "files is an object, which is not a list of files."),
        ("predict_batch", [[FILE, "b.png"]], "bad_file", 'files is "b.png", which is not a file.'),
        ("predict", [None, None], "no_file", "No file was passed."),
        ("predict", [None, "0,2"], "bad_prevalence", 'prevalence is "0,2", which is not a number.'),
        (
            "predict",
            [],
            "bad_arguments",
            "/predict takes 2 arguments (image, prevalence), but 0 were passed.",
        ),
        ("model_info", [1], "bad_arguments", "/model_info takes 0 arguments (none), but 1 were passed."),
    ],
)
def test_a_wrong_argument_is_a_typed_error_that_says_why(
    server: str, endpoint: str, data: list[Any], code: str, says: str
) -> None:
    _, error = posted(server, endpoint, {"data": data})
    assert error["title"] == code
    assert says in error["error"]
    assert "Upload the file to /gradio_api/upload" in error["error"] or code != "bad_file"
    assert "/tmp" not in error["error"]


@pytest.mark.parametrize(
    ("endpoint", "body", "status", "code"),
    [
        ("nothing", {"data": []}, 404, "unknown_endpoint"),
        ("v2/nothing", {}, 404, "unknown_endpoint"),
        ("predict", {"given": []}, 422, "bad_arguments"),
        ("predict", [], 422, "bad_arguments"),
        ("v2/predict", {"film": "film.png"}, 422, "bad_arguments"),
    ],
)
def test_a_call_that_cannot_be_one_is_refused_with_a_body_that_says_why(
    server: str, endpoint: str, body: Any, status: int, code: str
) -> None:
    answered, error = posted(server, endpoint, body)
    assert (answered, error["code"]) == (status, code)
    assert error["message"].endswith(".")


def test_an_argument_by_name_may_be_left_out_and_is_told(server: str) -> None:
    assert posted(server, "v2/predict", {})[1]["title"] == "no_file"


def test_a_refused_image_has_no_overlay(client: Client, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((80, 80), np.uint8)).save(tmp_path / "black.png")
    answer, picture = client.predict(handle_file(tmp_path / "black.png"), api_name="/explain")
    assert (answer["scope"], answer["decision"], answer["probability"]) == ("refused", None, None)
    assert picture is None


# --- What a security reviewer looks for


def test_every_answer_has_the_security_headers(server: str) -> None:
    for path in ("/", "/config", "/gradio_api/info", "/gradio_api/nothing", "/theme.css"):
        headers = httpx.get(server + path, timeout=60).headers
        assert {name: headers.get(name) for name in HEADERS} == HEADERS, path
    assert (
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
        in HEADERS["Content-Security-Policy"]
    )


def test_the_page_is_sent_compressed_to_whoever_takes_it_so(server: str) -> None:
    def page(encoding: str) -> httpx.Response:
        return httpx.get(f"{server}/", headers={"Accept-Encoding": encoding}, timeout=60)

    plain, packed = page("identity"), page("gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 3
    assert "gradio_config" in packed.text


def test_a_page_of_another_site_cannot_upload(server: str, tmp_path: Path) -> None:
    film = phantom_file(tmp_path / "film.png").read_bytes()

    def upload(**headers: str) -> httpx.Response:
        address = f"{server}/gradio_api/upload"
        return httpx.post(address, files={"files": ("film.png", film)}, headers=headers, timeout=60)

    for origin in ("https://elsewhere.example", "null", "http://127.0.0.1:1"):
        refused = upload(Origin=origin)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_origin")
    assert upload().status_code == 200
    assert upload(Origin=server).status_code == 200
    proxied = {"Origin": "https://owner-name.hf.space", "X-Forwarded-Host": "owner-name.hf.space"}
    assert upload(**proxied).status_code == 200


# --- Agents


def test_an_agent_finds_four_tools_and_can_use_each(
    server: str, predictor: Predictor, tmp_path: Path
) -> None:
    film = phantom_file(tmp_path / "film.png")
    content = base64.b64encode(film.read_bytes()).decode()
    uri, named = f"data:image/png;base64,{content}", f"data:image/png;name=film%207.png;base64,{content}"
    black = io.BytesIO()
    Image.fromarray(np.zeros((80, 80), np.uint8)).save(black, "PNG")
    refused = "data:image/png;base64," + base64.b64encode(black.getvalue()).decode()

    async def talk() -> dict[str, Any]:
        address = f"{server}/gradio_api/mcp/"
        async with (
            streamable_http_client(address) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            begun = await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            calls = {
                "classify_chest_xray": {"image": uri, "prevalence": 0.1},
                "explain_chest_xray": {"image": uri},
                "classify_many_chest_xrays": {"files": [named, uri]},
                "describe_chest_xray_model": {},
            }
            found = {name: await session.call_tool(name, given) for name, given in calls.items()}
            wrong = "data:text/plain;base64,AAAA"
            return {
                "version": begun.serverInfo.version,
                "tools": tools,
                "unreadable": await session.call_tool("classify_chest_xray", {"image": wrong}),
                "path": await session.call_tool("classify_chest_xray", {"image": "film.png"}),
                "typed": await session.call_tool("classify_chest_xray", {"image": uri, "prevalence": "0,2"}),
                "black": await session.call_tool("explain_chest_xray", {"image": refused}),
                **found,
            }

    seen = asyncio.run(talk())
    assert set(seen["tools"]) == TOOLS
    for tool in seen["tools"].values():
        assert "research and teaching" in tool.description or tool.name == "describe_chest_xray_model"
        assert all("description" in given for given in tool.inputSchema["properties"].values())
        assert (tool.annotations.readOnlyHint, tool.annotations.destructiveHint) == (True, False)
        assert tool.outputSchema["required"][0] == "schema_version"
    assert seen["tools"]["classify_chest_xray"].inputSchema["required"] == ["image"]
    assert seen["version"] == __version__
    assert not any(seen[name].isError for name in TOOLS)
    for name in TOOLS:  # the session has checked it against the output schema
        assert seen[name].structuredContent == json.loads(seen[name].content[0].text)
    rows = seen["classify_many_chest_xrays"].structuredContent["rows"]
    assert [row["file"] for row in rows] == ["film 7.png", "file"]
    assert seen["black"].structuredContent["scope"] == "refused"
    assert [content.type for content in seen["black"].content] == ["text"]
    answer = json.loads(seen["classify_chest_xray"].content[0].text)
    assert (answer["decision"], answer["probability"]) == expected(predictor, film)
    assert answer["at_prevalence"]["prevalence"] == 0.1
    assert [content.type for content in seen["explain_chest_xray"].content][:2] == ["text", "image"]
    assert json.loads(seen["classify_many_chest_xrays"].content[0].text)["n_errors"] == 0
    assert json.loads(seen["describe_chest_xray_model"].content[0].text)["name"] == "fake-model"
    for name, code in {"unreadable": "not_an_image", "path": "bad_file", "typed": "bad_arguments"}.items():
        assert seen[name].isError
        assert seen[name].content[0].text.startswith(f"{code}: ")


# --- Limits and privacy


def test_a_hundred_at_once_are_answered_each_for_its_own_film_or_told_that_the_queue_is_full(
    server: str, tmp_path: Path, predictor: Predictor
) -> None:
    levels = range(60, 160)
    together = threading.Barrier(len(levels))

    def call(level: int) -> dict[str, Any] | None:
        path = tmp_path / f"{level}.png"
        Image.fromarray(np.full((64, 64), level, np.uint8)).save(path)
        # More than the five seconds that a client gives a busy server.
        client = Client(server, verbose=False, httpx_kwargs={"timeout": 60})
        together.wait(timeout=120)
        try:
            return client.predict(handle_file(path), api_name="/predict")
        except QueueError as error:
            assert "full" in str(error).lower()
            return None

    with ThreadPoolExecutor(len(levels)) as pool:
        answers = list(pool.map(call, levels))
    for level, answer in zip(levels, answers, strict=True):
        if answer:
            found = predictor.predict(from_array(np.full((64, 64), level, np.uint8)))
            assert answer["probability"] == pytest.approx(found.probability, abs=1e-9)
    assert sum(answer is not None for answer in answers) >= 60


def test_what_was_uploaded_and_answered_is_deleted(tmp_path: Path) -> None:
    """By file, from a data: URI, and the files of answers; with seconds in place of minutes. The gallery stays."""
    cache = tmp_path / "cache"
    film = phantom_file(tmp_path / "film.png", seed=9)
    uri = "data:image/png;base64," + base64.b64encode(film.read_bytes()).decode()

    async def by_agent(server: str) -> None:
        async with (
            streamable_http_client(f"{server}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            assert not (await session.call_tool("classify_chest_xray", {"image": uri})).isError

    def files() -> set[Path]:
        return {path for path in cache.rglob("*") if path.is_file()}

    with served(tmp_path / "served", GRADIO_TEMP_DIR=str(cache), TEST_KEEP_SECONDS="5") as address:
        before = files()
        client = Client(address, verbose=False, download_files=str(tmp_path / "downloads"))
        client.predict(handle_file(film), api_name="/explain")
        client.predict([handle_file(film)], api_name="/predict_batch")
        asyncio.run(by_agent(address.rstrip("/")))
        deadline = time.monotonic() + 60
        while files() - before and time.monotonic() < deadline:
            time.sleep(0.2)
        assert files() == before
        assert len(before) >= 4  # the gallery
    assert film.exists()


def test_each_request_is_one_line_of_the_log(tmp_path: Path) -> None:
    requests = tmp_path / "requests.log"
    with served(tmp_path / "served", TEST_REQUESTS_LOG=str(requests)) as address:
        server = address.rstrip("/")
        film = handle_file(phantom_file(tmp_path / "film.png"))
        Client(server, verbose=False).predict(film, api_name="/predict")
        posted(server, "predict", {"data": [5, None]})
        posted(server, "predict", {"data": [FILE, None]})
        posted(server, "predict", {"data": [None, None]})
    lines = [line.split()[:2] for line in requests.read_text(encoding="utf-8").splitlines()]
    assert lines == [["/predict", code] for code in ("ok", "bad_file", "bad_file", "no_file")]
