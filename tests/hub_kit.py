"""What the tests of the Hub share: environments, a client process, small bundles and their releases."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hub_server
import pytest

from cxr import phantom
from cxr.model.bundle import load_bundle, write_description
from trainer.config import TrainConfig
from trainer.run import train

ROOT = Path(__file__).resolve().parents[1]
REPO = "owner/cxr"
Ask = Callable[..., dict[str, Any]]


def environment(url: str, home: Path, token: str = "") -> dict[str, str]:
    """Variables for a process that knows our Hub only, with a cache of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return {
        **kept,
        "HF_ENDPOINT": url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(home),
        "HF_TOKEN": token,
        "NO_PROXY": "127.0.0.1",
    }


@contextmanager
def client(url: str, home: Path) -> Iterator[Ask]:
    """Ask a process of hub_client: `ask(argv=[...], token=...)` runs python -m trainer."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(ROOT / "tests" / "hub_client.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(url, home),
    ) as process:
        assert process.stdin
        assert process.stdout
        requests, answers = process.stdin, process.stdout

        def ask(**request: Any) -> dict[str, Any]:
            requests.write(json.dumps(request) + "\n")
            requests.flush()
            return json.loads(answers.readline())

        yield ask
        requests.close()
        assert process.wait(timeout=20) == 0


@contextmanager
def few_phantoms() -> Iterator[None]:
    """Fewer phantoms for audit, gallery and gate than a released bundle gets: they are half of a small training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluation.audit.POINTED_FILMS", 10)
        patch.setattr("trainer.examples._PHANTOMS", 40)
        patch.setattr("trainer.gating._PHANTOMS", 60)
        yield


def train_small(folder: Path) -> Path:
    """A bundle that has learned next to nothing, whole all the same."""
    from trainer.recipes import DEFAULT

    network = {"name": "residual_cnn", "params": {"stem": 8, "widths": [8, 16], "blocks": 1}}
    small = DEFAULT.model_dump(mode="json") | {
        "name": "small",
        "epochs": 1,
        "batch_size": 16,
        "network": network,
        "preprocess": {"size": 48, "resample": "bilinear"},
    }
    if "members" in small:
        small["members"] = 1
    recipe = folder / "recipe.json"
    recipe.write_text(json.dumps(small))
    data = folder / "phantoms"
    phantom.write_phantoms(data, 72, seed=1, size=64)
    settings = {"folds": 3, "precision": "float32", "pictures": "phantoms"}
    with few_phantoms():
        return train(TrainConfig(data=str(data), out=folder / "bundle", recipe=str(recipe), **settings))


def released(bundle: Path, folder: Path, version: str, threshold: float | None = None) -> Path:
    """A copy of a bundle as another version of it, with another threshold."""
    shutil.copytree(bundle, folder)
    fields = load_bundle(bundle).description.model_dump(mode="json", exclude={"sha256"}) | {
        "version": version
    }
    if threshold is not None:
        fields["decision"] |= {"threshold": threshold, "uncertain_band": None}
    write_description(folder, fields)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """A folder as the contents of a commit."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@contextmanager
def serve() -> Iterator[hub_server.Hub]:
    """A Hub, as hub_server serves it."""
    with hub_server.serve() as hub:
        yield hub
