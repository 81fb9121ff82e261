"""The tab that reads one film: intake, light box, reading, prevalence, report, and the gallery of examples."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from cxr.errors import ImageError
from cxr.imaging.decode import decode_file
from cxr.imaging.heat_map import OPACITY
from cxr.serving.slot import Served, Serving
from ui import panels
from ui.figures import has_heat, layers
from ui.film_box import FilmBox
from ui.limits import NETWORK
from ui.model import Example, examples
from ui.part import HIDDEN, Part
from ui.reading import Reading, reading_of
from ui.report import FILM_PLACE, HEAT_PLACE, RATIO_PLACE, report
from ui.text import DEFAULT_LANGUAGE, Language, as_language, attribution, is_phantom, say

_SET_OPACITY = "(share) => { document.documentElement.style.setProperty('--heat', share / 100); }"
# The browser holds the film and its heat map: it puts both into the report and saves it.
_SAVE_REPORT = f"""(sheet) => {{
  const [film, heat] = document.querySelectorAll('#viewer .film img');
  if (!sheet || !film || !heat) return;
  const ratio = film.naturalWidth / film.naturalHeight;
  const whole = sheet.replaceAll('{FILM_PLACE}', film.src).replaceAll('{HEAT_PLACE}', heat.src)
    .replaceAll('{RATIO_PLACE}', ratio);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([whole], {{type: 'text/html'}}));
  link.download = 'chest-x-ray-report.html';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}}"""


def add_film_tab(serving: Serving, language: gr.Radio) -> Part:
    """Lay the tab out, inside a gr.Tab, and wire it."""
    shelf = examples(serving.now)
    first = DEFAULT_LANGUAGE
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
        return shown(serving.now, path, as_language(chosen), stated)

    def read_example(chosen: str, stated: str, event: gr.SelectData) -> list[Any]:
        seen = shown(
            serving.now, str(shelf[event.index].file), as_language(chosen), stated, shelf[event.index]
        )
        return [*seen, gr.Gallery(selected_index=None)]

    def shown(
        served: Served, path: str | None, code: Language, stated: str, example: Example | None = None
    ) -> list[Any]:
        now, picture = _read(served, path, code, example)
        accepted = now.prediction.accepted
        return [
            now,
            gr.Column(visible=False),
            gr.Column(visible=True),
            picture,
            panels.caption(now, code),
            _result(now, code, stated),
            gr.Slider(visible=accepted),
            gr.Column(visible=accepted),
            gr.Textbox(visible=now.decision.reference_prevalence is not None),
        ]

    def clear(chosen: str) -> list[Any]:
        nothing = panels.result(None, as_language(chosen))
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
        if now is None or not now.prediction.accepted:
            return ""
        return report(now, as_language(chosen), _share(stated), share / 100)

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
        lambda now, chosen, stated: _result(now, as_language(chosen), stated),
        [reading, language, prevalence],
        result,
        show_progress="hidden",
        trigger_mode="always_last",
        **HIDDEN,
    )
    save.click(
        make_report, [reading, language, prevalence, opacity], sheet, show_progress="hidden", **HIDDEN
    ).then(None, sheet, None, js=_SAVE_REPORT, **HIDDEN)

    def again(served: Served, code: Language, now: Reading | None, stated: str) -> list[Any]:
        return [
            FilmBox(**_words_of_film(code)),
            say("read", code),
            gr.Slider(label=say("opacity", code)),
            say("another", code),
            panels.caption(now, code) if now else "",
            _result(now, code, stated),
            gr.Textbox(label=say("my_prevalence", code)),
            say("report", code),
            *([gr.Gallery(**_words_of_gallery(shelf, code))] if shelf else []),
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


def _result(now: Reading | None, language: Language, stated: str) -> str:
    share = _share(stated)
    shown = panels.result(now, language, share)
    if now is None or not now.prediction.accepted or not stated.strip() or share is not None:
        return shown
    words = say("error.prevalence", language, received=stated.strip()[:20])
    return f'{shown}<p class="told" role="alert">{html.escape(words)}</p>'


def _words_of_film(language: Language) -> dict[str, Any]:
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


def _read(
    served: Served, path: str | None, language: Language, example: Example | None = None
) -> tuple[Reading, str]:
    """The reading and its picture as HTML. Raises gr.Error with words for people."""
    if path is None:
        raise told("no_file", language)
    try:
        image = decode_file(Path(path))
    except ImageError as error:
        raise told(error.code, language, reason=str(error)) from error
    explanation, temperature = served.predictor.explain(image), served.predictor.decision.temperature
    prediction = explanation.prediction
    heat = prediction.accepted and has_heat(explanation.evidence, temperature)
    picture = panels.viewer(layers(image, explanation.evidence, temperature), heat=prediction.accepted)
    return reading_of(served, prediction, heat, example), picture


def told(code: str, language: Language, **values: str) -> gr.Error:
    """An error in words for people, with its stable code."""
    # The page shows the message as HTML, and of the title only that it is an error.
    words = say(f"error.{code}", language, **values)
    return gr.Error(html.escape(words), title=code, print_exception=False)
