"""The pictures of the page in docs/: `make pictures`, or python docs/screenshots.py [NAME ...] for some of them.

Serves the embedded model, opens its page in Chromium and reads its examples. The examples must be phantoms: no
picture of a patient's film belongs in the repository. Needs Chromium on PATH and `playwright`.
"""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # started as a file, Python looks beside this one

from benchmarks.browser import chromium  # noqa: E402
from benchmarks.serving import APPS, started, wait_for  # noqa: E402
from cxr.cli import run_command  # noqa: E402
from cxr.errors import UsageError  # noqa: E402
from cxr.serving.opening import open_model  # noqa: E402
from ui.api.served_model import Example, examples  # noqa: E402
from ui.words import is_phantom  # noqa: E402

MODEL = ROOT / "bundles" / "default"
MOST_BYTES = 400_000
LAPTOP, WIDE, PHONE = (
    {"width": 1440, "height": 900},
    {"width": 1920, "height": 1080},
    {"width": 390, "height": 844},
)


def one_film(page: Any, shelf: list[Example]) -> None:
    """The first example with pneumonia, read."""
    ill = next(place for place, example in enumerate(shelf) if example.truth == "PNEUMONIA")
    page.locator("#gallery button.thumbnail-item").nth(ill).click()
    page.wait_for_function("document.activeElement.classList.contains('reading')")
    page.wait_for_selector("film-viewer canvas:not([data-source=none])")
    page.wait_for_timeout(1500)  # the whole film has come, and nothing fades any more
    page.evaluate("document.activeElement.blur()")
    if page.viewport_size["width"] > PHONE["width"]:
        page.evaluate("scrollTo(0, 0)")  # from the examples, below the fold, back to the page's head


def nothing_yet(page: Any, shelf: list[Example]) -> None:
    """The page as it opens."""
    page.wait_for_timeout(1500)  # the examples' pictures


def many_films(page: Any, shelf: list[Example]) -> None:
    """All examples as a batch."""
    page.locator("#tabs [role=tab]").nth(1).click()
    with page.expect_file_chooser() as chooser:
        page.locator("#many-files").click()
    chooser.value.set_files([example.file for example in shelf])
    page.locator("table.many").wait_for()
    page.wait_for_timeout(1000)


def the_model(page: Any, shelf: list[Example]) -> None:
    """The model's story, with the threshold moved."""
    page.locator("#tabs [role=tab]").nth(3).click()
    page.locator("#explored svg").first.wait_for()
    page.evaluate("document.querySelector('#explorer').scrollIntoView(); scrollBy(0, 10)")
    page.wait_for_timeout(1000)


Act = Callable[[Any, list[Example]], None]
PICTURES: dict[str, tuple[Act, dict[str, int], str]] = {
    "app.png": (one_film, LAPTOP, "en"),
    "app.es.png": (one_film, LAPTOP, "es"),
    "app-wide.png": (one_film, WIDE, "en"),
    "app-phone.png": (one_film, PHONE, "en"),
    "app-phone-first.png": (nothing_yet, PHONE, "en"),
    "app-batch.png": (many_films, LAPTOP, "en"),
    "app-about.png": (the_model, LAPTOP, "en"),
}


def phantoms() -> list[Example]:
    """The embedded model's examples. Raises UsageError unless all of them are phantoms."""
    shelf = examples(open_model(None, None, MODEL))
    real = [example.file.name for example in shelf if not is_phantom(example.attribution)]
    if real or not shelf:
        raise UsageError(
            f"The examples of {MODEL.name} must be phantoms, but {', '.join(real) or 'there is none'}. "
            "Publish no picture of a patient's film."
        )
    return shelf


def photograph(browser: Any, address: str, name: str, shelf: list[Example]) -> int:
    """Take one picture into docs/; its size in bytes."""
    act, viewport, language = PICTURES[name]
    phone = viewport is PHONE
    context = browser.new_context(
        viewport=viewport,
        is_mobile=phone,
        has_touch=phone,
        device_scale_factor=2 if phone else 1,
        color_scheme="light",
    )
    page = context.new_page()
    page.goto(f"{address}?lang={language}")
    page.wait_for_selector("html[data-spoken]", state="attached")
    page.wait_for_selector("#film input[type=file]", state="attached")
    act(page, shelf)
    taken = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    path = ROOT / "docs" / name
    with_palette(taken.convert("RGB")).save(path, optimize=True)
    return path.stat().st_size


def with_palette(picture: Image.Image) -> Image.Image:
    """The picture in 256 colours, which keeps its file small: grays for the film, and what the page is painted in.

    An ordinary choice of colours goes by how often they occur: it gives the film a tint, and the map's scale steps.
    """
    grays = np.repeat(np.arange(0, 256, 3, dtype=np.uint8)[:, None], 3, axis=1)
    pixels = np.asarray(picture).reshape(-1, 3)
    every, place, times = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    coloured = np.ptp(every, axis=1) > 0
    often = every[coloured][np.argsort(-times[coloured])[:40]]
    rare = Image.fromarray(every[coloured][None]).quantize(130, Image.Quantize.MAXCOVERAGE).getpalette()
    palette = np.concatenate([grays, often, np.asarray(rare, np.uint8).reshape(-1, 3)])[:256]
    # Pillow's own search for the nearest colour turns white into a light gray.
    apart = every[:, None].astype(np.int32) - palette[None].astype(np.int32)
    nearest = (apart**2).sum(axis=2).argmin(axis=1).astype(np.uint8)
    found = Image.fromarray(nearest[place].reshape(picture.height, picture.width), "P")
    found.putpalette(palette.tobytes())
    return found


def main() -> None:
    """Take all pictures, or those named."""
    names = sys.argv[1:] or list(PICTURES)
    if unknown := sorted(set(names) - set(PICTURES)):
        raise UsageError(f"There is no picture {', '.join(unknown)}. Choose from {', '.join(PICTURES)}.")
    shelf = phantoms()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODEL")}
    with started(APPS["ours"], ROOT, environment) as app, chromium() as browser:
        wait_for(app)
        for name in names:
            size = photograph(browser, app.address, name, shelf)
            print(f"docs/{name}: {size / 1000:.0f} kB")
            if size > MOST_BYTES:
                raise UsageError(f"docs/{name} is larger than {MOST_BYTES // 1000} kB. Show less on it.")


if __name__ == "__main__":
    sys.exit(run_command(main))
