"""The tab that reads many films: several files, or one .zip."""

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
from ui.tabs.part import HIDDEN, Part
from ui.tabs.problems import problem
from ui.words import DEFAULT_LOCALE, Locale, as_locale, say

_REMEMBER_SECONDS = 1800
_TELL_EVERY = 8
"""Films between two reports of progress."""


def add_many_tab(serving: Serving, language: gr.Radio) -> Part:
    """Lay the tab out, inside a gr.Tab, and wire it."""
    first = DEFAULT_LOCALE
    readings = gr.State(None, time_to_live=_REMEMBER_SECONDS)
    intro = gr.HTML(_intro(first))
    upload = gr.UploadButton(
        say("many.choose", first), file_count="multiple", variant="primary", elem_id="many-files"
    )
    status = gr.HTML(elem_id="many-status")
    thumbs = gr.HTML(elem_id="many-thumbs")
    table = gr.HTML(elem_id="many-table", js_on_load=script("sort_table"))

    def read(paths: list[str], chosen: str) -> Iterator[list[Any]]:
        locale, served = as_locale(chosen), serving.now
        rows: list[Answer] = []
        pictures = []
        try:
            with logged("page: many films"), Batch(paths) as batch:
                for answered in batch.rows(served.predictor, keep=many.thumbnail):
                    rows.append(answered.answer)
                    pictures.append(answered.kept)
                    if len(rows) % _TELL_EVERY == 1:
                        yield [None, many.progress(len(rows), len(batch), locale), "", ""]
        except RequestError as error:
            raise problem(error.code, locale) from error
        done = many.Readings(tuple(rows))
        yield [done, many.summary(done, locale), many.thumbnails(pictures), many.table(done, locale)]

    def again(served: Served, locale: Locale, done: many.Readings | None) -> list[Any]:
        return [
            _intro(locale),
            gr.UploadButton(label=say("many.choose", locale)),
            many.summary(done, locale) if done else "",
            many.table(done, locale) if done else "",
        ]

    upload.upload(
        read,
        [upload, language],
        [readings, status, thumbs, table],
        show_progress="hidden",
        **NETWORK,
        **HIDDEN,
    )
    return Part([intro, upload, status, table], [readings], again)


def _intro(locale: Locale) -> str:
    return about.intro("many", locale, fine=say("privacy", locale))
