"""Serves the page's own files at /, /assets and, for links into it, /jobs/...

They are open to everybody without a key, as they hold no data. Their policy lets the page load from
this address only. Starlette's StaticFiles is not used: its ETag is a hash of a file's time and
size, so it differs between replicas and can stay the same in a new build; it sets no Cache-Control
and serves hidden files. Knows no API.
"""

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from functools import cached_property
from importlib.resources.abc import Traversable

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import Response

from serving.gateway.errors import Refused

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
INDEX = "index.html"
HASHED = re.compile(r"-[A-Za-z0-9_-]{8,}\.\w+$")
"""The form of a name that changes with its content, so that it may be cached for good."""
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
}
_TEXT = ("text/", "application/json")


@dataclass(frozen=True)
class PageFiles:
    """The files of a folder, read once; the folder may not exist."""

    folder: Traversable

    @cached_property
    def _content_by_path(self) -> dict[str, tuple[bytes, str]]:
        """Return path -> bytes and ETag."""
        found = dict(_walk(self.folder, "")) if self.folder.is_dir() else {}
        return {
            path: (data, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
            for path, data in found.items()
        }

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(include_in_schema=False)
        for path in ("/", "/jobs", "/jobs/{rest:path}", "/new", "/files"):
            router.add_api_route(path, self.index, methods=["GET"])
        router.add_api_route("/{path:path}", self.file, methods=["GET"])
        return router

    async def index(self, http: HttpRequest) -> Response:
        """Return the page."""
        return self._answer(http, INDEX)

    async def file(self, http: HttpRequest, path: str) -> Response:
        """Return one of the page's files."""
        return self._answer(http, path)

    def _answer(self, http: HttpRequest, path: str) -> Response:
        if path not in self._content_by_path:
            raise Refused(
                404, "unknown_url", f"{http.method} {http.url.path[:100]}: there is nothing here."
            )
        data, tag = self._content_by_path[path]
        lasting = "public, max-age=31536000, immutable" if HASHED.search(path) else "no-cache"
        headers = {"ETag": tag, "Cache-Control": lasting, "Content-Security-Policy": POLICY}
        if tag in http.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=_media_type(path), headers=headers)


def _walk(folder: Traversable, above: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        path = f"{above}{entry.name}"
        if entry.is_dir():
            found += _walk(entry, f"{path}/")
        elif not entry.name.startswith((".", "__")) and not entry.name.endswith(".py"):
            found.append((path, entry.read_bytes()))
    return found


def _media_type(path: str) -> str:
    ending = re.search(r"\.\w+$", path)
    known = (
        _TYPES.get(ending[0] if ending else "")
        or mimetypes.guess_type(path)[0]
        or "application/octet-stream"
    )
    return (
        f"{known}; charset=utf-8"
        if known.startswith(_TEXT) or known == "text/javascript"
        else known
    )
