"""The worker processes of a Ray that a process of ours has started."""

import os
import time
from collections.abc import Callable
from pathlib import Path

_TITLE = b"ray::Map"


def workers_of(driver: int) -> list[int]:
    """Process ids of the workers that answer for films, below the process `driver`."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal() and _read(place / "cmdline").startswith(_TITLE):
            pid = int(place.name)
            if driver in _ancestors(pid):
                found.append(pid)
    return sorted(found)


def _ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        fields = _read(Path("/proc") / str(pid) / "stat").rpartition(b")")[2].split()
        pid = int(fields[1]) if len(fields) > 1 else 0
        found.append(pid)
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # ended in the meantime
        return b""


def kill_one(driver: int, ready: Callable[[], bool], over: Callable[[], bool], signal: int) -> int | None:
    """Kill a worker once `ready`; its process id, or None where it was `over` before."""
    while not over():
        if ready() and (workers := workers_of(driver)):
            os.kill(workers[0], signal)
            return workers[0]
        time.sleep(0.01)
    return None
