"""The endpoints for programs and agents, by docs/api.md: /predict, /explain, /predict_batch, /model_info.

The names of the functions and their docstrings are what an agent sees of them, as tools of the MCP server.
"""

import time
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image

from cxr.errors import RequestError
from cxr.imaging.decode import GrayImage, decode_file
from cxr.imaging.heat_map import overlay
from cxr.model.answer_csv import answers_csv
from cxr.serving.slot import Serving
from ui.api.answering import answering
from ui.api.batch import Batch
from ui.api.film_box import FileBox
from ui.api.limits import NETWORK
from ui.api.schema import batch_json, check_prevalence, model_json, prediction_json

ENDPOINTS = ("predict", "explain", "predict_batch", "model_info")
"""The names of the public endpoints, without their slash."""
_CALLED = "the file"  # in messages: an upload's name goes nowhere


def add_api(serving: Serving) -> None:
    """The endpoints for programs. Their errors are gr.Error whose title is the stable code."""

    def classify_chest_xray(image: str | None = None, prevalence: float | None = None) -> dict[str, Any]:
        """Read one frontal chest radiograph of a child (1 to 5 years): is it NORMAL, PNEUMONIA or UNCERTAIN?

        For research and teaching; not a medical device. The answer holds decision, probability (calibrated
        P(PNEUMONIA), 0 to 1), threshold, scope (refused, with decision and probability null, if this is no such
        radiograph) and warnings. Tell the warnings with the decision.

        Args:
            image: the radiograph as a PNG, JPEG, TIFF, WebP or DICOM file.
            prevalence: the share of pneumonia among the user's films, between 0 and 1, if known.
        """
        with answering("/predict"):
            served = serving.now
            check_prevalence(served, prevalence)
            film = _film(image)
            start = time.perf_counter()
            answer = served.predictor.predict(film)
            return prediction_json(served, answer, time.perf_counter() - start, prevalence)

    def explain_chest_xray(
        image: str | None = None, prevalence: float | None = None
    ) -> tuple[dict[str, Any], Image.Image | None]:
        """As classify_chest_xray, with a picture of where the model found evidence for pneumonia in the radiograph.

        For research and teaching; not a medical device. The colours show what moved the model, not where disease is.
        There is no picture of an image that is refused.

        Args:
            image: the radiograph as a PNG, JPEG, TIFF, WebP or DICOM file.
            prevalence: the share of pneumonia among the user's films, between 0 and 1, if known.
        """
        with answering("/explain"):
            served = serving.now
            check_prevalence(served, prevalence)
            film = _film(image)
            start = time.perf_counter()
            explanation = served.predictor.explain(film)
            seconds = time.perf_counter() - start
            answer = prediction_json(served, explanation.answer, seconds, prevalence)
            if not explanation.answer.answered:
                return answer, None
            return answer, overlay(film, explanation.evidence, served.predictor.decision.temperature)

    def classify_many_chest_xrays(
        files: list[str] | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio's way to ask for it)
    ) -> tuple[dict[str, Any], str]:
        """Read many frontal chest radiographs at once: a list of files, or one .zip of them.

        For research and teaching; not a medical device. The answer holds a row for each file, in order, with
        the same fields as classify_chest_xray, or with the error that kept this one from being read; and a CSV file.

        Args:
            files: radiographs as PNG, JPEG, TIFF, WebP or DICOM files; or one .zip of them.
        """
        with answering("/predict_batch"):
            served = serving.now
            with Batch(files or []) as films:
                answers = []
                for row in films.rows(served.predictor):
                    answers.append(row.answer)
                    progress((len(answers), len(films)), unit="films")
            # Into Gradio's own folder, where it is deleted with the uploads.
            written = save_bytes_to_cache(answers_csv(answers), "predictions.csv", answer_file.GRADIO_CACHE)
            return batch_json(served, answers), written

    def describe_chest_xray_model() -> dict[str, Any]:
        """Which model answers, what it was trained on, its decision rule, its limits and its measured figures."""
        with answering("/model_info"):
            return model_json(serving.now)

    with gr.Column(visible=False):
        image = FileBox(type="filepath", label="image")
        files = FileBox(type="filepath", file_count="multiple", label="files")
        prevalence = gr.Number(value=None, label="prevalence")
        answer = gr.JSON(label="answer")
        picture = gr.Image(type="pil", format="png", label="overlay")
        answer_file = gr.File(label="csv")
        call = gr.Button()
    one = [image, prevalence]
    call.click(classify_chest_xray, one, answer, api_name="predict", **NETWORK)
    call.click(explain_chest_xray, one, [answer, picture], api_name="explain", **NETWORK)
    call.click(classify_many_chest_xrays, files, [answer, answer_file], api_name="predict_batch", **NETWORK)
    call.click(describe_chest_xray_model, None, answer, api_name="model_info")


def _film(path: str | None) -> GrayImage:
    if path is None:
        raise RequestError("no_file", "No file was passed. Pass an image file.")
    return decode_file(Path(path), _CALLED)
