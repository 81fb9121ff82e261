"""How many threads: the environment, the affinity and the cgroup's quota decide, not the machine."""

import os
from pathlib import Path

import pytest

from cxr import threads
from cxr.errors import UsageError
from cxr.threads import cpu_count


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of 8 usable processors whose cgroup files lie in tmp_path; returns a function that writes them."""
    monkeypatch.delenv(threads.VARIABLE, raising=False)
    monkeypatch.setattr(threads, "_usable_processors", lambda: 8)
    monkeypatch.setattr(threads, "_CGROUPS", tmp_path)
    monkeypatch.setattr(threads, "_OWN_CGROUPS", tmp_path / "own")

    def write(own: str, files: dict[str, str]) -> None:
        for name, text in {"own": own, **files}.items():
            path: Path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    return write


@pytest.mark.parametrize(
    ("own", "files", "count"),
    [
        ("0::/", {"cpu.max": "200000 100000"}, 2),  # version 2, in a container of its own
        ("0::/", {"cpu.max": "150000 100000"}, 2),  # rounded up: a thread more than to leave time unused
        ("0::/", {"cpu.max": "20000 100000"}, 1),
        ("0::/", {"cpu.max": "max 100000"}, 8),  # no limit
        ("0::/", {"cpu.max": "6400000 100000"}, 8),  # more than there are
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),  # a parent's limit holds
        # Version 1, the folder by its own path or mounted as the root.
        ("1:cpu:/d", {"cpu/d/cpu.cfs_quota_us": "400000", "cpu/d/cpu.cfs_period_us": "100000"}, 4),
        (
            "4:cpu,cpuacct:/d",
            {"cpu,cpuacct/cpu.cfs_quota_us": "50000", "cpu,cpuacct/cpu.cfs_period_us": "50000"},
            1,
        ),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("4:memory:/d", {"memory/d/cpu.max": "100000 100000"}, 8),  # not a group of the CPU
    ],
)
def test_the_cgroups_quota_limits_the_threads(machine, own, files, count):
    machine(own, files)
    assert cpu_count() == count


def test_without_cgroups_the_usable_processors_count(machine):
    assert cpu_count() == 8


def test_the_affinity_limits_the_threads(monkeypatch):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system sets no affinity")
    monkeypatch.delenv(threads.VARIABLE, raising=False)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cpu_count() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_the_environment_decides_over_all(machine, monkeypatch):
    machine("0::/", {"cpu.max": "100000 100000"})
    monkeypatch.setenv(threads.VARIABLE, "6")
    assert cpu_count() == 6


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_an_impossible_number_is_one_sentence(monkeypatch, text):
    monkeypatch.setenv(threads.VARIABLE, text)
    with pytest.raises(
        UsageError, match=f"CXR_THREADS={text} is not a number of threads. Set it to a whole number"
    ):
        cpu_count()
