"""Fixtures that several test files share."""

from pathlib import Path

import pytest

CHEST_XRAY = Path(__file__).resolve().parents[2] / "shared" / "data" / "chest_xray"


@pytest.fixture(scope="session")
def chest_xray() -> Path:
    """The real data set, which is no part of the repository; tests that need it skip where it is missing."""
    if not CHEST_XRAY.is_dir():
        pytest.skip("the real data set is not at ../shared/data/chest_xray")
    return CHEST_XRAY


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle of a tiny network, for the Hub's tests; TensorFlow is imported here."""
    from hub_kit import train_small

    return train_small(tmp_path_factory.mktemp("small"))
