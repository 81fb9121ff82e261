"""A small Hugging Face Hub in memory, over real HTTP on 127.0.0.1, with faults on demand.

It serves commits of model, data set and Space repositories (metadata, refs, trees, path infos, file contents) and
takes commits, tags and Space variables from those who have a token. Xet is not spoken, and contents come straight
from /resolve without a redirect, so clients run with HF_HUB_DISABLE_XET=1.
"""

import asyncio
import base64
import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import uvicorn
import yaml  # type: ignore[import-untyped]
from fastapi import FastAPI, Form, HTTPException, Request, Response
from fastapi.responses import JSONResponse

MAIN = "main"
WRITER, READER = "hf_writer", "hf_reader"
"""Tokens: one may write, the other may only read. Whoever has another is told 401."""
_LARGE = (".h5", ".onnx", ".jpeg", ".png")


@dataclass(frozen=True)
class Commit:
    """One state of a repository. sha: 40 hexadecimal digits, from the contents and the parent."""

    sha: str
    files: Mapping[str, bytes]


@dataclass
class Fault:
    """What goes wrong with the requests "METHOD /path" that `match` finds; `times` of them, or all.

    A number is a status that is answered instead. reset: the connection breaks before the answer; truncate: in the
    middle of it; hang: nothing is answered; slow: the answer drips; alter: its bytes are others.
    """

    kind: int | Literal["reset", "truncate", "hang", "slow", "alter"]
    match: str = ""
    times: int | None = None

    def hits(self, line: str) -> bool:
        """Whether it strikes this request; counts."""
        if self.times == 0 or not re.search(self.match, line):
            return False
        if self.times:
            self.times -= 1
        return True


@dataclass
class Hub:
    """Repositories by (kind, id), where kind is "datasets", "models" or "spaces"; and the requests that came in."""

    repos: dict[tuple[str, str], list[Commit]] = field(default_factory=dict)
    tags: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    private: set[tuple[str, str]] = field(default_factory=set)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
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
        sha = self.tags.get((kind, repo_id), {}).get(revision, revision)
        for commit in commits:
            if commit.sha == sha:
                return commit
        raise _hub_error("RevisionNotFound", f"Invalid rev id: {revision}")


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a Hub in a thread of its own, on a free port, until the block ends."""
    hub = Hub()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = _Wire(hub, build_app(hub))
        server = uvicorn.Server(
            uvicorn.Config(app, ws="none", lifespan="off", log_level="error", timeout_graceful_shutdown=1)
        )
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
    _add_writing(app, hub)
    _add_api(app, hub)
    _add_files(app, hub)
    return app


class _Wire:
    """Between the server and the app: notes each request, and lets it meet its fault."""

    def __init__(self, hub: Hub, app: FastAPI) -> None:
        self._hub = hub
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        line = f"{scope['method']} {scope['path']}"
        self._hub.requests.append(line)
        fault = next((fault for fault in self._hub.faults if fault.hits(line)), None)
        if fault is None:
            await self._app(scope, receive, send)
        elif isinstance(fault.kind, int):
            await JSONResponse({"error": "on demand"}, fault.kind)(scope, receive, send)
        elif fault.kind == "reset":
            _break_off(send)
        elif fault.kind == "hang":
            await asyncio.sleep(600)
        else:
            await self._app(scope, receive, _Spoiled(send, fault.kind))


class _Spoiled:
    """Sends an answer that is slow, broken off or altered."""

    def __init__(self, send: Any, kind: str) -> None:
        self._send = send
        self._kind = kind

    async def __call__(self, message: Any) -> None:
        body = message.get("body", b"")
        if self._kind == "alter" and body:
            await self._send({**message, "body": bytes([body[0] ^ 1]) + body[1:]})
        elif self._kind == "truncate" and body:
            await self._send({**message, "body": body[: len(body) // 2], "more_body": True})
            await asyncio.sleep(0.05)  # so that the half arrives
            _break_off(self._send)
        elif self._kind == "slow" and body:
            for place in range(len(body)):
                await self._send({**message, "body": body[place : place + 1], "more_body": True})
                await asyncio.sleep(0.2)
            await self._send({**message, "body": b""})
        else:
            await self._send(message)


def _break_off(send: Any) -> None:
    """Reset the connection, as a dying server or a firewall does; `send` is uvicorn's own."""
    transport = send.__self__.transport
    lingering = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
    transport.abort()


