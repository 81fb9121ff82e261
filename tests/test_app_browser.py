"""The page in a real browser: Chromium, driven by Playwright. Skips, and says so, where there is none."""

import base64
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import browser_kit
import numpy as np
import pytest
from browser_kit import DECISION, PHONE, PROBABILITY, expected
from dicom_files import dicom_bytes
from fake_model import phantom_file
from PIL import Image

from cxr.imaging.decode import decode_file
from cxr.model.answer import Answer
from cxr.model.decision import shift_prevalence
from cxr.model.predictions import read_predictions
from cxr.model.predictor import Predictor
from cxr.phantom import make_phantom
from cxr.serving.slot import Served
from evaluation.operating_point import Explorer
from ui.html.reading import reading_of
from ui.html.report import FILM_PLACE, HEAT_PLACE, OPACITY_PLACE, RATIO_PLACE, report
from ui.words import WORDS, percent, say

pytest_plugins = ("browser_kit",)
pytestmark = browser_kit.needs_chromium


def test_a_film_is_read_as_soon_as_it_is_there(visit: Any, predictor: Predictor, tmp_path: Path) -> None:
    film = phantom_file(tmp_path / "film.png", seed=11)
    seen = visit()
    seen.says(".notice", say("notice", "en"))
    seen.read(film)
    decision, probability = expected(predictor, film)
    seen.says(DECISION, decision)
    seen.says(PROBABILITY, probability)
    scale = seen.page.get_by_role("img", name=re.compile("Probability of pneumonia"))
    assert probability in scale.get_attribute("aria-label")
    assert seen.page.get_by_role("img", name=re.compile("It shows what influenced this network")).count() == 1


def test_a_16_bit_tiff_is_read_and_shown(visit: Any, predictor: Predictor, tmp_path: Path) -> None:
    film = tmp_path / "deep.tiff"
    pixels = np.asarray(Image.open(phantom_file(tmp_path / "film.png", seed=11)))
    Image.fromarray(pixels.astype(np.uint16) * 257).save(film)
    seen = visit()
    seen.read(film)
    seen.says(PROBABILITY, expected(predictor, film)[1])
    seen.page.wait_for_selector("film-viewer canvas[data-source='224x224x16']")


def test_an_example_is_read_with_a_click_and_tells_its_label(
    visit: Any, folder: Path, predictor: Predictor
) -> None:
    seen = visit()
    example = folder / "examples" / "phantom-1.png"
    assert "synthetic image" in seen.page.locator("#gallery .caption-label").nth(1).inner_text()
    seen.page.locator("#gallery button.thumbnail-item").nth(1).click()
    seen.says(PROBABILITY, expected(predictor, example)[1])
    label = predictor.predict(decode_file(example)).decision
    kind = {"PNEUMONIA": "right", "UNCERTAIN": "uncertain"}.get(str(label), "wrong")
    told = say(f"truth.{kind}", "en", truth="PNEUMONIA", decision=say(f"decision.{label}", "en"))
    seen.says(".truth", told)
    seen.says(".facts dd >> nth=0", "synthetic image")
    seen.page.locator("#gallery button.thumbnail-item").nth(2).click()
    seen.says(PROBABILITY, expected(predictor, folder / "examples" / "phantom-2.png")[1])


def test_another_film_can_follow(visit: Any, predictor: Predictor, tmp_path: Path) -> None:
    seen = visit()
    seen.read(phantom_file(tmp_path / "first.png", seed=3))
    seen.page.get_by_role("button", name=say("another", "en")).click()
    seen.says(DECISION, say("nothing_read", "en"))
    second = phantom_file(tmp_path / "second.png", seed=4)
    seen.read(second)
    seen.says(PROBABILITY, expected(predictor, second)[1])


def test_an_unreadable_file_is_told_in_one_line_and_another_can_follow(visit: Any, tmp_path: Path) -> None:
    broken = tmp_path / "notes.png"
    broken.write_text("plain words, not pixels")
    seen = visit()
    seen.page.set_input_files("#film input[type=file]", broken)
    toast = seen.page.get_by_test_id("toast-body")
    toast.wait_for()
    assert say("error.not_an_image", "en") in toast.inner_text()
    assert "/tmp" not in seen.page.locator("body").inner_text()
    seen.page.get_by_text("Drop a radiograph here").wait_for()  # the box has been cleared
    seen.read(phantom_file(tmp_path / "film.png"))


