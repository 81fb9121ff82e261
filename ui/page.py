"""The page: its head, its tabs, and the language that all of it speaks."""

from typing import Any

import gradio as gr

from cxr.serving.slot import Served, Serving
from ui import about
from ui.about_tab import add_about_tab
from ui.film_box import TAKE_ANY_FILE
from ui.film_tab import add_film_tab
from ui.many_tab import add_many_tab
from ui.own_data_tab import add_own_data_tab
from ui.part import HIDDEN, Part
from ui.text import DEFAULT_LANGUAGE, LANGUAGE_NAMES, Language, as_language, language_of, say

_TABS = {
    "film": add_film_tab,
    "many": add_many_tab,
    "own": add_own_data_tab,
    "about": add_about_tab,
}
# `spoken` says that the page has found its language, for whoever drives it.
_SET_PAGE_LANGUAGE = """(language) => {
  document.documentElement.lang = language;
  document.documentElement.dataset.spoken = language;
}"""


def add_page(app: gr.Blocks, serving: Serving) -> None:
    """Everything that a visitor sees, and what happens when they touch it."""
    with gr.Row(elem_id="top"):
        head = gr.HTML(about.head(serving.now, DEFAULT_LANGUAGE), elem_id="head")
        language = gr.Radio(
            [(name, code) for code, name in LANGUAGE_NAMES.items()],
            value=DEFAULT_LANGUAGE,
            label="Language / Idioma",
            elem_id="language",
            min_width=250,
            scale=0,
        )
    parts: list[Part] = []
    tabs: list[gr.Tab] = []
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
        for name, add_tab in _TABS.items():
            with gr.Tab(say(f"tab.{name}", DEFAULT_LANGUAGE), id=name) as tab:
                parts.append(add_tab(serving, language))
            tabs.append(tab)
    built_for = serving.now
    foot = gr.HTML(about.foot(DEFAULT_LANGUAGE), elem_id="foot")

    def say_all(served: Served, code: Language, kept: list[Any]) -> list[Any]:
        updates: list[Any] = [about.head(served, code), about.foot(code)]
        updates += [gr.Tab(label=say(f"tab.{name}", code)) for name in _TABS]
        for part in parts:
            mine, kept = kept[: len(part.kept)], kept[len(part.kept) :]
            updates += part.say(served, code, mine)
        return updates

    def speak(chosen: str, *kept: Any) -> list[Any]:
        return say_all(serving.now, as_language(chosen), list(kept))

    def greet(request: gr.Request, *kept: Any) -> list[Any]:
        asked = request.query_params.get("lang")
        code = as_language(asked) if asked else language_of(request.headers.get("accept-language", ""))
        if code == DEFAULT_LANGUAGE and serving.now is built_for:  # as the page already is
            return [code, *(gr.skip() for _ in spoken)]
        return [code, *say_all(serving.now, code, list(kept))]

    spoken = [head, foot, *tabs, *(component for part in parts for component in part.spoken)]
    kept = [component for part in parts for component in part.kept]
    language.change(None, language, None, js=_SET_PAGE_LANGUAGE, **HIDDEN)
    language.input(speak, [language, *kept], spoken, show_progress="hidden", **HIDDEN)
    app.load(None, None, None, js=TAKE_ANY_FILE, **HIDDEN)
    app.load(greet, kept, [language, *spoken], show_progress="hidden", **HIDDEN).then(
        None, language, None, js=_SET_PAGE_LANGUAGE, **HIDDEN
    )
