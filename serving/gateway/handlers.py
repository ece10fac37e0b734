"""Handlers of admitted requests: read them, call the model, answer whole or as a stream of events.

When a caller goes away, the work on its request is cancelled, whether the answer has begun or not.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Hashable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request as HttpRequest
from fastapi.responses import EventSourceResponse, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from optimizer.protocols import LanguageModel
from serving.contracts.refusals import Answer
from serving.gateway.completion import by, in_pieces, refusal, whole
from serving.gateway.errors import Refused
from serving.gateway.metrics import CONTENT_TYPE, Metrics
from serving.gateway.request_bodies import B, Body, ChatBody, CompletionBody
from serving.gateway.response_bodies import (
    DONE,
    ChatReply,
    CompletionReply,
    JSONBody,
    Reply,
    event,
    model_card,
)
from serving.gateway.settings import GatewaySettings

T = TypeVar("T")
Meter = Callable[[Hashable, str, LanguageModel], LanguageModel]
"""Caller, label, model -> the model as this caller may call it."""


class CompletionHandlers:
    """The gateway's routes, but for health."""

    def __init__(
        self,
        models: Mapping[str, LanguageModel],
        settings: GatewaySettings,
        metrics: Metrics,
        meter: Meter | None = None,
    ) -> None:
        self._models = models
        self._settings = settings
        self._metrics = metrics
        self._meter = meter

    async def metrics(self) -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def models(self) -> Response:
        """Return the list of models."""
        return JSONBody({"object": "list", "data": [model_card(label) for label in self._models]})

    async def model(self, label: str) -> Response:
        """Return one model's card."""
        self._known(label)
        return JSONBody(model_card(label))

    async def chat(self, http: HttpRequest) -> Response:
        """Answer a chat completion."""
        body = await self._read(http, ChatBody)
        return await self._answer(http, body, ChatReply(body.model))

    async def completions(self, http: HttpRequest) -> Response:
        """Answer a completion."""
        body = await self._read(http, CompletionBody)
        return await self._answer(http, body, CompletionReply(body.model))

    async def _read(self, http: HttpRequest, kind: type[B]) -> B:
        # The guard has limited the size of the body.
        return kind.read(await http.body())

    def _known(self, label: str) -> LanguageModel:
        if label in self._models:
            return self._models[label]
        known = ", ".join(sorted(self._models))
        raise Refused(
            404,
            "model_not_found",
            f"There is no model {label[:100]!r}; known are: {known}.",
            param="model",
        )

    async def _answer(self, http: HttpRequest, body: Body, reply: Reply) -> Response:
        model = self._known(body.model)
        if self._meter:
            model = self._meter(http.state.principal, body.model, model)
        http.state.exchange.model = body.model
        deadline = asyncio.get_running_loop().time() + self._settings.deliver_timeout_s
        if body.stream:
            events = self._events(model, body, reply)
            # Before the response starts, so that an early error still gets its own status.
            first = await unless_disconnected(http, by(deadline, anext(events)))
            return _EventStream(events, self._delivered(first, events, deadline))
        answers = await unless_disconnected(http, by(deadline, whole(model, body.requests())))
        self._count(body.model, answers)
        return JSONBody(reply.whole(answers))

    async def _events(
        self, model: LanguageModel, body: Body, reply: Reply
    ) -> AsyncGenerator[bytes]:
        answer_by_index: dict[int, Answer] = {}
        opened: set[int] = set()
        async with aclosing(in_pieces(model, body.requests())) as stream:
            async for index, piece in stream:
                if index not in opened and (opening := reply.opening(index)):
                    yield event(reply.chunk(opening, body.wants_usage))
                opened.add(index)
                if not isinstance(piece, str):
                    answer_by_index[index] = piece
                    self._count(body.model, [piece])
                choice = (
                    reply.piece(index, piece)
                    if isinstance(piece, str)
                    else reply.ending(index, piece)
                )
                yield event(reply.chunk(choice, body.wants_usage))
        if body.wants_usage:
            yield event(reply.usage_chunk(list(answer_by_index.values())))
        yield DONE

    async def _delivered(
        self, first: bytes, events: AsyncGenerator[bytes], deadline: float
    ) -> AsyncIterator[bytes]:
        """Yield the events.

        It is too late for a status: an error becomes the last event, and without [DONE] nobody
        mistakes a part for the whole.
        """
        yield first
        try:
            while more := await by(deadline, anext(events, b"")):
                yield more
        except Exception as problem:  # noqa: BLE001
            # Sent to the caller, counted, and logged by `refusal`.
            no = refusal(problem)
            self._metrics.refused(no.code)
            yield event(no.content())

    def _count(self, model: str, answers: list[Answer]) -> None:
        for answer in answers:
            self._metrics.answered(model, answer)


class _EventStream(EventSourceResponse):
    """Ends the source with the answer, also where the caller left before the first event."""

    def __init__(self, source: AsyncGenerator[bytes], events: AsyncIterator[bytes]) -> None:
        # The second header: proxies such as nginx must not buffer events.
        super().__init__(
            events,
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._source):
            await super().__call__(scope, receive, send)


async def unless_disconnected(http: HttpRequest, work: Coroutine[Any, Any, T]) -> T:
    """Return the work's result; cancel it where the caller goes away first.

    The body must have been read.

    Raises:
        ClientDisconnect: If the caller goes away.
    """
    task, disconnected = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(http))
    try:
        await asyncio.wait({task, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        disconnected.cancel()
        await asyncio.gather(task, disconnected, return_exceptions=True)


async def _disconnected(http: HttpRequest) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
