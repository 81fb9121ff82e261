"""The tab that reads one film: what happens when it is given one, or opens one that another tab has."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from cxr.errors import ImageError
from cxr.imaging.decode import decode_file
from cxr.log import logged
from cxr.serving.slot import Serving
from ui.api.layers import whole_film
from ui.api.limits import NETWORK
from ui.api.served_model import Example, examples
from ui.assets import script
from ui.html import panels
from ui.html.reading import Reading
from ui.html.report import FILM_PLACE, HEAT_PLACE, OPACITY_PLACE, RATIO_PLACE, report
from ui.tabs.album import Album, Item
from ui.tabs.bench import Bench
from ui.tabs.part import HIDDEN, Part
from ui.tabs.read import read_item, share_of, shown_result
from ui.words import Locale, as_locale

_SAVE_REPORT = script(
    "save_report", film=FILM_PLACE, heat=HEAT_PLACE, ratio=RATIO_PLACE, opacity=OPACITY_PLACE
)
_SHOW_READING = script("show_reading")
_SHOW_WHOLE = "(file) => { if (file) document.querySelector('#viewer film-viewer')?.load(file); }"
_QUIET: dict[str, Any] = {"show_progress": "hidden", **HIDDEN}


@dataclass(frozen=True)
class FilmTab:
    """The tab, for the page and for tabs that open films in it.

    album: the films to go through. outputs: what `open_album` of that album, of `inputs` and of a step (0: the film
    that is open in it) gives updates for. back: the button that leads to where they came from.
    """

    part: Part
    bench: Bench
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    reader: "_Reader"

    @property
    def back(self) -> gr.Button:
        """The button that leads to the tab that the album came from."""
        return self.bench.back

    def follow(self, event: Any) -> None:
        """What comes after a reading: it is in sight and has the focus; then the film comes in full."""
        event.success(None, None, None, js=_SHOW_READING, **_QUIET)
        sent = event.success(self.reader.whole, self.bench.item, self.bench.whole, **_QUIET)
        sent.success(None, self.bench.whole, None, js=_SHOW_WHOLE, **_QUIET)


class _Reader:
    """What the tab's events call."""

    def __init__(self, serving: Serving, bench: Bench, shelf: Sequence[Example]) -> None:
        self._serving, self._bench, self._shelf = serving, bench, shelf

    def upload(self, path: str | None, chosen: str, stated: str, own: float | None) -> list[Any]:
        item = Item("", partial(decode_file, Path(path))) if path else None
        return self._fill("page: film", item, as_locale(chosen), stated, own)

    def example(self, chosen: str, stated: str, own: float | None, event: gr.SelectData) -> list[Any]:
        example = self._shelf[event.index]
        item = Item("", partial(decode_file, example.file), example.truth, example.attribution)
        seen = self._fill("page: example", item, as_locale(chosen), stated, own)
        return [*seen, gr.Gallery(selected_index=None)]

    def open_album(
        self, album: Album, chosen: str, stated: str, own: float | None, step: int = 0
    ) -> list[Any]:
        """Updates of the tab for the album's open film, or for the one that is `step` further on."""
        if step and album.turned(step) == album:  # at its end
            return [gr.skip()] * len(self._bench.filled)
        album = album.turned(step)
        return self._fill("page: opened film", album.item, as_locale(chosen), stated, own, album)

    def _fill(
        self,
        endpoint: str,
        item: Item | None,
        locale: Locale,
        stated: str,
        own: float | None,
        album: Album | None = None,
    ) -> list[Any]:
        with logged(endpoint):
            now, picture, key = read_item(self._serving.now, item, locale, own)
        return [
            now,
            (item, key),
            album,
            gr.Row(visible=album is not None),
            panels.place(album.place, len(album.items), album.item.name, locale) if album else "",
            gr.Column(visible=False),
            gr.Column(visible=True),
            picture,
            panels.caption(now, locale),
            shown_result(now, locale, stated),
            gr.Button(visible=True),
            gr.Column(visible=now.answer.answered),
            gr.Textbox(visible=now.decision.reference_prevalence is not None),
        ]

    def clear(self, chosen: str) -> list[Any]:
        """The tab as it was before the first film; the box that takes films comes last."""
        return [
            *(None, None, None),
            gr.Row(visible=False),
            "",
            gr.Column(visible=True),
            gr.Column(visible=False),
            *("", "", panels.result(None, as_locale(chosen))),
            gr.Button(visible=False),
            gr.Column(visible=False),
            *(gr.skip(), None),
        ]

    def whole(self, shown: tuple[Item, str] | None) -> str | None:
        """The file of the film that is shown, in full depth and resolution, in Gradio's own folder."""
        if shown is None:
            return None
        item, key = shown
        try:
            film = item.read()
        except (ImageError, FileNotFoundError):  # deleted since it was read; its first picture stays
            return None
        # Into Gradio's own folder, where it is deleted with the uploads.
        return str(save_bytes_to_cache(whole_film(film), f"{key}.film", self._bench.whole.GRADIO_CACHE))


def add_film_tab(serving: Serving, language: gr.Radio, threshold: gr.State) -> FilmTab:
    """Lay the tab out, inside a gr.Tab, and wire it. threshold: the visitor's own for this session, or None."""
    shelf = examples(serving.now)
    bench = Bench(shelf)
    reader = _Reader(serving, bench, shelf)
    asked = [language, bench.prevalence, threshold]
    tab = FilmTab(bench.part(), bench, asked, bench.filled, reader)
    reading: dict[str, Any] = {"show_progress_on": bench.result, **NETWORK, **HIDDEN}
    reads = [
        listen(reader.upload, [bench.film, *asked], bench.filled, **reading)
        for listen in (bench.film.upload, bench.read.click)
    ]
    for event in reads:
        event.failure(lambda: None, None, bench.film, **HIDDEN)
    if bench.gallery:
        picked = bench.gallery.select(reader.example, asked, [*bench.filled, bench.gallery], **reading)
        # What was asked for last is shown: a slower answer, or error, to what was asked before comes no more.
        bench.gallery.select(None, None, None, cancels=list(reads), **HIDDEN)
        bench.film.upload(None, None, None, cancels=[picked], **HIDDEN)
        reads.append(picked)
    reads += [
        button.click(partial(reader.open_album, step=step), [bench.album, *asked], bench.filled, **reading)
        for button, step in ((bench.previous, -1), (bench.following, 1))
    ]
    for event in reads:
        tab.follow(event)
    bench.another.click(reader.clear, language, [*bench.filled, bench.film], **HIDDEN)
    bench.prevalence.change(
        lambda now, chosen, stated: shown_result(now, as_locale(chosen), stated),
        [bench.reading, language, bench.prevalence],
        bench.result,
        trigger_mode="always_last",
        **_QUIET,
    )
    bench.save.click(_report, [bench.reading, language, bench.prevalence], bench.sheet, **_QUIET).then(
        None, bench.sheet, None, js=_SAVE_REPORT, **HIDDEN
    )
    return tab


def _report(now: Reading | None, chosen: str, stated: str) -> str:
    if now is None or not now.answer.answered:
        return ""
    return report(now, as_locale(chosen), share_of(stated))
