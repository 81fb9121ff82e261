"""What stands before Gradio's routes: security headers, no requests from other sites, a typed error for wrong calls."""

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = {
    "default-src": "'self'",
    # Gradio's page has inline scripts and styles, and compiles an event's JavaScript from its text.
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self' https://huggingface.co https://*.hf.space",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""Of every answer of the server."""
_BY_NAME = "/gradio_api/call/v2/"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_CALL = re.compile(r"/gradio_api/(?:call/v2|call)/([^/]+)")


def server_options(endpoints: Collection[str]) -> dict[str, Any]:
    """What FastAPI is to be made with, for an app whose public endpoints have these names, without their slash."""
    return {
        "middleware": [Middleware(Guard, endpoints=endpoints)],
        "exception_handlers": {RequestValidationError: _bad_body, TypeError: _bad_names},
    }


class Guard:
    """ASGI middleware; `endpoints` are the names that may be called, without their slash."""

    def __init__(self, app: ASGIApp, endpoints: Collection[str]) -> None:
        self._app = app
        self._endpoints = endpoints
        # Gradio sends its scripts compressed, and the page itself, which holds all components, as it is.
        self._page = GZipMiddleware(app, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request here where it is to be refused, else hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        app = self._page if scope["path"] == "/" else self._app
        await (self._refusal(scope) or app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        if scope["method"] not in _SAFE and _is_foreign(Headers(scope=scope)):
            return _error(
                403,
                "cross_origin",
                "This server takes no requests from pages of other sites. Call it from a program.",
            )
        called = _CALL.search(scope["path"])
        if called and called[1] not in self._endpoints:
            names = ", ".join(f"/{name}" for name in sorted(self._endpoints))
            return _error(404, "unknown_endpoint", f"There is no such endpoint. There are {names}.")
        return None


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser sends this for a page of another site; a program sends no Origin."""
    origin = headers.get("origin")
    if origin is None:
        return False
    hosts = {headers.get("host", ""), *headers.get("x-forwarded-host", "").replace(" ", "").split(",")}
    return urlsplit(origin).netloc not in hosts - {""}


async def _bad_body(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _error(422, "bad_arguments", f"The request cannot be read: {where}: {first['msg']}.")


async def _bad_names(request: Request, error: Exception) -> JSONResponse:
    """Gradio raises TypeError for arguments that are passed by a name that there is not, and for nothing else."""
    if _BY_NAME not in request.url.path:
        raise error
    return _error(422, "bad_arguments", "The request names an argument that this endpoint does not have.")


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
