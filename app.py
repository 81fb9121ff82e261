"""The app: one radiograph in, a decision with its probability and its heat map out; for people and for programs.

    python app.py        serves the model MODEL (a bundle folder or a bare .h5; default: bundles/default)

Wiring only: what is shown stands in `ui`, what is computed in `cxr`.
"""

import html
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from cxr.bundle import probe_pixels
from cxr.errors import CxrError, ImageError
from cxr.image import MAX_BYTES, GrayImage, decode, decode_file, from_array
from cxr.predictor import Predictor, load_model
from ui import panels
from ui.figures import OPACITY, has_heat, layers, overlay
from ui.film_box import FilmBox
from ui.model import Example, examples, model_json, prediction_json
from ui.panels import Reading
from ui.text import (
    DEFAULT_LANGUAGE,
    LANGUAGE_NAMES,
    Language,
    as_language,
    attribution,
    is_phantom,
    language_of,
    say,
)

HERE = Path(__file__).resolve().parent
DEFAULT_MODEL = HERE / "bundles" / "default"
KEEP_SECONDS, CLEAN_EVERY_SECONDS = 300, 60
WAITING_ROOM = 64
"""Calls that may wait; the next one is told that the queue is full."""
AT_ONCE = 2
"""Calls that use the network at the same time."""
_NETWORK: dict[str, Any] = {"concurrency_limit": AT_ONCE, "concurrency_id": "network"}
_HIDDEN: dict[str, Any] = {"api_visibility": "private"}

_SET_OPACITY = "(share) => { document.documentElement.style.setProperty('--heat', share / 100); }"
_SET_PAGE_LANGUAGE = "(language) => { document.documentElement.lang = language; }"


def build_app(predictor: Predictor) -> gr.Blocks:
    """The page and the API of one loaded model; `launch_options` belong to it."""
    with gr.Blocks(
        title=say("title", DEFAULT_LANGUAGE),
        analytics_enabled=False,
        delete_cache=(CLEAN_EVERY_SECONDS, KEEP_SECONDS),
    ) as app:
        _add_page(app, predictor)
        _add_api(predictor)
    app.queue(max_size=WAITING_ROOM, default_concurrency_limit=AT_ONCE)
    return app


def launch_options() -> dict[str, Any]:
    """Looks, limits and privacy, which Gradio takes at launch."""
    return {
        "theme": _theme(),
        "css_paths": [HERE / "ui" / "style.css"],
        "max_file_size": MAX_BYTES,
        "state_session_capacity": 1000,
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": ["api"],
        "ssr_mode": False,
        "share": False,
    }


def _theme() -> gr.themes.Base:
    # Gradio's own weight 600 of this font lacks letters; its 700 is whole. Served from here, never from a font host.
    font = (
        gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)),
        "ui-sans-serif",
        "system-ui",
        "sans-serif",
    )
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="slate", radius_size="md", font=font)
    return theme.set(  # pairs with enough contrast: at least 4.5 to 1
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
    )


def _add_page(app: gr.Blocks, predictor: Predictor) -> None:
    """Everything that a visitor sees, and what happens when they touch it."""
    shelf = examples(predictor)
    reading = gr.State(None)
    with gr.Row(elem_id="top"):
        head = gr.HTML(panels.head(predictor, DEFAULT_LANGUAGE), elem_id="head")
        language = gr.Radio(
            [(name, code) for code, name in LANGUAGE_NAMES.items()],
            value=DEFAULT_LANGUAGE,
            label="Language / Idioma",
            elem_id="language",
            min_width=250,
            scale=0,
        )
    with gr.Row(elem_id="bench"):
        with gr.Column(scale=6, min_width=300):
            with gr.Column(elem_id="intake") as intake:
                film = FilmBox(
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    height=400,
                    buttons=[],
                    elem_id="film",
                    **_words_of_film(),
                )
                read = gr.Button(say("read", DEFAULT_LANGUAGE), variant="primary", elem_id="read")
            with gr.Column(elem_id="light-box", visible=False) as light_box:
                viewer = gr.HTML(elem_id="viewer")
                caption = gr.HTML(elem_id="caption")
                opacity = gr.Slider(
                    0,
                    100,
                    OPACITY * 100,
                    step=5,
                    label=say("opacity", DEFAULT_LANGUAGE),
                    elem_id="opacity",
                    buttons=[],
                )
                another = gr.Button(say("another", DEFAULT_LANGUAGE), elem_id="another")
        with gr.Column(scale=5, min_width=300):
            result = gr.HTML(panels.result(None, predictor, DEFAULT_LANGUAGE), elem_id="result")
    gallery = _gallery(shelf)
    about = gr.HTML(panels.about(predictor, DEFAULT_LANGUAGE), elem_id="about")

    def read_film(path: str | None, chosen: str) -> list[Any]:
        return shown(path, as_language(chosen))

    def read_example(chosen: str, event: gr.SelectData) -> list[Any]:
        example = shelf[event.index]
        return [*shown(str(example.file), as_language(chosen), example), gr.Gallery(selected_index=None)]

    def shown(path: str | None, code: Language, example: Example | None = None) -> list[Any]:
        now, picture = _read_for_page(predictor, path, code, example)
        return [
            now,
            gr.Column(visible=False),
            gr.Column(visible=True),
            picture,
            panels.caption(now, code),
            panels.result(now, predictor, code),
        ]

    def clear(chosen: str) -> list[Any]:
        nothing = panels.result(None, predictor, as_language(chosen))
        return [None, gr.Column(visible=True), gr.Column(visible=False), "", "", nothing, None]

    def speak(chosen: str, now: Reading | None) -> list[Any]:
        code = as_language(chosen)
        return [
            panels.head(predictor, code),
            FilmBox(**_words_of_film(code)),
            say("read", code),
            gr.Slider(label=say("opacity", code)),
            say("another", code),
            panels.caption(now, code) if now else "",
            panels.result(now, predictor, code),
            *([gr.Gallery(**_words_of_gallery(shelf, code))] if shelf else []),
            panels.about(predictor, code),
        ]

    def greet(request: gr.Request) -> list[Any]:
        asked = request.query_params.get("lang")
        code = as_language(asked) if asked else language_of(request.headers.get("accept-language", ""))
        return [code, *speak(code, None)]

    bench = [reading, intake, light_box, viewer, caption, result]
    spoken = [head, film, read, opacity, another, caption, result, *([gallery] if gallery else []), about]
    for listen in (film.upload, read.click):
        listen(read_film, [film, language], bench, show_progress_on=result, **_NETWORK, **_HIDDEN).failure(
            lambda: None, None, film, **_HIDDEN
        )
    if gallery:
        gallery.select(
            read_example, language, [*bench, gallery], show_progress_on=result, **_NETWORK, **_HIDDEN
        )
    another.click(clear, language, [*bench, film], **_HIDDEN)
    opacity.input(None, opacity, None, js=_SET_OPACITY, **_HIDDEN)
    language.change(None, language, None, js=_SET_PAGE_LANGUAGE, **_HIDDEN)
    language.input(speak, [language, reading], spoken, show_progress="hidden", **_HIDDEN)
    app.load(greet, None, [language, *spoken], show_progress="hidden", **_HIDDEN)


