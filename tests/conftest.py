"""Fixtures that several test files share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import trainer  # noqa: F401  it settles how TensorFlow computes, which is read once, before any test imports that
from cxr.export.cache import VARIABLE

CHEST_XRAY = Path(__file__).resolve().parents[2] / "shared" / "data" / "chest_xray"


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


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle of a tiny network, for the Hub's tests; TensorFlow is imported here."""
    from hub_kit import train_small

    return train_small(tmp_path_factory.mktemp("small"))
