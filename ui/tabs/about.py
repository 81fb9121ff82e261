"""The tab about the model: what it learned from, its limits, its figures, and the operating-point explorer."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from cxr.errors import DataError
from cxr.model.predictions import PREDICTIONS_FILE, ScoredFilm, read_predictions
from cxr.serving.slot import Served, Serving
from evaluation.operating_point import Explorer
from ui.html import about
from ui.tabs.part import HIDDEN, PREVALENCE, Part, percent_slider, prevalence_slider
from ui.words import DEFAULT_LOCALE, Locale, as_locale, say


def add_about_tab(serving: Serving, language: gr.Radio) -> Part:
    """Lay the tab out, inside a gr.Tab, and wire it."""
    served, first = serving.now, DEFAULT_LOCALE
    opened = gr.State(False)
    story = gr.HTML(about.about(served, first), elem_id="about")
    with gr.Column(elem_id="explorer", visible=scored(served) is not None) as column:
        intro = gr.HTML(about.intro("explorer", first))
        with gr.Row():
            threshold = percent_slider(
                "explorer.threshold", "explorer-threshold", 0, 100, _percent(served), 0.1
            )
            prevalence = prevalence_slider("explorer-prevalence")
        back = gr.Button(say("explorer.back", first), size="sm", elem_id="explorer-back")
        explored = gr.HTML(_explored(served, first, _percent(served), PREVALENCE), elem_id="explored")
    figures = gr.HTML(about.measured(served, first), elem_id="measured")
    with gr.Accordion(
        say("plots", first), open=False, visible=bool(about.plot_files(served)), elem_id="plots"
    ) as drawer:
        plots = gr.HTML()

    def explore(chosen: str, at: float, share: float) -> str:
        return _explored(serving.now, as_locale(chosen), at, share)

    def open_plots(chosen: str) -> list[Any]:
        return [True, about.plots(serving.now, as_locale(chosen))]

    for slider in (threshold, prevalence):
        slider.change(
            explore,
            [language, threshold, prevalence],
            explored,
            show_progress="hidden",
            trigger_mode="always_last",
            **HIDDEN,
        )
    back.click(lambda: _percent(serving.now), None, threshold, show_progress="hidden", **HIDDEN)
    drawer.expand(open_plots, language, [opened, plots], show_progress="hidden", **HIDDEN)

    def again(served: Served, locale: Locale, at: float, share: float, seen: bool) -> list[Any]:
        return [
            about.about(served, locale),
            gr.Column(visible=scored(served) is not None),
            about.intro("explorer", locale),
            gr.Slider(label=say("explorer.threshold", locale)),
            gr.Slider(label=say("explorer.prevalence", locale)),
            say("explorer.back", locale),
            _explored(served, locale, at, share),
            about.measured(served, locale),
            gr.Accordion(label=say("plots", locale), visible=bool(about.plot_files(served))),
            about.plots(served, locale) if seen else "",
        ]

    spoken = [story, column, intro, threshold, prevalence, back, explored, figures, drawer, plots]
    return Part(spoken, [threshold, prevalence, opened], again)


def scored(served: Served) -> tuple[Explorer, list[ScoredFilm]] | None:
    """The bundle's held-out answers, resampled; None where it brings none that can be explored."""
    bundle = served.predictor.bundle
    return _scored(bundle.folder, bundle.model_sha256) if bundle else None


@lru_cache(maxsize=2)
def _scored(folder: Path, sha256: str) -> tuple[Explorer, list[ScoredFilm]] | None:
    # sha256: another model may come to lie in the same folder.
    if not (folder / PREDICTIONS_FILE).is_file():
        return None
    rows = read_predictions(folder / PREDICTIONS_FILE)
    try:
        return Explorer(rows), rows
    except DataError:  # films of one class: there is nothing to explore
        return None


def _percent(served: Served) -> float:
    return round(served.predictor.decision.threshold * 100, 1)


def _explored(served: Served, locale: Locale, at: float, share: float) -> str:
    known = scored(served)
    if known is None:
        return ""
    explorer, rows = known
    # The slider shows one decimal: where it stands at the model's own threshold, that very threshold is meant.
    own = served.predictor.decision.threshold
    threshold = own if abs(at - 100 * own) < 0.051 else at / 100
    return about.explored(explorer, rows, explorer.at(threshold, share / 100), locale)