def _words_of_film(language: Language = DEFAULT_LANGUAGE) -> dict[str, Any]:
    return {"label": say("film", language), "placeholder": say("drop", language)}


def _gallery(shelf: Sequence[Example]) -> gr.Gallery | None:
    if not shelf:
        return None
    return gr.Gallery(
        **_words_of_gallery(shelf, DEFAULT_LANGUAGE),
        columns=4,
        height="auto",
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="gallery",
    )


def _words_of_gallery(shelf: Sequence[Example], language: Language) -> dict[str, Any]:
    phantoms = all(is_phantom(example.attribution) for example in shelf)
    return {
        "label": say("examples_phantoms" if phantoms else "examples", language),
        "value": [
            (
                str(example.file),
                f"{say(f'decision.{example.truth}', language)} · {attribution(example.attribution, language)}",
            )
            for example in shelf
        ],
    }


def _read_for_page(
    predictor: Predictor, path: str | None, language: Language, example: Example | None = None
) -> tuple[Reading, str]:
    """The reading and its picture as HTML. Raises gr.Error with words for people."""
    if path is None:
        raise _told("no_file", language)
    try:
        image = decode_file(Path(path))
    except ImageError as error:
        raise _told(error.code, language, reason=str(error)) from error
    explanation, temperature = predictor.explain(image), predictor.decision.temperature
    reading = Reading(
        explanation.prediction,
        heat=has_heat(explanation.evidence, temperature),
        truth=example.truth if example else None,
        source=example.attribution if example else "",
    )
    return reading, panels.viewer(layers(image, explanation.evidence, temperature))


def _told(code: str, language: Language, **values: str) -> gr.Error:
    # The page shows the message as HTML, and of the title only that it is an error.
    words = say(f"error.{code}", language, **values)
    return gr.Error(html.escape(words), title=code, print_exception=False)


def _add_api(predictor: Predictor) -> None:
    """The endpoints for programs. Their errors are gr.Error whose title is the stable code."""

    def predict(image: bytes | None) -> dict[str, Any]:
        """Read one frontal chest radiograph of a child: label, calibrated P(PNEUMONIA), threshold and warnings.

        For research and teaching; not a medical device.

        Args:
            image: a PNG, JPEG, TIFF or WebP file of 8 or 16 bits.
        """
        return prediction_json(predictor, predictor.predict(_decoded(image)))

    def explain(image: bytes | None) -> tuple[dict[str, Any], Image.Image]:
        """As predict, with a picture that shows where the model found evidence for pneumonia.

        For research and teaching; not a medical device.

        Args:
            image: a PNG, JPEG, TIFF or WebP file of 8 or 16 bits.
        """
        film = _decoded(image)
        explanation = predictor.explain(film)
        picture = overlay(film, explanation.evidence, predictor.decision.temperature)
        return prediction_json(predictor, explanation.prediction), picture

    def model_info() -> dict[str, Any]:
        """Which model answers, what it was trained on, its decision rule and its measured figures."""
        return model_json(predictor)

    with gr.Column(visible=False):
        # Bytes, not a path: the file is read once, as it is, and its name goes nowhere.
        image = gr.File(type="binary", label="image")
        answer = gr.JSON(label="answer")
        picture = gr.Image(type="pil", format="png", label="overlay")
        call = gr.Button()
    call.click(predict, image, answer, api_name="predict", **_NETWORK)
    call.click(explain, image, [answer, picture], api_name="explain", **_NETWORK)
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


def warm_up(predictor: Predictor) -> None:
    """Run both paths once, so that the first visitor does not wait for the network to be traced."""
    film = from_array(probe_pixels(predictor.preprocess.size))
    predictor.predict(film)
    predictor.explain(film)


def main() -> int:
    """Load MODEL, warm it up and serve it."""
    try:
        predictor = load_model(os.environ.get("MODEL") or str(DEFAULT_MODEL))
    except CxrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    warm_up(predictor)
    build_app(predictor).launch(**launch_options())
    return 0


if __name__ == "__main__":
    sys.exit(main())
