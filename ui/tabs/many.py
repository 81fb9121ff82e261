"""The tab that reads many films: files, a folder, or one .zip; each opens in the viewer."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from cxr.errors import RequestError
from cxr.log import logged
from cxr.model.answer import Answer
from cxr.serving.slot import Served, Serving
from ui.api.batch import Batch
from ui.api.limits import NETWORK
from ui.assets import script
from ui.html import about, many
from ui.html.render import render
from ui.tabs.album import REMEMBER_SECONDS, Album, AlbumTab, Item
from ui.tabs.part import HIDDEN, Part
from ui.tabs.problems import refused
from ui.tabs.read import decided, own_decision
from ui.words import DEFAULT_LOCALE, Locale, as_locale, say

_TELL_EVERY = 8
"""Films between two reports of progress."""


def add_many_tab(serving: Serving, language: gr.Radio, threshold: gr.State) -> AlbumTab:
    """Lay the tab out, inside a gr.Tab, and wire it. threshold: the visitor's own for this session, or None."""
    first = DEFAULT_LOCALE
    readings = gr.State(None, time_to_live=REMEMBER_SECONDS)
    album = gr.State(None, time_to_live=REMEMBER_SECONDS)
    intro = gr.HTML(_intro(first))
    with gr.Row(elem_id="many-drop"):
        upload = gr.UploadButton(
            say("many.choose", first), file_count="multiple", variant="primary", elem_id="many-files"
        )
        folder = gr.Button(say("many.folder", first), elem_id="many-folder")
        hint = gr.HTML(_hint(first), elem_id="many-hint")
    status = gr.HTML(elem_id="many-status")
    thumbs = gr.HTML(elem_id="many-thumbs")
    table = gr.HTML(elem_id="many-table", js_on_load=script("films_table"))

    def read(paths: list[str], chosen: str, own: float | None) -> Iterator[list[Any]]:
        locale, served = as_locale(chosen), serving.now
        decision = own_decision(served.predictor.decision, own) if own is not None else None
        rows: list[Answer] = []
        pictures = []
        try:
            with logged("page: many films"), Batch(paths) as batch:
                for answered in batch.rows(served.predictor, keep=many.thumbnail):
                    rows.append(decided(answered.answer, decision) if decision else answered.answer)
                    pictures.append(answered.kept)
                    if len(rows) % _TELL_EVERY == 1:
                        yield [None, None, many.progress(len(rows), len(batch), locale), "", ""]
                films = Album(tuple(Item(*reader) for reader in batch.readers()), "many")
        except RequestError as error:
            raise refused(error, locale) from error
        done = many.Readings(tuple(rows), own)
        yield [
            done,
            films,
            many.summary(done, locale),
            many.thumbnails(pictures),
            many.table(done, locale),
        ]

    def again(served: Served, locale: Locale, done: many.Readings | None) -> list[Any]:
        return [
            _intro(locale),
            gr.UploadButton(label=say("many.choose", locale)),
            say("many.folder", locale),
            _hint(locale),
            many.summary(done, locale) if done else "",
            many.table(done, locale) if done else "",
        ]

    upload.upload(
        read,
        [upload, language, threshold],
        [readings, album, status, thumbs, table],
        show_progress="hidden",
        **NETWORK,
        **HIDDEN,
    )
    return AlbumTab(Part([intro, upload, folder, hint, status, table], [readings], again), album, table)


def _intro(locale: Locale) -> str:
    return about.intro("many", locale, fine=say("privacy", locale))


def _hint(locale: Locale) -> str:
    return render("hint", locale, key="many.drop")
