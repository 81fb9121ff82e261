"""The layout of the tab that reads one film: its components and their words."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from cxr.serving.slot import Served
from ui.api.film_box import FilmBox
from ui.api.limits import KEEP_SECONDS
from ui.api.served_model import Example
from ui.html import panels
from ui.html.reading import Reading
from ui.tabs.album import REMEMBER_SECONDS
from ui.tabs.part import Part
from ui.tabs.read import shown_result
from ui.words import DEFAULT_LOCALE, Locale, attribution, is_phantom, say


class Bench:
    """The components, laid out in the order of their creation.

    reading: the `Reading` that is shown. item: the film that is shown, with the key of its picture, so that it can be
    sent in full; kept no longer than an upload. album: what "next" and "previous" go through, None for a single film.
    """

    def __init__(self, shelf: Sequence[Example]) -> None:
        first = DEFAULT_LOCALE
        self.reading = gr.State(None)
        self.item = gr.State(None, time_to_live=KEEP_SECONDS)
        self.album = gr.State(None, time_to_live=REMEMBER_SECONDS)
        with gr.Row(visible=False, elem_id="neighbours") as self.neighbours:
            self.back = gr.Button(say("album.back", first), elem_id="back", size="sm", min_width=80)
            self.place = gr.HTML(elem_id="place")
            self.previous = gr.Button(
                say("album.previous", first), elem_id="previous-film", size="sm", min_width=80
            )
            self.following = gr.Button(say("album.next", first), elem_id="next-film", size="sm", min_width=80)
        with gr.Row(elem_id="bench"):
            with gr.Column(scale=7, min_width=300):
                with gr.Column(elem_id="intake") as self.intake:
                    self.film = FilmBox(
                        type="filepath",
                        image_mode=None,
                        sources=["upload", "clipboard"],
                        height=400,
                        buttons=[],
                        elem_id="film",
                        **words_of_film(first),
                    )
                    self.read = gr.Button(say("read", first), variant="primary", elem_id="read")
                with gr.Column(elem_id="light-box", visible=False) as self.light_box:
                    self.viewer = gr.HTML(elem_id="viewer")
                    self.caption = gr.HTML(elem_id="caption")
            with gr.Column(scale=5, min_width=300):
                self.result = gr.HTML(panels.result(None, first), elem_id="result")
                self.another = gr.Button(say("another", first), elem_id="another", visible=False)
                with gr.Column(visible=False, elem_id="beyond") as self.beyond:
                    # Text, for a decimal comma is as good as a point, and an empty box means "not adjusted".
                    self.prevalence = gr.Textbox(
                        "", label=say("my_prevalence", first), max_lines=1, elem_id="prevalence", buttons=[]
                    )
                    self.save = gr.Button(say("report", first), elem_id="save-report")
        self.gallery = _gallery(shelf)
        self.words = gr.HTML(panels.viewer_words(first), elem_id="viewer-words")
        self.sheet = gr.Textbox(visible=False)
        self.whole = gr.File(visible=False)
        self._shelf = shelf

    @property
    def filled(self) -> list[Any]:
        """What a reading fills."""
        return [
            *(self.reading, self.item, self.album, self.neighbours, self.place, self.intake, self.light_box),
            *(self.viewer, self.caption, self.result, self.another, self.beyond, self.prevalence),
        ]

    def part(self) -> Part:
        """What the language switch must know of the tab."""
        spoken = [
            *(self.back, self.previous, self.following, self.film, self.read, self.caption, self.result),
            *(self.another, self.prevalence, self.save, self.words),
            *([self.gallery] if self.gallery else []),
        ]

        def again(served: Served, locale: Locale, now: Reading | None, stated: str) -> list[Any]:
            return [
                *(say(f"album.{name}", locale) for name in ("back", "previous", "next")),
                FilmBox(**words_of_film(locale)),
                say("read", locale),
                panels.caption(now, locale) if now else "",
                shown_result(now, locale, stated),
                say("another", locale),
                gr.Textbox(label=say("my_prevalence", locale)),
                say("report", locale),
                panels.viewer_words(locale),
                *([gr.Gallery(**_words_of_gallery(self._shelf, locale))] if self.gallery else []),
            ]

        return Part(spoken, [self.reading, self.prevalence], again)


def words_of_film(locale: Locale) -> dict[str, Any]:
    """Label and placeholder of the box that takes a film."""
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
