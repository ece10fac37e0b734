"""The ASGI middleware before the application: key, rate, slots, and the form of every error.

It sees a request before its body is read, so that nothing of a caller without a key is read or
stored. A request gets its slot when its body has arrived. Knows no model.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway.api_keys import RequestAuthenticator
from serving.gateway.body_reader import BodyLimits, arrived, as_it_comes, expect_plain
from serving.gateway.completion import refusal
from serving.gateway.errors import Refused
from serving.gateway.limits import Rate, SlotLimit
from serving.gateway.metrics import Exchange, Metrics
from serving.gateway.origins import Body, Sites, check_body
from serving.gateway.response_bodies import JSONBody

HEALTH = "/healthz"
RECHECK_EVERY_S = 5.0
"""Seconds between two checks whether the caller of an open stream would still be admitted
[ours].
"""
POLICY_VIOLATION = 1008
"""The code with which a WebSocket is closed (RFC 6455, section 7.4.1)."""
ROUTE_BY_PATH = {
    HEALTH: "health",
    "/metrics": "metrics",
    "/v1/models": "models",
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
}
"""The label of a route in the metrics; any other path is "other"."""
_QUESTIONS = frozenset({"chat", "completions"})
"""Routes of models that cost something: only they are limited in rate and number."""


@dataclass(frozen=True)
class AccessRule:
    """The rule of how a request is admitted."""

    route: str
    """Its label in the metrics; one of few."""
    key: bool = True
    """A key is required, where there are any."""
    rated: bool = False
    """The request counts for the limit of requests a minute."""
    slot: Literal["none", "request", "listener", "upload"] = "none"
    """The kind of slot that it holds while its answer takes; an upload, also while its body
    takes.
    """
    body: Body = "json"
    """The type of its body, where it has one."""


def access_rule(method: str, path: str) -> AccessRule:
    """Return the rule of one of the gateway's own routes."""
    route = ROUTE_BY_PATH.get(path, "other")
    question = route in _QUESTIONS
    return AccessRule(
        route, key=route != "health", rated=question, slot="request" if question else "none"
    )


@dataclass(frozen=True)
class ConcurrencyLimits:
    """The limits of concurrent requests and of their bodies."""

    requests: SlotLimit
    bodies: SlotLimit
    """Requests whose body is in transit."""
    listeners: SlotLimit
    uploads: SlotLimit
    body: BodyLimits
    upload: BodyLimits


class Guard:
    """Admits requests that have a key and find a slot.

    All routes but /healthz require a key, where there are any; `access_rules` may add others. The
    caller is in the request's state as `principal`. Routes with a key are closed to pages of other
    sites; and without keys, all but /healthz is reached by the names in `sites` alone. WebSockets
    are refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: RequestAuthenticator,
        sites: Sites,
        rate: Rate,
        limits: ConcurrencyLimits,
        metrics: Metrics,
        access_rules: Callable[[str, str], AccessRule] = access_rule,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._sites = sites
        self._rate = rate
        self._limits = limits
        self._metrics = metrics
        self._access_rules = access_rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection: refuse a WebSocket, admit or refuse a request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        rule = self._access_rules(scope["method"], path)
        exchange = Exchange(rule.route)
        scope.setdefault("state", {})["exchange"] = exchange

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            await send(message)

        with self._metrics.watched(exchange):
            await self._attend(exchange, rule, scope, receive, noting)

    async def _attend(
        self, exchange: Exchange, rule: AccessRule, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            principal = await self._caller(rule, Headers(scope=scope))
            scope["state"]["principal"] = principal
            # Before the body is read: a refused request must cost nothing.
            if rule.rated:
                self._rate.take(principal)
            # Without keys nobody can be told from another: there is no owner's share to count.
            owner = principal if self._authenticator.requires_keys else None
            async with self._admitted(rule, owner, scope, receive) as body:
                await self._while_admitted(rule, principal, scope, body, send)
        except ClientDisconnect:
            # The caller is gone.
            return
        except Exception as problem:
            no = refusal(problem)
            self._metrics.refused(no.code)
            # An answer is in flight: its sender reports what it can.
            if exchange.status is not None:
                raise
            await JSONBody(no.content(), no.status, no.headers())(scope, receive, send)

    async def _caller(self, rule: AccessRule, headers: Headers) -> Hashable:
        """Return the principal; None where no key is required.

        Raises:
            Refused: If the key, the host name or the page is not allowed.
        """
        principal = (
            await self._authenticator.admit(headers.get("authorization")) if rule.key else None
        )
        if not self._authenticator.requires_keys and rule.route != ROUTE_BY_PATH[HEALTH]:
            self._sites.check_name(headers)
        if rule.key:
            self._sites.check_page(headers)
        return principal

    async def _while_admitted(
        self, rule: AccessRule, principal: Hashable, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run the application; end a stream early whose caller would not be admitted any more.

        The caller gets the reason when it connects again.
        """
        streams = False

        async def noting(message: Message) -> None:
            nonlocal streams
            if message["type"] == "http.response.start":
                streams = (
                    Headers(raw=message["headers"])
                    .get("content-type", "")
                    .startswith("text/event-stream")
                )
            await send(message)

        answer = asyncio.ensure_future(self._app(scope, receive, noting))
        try:
            while not (await asyncio.wait([answer], timeout=RECHECK_EVERY_S))[0]:
                if (
                    streams
                    and rule.key
                    and not await self._still_admits(principal, Headers(scope=scope))
                ):
                    answer.cancel()
                    await asyncio.wait([answer])
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    return
            answer.result()
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)

    async def _still_admits(self, principal: Hashable, headers: Headers) -> bool:
        try:
            return await self._authenticator.admit(headers.get("authorization")) == principal
        # also where the keys cannot be read: the caller connects again, and goes on when they can
        except Refused:
            return False

    @asynccontextmanager
    async def _admitted(
        self, rule: AccessRule, owner: Hashable, scope: Scope, receive: Receive
    ) -> AsyncIterator[Receive]:
        """Hold the slots while the answer takes; yield the receiver of the body.

        Raises:
            Refused: If there is no slot, or the body is not allowed.
        """
        expect_plain(scope)
        check_body(Headers(scope=scope), rule.body)
        limits = self._limits
        if rule.slot == "none":
            yield receive
        elif rule.slot == "listener":
            with limits.listeners.one(owner):
                yield receive
        elif rule.slot == "upload":
            with limits.uploads.one(owner):
                yield as_it_comes(scope, receive, limits.upload)
        else:
            with limits.bodies.one(owner):
                body = await arrived(scope, receive, limits.body)
            with limits.requests.one(owner):
                yield body
