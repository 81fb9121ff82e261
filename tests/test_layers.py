"""The house: every package has its rules, what is light stays light, and that its lists of requirements agree."""

import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIGHT = (
    "cxr.imaging.decode",
    "cxr.imaging.preprocess",
    "cxr.data.films",
    "cxr.data.sources",
    "cxr.data.loading",
    "cxr.model.decision",
    "cxr.model.bundle",
    "cxr.model.predictor",
    "cxr.serving.local",
)
HEAVY = ("tensorflow", "keras", "datasets", "sklearn", "matplotlib", "gradio", "huggingface_hub")


def test_every_package_has_its_rules() -> None:
    """Who may import whom stands in .importlinter, which `make lint` keeps."""
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter", encoding="utf-8")
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert set(rules["importlinter"]["root_packages"].split()) == packages


def test_the_rules_are_kept() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_ground_floor_is_light() -> None:
    """Decoding, preprocessing, data and bundles load without the libraries that take seconds."""
    code = f"""
import importlib, sys
for name in {LIGHT}:
    importlib.import_module(name)
print(*sorted(set({HEAVY}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_commands_start_without_tensorflow() -> None:
    """Publishing, scoring and bad data are not to wait for it."""
    code = "import sys, trainer.__main__, evaluation.__main__, ui.api.endpoint; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


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
