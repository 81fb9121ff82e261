"""make demo: the whole way, offline. Phantoms -> trainer -> local Hub -> app -> answer, and the app stays open.

python tests/hub_demo.py [--end] [--data phantom:N] [--epochs N] [--port N]; --end closes the app at the end.
"""

import argparse
import csv
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hub_server
from gradio_client import Client, handle_file
from hub_kit import ROOT, environment

from cxr.cli import run_command
from cxr.errors import BundleError, CxrError
from cxr.imaging.decode import decode_file
from cxr.serving.local import open_bundle

REPO = "demo/cxr-pneumonia"
START_SECONDS = 240


def main() -> None:
    """Run the demonstration; raises CxrError where a step fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--end", action="store_true", help="close the app at the end")
    parser.add_argument("--data", default="phantom", help="phantom or phantom:N")
    parser.add_argument("--epochs", help="in place of the recipe's")
    parser.add_argument("--port", type=int, help="of the app; by default a free one")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cxr-demo-") as scratch, hub_server.serve() as hub:
        bundle = Path(scratch) / "bundle"
        _step("1/4 train the quick recipe on synthetic phantoms")
        training = ["--recipe", "quick", "--data", options.data, "--out", str(bundle), "--name", "demo"]
        _trainer("train", *training, *(["--epochs", options.epochs] if options.epochs else []))
        _step(f"2/4 publish it to a Hub of our own at {hub.url}")
        publisher = environment(hub.url, Path(scratch) / "publisher", hub_server.WRITER)
        _trainer("publish", str(bundle), "--repo-id", REPO, env=publisher)
        _step("3/4 serve it from there: a fresh process with an empty cache")
        visitor = environment(hub.url, Path(scratch) / "visitor") | {"MODEL": f"hub:{REPO}"}
        with _app(visitor, options.port or _free_port()) as address:
            _step("4/4 ask the app through its API")
            _compare(bundle, address)
            print(f"done in {time.monotonic() - began:.0f} s")
            print(f"the app is open on the pulled model hub:{REPO}: {address}", flush=True)
            if not options.end:
                print("press Ctrl-C to end", flush=True)
                signal.pause()


def _step(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _trainer(*arguments: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run([sys.executable, "-m", "trainer", *arguments], cwd=ROOT, env=env)
    if done.returncode:
        raise CxrError(f"trainer {arguments[0]} ended with exit code {done.returncode}; see above.")


@contextmanager
def _app(env: dict[str, str], port: int) -> Iterator[str]:
    """The app in a process of its own, once it answers."""
    address = f"http://127.0.0.1:{port}"
    settings = env | {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    with subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=settings) as process:
        try:
            until = time.monotonic() + START_SECONDS
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > until:
                    raise CxrError("The app did not start: see above.")
                time.sleep(0.3)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def _compare(bundle: Path, address: str) -> None:
    """The app's probabilities and those of the bundle that was trained must be the same to six digits."""
    client = Client(address, verbose=False)
    predictor = open_bundle(bundle)
    with (bundle / "examples" / "examples.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in (*rows[:2], *rows[-2:]):  # normal ones come first
        film = bundle / "examples" / row["file"]
        answer = client.predict(handle_file(film), api_name="/predict")
        here = predictor.predict(decode_file(film))
        print(
            f"{row['truth']:<10} {row['file']:<36} app {_figure(answer['probability'])}, "
            f"trainer {_figure(here.probability)}, {answer['decision'] or 'refused'}"
        )
        if _figure(answer["probability"]) != _figure(here.probability):
            raise BundleError(
                "The app and the trainer give different probabilities. This is a fault of the project."
            )
    print(f"served: {answer['model']['source']} at {answer['model']['revision']}")


def _figure(probability: float | None) -> str:
    """Six digits, or "none" for a film that is refused."""
    return "none" if probability is None else f"{probability:.6f}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(run_command(main))
