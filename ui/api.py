"""The endpoints for programs, by the contract of /predict, /explain and /model_info."""

from typing import Any

import gradio as gr
from PIL import Image

from cxr.errors import ImageError
from cxr.image import GrayImage, decode
from cxr.serving import Serving
from ui.figures import overlay
from ui.limits import NETWORK
from ui.model import model_json, prediction_json


def add_api(serving: Serving) -> None:
    """The endpoints for programs. Their errors are gr.Error whose title is the stable code."""

    def predict(image: bytes | None) -> dict[str, Any]:
        """Read one frontal chest radiograph of a child: label, calibrated P(PNEUMONIA), threshold and warnings.

        For research and teaching; not a medical device.

        Args:
            image: a PNG, JPEG, TIFF or WebP file of 8 or 16 bits.
        """
        film, served = _decoded(image), serving.now
        return prediction_json(served, served.predictor.predict(film))

    def explain(image: bytes | None) -> tuple[dict[str, Any], Image.Image]:
        """As predict, with a picture that shows where the model found evidence for pneumonia.

        For research and teaching; not a medical device.

        Args:
            image: a PNG, JPEG, TIFF or WebP file of 8 or 16 bits.
        """
        film, served = _decoded(image), serving.now
        explanation = served.predictor.explain(film)
        picture = overlay(film, explanation.evidence, served.predictor.decision.temperature)
        return prediction_json(served, explanation.prediction), picture

    def model_info() -> dict[str, Any]:
        """Which model answers, what it was trained on, its decision rule and its measured figures."""
        return model_json(serving.now)

    with gr.Column(visible=False):
        # Bytes, not a path: the file is read once, as it is, and its name goes nowhere.
        image = gr.File(type="binary", label="image")
        answer = gr.JSON(label="answer")
        picture = gr.Image(type="pil", format="png", label="overlay")
        call = gr.Button()
    call.click(predict, image, answer, api_name="predict", **NETWORK)
    call.click(explain, image, [answer, picture], api_name="explain", **NETWORK)
    call.click(model_info, None, answer, api_name="model_info")


def _decoded(content: bytes | None) -> GrayImage:
    if content is None:
        raise gr.Error(
            "expected an image file; received none; pass one", title="no_file", print_exception=False
        )
    try:
        return decode(content)
    except ImageError as error:
        raise gr.Error(str(error), title=error.code, print_exception=False) from error
