"""Small labelled data sets of flat films for the tests, and the commands run on them without a real model."""

import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation import __main__ as evaluation_command
from tests.test_evaluation_run import load_brightness

NORMAL, ILL = 70, 190
"""Brightness of a film that the model of `load_brightness` calls NORMAL, and of one that it calls PNEUMONIA."""


def film(brightness: int, seed: int = 0, form: str = "PNG") -> bytes:
    """A small film; another seed gives other bytes."""
    noise = np.random.default_rng([brightness, seed]).integers(-20, 20, (40, 50))
    stream = io.BytesIO()
    Image.fromarray((brightness + noise).astype(np.uint8)).save(stream, form)
    return stream.getvalue()


def of_classes(*places: str, each: int = 2, first: int = 0, suffix: str = "png") -> dict[str, bytes]:
    """`each` films in every folder; those of folders whose name says so are pneumonia."""
    ill = ("pneumonia", "virus", "bacteria", "1", "positive")
    return {
        f"{place}/f{number}.{suffix}": film(
            ILL if any(word in place.lower().rpartition("/")[2] for word in ill) else NORMAL, first + number
        )
        for place in places
        for number in range(each)
    }


def write(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zip_of(path: Path, files: Mapping[str, bytes], utf8_flag: bool = True) -> Path:
    """A .zip whose names stand in it as they are given, with "\\" too; without the flag, as macOS writes UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system = name, 0
            archive.writestr(info, content)
    if not utf8_flag:
        content = bytearray(path.read_bytes())
        for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            at = content.find(start)
            while at >= 0:
                content[at + flags + 1] &= 0xF7
                at = content.find(start, at + 1)
        path.write_bytes(content)
    return path


def evaluate(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit code of python -m evaluation run with a model of brightness, and without plots, which take a second."""
    monkeypatch.setattr("cxr.serving.opening.load_model", load_brightness)
    monkeypatch.setattr("evaluation.run.write_plots", lambda *_: [])
    settings = ["run", "--model", "brightness", "--resamples", "5", *map(str, words)]
    monkeypatch.setattr(sys, "argv", ["python -m evaluation", *settings])
    return evaluation_command.main()
