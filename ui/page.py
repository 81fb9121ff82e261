"""The page: its controls, and what happens when a visitor touches them."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from cxr.errors import ImageError
from cxr.image import decode_file
from cxr.serving import Served, Serving
from ui import panels
from ui.figures import OPACITY, has_heat, layers
from ui.film_box import FilmBox
from ui.limits import NETWORK
from ui.model import Example, examples
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

_HIDDEN: dict[str, Any] = {"api_visibility": "private"}
_SET_OPACITY = "(share) => { document.documentElement.style.setProperty('--heat', share / 100); }"
_SET_PAGE_LANGUAGE = "(language) => { document.documentElement.lang = language; }"


def add_page(app: gr.Blocks, serving: Serving) -> None:
    """Everything that a visitor sees, and what happens when they touch it."""
    served = serving.now
    shelf = examples(served)
    reading = gr.State(None)
    with gr.Row(elem_id="top"):
        head = gr.HTML(panels.head(served, DEFAULT_LANGUAGE), elem_id="head")
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
            result = gr.HTML(panels.result(None, served, DEFAULT_LANGUAGE), elem_id="result")
    gallery = _gallery(shelf)
    about = gr.HTML(panels.about(served, DEFAULT_LANGUAGE), elem_id="about")

    def read_film(path: str | None, chosen: str) -> list[Any]:
        return shown(serving.now, path, as_language(chosen))

    def read_example(chosen: str, event: gr.SelectData) -> list[Any]:
        served, example = serving.now, shelf[event.index]
        seen = shown(served, str(example.file), as_language(chosen), example)
        return [*seen, gr.Gallery(selected_index=None)]

    def shown(served: Served, path: str | None, code: Language, example: Example | None = None) -> list[Any]:
        now, picture = _read_for_page(served, path, code, example)
        return [
            now,
            gr.Column(visible=False),
            gr.Column(visible=True),
            picture,
            panels.caption(now, code),
            panels.result(now, served, code),
        ]

    def clear(chosen: str) -> list[Any]:
        nothing = panels.result(None, serving.now, as_language(chosen))
        return [None, gr.Column(visible=True), gr.Column(visible=False), "", "", nothing, None]

    def speak(chosen: str, now: Reading | None) -> list[Any]:
        code, served = as_language(chosen), serving.now
        return [
            panels.head(served, code),
            FilmBox(**_words_of_film(code)),
            say("read", code),
            gr.Slider(label=say("opacity", code)),
            say("another", code),
            panels.caption(now, code) if now else "",
            panels.result(now, served, code),
            *([gr.Gallery(**_words_of_gallery(shelf, code))] if shelf else []),
            panels.about(served, code),
        ]

    def greet(request: gr.Request) -> list[Any]:
        asked = request.query_params.get("lang")
        code = as_language(asked) if asked else language_of(request.headers.get("accept-language", ""))
        return [code, *speak(code, None)]

    bench = [reading, intake, light_box, viewer, caption, result]
    spoken = [head, film, read, opacity, another, caption, result, *([gallery] if gallery else []), about]
    for listen in (film.upload, read.click):
        listen(read_film, [film, language], bench, show_progress_on=result, **NETWORK, **_HIDDEN).failure(
            lambda: None, None, film, **_HIDDEN
        )
    if gallery:
        gallery.select(
            read_example, language, [*bench, gallery], show_progress_on=result, **NETWORK, **_HIDDEN
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
    served: Served, path: str | None, language: Language, example: Example | None = None
) -> tuple[Reading, str]:
    """The reading and its picture as HTML. Raises gr.Error with words for people."""
    if path is None:
        raise _told("no_file", language)
    try:
        image = decode_file(Path(path))
    except ImageError as error:
        raise _told(error.code, language, reason=str(error)) from error
    predictor = served.predictor
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