def test_the_button_without_a_film_says_what_to_do(visit: Any) -> None:
    seen = visit(locale="es-ES")
    seen.page.get_by_role("button", name=say("read", "es")).click()
    seen.page.get_by_text(say("error.no_file", "es")).first.wait_for()


def test_the_language_follows_the_browser_the_address_and_the_switch(visit: Any, tmp_path: Path) -> None:
    visit(query="?lang=es").says(".head h1", say("title", "es"))
    seen = visit(locale="es-MX")
    seen.says(".head h1", say("title", "es"))
    assert seen.page.evaluate("document.documentElement.lang") == "es-MX"
    seen.read(phantom_file(tmp_path / "film.png", seed=11))
    seen.says(DECISION, say("decision.PNEUMONIA", "es"))
    seen.page.get_by_label("English").check()
    seen.says(DECISION, say("decision.PNEUMONIA", "en"))  # the reading stays, in the other language
    for key, selector in {"title": ".head h1", "notice": ".notice"}.items():
        seen.says(selector, say(key, "en"))
    seen.says("#tabs [role=tab] >> nth=3", say("tab.about", "en"))
    for key in ("another", "read"):
        assert say(key, "es") not in seen.page.locator("body").inner_text()
    assert seen.page.evaluate("document.documentElement.lang") == "en"


def test_a_refused_image_shows_no_figure_and_no_heat_map(visit: Any, tmp_path: Path) -> None:
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros((80, 80), np.uint8)).save(black)
    seen = visit()
    seen.read(black)
    seen.says(DECISION, say("decision.REFUSED", "en"))
    assert say("warning.blank", "en") in seen.page.locator("#result").inner_text()
    seen.says("#map-caption", say("map.refused", "en"))
    for hidden in (".scale", ".probability", "film-viewer img.heat", "#prevalence", "#save-report"):
        assert seen.page.locator(hidden).count() == 0, hidden
    for hidden in ("[data-do=map]", "[data-set=opacity]", "select"):
        assert not seen.page.locator(f"film-viewer {hidden}").is_visible(), hidden


def test_a_prevalence_moves_the_figure_and_not_the_decision(
    visit: Any, predictor: Predictor, tmp_path: Path
) -> None:
    film = phantom_file(tmp_path / "film.png", seed=11)
    seen = visit()
    seen.read(film)
    found = predictor.predict(decode_file(film))
    seen.says(PROBABILITY, percent(found.probability, "en"))
    box = seen.page.locator("#prevalence :is(input, textarea)")
    box.fill("2.5")
    seen.says(PROBABILITY, percent(shift_prevalence(found.probability, 0.5, 0.025), "en"))
    assert "Adjusted to a prevalence of 2.5%" in seen.page.locator(".adjusted").inner_text()
    seen.says(DECISION, say(f"decision.{found.decision}", "en"))
    box.fill("many")
    seen.page.locator(".told").get_by_text("many is not a number").wait_for()
    seen.says(PROBABILITY, percent(found.probability, "en"))


