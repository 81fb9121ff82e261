"""What publish and deploy share: a client that does not wait forever, a plan of changes, and errors in one line."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    set_client_factory,
)
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._http import default_client_factory  # with the hooks that the library relies on

from cxr.errors import HubError
from cxr.files import sha256_of_file
from cxr.serving.hub_words import HUB_ERRORS, in_words, status_of

_HINTS = {
    401: "Log in with `hf auth login`, or set HF_TOKEN to a token that may write",
    403: "Use a token that may write to this repository",
    402: "Choose a plan or another kind of Space on the Hub, or another owner",
    412: "Somebody else has committed in the meantime: run the command again",
}


def open_client(patience: float) -> HfApi:
    """The Hub's client, with the usual token; a server that is silent for `patience` seconds counts as down."""

    def make() -> httpx2.Client:
        client = default_client_factory()
        client.event_hooks["request"].append(bound)
        return client

    def bound(request: httpx2.Request) -> None:
        # Where huggingface_hub gives no limit of its own, it waits without end.
        request.extensions["timeout"] = httpx2.Timeout(patience).as_dict()

    set_client_factory(make)
    return HfApi()


@contextmanager
def reported(failure: str, again: str) -> Iterator[None]:
    """Turn what the client raises into one line: what failed, why, and what to do.

    Args:
        failure: what it means that this step fails, as the beginning of a sentence.
        again: the command to run again where no better advice is known.

    Raises:
        HubError: for everything that the client raises.
    """
    try:
        yield
    except HUB_ERRORS as error:
        hint = _HINTS.get(status_of(error) or 0, f"Check the name and the network, then run {again} again")
        raise HubError(f"{failure}: {in_words(error)}. {hint}.") from error


@dataclass(frozen=True)
class Remote:
    """A repository's main branch: its commit, and its files by name with the oid that the Hub has for each."""

    commit: str
    files: Mapping[str, RepoFile]
    private: bool


def look_at(api: HfApi, repo_id: str, kind: str) -> Remote | None:
    """The repository as it is, or None where there is none that we may see."""
    try:
        info = api.repo_info(repo_id, repo_type=kind)
    except RepositoryNotFoundError:
        return None
    entries = api.list_repo_tree(repo_id, recursive=True, revision=info.sha, repo_type=kind)
    files = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    return Remote(info.sha or "", files, bool(info.private))


@dataclass(frozen=True)
class Plan:
    """What one commit does: files by their name in the repository, and those to delete."""

    new: dict[str, Path]
    changed: dict[str, Path]
    removed: list[str]
    kept: int

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.removed)

    def lines(self) -> list[str]:
        """For people: one line a file."""
        marked = [(name, "new", path) for name, path in self.new.items()]
        marked += [(name, "changed", path) for name, path in self.changed.items()]
        rows = [f"  {mark:<8}{name} ({_size(path)})" for name, mark, path in sorted(marked)]
        rows += [f"  {'removed':<8}{name}" for name in self.removed]
        return [*rows, f"  {self.kept} files stay as they are"]

    def operations(self) -> list[CommitOperationAdd | CommitOperationDelete]:
        """The same, for the client."""
        added = {**self.new, **self.changed}
        return [
            *(CommitOperationAdd(name, str(path)) for name, path in sorted(added.items())),
            *(CommitOperationDelete(name) for name in self.removed),
        ]


def plan(files: Mapping[str, Path], remote: Remote | None, obsolete: set[str]) -> Plan:
    """Compare local files with the remote; of the remote's others, those in `obsolete` go."""
    there = remote.files if remote else {}
    new = {name: path for name, path in files.items() if name not in there}
    changed = {name: path for name, path in files.items() if name in there and not _same(path, there[name])}
    removed = sorted(name for name in obsolete if name in there and name not in files)
    return Plan(new, changed, removed, len(files) - len(new) - len(changed))


def _same(path: Path, entry: RepoFile) -> bool:
    if entry.size != path.stat().st_size:
        return False
    if entry.lfs is not None:
        return entry.lfs.sha256 == sha256_of_file(path)
    content = path.read_bytes()
    return entry.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{size / 2**10:.1f} kB"
