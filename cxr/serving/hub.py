"""hub:OWNER/NAME[@revision] -> a verified bundle folder in the Hub's own cache.

A process of its own does the talking (`cxr.serving.hub_fetch`), so that a Hub that hangs, drips or breaks off costs a
bounded time, whatever its client waits for. A revision's place in the cache moves only after its bundle has been
verified and loaded (`keep`): what `cached` finds has served before.
"""

import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cxr.errors import HubError, UsageError
from cxr.files import write_text
from cxr.model.bundle import DESCRIPTION, altered_files

MAIN = "main"
_FORM = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ROOT = Path(__file__).resolve().parents[2]
_CHILD = "import sys; sys.path.insert(0, sys.argv.pop(1)); from cxr.serving.hub_fetch import main; main()"
"""A Space has this code in a folder and does not install it, so the process is told where to find it."""
_START_SECONDS = 120.0  # for Python to start and import the client, on a busy machine


@dataclass(frozen=True)
class HubModel:
    """A model repository and the revision that was asked for: a branch, a tag or a commit."""

    repo: str
    revision: str = MAIN

    @property
    def is_commit(self) -> bool:
        """Whether the revision is a commit, whose content never changes."""
        return bool(_COMMIT.fullmatch(self.revision))


@dataclass(frozen=True)
class Snapshot:
    """A commit of a model repository, in the cache."""

    folder: Path
    commit: str


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for the Hub: to name the commit; to send it all, when an older one could serve; else."""

    answer: float = 10.0
    renewal: float = 30.0
    first: float = 1800.0


class _SilenceError(HubError):
    """Nothing came in the time that was given."""


def parse_hub_model(model: str, revision: str | None = None) -> HubModel:
    """Read hub:OWNER/NAME[@revision].

    Args:
        model: the text.
        revision: a branch, a tag or a commit that was given apart from it.

    Raises:
        UsageError: it has another form, or names two revisions.
    """
    match = _FORM.fullmatch(model)
    if not match or ".." in (match[2] or ""):
        raise UsageError(
            f"{model} does not name a model on the Hub. Write hub:OWNER/NAME or hub:OWNER/NAME@REVISION, "
            "for example hub:someone/cxr@v0.1.0."
        )
    if revision and match[2] and revision != match[2]:
        raise UsageError(
            f"{model} names the revision {match[2]}, but MODEL_REVISION is {revision}. Leave one of them out."
        )
    chosen = revision or match[2] or MAIN
    if not re.fullmatch(r"[\w./-]+", chosen) or ".." in chosen:
        raise UsageError(f"The revision {chosen} is not the name of a branch or a tag, nor a commit.")
    return HubModel(match[1], chosen)


def fetch(asked: HubModel, patience: Patience, known: tuple[str, ...] = ()) -> Snapshot | None:
    """Ask the Hub for the revision's commit and fetch what serving needs of it.

    A file that arrived damaged is fetched once more; whoever loads the snapshot verifies it.

    Args:
        asked: repository and revision.
        patience: how long each step may take.
        known: commits that need not be fetched.

    Returns:
        The snapshot in the cache, or None where the revision is one of the `known` commits.

    Raises:
        HubError: the Hub does not give it in time.
        BundleError: what the Hub gives is not a bundle.
    """
    snapshot = _download(asked, patience, known)
    if snapshot is None:
        return None
    altered = altered_files(snapshot.folder)
    if altered:
        # Perhaps damaged on the way; the cache would keep it.
        for name in altered:
            _forget(snapshot.folder / name)
        snapshot = _download(asked, patience, known) or snapshot
    return snapshot


def cached(asked: HubModel) -> Snapshot | None:
    """The commit of this revision that served last, if the cache has it. It is not verified here."""
    from huggingface_hub import (
        try_to_load_from_cache,  # here: a model on this machine needs no client of the Hub
    )

    found = try_to_load_from_cache(asked.repo, DESCRIPTION, revision=asked.revision)
    if not isinstance(found, str):  # None, or a marker that the Hub has no such file
        return None
    folder = Path(found).parent
    return Snapshot(folder, folder.name)


def keep(asked: HubModel, snapshot: Snapshot) -> None:
    """Let the cache remember that this revision is this commit. Call it when the bundle has been loaded."""
    if not asked.is_commit:
        write_text(snapshot.folder.parents[1] / "refs" / asked.revision, snapshot.commit)


def _download(asked: HubModel, patience: Patience, known: tuple[str, ...]) -> Snapshot | None:
    options = [option for commit in known for option in ("--known", commit)]
    with _process(asked, *options) as answers:
        _next(answers, _START_SECONDS)
        commit = _next(answers, patience.answer)["commit"]
        if commit in known:
            return None
        try:
            folder = _next(answers, patience.renewal)["folder"]
        except _SilenceError:
            if cached(asked) is not None:
                raise
            folder = _next(answers, patience.first)["folder"]
        return Snapshot(Path(folder), commit)


@contextmanager
def _process(asked: HubModel, *options: str) -> Iterator["queue.Queue[str]"]:
    """Run cxr.serving.hub_fetch and yield its lines as they come, an empty one at its end. The block's end kills it."""
    command = [sys.executable, "-P", "-c", _CHILD, str(_ROOT), asked.repo, asked.revision, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            process.kill()
            reader.join()


def _read(stream: IO[str], lines: "queue.Queue[str]") -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def _next(lines: "queue.Queue[str]", seconds: float) -> dict[str, Any]:
    """The next message. Raises HubError for one that is an error, for none in time, and for a process that died."""
    try:
        line = lines.get(timeout=seconds)
    except queue.Empty:
        raise _SilenceError(_not_fetched(f"no answer within {seconds:g} s")) from None
    if not line:
        raise HubError(_not_fetched("the download broke off"))
    message: dict[str, Any] = json.loads(line)
    if "error" in message:
        raise HubError(_not_fetched(message["error"]))
    return message


def _not_fetched(reason: str) -> str:
    return (
        f"The model could not be fetched from the Hub: {reason}. Check its name, your access and the network."
    )


def _forget(path: Path) -> None:
    """Delete a file of a snapshot and the blob that it points to."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