def _add_writing(app: FastAPI, hub: Hub) -> None:
    @app.post("/api/validate-yaml")
    async def validate_yaml(request: Request) -> Response:
        errors = _card_errors((await request.json())["content"])
        return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)

    @app.post("/api/repos/create")
    async def create(request: Request) -> dict[str, str]:
        _require_writer(request)
        asked = await request.json()
        kind = f"{asked.get('type') or 'model'}s"
        repo_id = f"{asked['organization']}/{asked['name']}"
        url = f"{hub.url}/{'' if kind == 'models' else kind + '/'}{repo_id}"
        if (kind, repo_id) in hub.repos:
            raise HTTPException(409, {"url": url})
        hub.commit(kind, repo_id, {".gitattributes": b"*.h5 filter=lfs\n"})
        if asked.get("visibility") == "private":
            hub.private.add((kind, repo_id))
        return {"url": url}

    @app.post("/api/{kind}/{owner}/{name}/preupload/{revision}")
    async def preupload(kind: str, owner: str, name: str, revision: str, request: Request) -> dict[str, Any]:
        _require_writer(request)
        hub.find(kind, f"{owner}/{name}", revision)
        files = (await request.json())["files"]
        return {
            "files": [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(_LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for file in files
            ]
        }

    @app.post("/{owner}/{name}.git/info/lfs/objects/batch")
    @app.post("/spaces/{owner}/{name}.git/info/lfs/objects/batch")
    async def batch(request: Request) -> dict[str, Any]:
        _require_writer(request)
        objects = (await request.json())["objects"]
        return {"transfer": "basic", "objects": [_upload_of(hub, wanted) for wanted in objects]}

    @app.put("/upload/{sha256}")
    async def upload(sha256: str, request: Request) -> None:
        content = await request.body()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise HTTPException(400, "other bytes than announced")
        hub.stored[sha256] = content

    @app.post("/verify/{sha256}")
    def verify(sha256: str) -> None:
        if sha256 not in hub.stored:
            raise HTTPException(404, "never uploaded")

    @app.post("/api/{kind}/{owner}/{name}/commit/{revision}")
    async def commit(kind: str, owner: str, name: str, revision: str, request: Request) -> dict[str, Any]:
        _require_writer(request)
        repo_id = f"{owner}/{name}"
        head = hub.find(kind, repo_id, revision)
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        if lines[0]["value"].get("parentCommit", head.sha) != head.sha:
            raise HTTPException(412, "the branch has moved")
        sha = hub.commit(kind, repo_id, _applied(hub, head.files, lines[1:]))
        return {"success": True, "commitOid": sha, "commitUrl": f"{hub.url}/{repo_id}/commit/{sha}"}

    @app.post("/api/{kind}/{owner}/{name}/tag/{revision}")
    async def tag(kind: str, owner: str, name: str, revision: str, request: Request) -> None:
        _require_writer(request)
        repo_id, asked = f"{owner}/{name}", (await request.json())["tag"]
        tags = hub.tags.setdefault((kind, repo_id), {})
        if asked in tags:
            raise HTTPException(409, "there already")
        tags[asked] = hub.find(kind, repo_id, revision).sha

    @app.post("/api/spaces/{owner}/{name}/variables")
    async def variables(owner: str, name: str, request: Request) -> dict[str, Any]:
        _require_writer(request)
        hub.find("spaces", f"{owner}/{name}")
        asked = await request.json()
        kept = hub.variables.setdefault(f"{owner}/{name}", {})
        kept[asked["key"]] = asked["value"]
        return {key: {"value": value} for key, value in kept.items()}


def _require_writer(request: Request) -> None:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token == READER:
        raise HTTPException(403, "read only")
    if token != WRITER:
        message = "Invalid credentials in Authorization header"
        raise HTTPException(401, message, headers={"X-Error-Message": message})


def _card_errors(content: str) -> list[dict[str, str]]:
    parts = content.split("---\n", 2)
    try:
        front = yaml.safe_load(parts[1]) if len(parts) == 3 else None
    except yaml.YAMLError as error:
        return [{"message": f"YAML: {error}"}]
    if isinstance(front, dict) and isinstance(front.get("license"), str):
        return []
    return [{"message": '"license" must be a string'}]


def _upload_of(hub: Hub, wanted: dict[str, Any]) -> dict[str, Any]:
    oid = wanted["oid"]
    answer: dict[str, Any] = {"oid": oid, "size": wanted["size"]}
    if oid not in hub.stored:
        urls = {"upload": f"{hub.url}/upload/{oid}", "verify": f"{hub.url}/verify/{oid}"}
        answer["actions"] = {action: {"href": url} for action, url in urls.items()}
    return answer


def _applied(hub: Hub, files: Mapping[str, bytes], lines: list[dict[str, Any]]) -> dict[str, bytes]:
    """The files after a commit's operations."""
    after = dict(files)
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            after[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            after[value["path"]] = hub.stored[value["oid"]]
        else:
            after.pop(value["path"])
    return after


def _add_api(app: FastAPI, hub: Hub) -> None:
    @app.get("/api/{kind}/{owner}/{name}")
    def info(kind: str, owner: str, name: str) -> dict[str, Any]:
        repo_id = f"{owner}/{name}"
        return _info(repo_id, hub.find(kind, repo_id), (kind, repo_id) in hub.private)

    @app.get("/api/{kind}/{owner}/{name}/revision/{revision}")
    def revision_info(kind: str, owner: str, name: str, revision: str) -> dict[str, Any]:
        repo_id = f"{owner}/{name}"
        return _info(repo_id, hub.find(kind, repo_id, revision), (kind, repo_id) in hub.private)

    @app.get("/api/{kind}/{owner}/{name}/refs")
    def refs(kind: str, owner: str, name: str) -> dict[str, Any]:
        repo_id = f"{owner}/{name}"
        head = {"name": MAIN, "ref": "refs/heads/main", "targetCommit": hub.find(kind, repo_id).sha}
        tags = [
            {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": sha}
            for tag, sha in hub.tags.get((kind, repo_id), {}).items()
        ]
        return {"branches": [head], "converts": [], "tags": tags}

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


def _info(repo_id: str, commit: Commit, private: bool) -> dict[str, Any]:
    return {
        "_id": commit.sha[:24],
        "id": repo_id,
        "sha": commit.sha,
        "private": private,
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
            if path.endswith(_LARGE):
                sha256 = hashlib.sha256(content).hexdigest()
                entries[path]["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
    return list(entries.values())


def _file(commit: Commit, path: str, request: Request) -> Response:
    if path not in commit.files:
        raise _hub_error("EntryNotFound", f"{path} does not exist in {commit.sha}")
    content, status = commit.files[path], 200
    etag = hashlib.sha256(content).hexdigest() if path.endswith(_LARGE) else _blob_id(content)
    headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
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
