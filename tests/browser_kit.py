"""The page in a real browser for the tests: one app and one Chromium a module, and what a visitor does."""

import importlib
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fake_model import fake_predictor, served

from benchmarks.browser import find_chromium
from cxr.imaging.decode import decode_file
from cxr.model.predictor import Predictor
from ui.words import percent, say

playwright: Any = importlib.import_module("playwright.sync_api") if find_spec("playwright") else None
CHROMIUM = find_chromium()
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or playwright is None,
    reason="needs playwright, and Chromium on PATH: apt-get install chromium",
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE = 1000 * int(os.environ.get("TEST_PATIENCE_SECONDS", "30"))
"""Milliseconds for the page to get somewhere; a machine that does much else needs more."""
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
        playwright.expect.set_options(timeout=PATIENCE)
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class Visit:
    """A page as a visitor opens it, with what it asked of other hosts and what it complained of."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._listen)
        self.page.goto(address)
        self.page.wait_for_selector("html[data-spoken]", state="attached")
        self.page.wait_for_selector("#film input[type=file]", state="attached")

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.outside.append(request.url)

    def _listen(self, message: Any) -> None:
        if any(one in message.text for one in ("Content Security Policy", "Too many arguments")):
            self.complaints.append(message.text)

    def read(self, path: Path) -> None:
        self.page.set_input_files("#film input[type=file]", path)
        self.page.wait_for_selector("#viewer film-viewer .stage")

    def tab(self, number: int) -> None:
        """Open one of the tabs."""
        tab = self.page.locator("#tabs [role=tab]").nth(number)
        tab.click()
        playwright.expect(tab).to_have_attribute("aria-selected", "true")

    def give(self, button: str, files: list[Path]) -> None:
        """Choose files by an upload button."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator(button).click()
        chooser.value.set_files(files)

    def says(self, selector: str, words: str) -> None:
        """Wait until `selector` says exactly `words`."""
        exactly = re.compile(rf"^\s*{re.escape(words)}\s*$")
        playwright.expect(self.page.locator(selector).first).to_have_text(exactly, timeout=PATIENCE)


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
    return say(f"decision.{prediction.decision}", "en"), percent(prediction.probability, "en")
