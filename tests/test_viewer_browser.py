"""The viewer, many films and own data in a real browser: what is zoomed, dropped, opened, kept and taken home."""

import base64
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser_kit
import numpy as np
import pytest
from browser_kit import DECISION, PHONE, expected, playwright
from dicom_files import dicom_bytes
from fake_model import phantom_file
from PIL import Image

from cxr.model.predictor import Predictor
from cxr.phantom import make_phantom
from ui.words import say

pytest_plugins = ("browser_kit",)
pytestmark = browser_kit.needs_chromium
CANVAS = "film-viewer canvas"


def large_film(path: Path) -> Path:
    """A phantom of 2,500 x 2,048 pixels."""
    Image.open(phantom_file(path.with_name("small.png"), seed=11)).resize((2500, 2048)).save(path)
    return path


def state(seen: Any, **wanted: str) -> dict[str, str]:
    """Wait until the viewer's state holds `wanted`; the whole of it."""
    for name, value in wanted.items():
        playwright.expect(seen.page.locator(CANVAS)).to_have_attribute(f"data-{name}", value)
    found: dict[str, str] = seen.page.eval_on_selector(CANVAS, "canvas => ({...canvas.dataset})")
    return found


PIXEL = """([x, y]) => {
  const canvas = document.querySelector('film-viewer').shadowRoot.querySelector('canvas');
  return [...canvas.getContext('2d').getImageData(canvas.width * x, canvas.height * y, 1, 1).data];
}"""


def pixel(seen: Any, x: float = 0.5, y: float = 0.5) -> list[int]:
    """Red, green, blue and alpha at a place of the canvas, in shares of its sides."""
    seen.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found: list[int] = seen.page.evaluate(PIXEL, [x, y])
    return found


def test_the_original_is_zoomed_panned_windowed_and_inverted(visit: Any, tmp_path: Path) -> None:
    seen = visit()
    seen.read(large_film(tmp_path / "film.png"))
    state(seen, source="2500x2048x8", zoom="1.00", x="0.500")
    asked: list[str] = []
    seen.page.on("request", lambda request: asked.append(request.url))
    box = seen.page.locator("film-viewer .stage").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    seen.page.mouse.move(*middle)
    seen.page.mouse.wheel(0, -800)
    assert float(state(seen)["zoom"]) > 2.5
    seen.page.mouse.down()
    seen.page.mouse.move(middle[0] + 60, middle[1] + 30, steps=3)
    seen.page.mouse.up()
    moved = state(seen)
    assert float(moved["x"]) < 0.5
    assert float(moved["y"]) < 0.5
    seen.page.mouse.move(*middle)
    seen.page.mouse.down(button="right")
    seen.page.mouse.move(middle[0] - 150, middle[1] + 60, steps=3)
    seen.page.mouse.up(button="right")
    windowed = state(seen, window="0.50", level="0.70")
    assert windowed["zoom"] == moved["zoom"]
    seen.page.keyboard.press("r")
    state(seen, zoom="1.00", window="1.00", level="0.50", inverted="false")
    seen.page.keyboard.press("h")
    state(seen, map="false")
    before = pixel(seen)
    assert before[0] == before[1] == before[2], "no map, no colour"
    seen.page.keyboard.press("i")
    state(seen, inverted="true")
    assert pixel(seen)[0] == pytest.approx(255 - before[0], abs=1)
    assert asked == [], "no setting of the viewer asks the server"


def test_a_pinch_zooms(visit: Any, tmp_path: Path) -> None:
    seen = visit(has_touch=True)
    seen.read(phantom_file(tmp_path / "film.png"))
    state(seen, zoom="1.00")
    box = seen.page.locator("film-viewer .stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = seen.context.new_cdp_session(seen.page)

    def fingers(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if apart else []})

    fingers("touchStart", 30)
    for apart in (45, 60, 90):
        fingers("touchMove", apart)
    fingers("touchEnd", 0)
    assert float(state(seen)["zoom"]) == pytest.approx(3, abs=0.3)


