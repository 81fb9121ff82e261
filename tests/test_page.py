"""The page's words and panels: the reading, the prevalence, refusals, the report, the table, and both languages."""

import asyncio
import base64
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import gradio as gr
import numpy as np
import pytest
from fake_model import FakePredictor, fake_predictor, made_up_figures, phantom_file
from markupsafe import escape
from PIL import Image

import app
from cxr import __version__
from cxr.imaging.decode import GrayImage, decode_file, from_array
from cxr.model.answer import Answer
from cxr.model.decision import shift_prevalence
from cxr.model.figures import FIGURES, Audit, Figure
from cxr.model.predictions import ScoredFilm
from cxr.model.predictor import Predictor
from cxr.serving.slot import Served, Serving
from cxr.types import Decision
from evaluation.operating_point import Explorer
from ui import words as text
from ui.api import layers
from ui.api.batch import Batch
from ui.api.served_model import Pointed, Pointing, examples, origin, pointing
from ui.html import about, many, own_data, panels, report
from ui.html.reading import Reading, reading_of, scale_of
from ui.tabs.about import scored
from ui.tabs.album import Album, Item
from ui.tabs.read import share_of, with_threshold

ROOT = Path(__file__).resolve().parents[1]
DECODING = ("colour", "transparency", "rotated_by_exif", "white_is_zero")
GATE = ("unlike_training", "low_resolution")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(fake_predictor(tmp_path_factory.mktemp("bundle")))


def reading(
    served: Served, label: Decision | None = "PNEUMONIA", notes: Sequence[str] = (), **changes: Any
) -> Reading:
    """A reading of a made-up film with a probability of 0.9; a label of None is a refusal."""
    answer = (
        Answer(decision=label, probability=0.9, scope="familiar", warnings=tuple(notes))
        if label
        else Answer(scope="refused", warnings=tuple(notes))
    )
    return replace(reading_of(served, answer, 0.01, True), **changes)


def escaped(key: str, locale: text.Locale) -> str:
    return str(escape(text.say(key, locale)))


def built(predictor: Predictor) -> gr.Blocks:
    """The app, built inside an event loop: where none runs, Gradio makes one and never closes it."""

    async def build() -> gr.Blocks:
        return app.build_app(Serving(Served(predictor)))

    return asyncio.run(build())


@pytest.mark.parametrize("language", text.LANGUAGES)
def test_every_decision_can_be_said(served: Served, language: text.Locale) -> None:
    for label in (*get_args(Decision), None):
        for truth in (None, "NORMAL", "PNEUMONIA"):
            shown = reading(served, label, (*DECODING, *GATE), truth=truth)
            assert text.say(f"decision.{label or 'REFUSED'}", language) in panels.result(shown, language)
            assert "map-caption" in panels.caption(shown, language)
    assert text.say("notice", language) in about.head(served, language)
    assert text.say("limits", language) in about.about(served, language)


# The reading


def test_the_scale_says_in_words_what_it_shows(served: Served) -> None:
    shown = panels.result(reading(served), "en")
    assert 'role="img"' in shown
    assert "90.0%" in shown
    assert "From 61% up" in shown
    assert "between 40% and 70% the result is uncertain" in shown
    assert "assumes that 50% of the radiographs" in shown
    assert "is uncertain. The probability assumes" in " ".join(shown.split()), "two sentences, apart"


@pytest.mark.parametrize("code", panels.REFUSALS)
def test_a_refusal_shows_its_reason_and_no_figure(served: Served, code: str) -> None:
    refused = reading(served, None, (code, "colour"))
    shown = panels.result(refused, "en", 0.05)
    assert escaped(f"warning.{code}", "en") in shown
    assert escaped("warning.colour", "en") in shown
    assert shown.count(escaped(f"warning.{code}", "en")) == 1
    for figure in ("90", "61", 'class="scale"', "prob"):
        assert figure not in shown.replace("no probability and no heat map", "")
    assert "heat" not in panels.caption(refused, "en").replace("no heat map", "")


def test_an_example_tells_whether_the_model_is_right(served: Served) -> None:
    said = {
        (label, truth): panels.result(reading(served, label, truth=truth), "en")
        for label in (*get_args(Decision), None)
        for truth in ("NORMAL", "PNEUMONIA")
    }
    assert "agrees" in said["NORMAL", "NORMAL"]
    assert "says PNEUMONIA: this is an error" in said["PNEUMONIA", "NORMAL"]
    assert "says NORMAL: this is an error" in said["NORMAL", "PNEUMONIA"]
    assert "makes no decision" in said["UNCERTAIN", "PNEUMONIA"]
    assert "rejects" in said[None, "NORMAL"]
    assert "truth" not in panels.result(reading(served), "en")


