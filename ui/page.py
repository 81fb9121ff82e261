"""The page: its head, its tabs, and the language that all of it speaks."""

from typing import Any

import gradio as gr

from cxr.serving.slot import Served, Serving
from ui.api.limits import NETWORK
from ui.assets import script
from ui.html import about
from ui.tabs.about import add_about_tab
from ui.tabs.album import Album
from ui.tabs.film import FilmTab, add_film_tab
from ui.tabs.many import add_many_tab
from ui.tabs.own_data import add_own_data_tab
from ui.tabs.part import HIDDEN
from ui.words import (
    DEFAULT_LOCALE,
    LANGUAGE_NAMES,
    LANGUAGES,
    Locale,
    as_locale,
    language_of,
    locale_of,
    say,
)

_TABS = ("film", "many", "own", "about")
# The language that the visitor chose is kept in their browser, and nowhere else; a frame may forbid even that.
_REMEMBER_LANGUAGE = "(locale) => { try { localStorage.setItem('language', locale.slice(0, 2)); } catch { } }"
_RECALL_LANGUAGE = """(_, ...kept) => {
  try { return [localStorage.getItem('language') ?? '', ...kept]; } catch { return ['', ...kept]; }
}"""


def add_page(app: gr.Blocks, serving: Serving) -> None:
    """Everything that a visitor sees, and what happens when they touch it."""
    with gr.Row(elem_id="top"):
        head = gr.HTML(about.head(serving.now, DEFAULT_LOCALE), elem_id="head")
        language = gr.Radio(
            _choices(""),
            value=DEFAULT_LOCALE,
            label="Language / Idioma",
            elem_id="language",
            min_width=250,
            scale=0,
        )
    remembered = gr.Textbox(visible=False)
    threshold = gr.State(None)  # the visitor's own, for this session
    tabs: list[gr.Tab] = []
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as book:
        with _tab("film", tabs):
            film = add_film_tab(serving, language, threshold)
        with _tab("many", tabs):
            many = add_many_tab(serving, language, threshold)
        with _tab("own", tabs):
            own = add_own_data_tab(serving, language, threshold)
        with _tab("about", tabs):
            story = add_about_tab(serving, language)
    parts = [film.part, many.part, own.part, story]
    for shelf in (many, own):
        _open_from(shelf.table, shelf.album, film, book)
    film.back.click(lambda album: gr.Tabs(selected=album.tab), film.bench.album, book, **HIDDEN)
    built_for = serving.now
    foot = gr.HTML(about.foot(DEFAULT_LOCALE), elem_id="foot")

    def say_all(served: Served, locale: Locale, kept: list[Any]) -> list[Any]:
        updates: list[Any] = [about.head(served, locale), about.foot(locale)]
        updates += [gr.Tab(label=say(f"tab.{name}", locale)) for name in _TABS]
        for part in parts:
            mine, kept = kept[: len(part.kept)], kept[len(part.kept) :]
            updates += part.say(served, locale, mine)
        return updates

    def speak(chosen: str, *kept: Any) -> list[Any]:
        return say_all(serving.now, as_locale(chosen), list(kept))

    def greet(earlier: str, request: gr.Request, *kept: Any) -> list[Any]:
        accepted = request.headers.get("accept-language", "")
        locale = _first_locale(request.query_params.get("lang"), earlier, accepted)
        radio = gr.Radio(_choices(accepted), value=locale)
        if language_of(locale) == DEFAULT_LOCALE and serving.now is built_for:  # as the page already is
            return [radio, *(gr.skip() for _ in spoken)]
        return [radio, *say_all(serving.now, locale, list(kept))]

    spoken = [head, foot, *tabs, *(component for part in parts for component in part.spoken)]
    kept = [component for part in parts for component in part.kept]
    set_language = script("set_language", en=say("title", "en"), es=say("title", "es"))
    language.change(None, language, None, js=set_language, **HIDDEN)
    language.input(None, language, None, js=_REMEMBER_LANGUAGE, **HIDDEN)
    language.input(speak, [language, *kept], spoken, show_progress="hidden", **HIDDEN)
    for taking in ("take_any_file", "take_films"):
        app.load(None, None, None, js=script(taking), **HIDDEN)
    app.load(
        greet,
        [remembered, *kept],
        [language, *spoken],
        js=_RECALL_LANGUAGE,
        show_progress="hidden",
        **HIDDEN,
    ).then(None, language, None, js=set_language, **HIDDEN)


def _tab(name: str, tabs: list[gr.Tab]) -> gr.Tab:
    tabs.append(gr.Tab(say(f"tab.{name}", DEFAULT_LOCALE), id=name))
    return tabs[-1]


def _open_from(table: gr.HTML, album: gr.State, film: FilmTab, book: gr.Tabs) -> None:
    """Let a film of another tab open in the viewer, among those that are visible there, in their order."""

    def opened(films: Album, chosen: str, stated: str, own: float | None, event: gr.EventData) -> list[Any]:
        try:
            found = films.opened(event.index, event.order)
        except IndexError:  # another batch is being read meanwhile
            return [gr.skip()] * (1 + len(film.outputs))
        return [gr.Tabs(selected="film"), *film.reader.open_album(found, chosen, stated, own)]

    film.follow(table.select(opened, [album, *film.inputs], [book, *film.outputs], **NETWORK, **HIDDEN))


def _first_locale(asked: str | None, earlier: str, accepted: str) -> Locale:
    """What the address asks for, else the language chosen on an earlier visit, else what the browser prefers."""
    for wish in (asked, earlier):
        if wish and wish[:2] in LANGUAGES:
            locale = as_locale(wish)
            return locale if "-" in locale else locale_of(accepted, language_of(locale))
    return locale_of(accepted)


def _choices(accept_language: str) -> list[tuple[str, Locale]]:
    """Both languages, each as the visitor's region writes it."""
    return [(name, locale_of(accept_language, language)) for language, name in LANGUAGE_NAMES.items()]
