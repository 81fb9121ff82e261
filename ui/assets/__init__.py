"""Styles and scripts of the page: plain files, sent as they are."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent


def script(name: str, **constants: str) -> str:
    """The JavaScript of `name`.js; `constants` replace its words of the form __NAME__, as JSON strings."""
    text = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    for constant, value in constants.items():
        text = text.replace(f"__{constant.upper()}__", json.dumps(value))
    return text


def style(name: str) -> str:
    """The CSS of `name`.css."""
    return (FOLDER / f"{name}.css").read_text(encoding="utf-8")