def test_a_dicom_is_shown_through_its_own_window(visit: Any, tmp_path: Path) -> None:
    pixels = make_phantom(12, "bacterial").pixels.astype(np.uint16) * 16
    film = tmp_path / "film.dcm"
    film.write_bytes(dicom_bytes(pixels, 12, WindowCenter=3000, WindowWidth=2000))
    seen = visit()
    seen.read(film)
    height, width = pixels.shape
    state(seen, source=f"{width}x{height}x8")
    seen.page.keyboard.press("h")
    state(seen, map="false")
    dark = pixels[height // 2, width // 2] < 2000
    assert (pixel(seen)[0] == 0) == dark, "what lies below the file's own window is black"


def test_a_16_bit_film_is_shown_in_its_own_depth(visit: Any, tmp_path: Path) -> None:
    pixels = make_phantom(12, "bacterial").pixels.astype(np.uint16) * 16
    Image.fromarray(pixels).save(tmp_path / "film.tiff")
    seen = visit()
    seen.read(tmp_path / "film.tiff")
    height, width = pixels.shape
    state(seen, source=f"{width}x{height}x12")


def test_the_map_lies_over_beside_and_as_one_contour(visit: Any, tmp_path: Path) -> None:
    seen = visit()
    seen.read(phantom_file(tmp_path / "film.png", seed=11))
    state(seen, map="true", layout="overlay")
    colours = "data => data.filter((_, at) => at % 4 === 0 && Math.abs(data[at] - data[at + 2]) > 30).length"
    count = f"""() => {{
      const canvas = document.querySelector('film-viewer').shadowRoot.querySelector('canvas');
      const {{data}} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return ({colours})([...data]);
    }}"""
    coloured = {}
    for layout in ("overlay", "side", "contour"):
        seen.page.locator("film-viewer select").select_option(layout)
        state(seen, layout=layout)
        pixel(seen)
        coloured[layout] = seen.page.evaluate(count)
    assert coloured["overlay"] > coloured["side"] > coloured["contour"] > 100
    # The opacity counts for the map that covers, and the choice stays from film to film.
    seen.page.locator("film-viewer select").select_option("overlay")
    slider = seen.page.locator("film-viewer input[data-set=opacity]")
    slider.fill("0")
    pixel(seen)  # waits until it is drawn
    assert seen.page.evaluate(count) == 0
    seen.page.get_by_role("button", name=say("another", "en")).click()
    seen.read(phantom_file(tmp_path / "other.png", seed=12))
    state(seen, map="true")
    assert slider.input_value() == "0"


def test_full_screen_and_keys_do_not_reach_into_what_is_typed(visit: Any, tmp_path: Path) -> None:
    seen = visit()
    seen.read(phantom_file(tmp_path / "film.png", seed=11))
    seen.page.locator("#prevalence :is(input, textarea)").press_sequentially("hir")
    assert state(seen, inverted="false")["map"] == "true"
    seen.page.locator("#result .reading").focus()
    playwright.expect(seen.page.locator("#prevalence :is(input, textarea)")).not_to_be_focused()
    seen.page.keyboard.press("f")
    seen.page.wait_for_function("document.fullscreenElement?.localName === 'film-viewer'")
    seen.page.keyboard.press("f")
    seen.page.wait_for_function("!document.fullscreenElement")


# First sight


def test_all_that_counts_stands_above_the_fold(visit: Any, tmp_path: Path) -> None:
    seen = visit(viewport={"width": 1440, "height": 900})
    sides = {}
    for moment in ("before", "after"):
        places = (
            ("#film", DECISION)
            if moment == "before"
            else ("film-viewer .stage", DECISION, "#result .probability", "film-viewer [data-do=map]")
        )
        for place in places:
            box = seen.page.locator(place).bounding_box()
            assert box["y"] + box["height"] <= 900, f"{place} {moment}"
        sides[moment] = seen.page.locator("#tabs [role=tab]").first.bounding_box()["x"]
        if moment == "before":
            seen.read(phantom_file(tmp_path / "film.png", seed=11))
            seen.page.locator("#result .probability").wait_for()
    for number in (1, 3, 0):
        seen.tab(number)
        sides[str(number)] = seen.page.locator("#tabs [role=tab]").first.bounding_box()["x"]
    assert len(set(sides.values())) == 1, "nothing jumps sideways"


@pytest.mark.parametrize("how", ["example", "upload"])
def test_on_a_phone_the_result_is_in_sight_and_has_the_focus(visit: Any, tmp_path: Path, how: str) -> None:
    seen = visit(viewport=PHONE, has_touch=True)
    if how == "example":
        seen.page.locator("#gallery button.thumbnail-item").nth(1).tap()
    else:
        seen.read(phantom_file(tmp_path / "film.png", seed=11))
    seen.page.wait_for_function("document.activeElement.classList.contains('reading')")
    for place in ("film-viewer .stage", DECISION):
        box = seen.page.locator(place).bounding_box()
        assert box["y"] >= -1, place
        assert box["y"] + box["height"] <= PHONE["height"], place


def test_on_a_phone_the_examples_begin_on_the_first_screen(visit: Any) -> None:
    seen = visit(viewport=PHONE, has_touch=True)
    strip, aside = (seen.page.locator(place).bounding_box() for place in ("#gallery", "#head .strip"))
    # A model of films has no notice that it learned from phantoms.
    assert strip["y"] - aside["height"] < PHONE["height"] - 80
    tops = {one.bounding_box()["y"] for one in seen.page.locator("#gallery button.thumbnail-item").all()}
    assert len(tops) == 1, "one strip"


def test_on_a_phone_the_decision_stands_directly_under_the_film(visit: Any) -> None:
    seen = visit(viewport=PHONE, has_touch=True)
    seen.page.locator("#gallery button.thumbnail-item").nth(1).tap()
    seen.page.wait_for_function("document.activeElement.classList.contains('reading')")
    order = ("film-viewer .stage", "#result", "film-viewer .bar", "#caption", "#another", "#beyond")
    boxes = [seen.page.locator(place).bounding_box() for place in order]
    for above, below, place in zip(boxes, boxes[1:], order[1:], strict=False):
        assert 0 <= below["y"] - above["y"] - above["height"] <= 24, f"{place} follows, with nothing between"
        assert below["x"] == above["x"], place
        assert below["width"] == above["width"], place
    # What the toolbar does is seen: the film stays above it, and the keys still act on it.
    seen.page.locator("film-viewer [data-do=invert]").tap()
    state(seen, inverted="true")
    film, button = (
        seen.page.locator(f"film-viewer {place}").bounding_box() for place in (".stage", "[data-do=invert]")
    )
    assert 0 <= film["y"] < film["y"] + film["height"] <= button["y"] < PHONE["height"]
    seen.page.keyboard.press("i")
    state(seen, inverted="false")
    # Full screen has the film and its toolbar, and nothing else.
    seen.page.locator("film-viewer [data-do=full]").tap()
    seen.page.wait_for_function("document.fullscreenElement?.localName === 'film-viewer'")
    film, bar = (seen.page.locator(f"film-viewer {place}").bounding_box() for place in (".stage", ".bar"))
    assert film["y"] + film["height"] <= bar["y"] < bar["y"] + bar["height"] <= PHONE["height"]
    assert film["height"] > PHONE["height"] / 2


def test_an_error_does_not_stay_over_a_later_success(visit: Any, tmp_path: Path) -> None:
    broken = tmp_path / "notes.png"
    broken.write_text("plain words, not pixels")
    seen = visit()
    seen.page.set_input_files("#film input[type=file]", broken)
    seen.page.get_by_test_id("toast-body").wait_for()
    seen.page.locator("#gallery button.thumbnail-item").nth(1).click()
    seen.page.wait_for_selector("#viewer film-viewer .stage")
    seen.page.get_by_test_id("toast-body").wait_for(state="detached")


def test_the_chosen_language_is_kept(visit: Any) -> None:
    seen = visit()
    seen.page.get_by_label("Español").check()
    seen.says(".head h1", say("title", "es"))
    seen.page.reload()
    seen.says(".head h1", say("title", "es"))
    seen.page.wait_for_selector("html[lang^=es]")


def test_a_frame_that_keeps_nothing_has_a_page_in_both_languages(browser: Any, server: str) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(browser_kit.PATIENCE)
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get: () => { throw new DOMException('no', 'SecurityError') }})"
    )
    page.goto(server)
    page.wait_for_selector("html[data-spoken=en]", state="attached")
    page.get_by_label("Español").check()
    page.wait_for_selector("html[data-spoken=es]", state="attached")
    playwright.expect(page.locator(".head h1")).to_have_text(say("title", "es"))
    context.close()


