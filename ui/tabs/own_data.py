"""The tab that checks the model on a visitor's own labelled films. What it computes, `evaluation` computes."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from cxr.errors import BundleError, DataError, ImageError
from cxr.imaging.decode import GrayImage
from cxr.log import logged
from cxr.model.predictions import ScoredFilm
from cxr.serving.slot import Served, Serving
from evaluation.predictions import worst_errors
from ui.api.limits import NETWORK
from ui.assets import script, style
from ui.html import about, own_data
from ui.html.render import render
from ui.tabs.album import REMEMBER_SECONDS, Album, AlbumTab, Item
from ui.tabs.part import HIDDEN, Part, percent_slider, prevalence_slider
from ui.tabs.problems import problem
from ui.words import DEFAULT_LOCALE, Locale, as_locale, brief_percent, number, reason_of, say

if TYPE_CHECKING:  # it brings scikit-learn with it
    from evaluation.own_data import OwnData

MOST_FILMS = 2000
"""Films that one check may hold here; `python -m evaluation` knows no limit."""
_MOST_ERRORS = 24
_TARGET = 95.0


def add_own_data_tab(serving: Serving, language: gr.Radio, threshold: gr.State) -> AlbumTab:
    """Lay the tab out, inside a gr.Tab, and wire it. threshold: the visitor's own for this session, or None."""
    first = DEFAULT_LOCALE
    checked = gr.State(None, time_to_live=REMEMBER_SECONDS)
    wrong = gr.State((), time_to_live=REMEMBER_SECONDS)
    album = gr.State(None, time_to_live=REMEMBER_SECONDS)
    intro = gr.HTML(_intro(first), elem_id="own-intro")
    with gr.Row(elem_id="own-controls"):
        target = percent_slider("own.target", "own-target", 50, 99.5, _TARGET, 0.5)
        prevalence = prevalence_slider("own-prevalence")
    upload = gr.UploadButton(
        say("own.choose", first), file_types=[".zip"], variant="primary", elem_id="own-zip"
    )
    status = gr.HTML(elem_id="own-status")
    with gr.Row(elem_id="own-use", visible=False) as choice:
        use = gr.Button(say("own.use", first), elem_id="own-use-threshold", size="sm")
        leave = gr.Button(say("own.leave", first), elem_id="own-leave-threshold", size="sm")
        using = gr.HTML(elem_id="own-using")
    home = script("take_home", style=style("style") + style("own_report"))
    result = gr.HTML(elem_id="own-result", js_on_load=home)
    errors = gr.HTML(elem_id="own-errors", js_on_load=script("films_table"))
    table = gr.HTML(elem_id="own-csv")

    def begin(chosen: str) -> list[Any]:
        return [_status("own.working", as_locale(chosen)), "", "", gr.Row(visible=False)]

    def check(path: str, chosen: str, wish: float, share: float) -> list[Any]:
        # Here, because it brings scikit-learn with it: an app that only reads films should not load that.
        from evaluation.own_data import check_own_data

        locale, served = as_locale(chosen), serving.now
        try:
            with logged("page: own data"):
                found = check_own_data(served.predictor, Path(path), MOST_FILMS)
                worst = worst_errors(found.rows, served.predictor.decision.threshold, _MOST_ERRORS)
                pictures = tuple(own_data.picture_of(found.film(row), row) for row in worst)
        except (DataError, BundleError) as error:
            raise problem("bad_data", locale, reason=reason_of(error).say(locale)) from error
        kept = own_data.remember(found)
        return [
            kept,
            pictures,
            Album(tuple(_item(found, Path(path), row) for row in worst), "own"),
            _status("own.done", locale),
            own_data.result(kept, locale, wish / 100, share / 100),
            own_data.errors(pictures, kept.n_errors, locale),
            own_data.csv_link(found.rows),
            gr.Row(visible=True),
        ]

    def again(
        served: Served,
        locale: Locale,
        kept: own_data.Checked | None,
        wish: float,
        share: float,
        pictures: tuple[own_data.Picture, ...],
        own: float | None,
    ) -> list[Any]:
        return [
            _intro(locale),
            gr.Slider(label=say("own.target", locale)),
            gr.Slider(label=say("explorer.prevalence", locale)),
            gr.UploadButton(label=say("own.choose", locale)),
            _status("own.done", locale) if kept else "",
            own_data.result(kept, locale, wish / 100, share / 100) if kept else "",
            own_data.errors(pictures, kept.n_errors, locale) if kept else "",
            say("own.use", locale),
            say("own.leave", locale),
            _using(own, locale),
        ]

    def take(kept: own_data.Checked | None, wish: float, chosen: str) -> list[Any]:
        own = kept.explorer.suggest(wish / 100).threshold if kept else None
        return [own, _using(own, as_locale(chosen))]

    quiet: dict[str, Any] = {"show_progress": "hidden", **HIDDEN}
    upload.upload(begin, language, [status, result, errors, choice], **quiet).then(
        check,
        [upload, language, target, prevalence],
        [checked, wrong, album, status, result, errors, table, choice],
        **NETWORK,
        **quiet,
    ).failure(lambda: ["", ""], None, [status, result], **quiet)
    for slider in (target, prevalence):
        slider.change(
            lambda kept, chosen, wish, share: (
                own_data.result(kept, as_locale(chosen), wish / 100, share / 100) if kept else ""
            ),
            [checked, language, target, prevalence],
            result,
            trigger_mode="always_last",
            **quiet,
        )
    use.click(take, [checked, target, language], [threshold, using], **quiet)
    leave.click(lambda: [None, ""], None, [threshold, using], **quiet)
    spoken = [intro, target, prevalence, upload, status, result, errors, use, leave, using]
    part = Part(spoken, [checked, target, prevalence, wrong, threshold], again)
    return AlbumTab(part, album, errors)


def _item(found: "OwnData", archive: Path, row: ScoredFilm) -> Item:
    return Item(row.answer.file.rpartition("/")[2], partial(_read, found, archive, row), row.answer.truth)


def _read(found: "OwnData", archive: Path, row: ScoredFilm) -> GrayImage:
    if not archive.is_file():  # though the .zip that is open could still be read
        raise FileNotFoundError(archive.name)
    try:
        return found.film(row)
    except DataError as error:
        raise ImageError("damaged_image", str(error)) from error


def _using(own: float | None, locale: Locale) -> str:
    if own is None:
        return ""
    return render("using", locale, threshold=brief_percent(own, locale))


def _intro(locale: Locale) -> str:
    most = say("own.limit", locale, most=number(MOST_FILMS, locale))
    steps = ("own.step.1", "own.step.2", "own.step.3")
    return about.intro("own", locale, steps, fine=f"{most} {say('privacy', locale)}")


def _status(key: str, locale: Locale) -> str:
    return render("status", locale, key=key)
