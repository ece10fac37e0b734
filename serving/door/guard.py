"""What stands before the application: key, rate, places, and the form of every error. An ASGI middleware; knows no model.

It sees a request before its body is read, so that nobody without a key has anything read or remembered.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.door.answering import refusal
from serving.door.keys import Keys
from serving.door.limits import Places, Rate
from serving.door.metrics import Metrics, Visit
from serving.door.replies import Sheet

HEALTH = "/healthz"
ROUTE_BY_PATH = {
    HEALTH: "health", "/metrics": "metrics", "/v1/models": "models", "/v1/chat/completions": "chat",
    "/v1/completions": "completions"}
"""The label of a route in the metrics; any other path is "other"."""
_QUESTIONS = frozenset({"chat", "completions"})
"""The routes that cost something: only they are limited in rate and number."""


class Guard:
    """Lets in who has a key and finds a place. All but /healthz wants a key, where there are any."""

    def __init__(self, app: ASGIApp, keys: Keys, rate: Rate, places: Places, metrics: Metrics) -> None:
        self._app = app
        self._keys = keys
        self._rate = rate
        self._places = places
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = Visit(ROUTE_BY_PATH.get(_path(scope), "other"))
        scope.setdefault("state", {})["visit"] = visit

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
            await send(message)

        with self._metrics.watched(visit):
            await self._attend(visit, scope, receive, noting)

    async def _attend(self, visit: Visit, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._admitted(visit, scope):
                await self._app(scope, receive, send)
        except ClientDisconnect:
            return  # nobody is left to be told
        except Exception as problem:
            no = refusal(problem)
            self._metrics.refused(no.code)
            if visit.status is not None:  # an answer is under way: whoever gives it tells what it can
                raise
            await Sheet(no.content(), no.status, no.headers())(scope, receive, send)

    @contextmanager
    def _admitted(self, visit: Visit, scope: Scope) -> Iterator[None]:
        """For as long as the answer takes. Raises Refused."""
        if visit.route == "health":
            yield
            return
        owner = self._keys.owner(Headers(scope=scope).get("authorization"))
        if visit.route not in _QUESTIONS:
            yield
            return
        self._rate.take(owner)
        with self._places.one():
            yield


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
