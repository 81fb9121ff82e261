"""The tab that checks the model on a visitor's own labelled films. What it computes, `evaluation` computes."""

from pathlib import Path
from typing import Any

import gradio as gr

from cxr.errors import BundleError, DataError
from cxr.log import logged
from cxr.serving.slot import Served, Serving
from ui.api.limits import NETWORK
from ui.html import about, own_data
from ui.html.render import render
from ui.tabs.part import HIDDEN, Part, percent_slider, prevalence_slider
from ui.tabs.problems import problem
from ui.words import DEFAULT_LOCALE, Locale, as_locale, number, say

MOST_FILMS = 2000
"""Films that one check may hold here; `python -m evaluation` knows no limit."""
_TARGET = 95.0
_REMEMBER_SECONDS = 1800


def add_own_data_tab(serving: Serving, language: gr.Radio) -> Part:
    """Lay the tab out, inside a gr.Tab, and wire it."""
    first = DEFAULT_LOCALE
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
        return [_status("own.working", as_locale(chosen)), ""]

    def check(path: str, chosen: str, wish: float, share: float) -> list[Any]:
        # Here, because it brings scikit-learn with it: an app that only reads films should not load that.
        from evaluation.own_data import check_own_data

        locale, served = as_locale(chosen), serving.now
        try:
            with logged("page: own data"):
                found = check_own_data(served.predictor, Path(path), MOST_FILMS)
        except (DataError, BundleError) as error:
            raise problem("bad_data", locale, reason=str(error)) from error
        kept = own_data.remember(found)
        return [kept, _status("own.done", locale), own_data.result(kept, locale, wish / 100, share / 100)]

    def again(
        served: Served, locale: Locale, kept: own_data.Checked | None, wish: float, share: float
    ) -> list[Any]:
        return [
            _intro(locale),
            gr.Slider(label=say("own.target", locale)),
            gr.Slider(label=say("explorer.prevalence", locale)),
            gr.UploadButton(label=say("own.choose", locale)),
            _status("own.done", locale) if kept else "",
            own_data.result(kept, locale, wish / 100, share / 100) if kept else "",
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
                own_data.result(kept, as_locale(chosen), wish / 100, share / 100) if kept else ""
            ),
            [checked, language, target, prevalence],
            result,
            show_progress="hidden",
            trigger_mode="always_last",
            **HIDDEN,
        )
    return Part([intro, target, prevalence, upload, status, result], [checked, target, prevalence], again)


def _intro(locale: Locale) -> str:
    most = say("own.limit", locale, most=number(MOST_FILMS, locale))
    steps = ("own.step.1", "own.step.2", "own.step.3")
    return about.intro("own", locale, steps, fine=f"{most} {say('privacy', locale)}")


def _status(key: str, locale: Locale) -> str:
    return render("status", locale, key=key)
