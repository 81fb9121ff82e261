"""A small Hugging Face Hub in memory, over real HTTP on 127.0.0.1, for the clients that read from it.

It serves commits of model and data set repositories: metadata, trees, path infos and file contents. Xet is not
spoken, and contents come straight from /resolve without a redirect, so clients run with HF_HUB_DISABLE_XET=1.
"""

import hashlib
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Form, HTTPException, Request, Response

MAIN = "main"


@dataclass(frozen=True)
class Commit:
    """One state of a repository. sha: 40 hexadecimal digits, from the contents and the parent."""

    sha: str
    files: Mapping[str, bytes]


@dataclass
class Hub:
    """Repositories by (kind, id), where kind is "datasets" or "models"; and the requests that came in."""

    repos: dict[tuple[str, str], list[Commit]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def commit(self, kind: str, repo_id: str, files: Mapping[str, bytes]) -> str:
        """Make `files` the newest state of a repository, which is created if need be; returns its sha."""
        commits = self.repos.setdefault((kind, repo_id), [])
        digest = hashlib.sha1(commits[-1].sha.encode() if commits else b"")
        for path, content in sorted(files.items()):
            digest.update(path.encode() + b"\0" + content)
        commits.append(Commit(digest.hexdigest(), dict(files)))
        return commits[-1].sha

    def find(self, kind: str, repo_id: str, revision: str = MAIN) -> Commit:
        """A commit by its sha or "main". Raises the HTTP error that the Hub answers with."""
        commits = self.repos.get((kind, repo_id))
        if commits is None:
            raise _hub_error("RepoNotFound", "Repository Not Found")
        if revision == MAIN:
            return commits[-1]
        for commit in commits:
            if commit.sha == revision:
                return commit
        raise _hub_error("RevisionNotFound", f"Invalid rev id: {revision}")


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a Hub in a thread of its own, on a free port, until the block ends."""
    hub = Hub()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(build_app(hub), ws="none", lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def build_app(hub: Hub) -> FastAPI:
    """The Hub's endpoints."""
    app = FastAPI()

    @app.middleware("http")
    async def _record(request: Request, call_next: Any) -> Response:
        hub.requests.append(f"{request.method} {request.url.path}")
        return await call_next(request)

    _add_api(app, hub)
    _add_files(app, hub)
    return app


def _add_api(app: FastAPI, hub: Hub) -> None:
    @app.get("/api/{kind}/{owner}/{name}")
    def info(kind: str, owner: str, name: str) -> dict[str, Any]:
        return _info(f"{owner}/{name}", hub.find(kind, f"{owner}/{name}"))

    @app.get("/api/{kind}/{owner}/{name}/revision/{revision}")
    def revision_info(kind: str, owner: str, name: str, revision: str) -> dict[str, Any]:
        return _info(f"{owner}/{name}", hub.find(kind, f"{owner}/{name}", revision))

    @app.get("/api/{kind}/{owner}/{name}/tree/{revision}")
    @app.get("/api/{kind}/{owner}/{name}/tree/{revision}/{folder:path}")
    def tree(
        kind: str, owner: str, name: str, revision: str, folder: str = "", recursive: bool = False
    ) -> list[dict[str, Any]]:
        entries = _tree(hub.find(kind, f"{owner}/{name}", revision), folder, recursive)
        if folder and not entries:
            raise _hub_error("EntryNotFound", f"{folder} does not exist")
        return entries

    @app.post("/api/{kind}/{owner}/{name}/paths-info/{revision}")
    def paths_info(
        kind: str, owner: str, name: str, revision: str, paths: Annotated[list[str], Form()]
    ) -> list[dict[str, Any]]:
        commit = hub.find(kind, f"{owner}/{name}", revision)
        every = {entry["path"]: entry for entry in _tree(commit, "", recursive=True)}
        return [every[path] for path in paths if path in every]


def _add_files(app: FastAPI, hub: Hub) -> None:
    @app.api_route("/datasets/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    def data_set_file(owner: str, name: str, revision: str, path: str, request: Request) -> Response:
        return _file(hub.find("datasets", f"{owner}/{name}", revision), path, request)

    @app.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    def model_file(owner: str, name: str, revision: str, path: str, request: Request) -> Response:
        return _file(hub.find("models", f"{owner}/{name}", revision), path, request)


def _info(repo_id: str, commit: Commit) -> dict[str, Any]:
    return {
        "_id": commit.sha[:24],
        "id": repo_id,
        "sha": commit.sha,
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": [],
        "siblings": [{"rfilename": path} for path in sorted(commit.files)],
    }


def _tree(commit: Commit, folder: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{folder.strip('/')}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, content in sorted(commit.files.items()):
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            inner = prefix + "/".join(parts[:depth])
            entries[inner] = {"type": "directory", "path": inner, "oid": _blob_id(inner.encode()), "size": 0}
        if recursive or len(parts) == 1:
            entries[path] = {"type": "file", "path": path, "oid": _blob_id(content), "size": len(content)}
    return list(entries.values())


def _file(commit: Commit, path: str, request: Request) -> Response:
    if path not in commit.files:
        raise _hub_error("EntryNotFound", f"{path} does not exist in {commit.sha}")
    content, status = commit.files[path], 200
    headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{_blob_id(content)}"', "Accept-Ranges": "bytes"}
    if asked := request.headers.get("range"):
        first, _, last = asked.removeprefix("bytes=").partition("-")
        end = min(int(last), len(content) - 1) if last else len(content) - 1
        headers["Content-Range"] = f"bytes {first}-{end}/{len(content)}"
        content, status = content[int(first) : end + 1], 206
    # Starlette drops the body of an answer to HEAD and keeps its Content-Length, as the clients need it.
    return Response(content, status, headers, media_type="application/octet-stream")


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _hub_error(code: str, message: str) -> HTTPException:
    return HTTPException(404, message, headers={"X-Error-Code": code, "X-Error-Message": message})
