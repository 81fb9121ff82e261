"""Chromium, for what is measured or pictured on the page."""

import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cxr.errors import UsageError


def find_chromium() -> str | None:
    """The path of Chromium, or of Chrome; None where neither is on PATH."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A Playwright browser without a window. Raises UsageError where there is no Chromium."""
    path = find_chromium()
    if path is None:
        raise UsageError("There is no Chromium on PATH. Install it, for example by apt-get install chromium.")
    # By its name, for playwright is only there for development.
    playwright = importlib.import_module("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