# Many films


DROP = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  const entry = (file) => ({isFile: true, name: file.name, file: (done) => done(file)});
  const batches = [[...transfer.files].map(entry), []];
  const folder = {isFile: false, name: 'films', createReader: () => ({readEntries: (done) => done(batches.shift())})};
  const event = new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: new DataTransfer()});
  Object.defineProperty(event, 'dataTransfer', {value: {items: [{webkitGetAsEntry: () => folder}]}});
  document.querySelector('#many-files').dispatchEvent(event);
}"""


def test_a_dropped_folder_is_read_filtered_and_gone_through(
    visit: Any, predictor: Predictor, tmp_path: Path
) -> None:
    films = [
        phantom_file(tmp_path / f"{seed}.png", seed, ("normal", "bacterial")[seed % 2]) for seed in range(4)
    ]
    broken = tmp_path / "notes.png"
    broken.write_text("plain words, not pixels")
    seen = visit()
    seen.tab(1)
    content = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in (*films, broken)]
    seen.page.evaluate(DROP, content)
    seen.says("#many-status .status", "5 files: 4 classified, 0 rejected, 1 unreadable.")
    rows = seen.page.locator("table.many tbody tr:visible")
    assert rows.count() == 5
    counts = seen.page.locator(".filters button").all_inner_texts()
    assert sum(int(text.split()[-1]) for text in counts) == 5
    unreadable = seen.page.locator(".filters button", has_text=say("many.failed", "en"))
    unreadable.click()
    assert rows.count() == 1
    unreadable.click()
    seen.page.locator(".filters input").fill("3.png")
    assert rows.count() == 1
    seen.page.locator(".filters input").fill("")
    seen.page.locator(".many [data-kind=number] button").click()  # by probability
    names = seen.page.locator(".many button.open").all_inner_texts()
    seen.page.get_by_role("button", name=names[1]).click()
    for place, keys in ((1, ""), (2, "n"), (1, "p"), (0, "p"), (0, "p")):
        if keys:
            seen.page.keyboard.press(keys)
        playwright.expect(seen.page.locator("#place")).to_contain_text(f"{place + 1} of 4 {names[place]}")
        decision, probability = expected(predictor, tmp_path / names[place])
        seen.says(DECISION, decision)
        seen.says("#result .probability b", probability)
    seen.page.locator("#back").click()
    seen.says("#tabs [aria-selected=true]", say("tab.many", "en"))
    assert seen.page.locator(".many button.open").all_inner_texts() == names


def test_a_film_inside_a_zip_is_opened(visit: Any, predictor: Predictor, tmp_path: Path) -> None:
    film = phantom_file(tmp_path / "inside.png", seed=5)
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.write(film, "somewhere/inside.png")
        archive.write(phantom_file(tmp_path / "b.png", seed=6), "b.png")
    seen = visit()
    seen.tab(1)
    seen.give("#many-files", [tmp_path / "films.zip"])
    seen.page.get_by_role("button", name="inside.png").click()
    seen.says(DECISION, expected(predictor, film)[0])


# Own data


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 dark films labelled NORMAL and 60 bright ones labelled PNEUMONIA: the model has all of them right."""
    path = tmp_path_factory.mktemp("own") / "own.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(120):
            ill = number % 2
            film = np.full((64, 64), (60 if not ill else 180) + number % 7, np.uint8)
            film[: 1 + number // 10, 5] = 3 + number
            Image.fromarray(film).save(path.with_name("film.png"))
            archive.write(path.with_name("film.png"), f"{('NORMAL', 'PNEUMONIA')[ill]}/{number}.png")
        Image.fromarray(np.full((64, 64), 200, np.uint8)).save(path.with_name("film.png"))
    return path


def test_sixty_of_sixty_has_an_interval_with_a_width(visit: Any, sixty: Path) -> None:
    seen = visit()
    seen.tab(2)
    seen.give("#own-zip", [sixty])
    seen.says("#own-result h2", "120 images: 60 normal, 60 pneumonia, from 120 patients")
    seen.says("#own-result .tiles dd >> nth=0", "100.0%94.0% to 100.0%")
    seen.says("#own-result .tiles dd >> nth=1", "100.0%94.0% to 100.0%")
    assert "Fewer than 100 images of a class" in seen.page.locator("#own-result").inner_text()
    seen.says("#own-errors .status", say("own.no_errors", "en"))


def test_errors_open_in_the_viewer_and_the_result_goes_home(visit: Any, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "own.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(12):
            ill = number % 2
            bright = 180 if ill or number == 0 else 60  # the first is bright, and labelled NORMAL
            Image.fromarray(np.full((64, 64), bright + number, np.uint8)).save(tmp_path / "film.png")
            archive.write(tmp_path / "film.png", f"{('NORMAL', 'PNEUMONIA')[ill]}/film-{number}.png")
    seen = visit()
    seen.tab(2)
    seen.give("#own-zip", [path])
    wrong = seen.page.locator("#own-errors button")
    wrong.first.wait_for()
    assert wrong.count() == 1
    saved = {}
    for kind in ("csv", "report"):
        with seen.page.expect_download() as download:
            seen.page.locator(f"[data-take={kind}]").click()
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])
    assert "NORMAL/film-0.png" in saved["csv"].read_text(encoding="utf-8-sig")
    sheet = browser.new_page()
    sheet.goto(saved["report"].as_uri())
    assert "12 images: 6 normal, 6 pneumonia" in sheet.locator("body").inner_text()
    assert sheet.locator("svg.chart").count() == 2
    assert sheet.locator("button").count() == 0
    sheet.close()
    wrong.first.click()
    playwright.expect(seen.page.locator("#place")).to_contain_text("1 of 1 film-0.png")
    seen.says(".truth", say("truth.wrong", "en", truth="NORMAL", decision="PNEUMONIA"))


