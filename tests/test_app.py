"""The app through gradio_client against a started server, and its words; with a model that needs no TensorFlow."""

import asyncio
import base64
import io
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from fake_model import fake_predictor, phantom_file, served
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import app
from cxr.imaging import heat_map
from cxr.imaging.decode import decode_file, from_array
from cxr.model.predictor import Predictor
from cxr.serving.slot import Served, Serving
from ui import words as text
from ui.api import layers, limits
from ui.api.schema import model_json

MODEL_KEYS = {"source", "revision", "version", "sha256", "state"}


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return fake_predictor(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("served")) as address:
        yield address


@pytest.fixture(scope="module")
def client(server: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(server, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


def built(predictor: Predictor) -> gr.Blocks:
    """The app, built inside an event loop: where none runs, Gradio makes one and never closes it."""

    async def build() -> gr.Blocks:
        return app.build_app(Serving(Served(predictor)))

    return asyncio.run(build())


def films(folder: Path) -> dict[str, Path]:
    """One phantom in every kind of file that we read."""
    pixels = np.asarray(Image.open(phantom_file(folder / "film.png")))
    deep = pixels.astype(np.uint16) * 257
    kinds = {kind: folder / f"film.{kind}" for kind in ("png", "jpeg", "tiff", "webp")}
    for path in kinds.values():
        Image.fromarray(pixels).save(path)
    Image.fromarray(deep).save(folder / "deep.png")
    Image.fromarray(deep).save(folder / "deep.tiff")
    Image.fromarray((deep >> 4).astype(np.uint16)).save(folder / "twelve.png")
    return {
        **kinds,
        "16-bit png": folder / "deep.png",
        "16-bit tiff": folder / "deep.tiff",
        "12-bit png": folder / "twelve.png",
    }


def test_predict_gives_the_predictors_answer_for_every_kind_of_file(
    client: Client, predictor: Predictor, tmp_path: Path
) -> None:
    for kind, path in films(tmp_path).items():
        answer = client.predict(handle_file(path), api_name="/predict")
        expected = predictor.predict(decode_file(path))
        assert answer["probability"] == pytest.approx(expected.probability, abs=1e-6), kind
        assert answer["decision"] == expected.decision, kind
    # Not the saturated near-white that an 8-bit reading of a 16-bit file gives.
    deep, shallow = (
        client.predict(handle_file(tmp_path / name), api_name="/predict") for name in ("deep.png", "film.png")
    )
    assert deep["probability"] == pytest.approx(shallow["probability"], abs=1e-6)


def test_predict_answers_by_the_schema(client: Client, predictor: Predictor, tmp_path: Path) -> None:
    answer = client.predict(handle_file(phantom_file(tmp_path / "film.png")), api_name="/predict")
    assert list(answer) == [
        "schema_version",
        "decision",
        "probability",
        "threshold",
        "scope",
        "warnings",
        "model",
        "seconds",
    ]
    assert answer["schema_version"] == "2"
    assert answer["decision"] in ("NORMAL", "PNEUMONIA", "UNCERTAIN")
    assert 0 <= answer["probability"] <= 1
    assert answer["threshold"] == predictor.decision.threshold
    assert answer["scope"] == "familiar"
    assert answer["warnings"] == []
    assert set(answer["model"]) == MODEL_KEYS
    assert answer["model"]["sha256"] == predictor.identity.sha256
    assert answer["seconds"] > 0


def test_warnings_have_a_code_and_words(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "coloured.png"
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., 0], pixels[..., 3] = 200, 128
    Image.fromarray(pixels).save(path)
    warnings = client.predict(handle_file(path), api_name="/predict")["warnings"]
    assert [warning["code"] for warning in warnings] == ["transparency", "colour"]
    assert warnings[1]["message"] == text.say("warning.colour", "en")


def test_explain_gives_the_same_json_and_a_png_of_the_films_shape(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    Image.open(phantom_file(tmp_path / "square.png")).resize((300, 200)).save(path)
    answer, picture = client.predict(handle_file(path), api_name="/explain")
    plain = client.predict(handle_file(path), api_name="/predict")
    assert {**answer, "seconds": 0} == {**plain, "seconds": 0}
    with Image.open(picture) as overlay:
        assert overlay.format == "PNG"
        assert overlay.size == (300, 200)
        assert overlay.mode == "RGB"


def test_model_info_tells_model_training_and_figures(client: Client, predictor: Predictor) -> None:
    info = client.predict(api_name="/model_info")
    assert info == model_json(Served(predictor))
    assert set(info["model"]) == MODEL_KEYS
    assert info["decision"]["uncertain_band"] == [0.4, 0.7]
    assert info["metrics"]["sensitivity"] == {"value": 0.97, "ci95": [0.95, 0.99]}
    assert info["trained_on"]["synthetic"] is True
    assert "not a medical device" in info["notice"]
    assert [line[:4] for line in info["limits"]] == ["For ", "Pneu", "Do n"]
    assert info["request_limits"]["batch_films"] == 1000
    assert info["request_limits"]["image_bytes"] == 64 * 2**20


def test_only_the_contract_is_public(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)
    assert set(named["named_endpoints"]) == {"/predict", "/explain", "/predict_batch", "/model_info"}
    assert named["unnamed_endpoints"] == {}


@pytest.mark.parametrize("endpoint", ["/predict", "/explain"])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"plain words, not pixels", "not_an_image"),  # a text file under an image's name
        (b"", "empty_file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "not_an_image"),  # nothing of use after the signature
    ],
    ids=["text", "empty", "broken"],
)
def test_an_unreadable_file_gets_one_clear_line(
    client: Client, tmp_path: Path, endpoint: str, content: bytes, code: str
) -> None:
    path = tmp_path / "notes.png"
    path.write_bytes(content)
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(path), api_name=endpoint)
    message = str(caught.value.message)
    assert caught.value.title == code
    assert message.startswith("the file ")
    assert "\n" not in message
    assert not any(word in message for word in ("Traceback", "/tmp", "gradio", str(tmp_path)))


