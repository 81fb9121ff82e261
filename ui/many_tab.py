"""The tab that reads many films: several files, or one .zip."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from cxr.errors import RequestError
from cxr.serving.slot import Served, Serving
from ui import many
from ui.batch import Batch
from ui.film_tab import told
from ui.limits import NETWORK
from ui.part import HIDDEN, Part
from ui.text import DEFAULT_LANGUAGE, Language, as_language, say, say_html

_REMEMBER_SECONDS = 1800
_TELL_EVERY = 8
"""Films between two reports of progress."""


def add_many_tab(serving: Serving, language: gr.Radio) -> Part:
    """Lay the tab out, inside a gr.Tab, and wire it."""
    first = DEFAULT_LANGUAGE
    readings = gr.State(None, time_to_live=_REMEMBER_SECONDS)
    intro = gr.HTML(_intro(first))
    upload = gr.UploadButton(
        say("many.choose", first), file_count="multiple", variant="primary", elem_id="many-files"
    )
    status = gr.HTML(elem_id="many-status")
    thumbs = gr.HTML(elem_id="many-thumbs")
    table = gr.HTML(elem_id="many-table", js_on_load=many.SORT)

    def read(paths: list[str], chosen: str) -> Iterator[list[Any]]:
        code, served = as_language(chosen), serving.now
        rows: list[many.Row] = []
        pictures = []
        try:
            with Batch(paths) as batch:
                for found in batch.rows(served.predictor):
                    rows.append(many.row_of(found))
                    pictures.append(many.thumbnail(found.film) if found.film else None)
                    if len(rows) % _TELL_EVERY == 1:
                        yield [None, many.progress(len(rows), len(batch), code), "", ""]
        except RequestError as error:
            raise told(error.code, code) from error
        done = many.Readings(tuple(rows))
        yield [done, many.summary(done, code), many.thumbnails(pictures), many.table(done, code)]

    def again(served: Served, code: Language, done: many.Readings | None) -> list[Any]:
        return [
            _intro(code),
            gr.UploadButton(label=say("many.choose", code)),
            many.summary(done, code) if done else "",
            many.table(done, code) if done else "",
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


def _intro(language: Language) -> str:
    return (
        f'<section class="about"><h2>{say_html("many", language)}</h2>'
        f'<p>{say_html("many.intro", language)}</p><p class="fine">{say_html("privacy", language)}</p></section>'
    )