def test_the_report_is_one_page_and_whole(visit: Any, browser: Any, tmp_path: Path) -> None:
    wide = tmp_path / "private-name.png"
    Image.open(phantom_file(tmp_path / "film.png", seed=11)).resize((700, 500)).save(wide)
    seen = visit(locale="es-ES")
    seen.read(wide)
    seen.page.locator("#prevalence :is(input, textarea)").fill("5")
    seen.page.locator(".adjusted").wait_for()
    with seen.page.expect_download() as download:
        seen.page.get_by_role("button", name=say("report", "es")).click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.suffix == ".html"
    content = saved.read_text(encoding="utf-8")
    assert "private-name" not in content
    sheet = browser.new_page()
    asked: list[str] = []
    sheet.on("request", lambda request: asked.append(request.url))
    sheet.goto(saved.as_uri())
    assert say("decision.PNEUMONIA", "es") in sheet.locator("body").inner_text()
    assert say("report.notice", "es") in sheet.locator("body").inner_text()
    assert sheet.eval_on_selector_all("img", "all => all.map(image => image.naturalWidth > 0)") == [True] * 3
    film, heat = (sheet.locator(where).last.bounding_box() for where in (".film img:first-child", ".heat"))
    assert film == pytest.approx(heat, abs=0.5), "the heat map lies on the film"
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    pages = re.findall(rb"/Type\s*/Page\b", sheet.pdf(format="A4", prefer_css_page_size=True))
    sheet.close()
    assert len(pages) == 1


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_report_with_every_warning_is_one_page_too(
    browser: Any, predictor: Predictor, tmp_path: Path, language: Any
) -> None:
    notes = (
        "transparency",
        "colour",
        "rotated_by_exif",
        "white_is_zero",
        "unlike_training",
        "low_resolution",
    )
    answer = Answer(decision="UNCERTAIN", probability=0.6, scope="unfamiliar", warnings=notes)
    shown = replace(
        reading_of(Served(predictor, "cached"), answer, 0.01, heat=True),
        truth="NORMAL",
        source="held-out film of chest_xray",
        own_threshold=True,
    )
    square = phantom_file(tmp_path / "film.png").as_uri()
    sheet = report(shown, language, 0.05)
    for place, value in (
        (FILM_PLACE, square),
        (HEAT_PLACE, square),
        (RATIO_PLACE, "1"),
        (OPACITY_PLACE, "0.6"),
    ):
        sheet = sheet.replace(place, value)
    (tmp_path / "report.html").write_text(sheet, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    printed = page.pdf(format="A4", prefer_css_page_size=True)
    page.close()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1


def test_many_films_become_a_table_that_sorts(visit: Any, predictor: Predictor, tmp_path: Path) -> None:
    films = [phantom_file(tmp_path / f"film-{seed}.png", seed, "bacterial") for seed in range(4)]
    broken = tmp_path / "broken.png"
    broken.write_text("plain words, not pixels")
    seen = visit()
    seen.tab(1)
    seen.give("#many-files", [*films[:2], broken, *films[2:]])
    seen.says("#many-status .status", "5 files: 4 classified, 0 rejected, 1 unreadable.")
    rows = seen.page.locator("table.many tbody tr")
    assert rows.count() == 5
    assert say("error.not_an_image", "en") in rows.nth(2).inner_text()
    for order in ("ascending", "descending"):
        seen.page.get_by_role("button", name=say("many.probability", "en")).press("Enter")
        assert seen.page.locator("th[aria-sort]").get_attribute("aria-sort") == order
        keys = seen.page.eval_on_selector_all(
            "table.many tbody tr", "all => all.map(r => r.cells[3].dataset.key)"
        )
        assert keys[-1] == "", "a file without a figure stays last"
        figures = [float(key) for key in keys[:-1]]
        assert figures == sorted(figures, reverse=order == "descending")
    expected_figures = sorted(predictor.predict(decode_file(film)).probability for film in films)
    assert sorted(figures) == pytest.approx(expected_figures, abs=1e-6)
    picture = "getComputedStyle(document.querySelector('.thumb-0')).backgroundImage"
    assert seen.page.evaluate(picture).startswith('url("data:image/jpeg')
    with seen.page.expect_download() as download:
        seen.page.get_by_text(say("many.csv", "en")).click()
    table = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in table] == [
        "file",
        "film-0.png",
        "film-1.png",
        "broken.png",
        "film-2.png",
        "film-3.png",
    ]
    seen.page.get_by_label("Español").check()  # the table stays, in the other language
    seen.says("#many-status .status", "5 archivos: 4 clasificados, 0 rechazados, 1 ilegibles.")
    assert seen.page.evaluate(picture).startswith('url("data:image/jpeg')


