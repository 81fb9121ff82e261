"""The page in a real browser: Chromium, driven by Playwright. Skips, and says so, where there is none."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import fake_predictor, phantom_file, served
from PIL import Image

from cxr.image import decode_file
from cxr.predictor import Predictor
from ui.text import percent, say

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: apt-get install chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
DECISION, PROBABILITY = "#result .decision", "#result .probability b"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return fake_predictor(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class Visit:
    """A page as a visitor opens it, with what it asked of other hosts and what it complained of."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("#film input[type=file]", state="attached")

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.outside.append(request.url)

    def read(self, path: Path) -> None:
        self.page.set_input_files("#film input[type=file]", path)
        self.page.wait_for_selector("#viewer .film")

    def says(self, selector: str, words: str) -> None:
        """Wait until `selector` says exactly `words`."""
        exactly = re.compile(rf"^\s*{re.escape(words)}\s*$")
        playwright.expect(self.page.locator(selector).first).to_have_text(exactly, timeout=15_000)


@pytest.fixture
def visit(browser: Any, server: str) -> Iterator[Any]:
    opened: list[Visit] = []

    def open_page(**context: Any) -> Visit:
        opened.append(Visit(browser, server + context.pop("query", ""), **context))
        return opened[-1]

    yield open_page
    for one in opened:
        one.context.close()
        assert one.complaints == []
        assert one.outside == [], "the page must ask nothing of other hosts"


def expected(predictor: Predictor, path: Path) -> tuple[str, str]:
    prediction = predictor.predict(decode_file(path))
    return say(f"decision.{prediction.label}", "en"), percent(prediction.probability, "en")


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
    assert seen.page.get_by_role("img", name=re.compile("It shows what moved this network")).count() == 1


def test_a_16_bit_tiff_is_read_and_shown(visit: Any, predictor: Predictor, tmp_path: Path) -> None:
    film = tmp_path / "deep.tiff"
    pixels = np.asarray(Image.open(phantom_file(tmp_path / "film.png", seed=11)))
    Image.fromarray(pixels.astype(np.uint16) * 257).save(film)
    seen = visit()
    seen.read(film)
    seen.says(PROBABILITY, expected(predictor, film)[1])
    assert seen.page.eval_on_selector(".film img", "image => image.naturalWidth") == 224


def test_the_opacity_changes_without_asking_the_server(visit: Any, tmp_path: Path) -> None:
    seen = visit()
    seen.read(phantom_file(tmp_path / "film.png"))
    asked: list[str] = []
    seen.page.on("request", lambda request: asked.append(request.url))
    slider = seen.page.get_by_role("slider")
    before = float(seen.page.eval_on_selector(".film .heat", "heat => getComputedStyle(heat).opacity"))
    slider.focus()
    for _ in range(4):
        slider.press("ArrowLeft")  # by keyboard, in steps of 5
    seen.page.wait_for_function("getComputedStyle(document.querySelector('.film .heat')).opacity === '0.4'")
    assert before == 0.6
    assert [url for url in asked if "queue/join" in url] == []


def test_an_example_is_read_with_a_click_and_tells_its_label(
    visit: Any, folder: Path, predictor: Predictor
) -> None:
    seen = visit()
    example = folder / "examples" / "phantom-1.png"
    assert "synthetic phantom" in seen.page.locator("#gallery .caption-label").nth(1).inner_text()
    seen.page.locator("#gallery button.thumbnail-item").nth(1).click()
    seen.says(PROBABILITY, expected(predictor, example)[1])
    seen.says(".facts dd >> nth=0", "PNEUMONIA")
    seen.says(".facts dd >> nth=1", "synthetic phantom")
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
    seen.read(phantom_file(tmp_path / "film.png"))


def test_the_button_without_a_film_says_what_to_do(visit: Any) -> None:
    seen = visit(locale="es-ES")
    seen.page.get_by_role("button", name=say("read", "es")).click()
    seen.page.get_by_text(say("error.no_file", "es")).first.wait_for()


def test_the_language_follows_the_browser_the_address_and_the_switch(visit: Any, tmp_path: Path) -> None:
    visit(query="?lang=es").says(".head h1", say("title", "es"))
    seen = visit(locale="es-MX")
    seen.says(".head h1", say("title", "es"))
    assert seen.page.evaluate("document.documentElement.lang") == "es"
    seen.read(phantom_file(tmp_path / "film.png", seed=11))
    seen.says(DECISION, say("decision.PNEUMONIA", "es"))
    seen.page.get_by_label("English").check()
    seen.says(DECISION, say("decision.PNEUMONIA", "en"))  # the reading stays, in the other language
    for key, selector in {"title": ".head h1", "notice": ".notice", "about": ".about h2"}.items():
        seen.says(selector, say(key, "en"))
    for key in ("another", "read"):
        assert say(key, "es") not in seen.page.locator("body").inner_text()
    assert seen.page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
def test_a_phone_needs_no_horizontal_scroll(visit: Any, tmp_path: Path, locale: str) -> None:
    seen = visit(viewport=PHONE, locale=locale)
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    assert seen.page.evaluate(overflow) <= 0
    seen.read(phantom_file(tmp_path / "film.png"))
    assert seen.page.evaluate(overflow) <= 0
    decision, film = (seen.page.locator(where).bounding_box() for where in (DECISION, ".film"))
    assert decision["y"] < film["y"], "on a phone the decision stands above the film"


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(visit: Any, tmp_path: Path) -> None:
    seen = visit()
    seen.read(phantom_file(tmp_path / "film.png"))
    reached = set()
    for _ in range(25):
        seen.page.keyboard.press("Tab")
        reached.add(
            seen.page.evaluate(
                "(e => e.ariaLabel || e.innerText || e.labels?.[0]?.innerText || '')(document.activeElement)"
            ).strip()
        )
    for name in ("English", "Español", say("another", "en"), "Thumbnail 1 of 4"):
        assert name in reached, f"{name} is not among {reached}"
    assert any(say("opacity", "en") in name for name in reached)
