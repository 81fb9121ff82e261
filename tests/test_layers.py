"""The house: who imports whom, what stays light, and that its lists of requirements agree."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Each layer, and the layers of ours that it may import besides itself.
MAY_IMPORT = {
    "cxr": set(),
    "evaluation": {"cxr"},
    "trainer": {"evaluation", "cxr"},
    "ui": {"evaluation", "cxr"},
    "benchmarks": {"trainer", "evaluation", "cxr"},
    "app": {"ui", "evaluation", "cxr"},
}
LIGHT = ("image", "preprocess", "dataset", "sources", "loading", "decision", "bundle", "predictor")
HEAVY = ("tensorflow", "keras", "datasets", "sklearn", "matplotlib", "gradio", "huggingface_hub")


def layer_files() -> list[tuple[str, Path]]:
    """(layer, file) of every source of ours."""
    files = [("app", ROOT / "app.py")] if (ROOT / "app.py").exists() else []
    for layer in MAY_IMPORT:
        files += [(layer, path) for path in sorted((ROOT / layer).rglob("*.py"))]
    return files


def imported(source: str, layer: str) -> set[str]:
    """Top-level names that a source imports, at its top or inside a function; relative imports stay in `layer`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(layer if node.level else (node.module or "").split(".")[0])
    return names


def forbidden(source: str, layer: str) -> set[str]:
    """Layers of ours, tests included, that a source of `layer` imports and must not."""
    ours = imported(source, layer) & {*MAY_IMPORT, "tests", "experiments"}
    return ours - MAY_IMPORT[layer] - {layer}


@pytest.mark.parametrize(
    ("layer", "path"), [pytest.param(*row, id=str(row[1].relative_to(ROOT))) for row in layer_files()]
)
def test_imports_go_down_only(layer: str, path: Path) -> None:
    assert forbidden(path.read_text(encoding="utf-8"), layer) == set()


def test_every_layer_is_looked_at() -> None:
    found = {layer for layer, _ in layer_files()}
    assert {"cxr", "evaluation", "trainer"} <= found
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders <= {*MAY_IMPORT, "tests"}, "a package without a rule: add it to MAY_IMPORT"


@pytest.mark.parametrize(
    ("source", "layer", "expected"),
    [
        ("import evaluation.metrics", "cxr", {"evaluation"}),
        ("def f():\n    from trainer import fit", "evaluation", {"trainer"}),
        ("from app import build_app", "trainer", {"app"}),
        ("from . import image\nfrom cxr.errors import CxrError\nimport os", "cxr", set()),
        ("from evaluation.metrics import evaluate", "trainer", set()),
        ("from tests import hub_server", "cxr", {"tests"}),
    ],
)
def test_the_rule_itself(source: str, layer: str, expected: set[str]) -> None:
    assert forbidden(source, layer) == expected


def test_the_ground_floor_is_light() -> None:
    """Decoding, preprocessing, data and bundles load without the libraries that take seconds."""
    code = f"""
import importlib, sys
for name in {LIGHT}:
    importlib.import_module("cxr." + name)
print(*sorted(set({HEAVY}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# --- Requirements


def requirement_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_requirements_txt_is_what_the_project_depends_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (
        requirement_lines((ROOT / "requirements.txt").read_text(encoding="utf-8")) == project["dependencies"]
    )


def lock_entries() -> list[str]:
    """The entries of requirements.lock, each with its continuation lines."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    return requirement_lines(text)


def test_the_lock_pins_every_entry_with_hashes() -> None:
    entries = lock_entries()
    assert len(entries) > 50
    form = re.compile(r"[\w.-]+(\[[\w,-]+\])?==\S+( ; [^#]+?)?(\s+--hash=sha256:[0-9a-f]{64})+")
    assert [entry.split()[0] for entry in entries if not form.fullmatch(entry)] == []


def test_the_lock_names_no_place_to_fetch_from() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"https?:|www\.|pypi|\.org\b|\.com\b|\.internal\b|git\+|file:", text, re.IGNORECASE)
    assert not re.search(r"^\s*(--|-[a-z]\b)(?!hash=)", text, re.MULTILINE)
    assert " @ " not in text


def test_the_lock_holds_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    pinned = {_name(entry) for entry in lock_entries()}
    assert {_name(line) for line in wanted} - pinned == set()


def _name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match[0]).lower()