def labelled_zip(path: Path, films: int = 16) -> Path:
    """Phantoms in class folders, and one file that cannot be read."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("NORMAL/mala.png", "plain words")
        for seed in range(films):
            subtype = ("normal", "bacterial")[seed % 2]
            film = phantom_file(path.with_name(f"{seed}.png"), seed, subtype)
            archive.write(film, f"{'NORMAL' if subtype == 'normal' else 'PNEUMONIA'}/{seed}.png")
    return path


def test_own_data_gives_figures_curves_and_a_threshold(visit: Any, tmp_path: Path) -> None:
    seen = visit()
    seen.tab(2)
    seen.give("#own-zip", [labelled_zip(tmp_path / "own.zip")])
    seen.says("#own-result h2", "16 images: 8 normal, 8 pneumonia, from 16 patients")
    result = seen.page.locator("#own-result")
    assert "mala.png" in result.inner_text()
    assert result.locator("svg.chart").count() == 2
    assert result.locator(".figures tbody tr").count() == 11
    suggestion = result.locator(".suggestion")
    assert "at least 95% of your pneumonia images" in suggestion.inner_text()
    assert "Do not rely on it" in suggestion.inner_text()
    slider = seen.page.locator("#own-target input[type=range]")
    slider.focus()
    slider.press("ArrowLeft")
    suggestion.get_by_text("at least 94.5% of your pneumonia images").wait_for()


def test_own_data_of_one_class_is_refused_in_words(visit: Any, tmp_path: Path) -> None:
    archive = tmp_path / "own.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(phantom_file(tmp_path / "film.png"), "NORMAL/film.png")
    seen = visit()
    seen.tab(2)
    seen.give("#own-zip", [archive])
    toast = seen.page.get_by_test_id("toast-body")
    toast.wait_for()
    assert (
        "Both classes are needed, but the archive holds 1 NORMAL and 0 PNEUMONIA films." in toast.inner_text()
    )
    assert "/tmp" not in toast.inner_text()


def test_the_explorer_moves_with_the_threshold_and_the_prevalence(visit: Any, folder: Path) -> None:
    rows = read_predictions(folder / "predictions.csv")
    explorer = Explorer(rows)
    seen = visit()
    seen.tab(3)
    tile = "#explored .tiles dd >> nth={}"

    def shows(threshold: float, prevalence: float) -> None:
        point = explorer.at(threshold, prevalence)
        for place, share in enumerate((point.sensitivity, point.specificity, point.ppv, point.npv)):
            assert share.ci95 is not None
            low, high = (percent(edge, "en") for edge in share.ci95)
            seen.says(
                tile.format(place), f"{percent(share.value, 'en')}{say('interval', 'en', low=low, high=high)}"
            )

    shows(0.61, 0.2)
    slider = seen.page.locator("#explorer-threshold input[type=range]")
    slider.focus()
    for _ in range(10):
        slider.press("ArrowRight")
    shows(0.62, 0.2)
    seen.page.locator("#explorer-prevalence input[type=number]").fill("3")
    seen.page.locator("#explorer-prevalence input[type=number]").press("Enter")
    shows(0.62, 0.03)
    seen.page.get_by_role("button", name=say("explorer.back", "en")).click()
    shows(0.61, 0.03)


def test_in_spanish_no_english_is_left(visit: Any, tmp_path: Path) -> None:
    seen = visit(locale="es-ES")
    said: list[str] = []

    def listen() -> None:
        without = "all => all.forEach(e => e.remove())"  # reasons in English say that they are
        seen.page.eval_on_selector_all("[lang=en]:not(html)", without)
        said.append(seen.page.locator("body").inner_text())

    listen()
    film = phantom_file(tmp_path / "uno.png", seed=11)
    seen.read(film)
    seen.page.locator("#prevalence :is(input, textarea)").fill("5")
    seen.page.locator(".adjusted").wait_for()
    listen()
    seen.tab(1)
    listen()
    (tmp_path / "dos.png").write_text("nada")
    seen.give("#many-files", [film, tmp_path / "dos.png"])
    seen.page.locator("table.many").wait_for()
    listen()
    seen.tab(2)
    listen()
    seen.give("#own-zip", [labelled_zip(tmp_path / "own.zip")])
    seen.page.locator(".suggestion").wait_for()
    listen()
    seen.tab(3)
    seen.page.locator("#explored svg").first.wait_for()
    listen()
    words = "\n".join(said)
    for name in (
        "las carpetas NORMAL y PNEUMONIA",
        "films.csv",
        "las columnas file y label",
    ):  # as they are called
        words = words.replace(name, "")
    assert len(words) > 5000
    english = re.findall(
        r"(?i)\b(?:the|and|of|with|from|this|film|films|files?|threshold|is|drop|click|upload|use|settings|"
        r"value|figure|probability|normal films|share|ill|missed|error|processing|queue)\b",
        words,
    )
    assert sorted(set(english) - {"error", "Error"}) == []
    for key, english_words in WORDS["en"].items():
        for part in re.split(r"\{\w+\}", english_words):
            if len(part.strip()) > 7 and part.strip() not in WORDS["es"][key]:
                assert part.strip() not in words, key


CONTRAST = """() => {
  const parse = (text) => {
    const n = text.match(/[\\d.]+(?:e-?\\d+)?/g).map(Number);
    const scale = text.startsWith('color') ? 255 : 1;
    return [n[0] * scale, n[1] * scale, n[2] * scale, n[3] ?? 1];
  };
  const light = (c) => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const under = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const c = parse(getComputedStyle(at).backgroundColor);
      if (c[3] === 1) return c;
    }
    return [255, 255, 255, 1];
  };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (e.closest('.sr-only')) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(e instanceof SVGElement ? style.fill : style.color)), light(under(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const what = `${e.tagName} ${e.className?.baseVal ?? e.className} ${e.textContent.trim().slice(0, 40)}`;
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${what}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_have_contrast_in_light_and_dark(visit: Any, tmp_path: Path, scheme: str) -> None:
    seen = visit(color_scheme=scheme)
    assert seen.page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
    poor = seen.page.evaluate(CONTRAST)
    seen.read(phantom_file(tmp_path / "film.png", seed=11))
    seen.page.locator("#prevalence :is(input, textarea)").fill("5")
    seen.page.locator(".adjusted").wait_for()
    poor += seen.page.evaluate(CONTRAST)
    seen.tab(1)
    seen.give("#many-files", [tmp_path / "film.png"])
    seen.page.locator("table.many").wait_for()
    poor += seen.page.evaluate(CONTRAST)
    seen.tab(2)
    seen.give("#own-zip", [labelled_zip(tmp_path / "own.zip", 6)])
    seen.page.locator(".suggestion").wait_for()
    poor += seen.page.evaluate(CONTRAST)
    seen.tab(3)
    seen.page.locator("#explored svg").first.wait_for()
    poor += seen.page.evaluate(CONTRAST)
    assert sorted(set(poor)) == []


@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
def test_a_phone_needs_no_horizontal_scroll(visit: Any, tmp_path: Path, locale: str) -> None:
    seen = visit(viewport=PHONE, locale=locale)
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    assert seen.page.evaluate(overflow) <= 0
    seen.read(phantom_file(tmp_path / "film.png"))
    assert seen.page.evaluate(overflow) <= 0
    decision, film = (seen.page.locator(where).bounding_box() for where in (DECISION, "film-viewer .stage"))
    assert film["y"] < decision["y"], "on a phone the decision stands below the film"
    seen.tab(1)
    broken = tmp_path / "a-rather-long-name-of-a-file-that-is-no-radiograph-at-all.png"
    broken.write_text("plain words")
    seen.give("#many-files", [tmp_path / "film.png", broken])
    seen.page.locator("table.many").wait_for()
    assert seen.page.evaluate(overflow) <= 0
    seen.tab(2)
    seen.give("#own-zip", [labelled_zip(tmp_path / "own.zip", 6)])
    seen.page.locator(".suggestion").wait_for()
    assert seen.page.evaluate(overflow) <= 0
    seen.tab(3)
    seen.page.locator("#explored svg").first.wait_for()
    assert seen.page.evaluate(overflow) <= 0


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(visit: Any, tmp_path: Path) -> None:
    seen = visit()
    seen.read(phantom_file(tmp_path / "film.png"))
    reached = set()
    name_of = """() => {
      let e = document.activeElement;
      while (e.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
      return e.ariaLabel || e.innerText || e.labels?.[0]?.innerText || '';
    }"""
    for _ in range(45):
        seen.page.keyboard.press("Tab")
        reached.add(seen.page.evaluate(name_of).strip())
    wanted = (
        "English",
        "Español",
        say("tab.film", "en"),
        say("another", "en"),
        say("report", "en"),
        "Thumbnail 1 of 4",
        *(say(f"viewer.{name}", "en") for name in ("in", "out", "reset", "invert", "map", "full")),
        *(say(f"viewer.{name}", "en") for name in ("window", "level", "opacity", "layout", "stage")),
    )
    for name in wanted:
        assert name in reached, f"{name} is not among {reached}"


@pytest.mark.parametrize("name", ["film.dcm", "IM0001"])
@pytest.mark.parametrize("how", ["picked", "dropped"])
def test_dicom_goes_through_the_same_box(
    visit: Any, predictor: Predictor, tmp_path: Path, name: str, how: str
) -> None:
    film = tmp_path / name
    film.write_bytes(dicom_bytes(make_phantom(12, "bacterial").pixels))
    seen = visit()
    if how == "picked":
        with seen.page.expect_file_chooser() as chooser:
            seen.page.locator("#film button").first.click()
        chooser.value.set_files(film)
    else:
        drop = """([name, content]) => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          transfer.items.add(new File([bytes], name));
          document.querySelector('#film button').dispatchEvent(
            new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }"""
        seen.page.evaluate(drop, [name, base64.b64encode(film.read_bytes()).decode()])
    seen.page.wait_for_selector("#viewer film-viewer .stage")
    decision, probability = expected(predictor, film)
    seen.says(DECISION, decision)
    seen.says(PROBABILITY, probability)
