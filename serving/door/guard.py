"""What stands before the application: key, rate, places, and the form of every error. An ASGI middleware; knows no model.

It sees a request before its body is read, so that nobody without a key has anything read or remembered.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.door.answering import refusal
from serving.door.keys import Gate
from serving.door.limits import Places, Rate
from serving.door.metrics import Metrics, Visit
from serving.door.replies import Sheet

HEALTH = "/healthz"
ROUTE_BY_PATH = {
    HEALTH: "health", "/metrics": "metrics", "/v1/models": "models", "/v1/chat/completions": "chat",
    "/v1/completions": "completions"}
"""The label of a route in the metrics; any other path is "other"."""
_QUESTIONS = frozenset({"chat", "completions"})
"""The routes of models that cost something: only they are limited in rate and number."""


@dataclass(frozen=True)
class Passage:
    """How a request is let in."""

    route: str
    """Its label in the metrics; one of few."""
    key: bool = True
    """Does it want a key, where there are any?"""
    rated: bool = False
    """Does it count among the requests a minute?"""
    place: Literal["none", "request", "listener"] = "none"
    """Which kind of place it holds for as long as its answer takes."""


def passage(method: str, path: str) -> Passage:
    """Of the door's own routes."""
    route = ROUTE_BY_PATH.get(path, "other")
    question = route in _QUESTIONS
    return Passage(route, key=route != "health", rated=question, place="request" if question else "none")


class Guard:
    """Lets in who has a key and finds a place. All but /healthz wants a key, where there are any; `passages` may know of others.
    Who comes stands in the request's state as `caller`."""

    def __init__(
        self, app: ASGIApp, gate: Gate, rate: Rate, places: Places, metrics: Metrics, listeners: Places | None = None,
        passages: Callable[[str, str], Passage] = passage,
    ) -> None:
        self._app = app
        self._gate = gate
        self._rate = rate
        self._places = {"request": places, "listener": listeners or places}
        self._metrics = metrics
        self._passages = passages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        way = self._passages(scope["method"], _path(scope))
        visit = Visit(way.route)
        scope.setdefault("state", {})["visit"] = visit

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
            await send(message)

        with self._metrics.watched(visit):
            await self._attend(visit, way, scope, receive, noting)

    async def _attend(self, visit: Visit, way: Passage, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            caller = await self._gate.admit(Headers(scope=scope).get("authorization")) if way.key else None
            scope["state"]["caller"] = caller
            with self._admitted(way, caller):
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
    def _admitted(self, way: Passage, caller: Hashable) -> Iterator[None]:
        """For as long as the answer takes. Raises Refused."""
        if way.rated:
            self._rate.take(caller)
        if way.place == "none":
            yield
            return
        with self._places[way.place].one():
            yield


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