def test_no_file_is_told(client: Client) -> None:
    with pytest.raises(AppError) as caught:
        client.predict(None, api_name="/predict")
    assert caught.value.title == "no_file"


def test_twenty_callers_get_the_answer_to_their_own_film(
    server: str, predictor: Predictor, tmp_path: Path
) -> None:
    def call(level: int) -> tuple[int, dict[str, Any]]:
        path = tmp_path / f"{level}.png"
        Image.fromarray(np.full((64, 64), level, np.uint8)).save(path)
        # A client each: one that many threads share may cancel a call while its stream of answers ends.
        client = Client(server, verbose=False, httpx_kwargs={"timeout": 40})
        return level, client.submit(handle_file(path), api_name="/predict").result(timeout=40)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(call, range(60, 160, 5)))
    for level, answer in answers:
        expected = predictor.predict(from_array(np.full((64, 64), level, np.uint8))).probability
        assert answer["probability"] == pytest.approx(expected, abs=1e-9)


def test_privacy_and_limits(server: str, predictor: Predictor) -> None:
    options = app.launch_options()
    assert options["run_history"] is False
    assert options["enable_monitoring"] is False
    assert options["share"] is False
    assert options["max_file_size"] == limits.MAX_UPLOAD_BYTES
    blocks = built(predictor)
    assert blocks.analytics_enabled is False
    assert blocks.delete_cache is not None
    assert max(blocks.delete_cache) <= 600
    network = [fn for fn in blocks.fns.values() if fn.concurrency_id == "network"]
    # Upload, button, gallery; the film before and after, and a row of either table; many films, own data, endpoints.
    assert len(network) == 3 + 4 + 2 + 3
    assert {fn.concurrency_limit for fn in network} == {limits.AT_ONCE}


def test_a_missing_model_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(Path(app.__file__))],
        env={"PATH": "", "MODEL": "no-such-model"},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 2
    assert run.stderr == (
        "error: MODEL=no-such-model is neither a bundle folder nor a .h5 file. "
        "Check the path, or train a model first.\n"
    )
    assert run.stderr.count("\n") == 1


def test_the_app_starts_light() -> None:
    code = "import sys, app; print({'tensorflow', 'matplotlib', 'sklearn'} & set(sys.modules))"
    root = Path(app.__file__).parent
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


# Figures


def test_the_heat_map_colours_evidence_for_pneumonia_only() -> None:
    evidence = np.array([[-5.0, 0.0, 1.0, 4.0]], np.float32)
    alpha = heat_map.heat_layer(evidence)[0, :, 3]
    assert alpha[0] == alpha[1] == 0
    assert 0 < alpha[2] < alpha[3] == 255
    assert not layers.has_heat(-evidence[:, 2:])


def test_a_faint_peak_does_not_get_the_full_colour() -> None:
    faint, strong = (heat_map.heat_layer(np.full((1, 1), peak, np.float32))[0, 0, 3] for peak in (0.3, 3.0))
    assert faint < 128 < strong
    assert not layers.has_heat(np.full((1, 1), 0.05, np.float32))


def test_the_heat_colours_grow_lighter() -> None:
    luma = heat_map.HEAT_COLOURS @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma) > -0.2).all()  # a step of blue alone, rounded
    assert luma[-1] - luma[0] > 150


def test_an_opacity_of_zero_leaves_the_film_and_large_films_are_reduced() -> None:
    film = from_array(np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8))
    evidence = np.ones((40, 60), np.float32)
    clear = np.asarray(heat_map.overlay(film, evidence, opacity=0))
    assert np.array_equal(clear, np.repeat(film.to_8bit()[..., None], 3, axis=2))
    large = from_array(np.zeros((2000, 1000), np.uint8))
    assert heat_map.overlay(large, np.zeros((2000, 1000), np.float32)).size == (768, 1536)
    shown = layers.layers(large, np.zeros((2000, 1000), np.float32))
    assert (shown.width, shown.height) == (1000, 2000)  # as the viewer gets it in the end
    first = Image.open(io.BytesIO(base64.b64decode(shown.film.partition(",")[2])))
    assert first.size == (768, 1536)
