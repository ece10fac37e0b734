"""Which request wants a key, counts among the requests a minute, and holds which place. Knows paths and no handler."""

import re

from serving.gateway.middleware import ROUTE_BY_PATH, Passage, passage

LISTENERS = 4096
"""Event streams at once on one replica [ours]: a listener costs a few kB and no work while nothing happens."""
UPLOADS = "/v1/files"
_CHANGES = frozenset({"POST", "DELETE"})
_PAGE = Passage("page", key=False)
_API = re.compile(r"/v1/(files|optimizations|catalogue|me|audit)(?:/|$)")
_EVENTS = re.compile(r"/v1/optimizations/[^/]+/events")


def service_passage(method: str, path: str) -> Passage:
    """Of every route of the application. Whatever changes something is a question like those to a model; reading holds a place
    alone; who listens holds a listener's. The page's own files are open: they hold nothing."""
    if path in ROUTE_BY_PATH or path.startswith("/v1/models"):
        return passage(method, path)
    if _EVENTS.fullmatch(path):
        return Passage("events", place="listener")
    if path == UPLOADS and method in _CHANGES:
        return Passage("files", rated=True, place="upload", body="form")
    if found := _API.match(path):
        return Passage(found[1], rated=method in _CHANGES, place="request")
    if path.startswith("/v1/"):
        return Passage("other")
    return _PAGE
