"""How many threads this process should use: what its container may use, not what the machine has.

joblib's cpu_count gives nearly the same number, but importing it takes as long as opening a model, and it looks only
at the cgroup's root.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cxr.errors import UsageError

VARIABLE = "CXR_THREADS"
"""Environment variable that sets the number of threads."""
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def cpu_count() -> int:
    """Number of threads that can run at once, at least 1.

    CXR_THREADS if it is set; otherwise the smallest of the machine's processors, the process's CPU affinity and the
    CPU quota of its cgroups (v1 or v2), rounded up.

    Raises:
        UsageError: CXR_THREADS is not a whole number from 1.
    """
    asked = os.environ.get(VARIABLE, "").strip()
    if asked:
        if not (asked.isascii() and asked.isdecimal() and int(asked) > 0):
            raise UsageError(
                f"{VARIABLE}={asked} is not a number of threads. Set it to a whole number from 1, or unset it."
            )
        return int(asked)
    return max(1, min([_usable_processors(), *map(math.ceil, _quotas())]))


def _usable_processors() -> int:
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas() -> Iterator[float]:
    """Processors' worth of time that each cgroup of this process allows, where it sets a limit."""
    for controllers, path in _own_cgroups():
        for folder in (path, *path.parents):
            if controllers == "":
                quota, _, period = _words(_CGROUPS / folder / "cpu.max").partition(" ")
            else:
                parent = _CGROUPS / controllers / folder
                quota, period = _words(parent / "cpu.cfs_quota_us"), _words(parent / "cpu.cfs_period_us")
            if quota.isdecimal() and period.isdecimal():  # "max" and -1 mean no limit
                yield int(quota) / int(period)


def _own_cgroups() -> Iterator[tuple[str, PurePosixPath]]:
    """(controllers, path below the mount) of the groups that limit CPU time; version 2 has no controllers' names."""
    for line in _words(_OWN_CGROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            yield controllers, PurePosixPath(path.strip("/"))


def _words(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:  # another system, or a group that cannot be read
        return ""
