"""hub:OWNER/NAME[@revision] -> a verified bundle folder in the Hub's own cache.

A process of its own does the talking (`cxr.serving.hub_fetch`), so that a Hub that hangs, drips or breaks off costs a
bounded time, whatever its client waits for. A revision's place in the cache moves only after its bundle has been
verified and loaded (`keep`): what `cached` finds has served before.
"""

import json
import os
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
from cxr.model.bundle import altered_files

MAIN = "main"
_FORM = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ROOT = Path(__file__).resolve().parents[2]
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
    """Read hub:OWNER/NAME[@revision]; `revision` may be given apart. Raises UsageError."""
    match = _FORM.fullmatch(model)
    if not match or ".." in (match[2] or ""):
        raise UsageError("hub:OWNER/NAME[@revision]", repr(model), "for example hub:someone/cxr@v0.1.0")
    if revision and match[2] and revision != match[2]:
        raise UsageError(
            "one revision", f"@{match[2]} in the name and {revision} beside it", "leave one of them out"
        )
    chosen = revision or match[2] or MAIN
    if not re.fullmatch(r"[\w./-]+", chosen) or ".." in chosen:
        raise UsageError("a branch, a tag or a commit as revision", repr(chosen), "check it")
    return HubModel(match[1], chosen)


def fetch(asked: HubModel, patience: Patience, known: tuple[str, ...] = ()) -> Snapshot | None:
    """Ask the Hub for the revision's commit and fetch what serving needs of it; None for one of the `known`.

    A file that came damaged is fetched once more; whoever loads the snapshot verifies it. Raises HubError where the
    Hub does not give it in time, BundleError where what it gives is no bundle.
    """
    snapshot = _download(asked, patience, known)
    if snapshot is None:
        return None
    altered = altered_files(snapshot.folder)
    if altered:
        # Damaged on the way, perhaps: the cache would go on to believe in it.
        for name in altered:
            _forget(snapshot.folder / name)
        snapshot = _download(asked, patience, known) or snapshot
    return snapshot


def cached(asked: HubModel) -> Snapshot | None:
    """The commit of this revision that served last, as far as the cache knows. It is not verified here."""
    with _process(asked, "--cached") as answers:
        _next(answers, _START_SECONDS)
        try:
            commit = _next(answers, _START_SECONDS)["commit"]
            return Snapshot(Path(_next(answers, _START_SECONDS)["folder"]), commit)
        except HubError:
            return None


def keep(asked: HubModel, snapshot: Snapshot) -> None:
    """Let the cache remember that this revision is this commit. To be called when the bundle has been loaded."""
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
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "cxr.serving.hub_fetch", asked.repo, asked.revision, *options]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    ) as process:
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
        raise _SilenceError(*_not_given(f"no answer within {seconds:g} s")) from None
    if not line:
        raise HubError(*_not_given("a download that broke off"))
    message: dict[str, Any] = json.loads(line)
    if "error" in message:
        raise HubError(*_not_given(message["error"]))
    return message


def _not_given(reason: str) -> tuple[str, str, str]:
    return "a model that the Hub gives us", reason, "check its name, your access and the network"


def _forget(path: Path) -> None:
    """Delete a file of a snapshot and the blob that it points to."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
