"""The tab that checks the model on a visitor's own labelled films. What it computes, `evaluation` computes."""

import html
from pathlib import Path
from typing import Any

import gradio as gr

from cxr.errors import BundleError, DataError
from cxr.serving.slot import Served, Serving
from ui import own_data
from ui.film_tab import told
from ui.limits import NETWORK
from ui.part import HIDDEN, Part, percent_slider, prevalence_slider
from ui.text import DEFAULT_LANGUAGE, Language, as_language, number, say, say_html

MOST_FILMS = 2000
"""Films that one check may hold here; `python -m evaluation` knows no limit."""
_TARGET = 95.0
_REMEMBER_SECONDS = 1800


def add_own_data_tab(serving: Serving, language: gr.Radio) -> Part:
    """Lay the tab out, inside a gr.Tab, and wire it."""
    first = DEFAULT_LANGUAGE
    checked = gr.State(None, time_to_live=_REMEMBER_SECONDS)
    intro = gr.HTML(_intro(first), elem_id="own-intro")
    with gr.Row(elem_id="own-controls"):
        target = percent_slider("own.target", "own-target", 50, 99.5, _TARGET, 0.5)
        prevalence = prevalence_slider("own-prevalence")
    upload = gr.UploadButton(
        say("own.choose", first), file_types=[".zip"], variant="primary", elem_id="own-zip"
    )
    status = gr.HTML(elem_id="own-status")
    result = gr.HTML(elem_id="own-result")

    def begin(chosen: str) -> list[str]:
        return [_status("own.working", as_language(chosen)), ""]

    def check(path: str, chosen: str, wish: float, share: float) -> list[Any]:
        # Here, because it brings scikit-learn with it: an app that only reads films should not load that.
        from evaluation.own_data import check_own_data

        code, served = as_language(chosen), serving.now
        try:
            found = check_own_data(served.predictor, Path(path), MOST_FILMS)
        except (DataError, BundleError) as error:
            raise told("bad_data", code, reason=str(error)) from error
        kept = own_data.remember(found)
        return [kept, _status("own.done", code), own_data.shown(kept, code, wish / 100, share / 100)]

    def again(
        served: Served, code: Language, kept: own_data.Checked | None, wish: float, share: float
    ) -> list[Any]:
        return [
            _intro(code),
            gr.Slider(label=say("own.target", code)),
            gr.Slider(label=say("explorer.prevalence", code)),
            gr.UploadButton(label=say("own.choose", code)),
            _status("own.done", code) if kept else "",
            own_data.shown(kept, code, wish / 100, share / 100) if kept else "",
        ]

    upload.upload(begin, language, [status, result], show_progress="hidden", **HIDDEN).then(
        check,
        [upload, language, target, prevalence],
        [checked, status, result],
        show_progress="hidden",
        **NETWORK,
        **HIDDEN,
    ).failure(lambda: ["", ""], None, [status, result], show_progress="hidden", **HIDDEN)
    for slider in (target, prevalence):
        slider.change(
            lambda kept, chosen, wish, share: (
                own_data.shown(kept, as_language(chosen), wish / 100, share / 100) if kept else ""
            ),
            [checked, language, target, prevalence],
            result,
            show_progress="hidden",
            trigger_mode="always_last",
            **HIDDEN,
        )
    return Part([intro, target, prevalence, upload, status, result], [checked, target, prevalence], again)


def _intro(language: Language) -> str:
    steps = "".join(f"<li>{say_html(f'own.step.{row}', language)}</li>" for row in (1, 2, 3))
    most = html.escape(say("own.limit", language, most=number(MOST_FILMS, language)))
    return (
        f'<section class="about"><h2>{say_html("own", language)}</h2><p>{say_html("own.intro", language)}</p>'
        f'<ul>{steps}</ul><p class="fine">{most} {say_html("privacy", language)}</p></section>'
    )


def _status(key: str, language: Language) -> str:
    return f'<p class="status" role="status">{say_html(key, language)}</p>'
