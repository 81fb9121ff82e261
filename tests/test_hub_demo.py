"""make demo, small and ending by itself: train, publish, pull in a fresh process, serve, ask."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.timeout(600)
def test_the_whole_way():
    done = subprocess.run(
        [sys.executable, "tests/hub_demo.py", "--end", "--data", "phantom:72", "--epochs", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "published: hub:demo/cxr-pneumonia@v0.1.0" in done.stdout
    pairs = re.findall(r"app (\d\.\d+|none), trainer (\d\.\d+|none)", done.stdout)
    assert len(pairs) == 4 and all(app == trainer for app, trainer in pairs)
    assert sum(app != "none" for app, _ in pairs) >= 2, "the gate refused the rest, in both"
    commit = re.search(r"served: hub:demo/cxr-pneumonia at ([0-9a-f]{40})", done.stdout)
    assert commit and f"published: hub:demo/cxr-pneumonia@v0.1.0 at {commit[1]}" in done.stdout
    assert "the app is open on the pulled model hub:demo/cxr-pneumonia: http://127.0.0.1:" in done.stdout
