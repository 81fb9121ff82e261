"""A process of its own (`cxr.serving.hub` starts it): the half of a pull that talks to the Hub, and can be ended.

Writes one JSON object a line: {"ready": true}, then {"commit": ...} when the revision is resolved, then
{"folder": ...}, the snapshot in the Hub's cache; or {"error": ...}.
"""

import argparse
import json
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download

from cxr.model.bundle import DESCRIPTION, is_for_the_record
from cxr.serving.hub_words import HUB_ERRORS, in_words


def main() -> None:
    """Fetch what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repo")
    parser.add_argument("revision")
    parser.add_argument("--known", action="append", default=[])
    options = parser.parse_args()
    _send(ready=True)
    try:
        _fetch(options.repo, options.revision, options.known)
    except HUB_ERRORS as error:
        _send(error=in_words(error))


def _fetch(repo: str, revision: str, known: list[str]) -> None:
    """Everything is fetched by the commit's name, so no ref of the cache moves before the bundle is verified."""
    commit = HfApi().model_info(repo, revision=revision).sha
    if not commit:
        raise ValueError("the Hub names no commit for this revision")
    _send(commit=commit)
    if commit in known:
        return
    description = Path(hf_hub_download(repo, DESCRIPTION, revision=commit))
    read = json.loads(description.read_text(encoding="utf-8"))
    listed = read.get("sha256") if isinstance(read, dict) else None
    if not isinstance(listed, dict):
        raise ValueError(f"its {DESCRIPTION} lists no files, so it is not a model of this project")
    needed = [name for name in listed if not is_for_the_record(name)]
    _send(folder=snapshot_download(repo, revision=commit, allow_patterns=[DESCRIPTION, *needed]))


def _send(**message: object) -> None:
    print(json.dumps(message), flush=True)
