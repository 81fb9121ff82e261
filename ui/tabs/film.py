"""The tab that reads one film: intake, light box, reading, prevalence, report, and the gallery of examples."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from cxr.errors import ImageError, RequestError
from cxr.imaging.decode import decode_file
from cxr.imaging.heat_map import OPACITY
from cxr.log import logged
from cxr.serving.slot import Served, Serving
from ui.api.film_box import FilmBox
from ui.api.layers import has_heat, layers
from ui.api.limits import NETWORK
from ui.api.served_model import Example, examples
from ui.assets import script
from ui.html import panels
from ui.html.reading import Reading, reading_of
from ui.html.report import FILM_PLACE, HEAT_PLACE, RATIO_PLACE, report
from ui.tabs.part import HIDDEN, Part
from ui.tabs.problems import problem
from ui.words import DEFAULT_LOCALE, Locale, as_locale, attribution, is_phantom, say

_SAVE_REPORT = script("save_report", film=FILM_PLACE, heat=HEAT_PLACE, ratio=RATIO_PLACE)
# The browser blends film and map, so that changing the opacity asks the server for nothing.
_SET_OPACITY = "(share) => { document.documentElement.style.setProperty('--heat', share / 100); }"


def add_film_tab(serving: Serving, language: gr.Radio) -> Part:
    """Lay the tab out, inside a gr.Tab, and wire it."""
    shelf = examples(serving.now)
    first = DEFAULT_LOCALE
    reading = gr.State(None)
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
                    **_words_of_film(first),
                )
                read = gr.Button(say("read", first), variant="primary", elem_id="read")
            with gr.Column(elem_id="light-box", visible=False) as light_box:
                viewer = gr.HTML(elem_id="viewer")
                caption = gr.HTML(elem_id="caption")
                opacity = gr.Slider(
                    0, 100, OPACITY * 100, step=5, label=say("opacity", first), elem_id="opacity", buttons=[]
                )
                another = gr.Button(say("another", first), elem_id="another")
        with gr.Column(scale=5, min_width=300):
            result = gr.HTML(panels.result(None, first), elem_id="result")
            with gr.Column(visible=False, elem_id="beyond") as beyond:
                # Text, for a decimal comma is as good as a point, and an empty box means "not adjusted".
                prevalence = gr.Textbox(
                    "", label=say("my_prevalence", first), max_lines=1, elem_id="prevalence", buttons=[]
                )
                save = gr.Button(say("report", first), elem_id="save-report")
    gallery = _gallery(shelf)
    sheet = gr.Textbox(visible=False)

    def read_film(path: str | None, chosen: str, stated: str) -> list[Any]:
        return answer(serving.now, path, as_locale(chosen), stated)

    def read_example(chosen: str, stated: str, event: gr.SelectData) -> list[Any]:
        seen = answer(
            serving.now, str(shelf[event.index].file), as_locale(chosen), stated, shelf[event.index]
        )
        return [*seen, gr.Gallery(selected_index=None)]

    def answer(
        served: Served, path: str | None, locale: Locale, stated: str, example: Example | None = None
    ) -> list[Any]:
        with logged("page: example" if example else "page: film"):
            now, picture = _read(served, path, locale, example)
        accepted = now.answer.answered
        return [
            now,
            gr.Column(visible=False),
            gr.Column(visible=True),
            picture,
            panels.caption(now, locale),
            _result(now, locale, stated),
            gr.Slider(visible=accepted),
            gr.Column(visible=accepted),
            gr.Textbox(visible=now.decision.reference_prevalence is not None),
        ]

    def clear(chosen: str) -> list[Any]:
        nothing = panels.result(None, as_locale(chosen))
        return [
            None,
            gr.Column(visible=True),
            gr.Column(visible=False),
            "",
            "",
            nothing,
            gr.Column(visible=False),
            None,
        ]

    def make_report(now: Reading | None, chosen: str, stated: str, share: float) -> str:
        if now is None or not now.answer.answered:
            return ""
        return report(now, as_locale(chosen), _share(stated), share / 100)

    bench = [reading, intake, light_box, viewer, caption, result, opacity, beyond, prevalence]
    for listen in (film.upload, read.click):
        listen(
            read_film, [film, language, prevalence], bench, show_progress_on=result, **NETWORK, **HIDDEN
        ).failure(lambda: None, None, film, **HIDDEN)
    if gallery:
        gallery.select(
            read_example,
            [language, prevalence],
            [*bench, gallery],
            show_progress_on=result,
            **NETWORK,
            **HIDDEN,
        )
    another.click(
        clear, language, [reading, intake, light_box, viewer, caption, result, beyond, film], **HIDDEN
    )
    opacity.input(None, opacity, None, js=_SET_OPACITY, **HIDDEN)
    prevalence.change(
        lambda now, chosen, stated: _result(now, as_locale(chosen), stated),
        [reading, language, prevalence],
        result,
        show_progress="hidden",
        trigger_mode="always_last",
        **HIDDEN,
    )
    save.click(
        make_report, [reading, language, prevalence, opacity], sheet, show_progress="hidden", **HIDDEN
    ).then(None, sheet, None, js=_SAVE_REPORT, **HIDDEN)

    def again(served: Served, locale: Locale, now: Reading | None, stated: str) -> list[Any]:
        return [
            FilmBox(**_words_of_film(locale)),
            say("read", locale),
            gr.Slider(label=say("opacity", locale)),
            say("another", locale),
            panels.caption(now, locale) if now else "",
            _result(now, locale, stated),
            gr.Textbox(label=say("my_prevalence", locale)),
            say("report", locale),
            *([gr.Gallery(**_words_of_gallery(shelf, locale))] if shelf else []),
        ]

    spoken = [
        film,
        read,
        opacity,
        another,
        caption,
        result,
        prevalence,
        save,
        *([gallery] if gallery else []),
    ]
    return Part(spoken, [reading, prevalence], again)


def _share(stated: str) -> float | None:
    """A percentage as a share; None for what is no number above 0 and below 100."""
    try:
        share = float(stated.strip().rstrip("%").replace(",", ".")) / 100
    except ValueError:
        return None
    return share if 0 < share < 1 else None


def _result(now: Reading | None, locale: Locale, stated: str) -> str:
    share = _share(stated)
    wrong = now and now.answer.answered and stated.strip() and share is None
    words = say("error.prevalence", locale, received=stated.strip()[:20]) if wrong else ""
    return panels.result(now, locale, share, words)


def _words_of_film(locale: Locale) -> dict[str, Any]:
    return {"label": say("film", locale), "placeholder": say("drop", locale)}


def _gallery(shelf: Sequence[Example]) -> gr.Gallery | None:
    if not shelf:
        return None
    return gr.Gallery(
        **_words_of_gallery(shelf, DEFAULT_LOCALE),
        columns=4,
        height="auto",
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="gallery",
    )


def _words_of_gallery(shelf: Sequence[Example], locale: Locale) -> dict[str, Any]:
    phantoms = all(is_phantom(example.attribution) for example in shelf)
    return {
        "label": say("examples_phantoms" if phantoms else "examples", locale),
        "value": [
            (
                str(example.file),
                f"{say(f'decision.{example.truth}', locale)} · {attribution(example.attribution, locale)}",
            )
            for example in shelf
        ],
    }


def _read(
    served: Served, path: str | None, locale: Locale, example: Example | None = None
) -> tuple[Reading, str]:
    """The reading and its picture as HTML. Raises gr.Error with words for people."""
    try:
        if path is None:
            raise RequestError("no_file", "There is no file. Choose a radiograph.")
        image = decode_file(Path(path))
    except (ImageError, RequestError) as error:
        raise problem(error.code, locale) from error
    start = time.perf_counter()
    explanation, temperature = served.predictor.explain(image), served.predictor.decision.temperature
    seconds, answer = time.perf_counter() - start, explanation.answer
    heat = answer.answered and has_heat(explanation.evidence, temperature)
    picture = panels.viewer(layers(image, explanation.evidence, temperature), heat=answer.answered)
    return reading_of(served, answer, seconds, heat, example), picture
