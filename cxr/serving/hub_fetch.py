"""python -m cxr.serving.hub_fetch: the half of a pull that talks to the Hub, in a process that can be ended.

Writes one JSON object a line: {"ready": true}, then {"commit": ...} when the revision is resolved, then
{"folder": ...}, the snapshot in the Hub's cache; or {"error": ...}. `cxr.serving.hub` is the other half.
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
    parser.add_argument("--cached", action="store_true")
    options = parser.parse_args()
    _tell(ready=True)
    try:
        if options.cached:
            _find_cached(options.repo, options.revision)
        else:
            _fetch(options.repo, options.revision, options.known)
    except HUB_ERRORS as error:
        _tell(error=in_words(error))


def _fetch(repo: str, revision: str, known: list[str]) -> None:
    """Everything is fetched by the commit's name, so no ref of the cache moves before the bundle is verified."""
    commit = HfApi().model_info(repo, revision=revision).sha
    if not commit:
        raise ValueError("the Hub names no commit for it")
    _tell(commit=commit)
    if commit in known:
        return
    description = Path(hf_hub_download(repo, DESCRIPTION, revision=commit))
    read = json.loads(description.read_text(encoding="utf-8"))
    listed = read.get("sha256") if isinstance(read, dict) else None
    if not isinstance(listed, dict):
        raise ValueError(f"its {DESCRIPTION} lists no files: not a model of this project")
    needed = [name for name in listed if not is_for_the_record(name)]
    _tell(folder=snapshot_download(repo, revision=commit, allow_patterns=[DESCRIPTION, *needed]))


def _find_cached(repo: str, revision: str) -> None:
    folder = snapshot_download(repo, revision=revision, local_files_only=True, allow_patterns=[DESCRIPTION])
    _tell(commit=Path(folder).name)
    _tell(folder=folder)


def _tell(**message: object) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
