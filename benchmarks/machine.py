"""The machine that measured, and how busy it was with other work."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from cxr.threads import cpu_count

_PACKAGES = ("gradio", "gradio_client", "onnxruntime", "keras", "tensorflow-cpu", "numpy", "pillow")


def describe() -> dict[str, object]:
    """Processor, cores, memory, versions."""
    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.processor(),
        "cores": cpu_count(),
        "memory": _field(Path("/proc/meminfo"), "MemTotal"),
        "python": platform.python_version(),
        "system": platform.system(),
        "libraries": {name: version(name) for name in _PACKAGES},
    }


def load() -> float:
    """Runnable processes on average over the last minute; above the number of cores, work waits."""
    return round(os.getloadavg()[0], 2)


def resident_megabytes(pid: int | str = "self") -> float:
    """Memory of a process that is in use now."""
    return int(_field(Path(f"/proc/{pid}/status"), "VmRSS").split()[0]) / 1024


def peak_megabytes() -> float:
    """The most memory that this process has used."""
    return int(_field(Path("/proc/self/status"), "VmHWM").split()[0]) / 1024


def _field(path: Path, name: str) -> str:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
