"""Fixtures that several test files share."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainer  # noqa: F401  it settles how TensorFlow computes, which is read once, before any test imports that
from cxr.export.cache import VARIABLE
from cxr.log import OUR_LOGGERS
from cxr.model.predictor import Predictor
from cxr.serving.slot import Served

pytest.register_assert_rewrite("browser_kit")  # a plugin of two modules, which import it as well
CHEST_XRAY = Path(__file__).resolve().parents[2] / "shared" / "data" / "chest_xray"


LONGEST = (
    "test_hub_demo.py",
    "test_hub_deploy.py",
    "test_train_command.py",
    "test_processes.py",
    "test_cluster.py",
    "test_adapt.py",
    "test_hub_foreign.py",
    "test_export.py",
    "test_app_browser.py",
    "test_default_bundle.py",
)
"""Files that take long, the longest single tests first: begun last, they would keep one worker while others idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; each file's own order stays (see --no-loadscope-reorder in the Makefile)."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="session")
def chest_xray() -> Path:
    """The real data set, which is no part of the repository; tests that need it skip where it is missing."""
    if not CHEST_XRAY.is_dir():
        pytest.skip("the real data set is not at ../shared/data/chest_xray")
    return CHEST_XRAY


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's cache of exports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def restored_log() -> Iterator[None]:
    """What a command run within the tests' process changes of its log (`cxr.log.configure`), put back."""
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in OUR_LOGGERS}
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle of a tiny network, for the Hub's tests; TensorFlow is imported here.

    Trained once for all of pytest-xdist's workers, which share the folder above their own.
    """
    import fcntl

    from hub_kit import train_small

    if "PYTEST_XDIST_WORKER" not in os.environ:
        return train_small(tmp_path_factory.mktemp("small"))
    folder = tmp_path_factory.getbasetemp().parent / "small"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return folder / "bundle" if (folder / "bundle").is_dir() else train_small(folder)


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> Predictor:
    """The model of brightness, which scoring of files and of a PACS loads, whichever MODEL it is given."""
    from tests.test_evaluation_run import brightness_predictor

    loaded = brightness_predictor()
    for module in ("evaluation.score", "evaluation.pacs.score"):
        monkeypatch.setattr(f"{module}.open_model", lambda _: Served(loaded))
    return loaded


@pytest.fixture(scope="module")
def few_phantoms() -> Iterator[None]:
    """Trainings of this module take few phantoms for audit and gallery."""
    from hub_kit import few_phantoms

    with few_phantoms():
        yield
