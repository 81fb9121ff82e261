"""The app: one radiograph in, a decision with its probability and its heat map out; for people and for programs.

    python app.py        serves the model MODEL: a bundle folder, a bare .h5 or hub:OWNER/NAME[@revision]
                         (default: bundles/default); MODEL_REVISION chooses a Hub revision, and with
                         MODEL_WATCH_SECONDS a new commit of it takes over between two requests

Wiring only: what is shown stands in `ui`, what is computed in `cxr`.
"""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import tyro

from cxr import log
from cxr.errors import CxrError, UsageError
from cxr.imaging.decode import from_array
from cxr.memory import return_freed
from cxr.model.bundle import probe_pixels
from cxr.model.predictor import Predictor
from cxr.serving.opening import open_model
from cxr.serving.slot import Serving
from cxr.serving.watch import Watch
from ui.api.arguments import CheckedBlocks
from ui.api.endpoints import ENDPOINTS, add_api
from ui.api.guard import server_options
from ui.api.limits import AT_ONCE, CLEAN_EVERY_SECONDS, KEEP_SECONDS, MAX_UPLOAD_BYTES, WAITING_ROOM
from ui.api.mcp import use_tools
from ui.api.uploads import own_uploads
from ui.assets import script, style
from ui.page import add_page
from ui.words import DEFAULT_LOCALE, say

HERE = Path(__file__).resolve().parent
DEFAULT_MODEL = HERE / "bundles" / "default"


def build_app(serving: Serving) -> gr.Blocks:
    """The page and the API of the model that serves; `launch_options` belong to it."""
    with CheckedBlocks(
        title=say("title", DEFAULT_LOCALE),
        analytics_enabled=False,
        fill_width=True,  # up to the width that ui/assets/style.css allows
        delete_cache=(CLEAN_EVERY_SECONDS, KEEP_SECONDS),
    ) as app:
        # First, for Gradio's page takes its first listener for /predict, and warns where that has other arguments.
        add_api(serving)
        add_page(app, serving)
    use_tools()
    app.queue(max_size=WAITING_ROOM, default_concurrency_limit=AT_ONCE)
    return app


def launch_options() -> dict[str, Any]:
    """Looks, limits and privacy, which Gradio takes at launch."""
    return {
        "theme": _theme(),
        "css": style("scale") + style("style"),
        "head": f'<script type="module">{script("film_pixels")}{script("film_viewer")}</script>',
        "max_file_size": MAX_UPLOAD_BYTES,
        "state_session_capacity": 1000,
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": [],  # the page has its own, in both languages
        "mcp_server": True,  # ours: see ui.api.mcp
        "ssr_mode": False,
        "share": False,
        "app_kwargs": server_options(ENDPOINTS),
    }


def _theme() -> gr.themes.Base:
    # Gradio's own weight 600 of this font lacks letters; its 700 is whole. Served from here, never from a font host.
    font = (
        gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)),
        "ui-sans-serif",
        "system-ui",
        "sans-serif",
    )
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="slate", radius_size="md", font=font)
    return theme.set(  # pairs with enough contrast: at least 4.5 to 1
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
    )


def warm_up(predictor: Predictor) -> None:
    """Run both paths once, so that the first visitor does not wait for the network to be traced."""
    film = from_array(probe_pixels(predictor.preprocess.size))
    predictor.predict(film)
    predictor.explain(film)


@dataclass(frozen=True)
class AppConfig:
    """Serve a model at http://127.0.0.1:7860. What is not given is taken from the environment."""

    model: str | None = None
    """Bundle folder, bare .h5 or hub:OWNER/NAME[@revision]. Else MODEL, else the embedded model."""
    revision: str | None = None
    """Hub revision. Else MODEL_REVISION."""
    host: str | None = None
    """Address to listen on, such as 0.0.0.0. Else GRADIO_SERVER_NAME, else 127.0.0.1."""
    port: int | None = None
    """Port to listen on. Else GRADIO_SERVER_PORT, else the first free one from 7860 on."""


def load_serving(config: AppConfig) -> Serving:
    """Load and warm up the model, and watch it if MODEL_WATCH_SECONDS asks for that. Raises CxrError."""
    model = config.model or os.environ.get("MODEL")
    # The revision in the environment belongs to the model there.
    revision = config.revision or (None if config.model else os.environ.get("MODEL_REVISION")) or None
    seconds = _watch_seconds(model)
    serving = Serving(open_model(model, revision, DEFAULT_MODEL))
    warm_up(serving.now.predictor)
    if model and seconds:
        Watch(serving, model, revision, prepare=warm_up).start(seconds)
    return serving


def _watch_seconds(model: str | None) -> float | None:
    text = os.environ.get("MODEL_WATCH_SECONDS")
    if not text:
        return None
    if not (text.isdecimal() and int(text) > 0):
        raise UsageError(
            f"MODEL_WATCH_SECONDS={text} is not a whole number of seconds. Set it to 300, for example."
        )
    if not (model or "").startswith("hub:"):
        raise UsageError(
            f"MODEL_WATCH_SECONDS needs MODEL=hub:OWNER/NAME, but MODEL is {model or 'not set'}. "
            "Unset MODEL_WATCH_SECONDS."
        )
    return float(text)


def main() -> int:
    """Load the model, warm it up and serve it."""
    config = tyro.cli(AppConfig, prog="app.py")
    try:
        log.configure()
        serving = load_serving(config)
    except CxrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # A stopped container ends as Ctrl-C does: by closing the server. What was uploaded is deleted after that.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with own_uploads(), suppress(KeyboardInterrupt):
        app = build_app(serving)
        _, address, _ = app.launch(
            **launch_options(),
            server_name=config.host,
            server_port=config.port,
            prevent_thread_lock=True,
            quiet=True,  # Gradio would advertise a public link
        )
        print(f"Running on {address}", flush=True)
        return_freed()  # of the load, whose peak is past
        app.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