def test_a_reading_stays_with_the_model_that_gave_it(served: Served) -> None:
    shown = panels.result(reading(served), "en")
    assert "fake-model 0.0.1" in shown
    assert "0123456789ab" in shown
    cached = reading_of(
        replace(served, state="cached"),
        Answer(decision="NORMAL", probability=0.1, scope="familiar"),
        0.1,
        False,
    )
    assert "An earlier copy" in panels.result(cached, "en")
    assert "An earlier copy" in about.head(replace(served, state="cached"), "en")


# Prevalence


@pytest.mark.parametrize("stated", [0.001, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("probability", [0.0, 0.39, 0.41, 0.62, 0.999999])
def test_the_decision_is_the_same_at_every_prevalence(
    served: Served, stated: float, probability: float
) -> None:
    decision = served.predictor.decision
    at = scale_of(
        reading(served, answer=Answer(decision="NORMAL", probability=probability, scope="familiar")), stated
    )
    assert at.band is not None
    assert at.probability == pytest.approx(shift_prevalence(probability, 0.5, stated))
    assert (at.probability >= at.threshold) == (probability >= decision.threshold)
    assert (at.band[0] <= at.probability < at.band[1]) == (decision.decide(probability) == "UNCERTAIN")


def test_an_unfamiliar_image_is_shown_with_its_wider_band(served: Served) -> None:
    wide = served.predictor.decision.model_copy(update={"unfamiliar_band": (0.2, 0.95)})
    strange = Answer(decision="UNCERTAIN", probability=0.9, scope="unfamiliar", warnings=("unlike_training",))
    shown = panels.result(reading(served, answer=strange, decision=wide), "en")
    assert "between 20% and 95% the result is uncertain" in shown
    assert "between 40% and 70%" in panels.result(reading(served, decision=wide), "en")


def test_an_adjusted_figure_says_so_and_shows_the_models_own(served: Served) -> None:
    shown = panels.result(reading(served), "en", 0.05)
    assert "32.1%" in shown  # 9 : 1 at one half is 9/19 : 1 at one in twenty
    assert "Adjusted to a prevalence of 5%" in shown
    assert "At 50%, which the model assumes, it is 90.0%" in shown
    assert "the decision stays the same" in shown
    assert text.say("decision.PNEUMONIA", "en") in shown
    assert "assumes that" not in shown


def test_a_model_without_a_reference_prevalence_is_not_adjusted(served: Served) -> None:
    bare = reading(
        served, decision=served.predictor.decision.model_copy(update={"reference_prevalence": None})
    )
    assert panels.result(bare, "en", 0.05) == panels.result(bare, "en")


@pytest.mark.parametrize(
    ("typed", "share"),
    [
        ("5", 0.05),
        (" 2,5 % ", 0.025),  # as Spanish writes it
        ("99.9", 0.999),
        ("0", None),
        ("100", None),
        ("-3", None),
        ("nan", None),
        ("many", None),
        ("", None),
    ],
)
def test_what_is_typed_as_prevalence(typed: str, share: float | None) -> None:
    assert share_of(typed) == (share if share is None else pytest.approx(share))


# The report


@pytest.mark.parametrize("language", text.LANGUAGES)
def test_the_report_is_whole_and_names_no_file(served: Served, language: text.Locale) -> None:
    answer = Answer(decision="PNEUMONIA", probability=0.9, scope="familiar", warnings=("colour",))
    shown = replace(
        reading_of(served, answer, 0.01, True),
        truth="PNEUMONIA",
        source="synthetic phantom, not a radiograph",
    )
    sheet = report.report(shown, language, 0.05, datetime(2031, 2, 3, 4, 5, tzinfo=UTC))
    assert f'lang="{language}"' in sheet
    for words in ("report.title", "report.notice", "decision.PNEUMONIA", "warning.colour", "limits.3"):
        assert escaped(words, language) in sheet, words
    assert text.percent(shift_prevalence(0.9, 0.5, 0.05), language) in sheet
    assert "2031-02-03 04:05 UTC" in sheet
    assert "fake-model 0.0.1" in sheet
    assert f"--heat:{report.OPACITY_PLACE}" in sheet
    assert sheet.count(report.FILM_PLACE) == 2
    assert sheet.count(report.HEAT_PLACE) == 1
    assert escaped("report.example", language) in sheet
    assert "http" not in sheet, "a report asks nothing of the network"


# About the model


def test_a_model_trained_on_phantoms_says_so_in_plain_sight(tmp_path: Path) -> None:
    phantoms = Served(fake_predictor(tmp_path / "a"))
    children = Served(fake_predictor(tmp_path / "b", "chest_xray"))
    for language in text.LANGUAGES:
        warning = text.say("phantom_model", language)
        assert warning in about.head(phantoms, language)
        assert warning not in about.head(children, language)
    origins = [origin(phantoms.predictor.bundle), origin(children.predictor.bundle), origin(None)]
    assert origins == ["phantoms", "children", "unknown"]


def test_text_of_a_bundle_is_shown_as_text(tmp_path: Path) -> None:
    shown = about.about(Served(fake_predictor(tmp_path, data="<script>alert(1)</script>")), "en")
    assert "<script>" not in shown


def test_a_bare_model_has_no_gallery_no_explorer_and_no_prevalence(served: Served) -> None:
    fake = served.predictor
    bare = FakePredictor(fake.backend, fake.preprocess, fake.decision, fake.identity)
    assert examples(Served(bare)) == []
    assert scored(Served(bare)) is None
    assert text.say("measured.none", "en") in about.measured(Served(bare), "en")
    kinds = {type(block).__name__ for block in built(bare).blocks.values()}
    assert "Gallery" not in kinds
    shown = reading_of(Served(bare), bare.predict(from_array(np.full((64, 64), 90, np.uint8))), 0.01, False)
    assert text.say("probability_bare", "en") in panels.result(shown, "en")


def test_the_version_of_the_code_stands_beside_the_bundles_where_they_differ(served: Served) -> None:
    predictor = served.predictor
    assert text.say("code", "en") in about.about(served, "en") and __version__ in about.about(served, "en")
    same = FakePredictor(
        predictor.backend,
        predictor.preprocess,
        predictor.decision,
        replace(predictor.identity, version=__version__),
        predictor.bundle,
    )
    assert text.say("code", "en") not in about.about(Served(same), "en")


def test_the_figures_are_those_of_metrics_json(served: Served) -> None:
    shown = about.measured(served, "en")
    assert "0.961 <small>[0.941 - 0.981]</small>" in shown
    assert "234 normal" in shown
    assert all(text.say(f"figure.{name}", "en") in shown for name in FIGURES)
    assert "<td>-</td>" in shown, "a figure that the films leave undefined"
    assert "0,961" in about.measured(served, "es")


def test_the_explorer_says_what_a_threshold_does_to_a_thousand_children(served: Served) -> None:
    found = scored(served)
    assert found is not None
    explorer, rows = found
    point = explorer.at(0.5, 0.1)
    shown = about.explored(explorer, rows, point, "en")
    cells = point.per_thousand()
    assert f"100 are ill: {cells['caught']} are detected, {cells['missed']} are missed" in shown
    assert f"900 are not: {cells['cleared']} are classified as normal" in shown
    assert text.percent(point.sensitivity.value or 0, "en") in shown
    assert shown.count("<svg") == 2


def test_plots_are_shown_where_the_bundle_brings_them(tmp_path: Path) -> None:
    pulled = Served(fake_predictor(tmp_path))
    assert about.plot_files(pulled) == []
    (tmp_path / "plots").mkdir()
    phantom_file(tmp_path / "plots" / "roc.png")
    phantom_file(tmp_path / "plots" / "sample_grid.png")
    assert [path.name for path in about.plot_files(pulled)] == ["roc.png"], "the grid of films is not shown"
    assert 'alt="Curva ROC"' in about.plots(pulled, "es")


# Own data


def test_a_suggestion_from_few_films_warns(served: Served) -> None:
    found = scored(served)
    assert found is not None
    explorer, rows = found
    metrics = made_up_figures(n=80, n_normal=32, n_pneumonia=48, n_groups=40)
    skipped = own_data.Skipped("a<b>.png", text.Reason("data.other", {"message": "expected <that>"}))
    checked = own_data.Checked(explorer, rows, metrics, (skipped,))
    firm, few, one = (own_data.result(checked, "en", target, 0.2) for target in (0.6, 0.95, 0.99))
    assert "Too few images" not in firm
    assert "Too few images" in few
    assert "may miss only 2" in few
    assert "Do not rely on it" in one
    assert "a&lt;b&gt;.png: expected &lt;that&gt;" in firm
    for shown in (firm, few, one):
        assert "would have been between" in shown


@pytest.mark.parametrize(
    ("unfamiliar", "high", "normals", "words"),
    [
        (0.0, 0.99, 80, ""),
        (0.5, 0.99, 80, "Adapting it to them may help"),
        (0.0, 0.90, 80, "Adapting it to them may help"),
        (0.0, 0.90, 20, "With fewer than 50 images of each class"),
    ],
    ids=["as at home", "unlike training", "low AUC", "few films"],
)
def test_adapting_is_advised_where_it_may_be_worth_it(
    served: Served, unfamiliar: float, high: float, normals: int, words: str
) -> None:
    found = scored(served)
    assert found is not None
    explorer, rows = found
    strange = round(unfamiliar * len(rows))
    rows = [
        replace(row, answer=replace(row.answer, scope="unfamiliar" if number < strange else "familiar"))
        for number, row in enumerate(rows)
    ]
    figures = made_up_figures(n_normal=normals, n_pneumonia=80).model_copy(
        update={"roc_auc": Figure(value=high - 0.02, ci95=(high - 0.05, high))}
    )
    shown = own_data.result(own_data.Checked(explorer, rows, figures, ()), "en", 0.9, 0.2)
    assert ("python -m trainer adapt" in shown) == bool(words)
    assert words in shown


def test_what_is_remembered_of_own_data_names_no_file(served: Served) -> None:
    from evaluation.own_data import OwnData

    found = scored(served)
    assert found is not None
    kept = own_data.remember(OwnData(found[1], made_up_figures(), Explorer(found[1], 0), []))
    assert {(row.file, row.patient) for row in kept.rows} == {("", "")}


def test_films_of_which_there_are_few_or_all_right_have_wide_intervals_and_a_warning(served: Served) -> None:
    def film(number: int, label: str, probability: float) -> ScoredFilm:
        answer = Answer(f"{number}.png", f"p{number}", label, decision="NORMAL", probability=probability)
        return ScoredFilm(answer, probability)

    rows = [film(n, "NORMAL", 0.1 + n / 1000) for n in range(60)]
    rows += [film(60 + n, "PNEUMONIA", 0.9 + n / 1000) for n in range(60)]
    point = Explorer(rows).at(0.5, 0.2)
    for share in (point.sensitivity, point.specificity):
        assert share.value == 1
        assert share.ci95 == pytest.approx((0.940, 1), abs=0.0005), "60 of 60, by Wilson"
    assert point.ppv.ci95 is not None
    assert point.ppv.ci95[0] == pytest.approx(0.940 * 0.2 / (0.940 * 0.2 + 0.060 * 0.8), abs=0.002)
    assert point.npv.ci95 is not None
    assert point.npv.ci95[0] < 1
    of_ten = Explorer([replace(row, answer=replace(row.answer, patient=row.file[-5])) for row in rows])
    assert of_ten.at(0.5, 0.2).sensitivity.ci95 == pytest.approx((0.722, 1), abs=0.001), "of 10 patients"
    few = made_up_figures(n=120, n_normal=60, n_pneumonia=60, n_groups=120)
    checked = own_data.Checked(Explorer(rows), rows, few, ())
    assert "Fewer than 100 images of a class" in own_data.result(checked, "en", 0.95, 0.2)
    plenty = replace(checked, metrics=made_up_figures(n=200, n_normal=100, n_pneumonia=100, n_groups=200))
    assert "Fewer than 100" not in own_data.result(plenty, "en", 0.95, 0.2)


def test_an_own_threshold_decides_and_says_so_on_the_result(served: Served) -> None:
    shown = with_threshold(reading(served, "PNEUMONIA"), 0.95)
    assert shown.answer.decision == "NORMAL", "0.9 is below it"
    assert shown.decision.uncertain_band is None
    words = str(escape(text.say("threshold.own", "en", threshold="95%")))
    assert words in panels.result(shown, "en")
    assert words not in panels.result(reading(served, "PNEUMONIA"), "en")
    refused = with_threshold(reading(served, None, ("blank",)), 0.95)
    assert refused.answer.decision is None
    done = many.Readings((Answer("a.png", decision="NORMAL", probability=0.9, scope="familiar"),), 0.95)
    assert words in many.summary(done, "en")


# The map


@pytest.mark.parametrize(
    ("found", "convinces"),
    [
        (Pointed(100, 0.75, 0.09), True),
        (Pointed(100, 0.13, 0.09), False),  # by chance, as likely as not
        (Pointed(100, 0.30, 0.20), False),  # surely more, but not by far
        (Pointed(5, 0.20, 0.09), False),  # too few to say
    ],
)
def test_a_map_is_shown_unasked_only_where_it_beats_the_baseline_by_far(
    found: Pointed, convinces: bool
) -> None:
    assert Pointing(found).convinces is convinces


def test_the_page_tells_how_often_the_map_points_by_the_bundles_own_figures(tmp_path: Path) -> None:
    told = Served(fake_predictor(tmp_path))
    assert pointing(told) is None
    bundle = told.predictor.bundle
    assert bundle is not None
    written = json.loads((tmp_path / "metrics.json").read_text())

    def measured(hit_rate: float) -> Served:
        planted = {"n": 100, "hit_rate": hit_rate, "chance": 0.09, "hit_rate_of_mean_map": 0.2}
        shares = {
            whose: {"value": share, "ci95": None}
            for whose, share in {"model": 0.5, "mean_map": None, "chance": 0.1}.items()
        }
        maps = {"planted_in_normal_films": planted, "phantoms": planted, "randomised_weights": None}
        boxes = {"n": 40, "n_groups": 40, "peak": shares, "energy": shares}
        audit = Audit.model_validate({"baselines": {}, "views": {}, "maps": maps, "boxes": boxes})
        (tmp_path / "metrics.json").write_text(
            json.dumps({**written, "audit": audit.model_dump(mode="json")})
        )
        told.predictor.bundle = replace(bundle)  # read anew
        return told

    assert pointing(measured(0.75)) == Pointing(Pointed(100, 0.75, 0.2), Pointed(40, 0.5, 0.1))
    shown = panels.caption(reading(told), "en")
    assert "In 100 normal images" in shown
    assert "lay on it in 75%" in shown
    assert "in 20%" in shown
    assert "in the box in 50%" in shown
    assert "press H" not in shown
    assert "press H" in panels.caption(reading(measured(0.25)), "en")
    assert "where it looked" not in " ".join(text.WORDS["en"].values()).lower()


# Many films


def test_an_album_goes_in_the_order_in_which_it_is_seen() -> None:
    def none() -> GrayImage:
        raise FileNotFoundError

    album = Album(tuple(Item(name, none) for name in "abcd"), "many")
    opened = album.opened(2, [3, 2, 0])
    assert [opened.item.name, opened.turned(1).item.name, opened.turned(-1).item.name] == ["c", "a", "d"]
    assert opened.turned(1).turned(1) == opened.turned(1), "at its end it stays"
    with pytest.raises(IndexError):
        album.opened(1, [0, 2])


@pytest.mark.parametrize("bits", [8, 12])
def test_the_viewer_is_sent_every_pixel_in_its_own_depth(bits: int) -> None:
    pixels = (
        np.random.default_rng(1).integers(0, 2**bits, (90, 61)).astype(np.uint8 if bits == 8 else np.uint16)
    )
    film = from_array(pixels, bits=bits)
    sent = np.frombuffer(zlib.decompress(layers.whole_film(film)), np.uint8)
    deltas = (
        sent.astype(np.uint16) if bits == 8 else sent[: 90 * 61] + sent[90 * 61 :].astype(np.uint16) * 256
    )
    found = np.cumsum(deltas.reshape(90, 61), axis=1, dtype=np.uint16) & (255 if bits == 8 else 65535)
    assert np.array_equal(found, pixels)
    told = layers.layers(film, np.zeros((90, 61), np.float32))
    assert (told.width, told.height, told.bits) == (61, 90, bits)


def test_the_table_has_a_row_for_every_file(served: Served, tmp_path: Path) -> None:
    film = phantom_file(tmp_path / "<b>film.png")
    (tmp_path / "broken.png").write_text("plain words")
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(black)
    with Batch([film, tmp_path / "broken.png", black]) as batch:
        rows = tuple(row.answer for row in batch.rows(served.predictor))
    done = many.Readings(rows)
    shown = many.table(done, "es")
    assert "&lt;b&gt;film.png" in shown
    assert text.say("many.failed", "es") in shown
    assert escaped("error.not_an_image", "es") in shown
    assert text.say("warning.blank", "es") in shown
    assert rows[2].probability is None, "a refused film has no probability"
    assert "3 archivos: 1 clasificados, 1 rechazados, 1 ilegibles." in many.summary(done, "es")
    link = re.search(r"base64,([\w+/=]+)", many.summary(done, "en"))
    assert link
    assert base64.b64decode(link[1]).decode().count("\n") == 4


def test_thumbnails_are_one_picture(tmp_path: Path) -> None:
    film = many.thumbnail(decode_file(phantom_file(tmp_path / "film.png")))
    assert film.size == (many.SIDE, many.SIDE)
    style = many.thumbnails([film, None, film])
    assert style.count("url(data:image/jpeg") == 1
    assert ".thumb-0{" in style
    assert ".thumb-1{" not in style
    assert f".thumb-2{{background-position:-{2 * many.SIDE}px -0px}}" in style
