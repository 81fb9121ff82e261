"""Freed memory goes back to the system."""

import sys
from pathlib import Path

import pytest

from cxr.memory import return_freed


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can, and /proc tells")
def test_freed_blocks_between_kept_ones_go_back() -> None:
    def resident_megabytes() -> float:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * 4096 / 2**20

    return_freed()
    blocks = [b"x" * (100_000 + number) for number in range(1000)]
    kept = blocks[::20]
    filled = resident_megabytes()
    del blocks
    return_freed()
    assert filled - resident_megabytes() > 60
    assert len(kept) == 50