def test_the_suggested_threshold_decides_in_this_session_and_each_result_says_so(
    visit: Any, sixty: Path, tmp_path: Path
) -> None:
    film = phantom_file(tmp_path / "film.png", seed=11)
    seen = visit()
    seen.tab(2)
    seen.give("#own-zip", [sixty])
    seen.page.locator("#own-use-threshold").click()
    seen.page.locator("#own-using").get_by_text("results are decided by your own threshold").wait_for()
    seen.tab(0)
    seen.read(film)
    seen.page.locator("#result").get_by_text("Decided by your own threshold").wait_for()
    seen.tab(1)
    seen.give("#many-files", [film])
    seen.page.locator("#many-status").get_by_text("Decided by your own threshold").wait_for()
    seen.tab(2)
    seen.page.locator("#own-leave-threshold").click()
    seen.page.locator("#own-using").get_by_text("results are decided").wait_for(state="detached")
    seen.tab(0)
    seen.page.get_by_role("button", name=say("another", "en")).click()
    seen.read(film)
    seen.says(DECISION, say("decision.PNEUMONIA", "en"))
    assert seen.page.locator("#result").get_by_text("Decided by your own threshold").count() == 0


# Accessibility


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """axe-core, fetched by npm: its licence, MPL-2.0, is not ours, and so it is no part of the repository."""
    folder = tmp_path_factory.mktemp("axe")
    if shutil.which("npm") is None:
        pytest.skip("no npm on PATH to fetch axe-core")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "axe-core@4"]
    if subprocess.run(install, capture_output=True, check=False, timeout=180).returncode:
        pytest.skip("npm could not fetch axe-core")
    yield (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


SETTLED = """!document.querySelector('.pending')
  && document.getAnimations().every((one) => one.playState === 'finished')"""
"""What Gradio is about to replace, or lays its progress over, is pale for a moment."""
AXE = """axe.run(document, {
  resultTypes: ['violations'],
  // An experimental rule that asks of Gradio's own buttons that their labels repeat what stands on them.
  rules: {'label-content-name-mismatch': {enabled: false}},
})"""


@pytest.mark.parametrize(("scheme", "locale"), [("light", "en-GB"), ("dark", "es-ES")])
def test_axe_finds_no_serious_fault(visit: Any, axe: str, tmp_path: Path, scheme: str, locale: str) -> None:
    seen = visit(color_scheme=scheme, locale=locale)
    seen.page.evaluate(axe)
    faults: set[str] = set()

    def look() -> None:
        seen.page.wait_for_function(SETTLED)
        found = seen.page.evaluate(AXE)
        for fault in found["violations"]:
            if fault["impact"] in ("serious", "critical"):
                faults.update(f"{fault['id']}: {node['html'][:120]}" for node in fault["nodes"])

    look()
    film = phantom_file(tmp_path / "film.png", seed=11)
    seen.read(film)
    state(seen, map="true")
    look()
    seen.tab(1)
    seen.give("#many-files", [film])
    seen.page.locator("table.many").wait_for()
    look()
    seen.tab(2)
    path = tmp_path / "own.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(4):
            archive.write(
                film if number % 2 else phantom_file(tmp_path / "n.png", 7, "normal"),
                f"{('NORMAL', 'PNEUMONIA')[number % 2]}/{number}.png",
            )
    seen.give("#own-zip", [path])
    seen.page.locator(".suggestion").wait_for()
    look()
    seen.tab(3)
    seen.page.locator("#explored svg").first.wait_for()
    look()
    assert faults == set()
