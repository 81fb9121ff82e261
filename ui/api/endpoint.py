"""A Hugging Face Inference Endpoint: an image in, the JSON of /predict out.

The endpoint's server (huggingface-inference-toolkit) makes one `EndpointHandler(folder)` and calls it for each
request. What the handler raises, it answers as HTTP 400 with {"error": the words}.
"""

import base64
import binascii
import io
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from cxr.errors import ImageError, RequestError, UsageError
from cxr.imaging.decode import GrayImage, decode
from cxr.imaging.heat_map import overlay
from cxr.model.bundle import EXPORT_FILE
from cxr.serving.local import open_bundle
from cxr.serving.slot import Served
from ui.api.schema import check_prevalence, prediction_json

EXPORT_COPY = "endpoint/network"
"""Another name of model.onnx in the repository: a server set up for PyTorch does not download `*onnx`."""
_CALLED = "the image"


class EndpointHandler:
    """Answers for one image at a time. Safe to call from several threads."""

    def __init__(self, path: str = "") -> None:
        """Load the bundle in the folder `path` and verify it. Raises BundleError."""
        folder = Path(path)
        if not (folder / EXPORT_FILE).exists() and (folder / EXPORT_COPY).exists():
            shutil.copyfile(folder / EXPORT_COPY, folder / EXPORT_FILE)
        source, revision = os.environ.get("HF_MODEL_ID"), os.environ.get("HF_REVISION", "")
        name = f"hub:{source}" if source else None
        self._served = Served(open_bundle(folder, name, revision, whole=False))

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The answer for one image, by schema_version 2 of docs/api.md.

        Args:
            data: "inputs": the bytes of an image file, or these in base64, alone or as {"file": base64}; or the
                PIL image that the server makes of a request whose content type is an image.
                "parameters", optional: "prevalence" as in /predict; "explain": true adds "overlay", the evidence
                map over the image as PNG in base64.

        Raises:
            UsageError: the image cannot be read, or a parameter is out of range; the words begin with the API's code.
        """
        parameters = data.get("parameters") or {}
        prevalence = _number(parameters.get("prevalence"))
        try:
            check_prevalence(self._served, prevalence)
            film = _film(data.get("inputs"))
        except (ImageError, RequestError) as error:
            raise UsageError(f"{error.code}: {error}") from error
        predictor, start = self._served.predictor, time.perf_counter()
        if not parameters.get("explain"):
            answer = predictor.predict(film)
            return prediction_json(self._served, answer, time.perf_counter() - start, prevalence)
        explanation = predictor.explain(film)
        seconds = time.perf_counter() - start
        picture = overlay(film, explanation.evidence, predictor.decision.temperature)
        found = prediction_json(self._served, explanation.answer, seconds, prevalence)
        return found | {"overlay": base64.b64encode(_png(picture)).decode("ascii")}


def _film(inputs: Any) -> GrayImage:
    """The radiograph of a request. Raises ImageError, RequestError."""
    if isinstance(inputs, Mapping):
        inputs = inputs.get("file")
    if isinstance(inputs, Image.Image):
        return decode(_png(inputs), _CALLED)
    if isinstance(inputs, str):
        try:
            inputs = base64.b64decode(inputs, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RequestError("no_file", "inputs is not base64. Send the file's bytes in base64.") from error
    if not isinstance(inputs, bytes | bytearray):
        raise RequestError(
            "no_file", 'There is no image. Send it as the body, or its base64 as {"inputs": {"file": "..."}}.'
        )
    return decode(bytes(inputs), _CALLED)


def _number(value: Any) -> float | None:
    """A parameter as a number; the server passes those of the address as text. Raises UsageError."""
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"bad_prevalence: prevalence={value} is not a number. Give a share, such as 0.2."
        ) from error


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
