"""A client of any OpenAI-compatible endpoint, by the openai package.

A batch fans out; each call is limited and retried on its own. The fate of an error is that of
openai_errors: a wrong key is an AccessError at once; what may pass is retried, within limits of
number and time; where the endpoint does not answer even another request, it is down, and all calls
wait until it is back or EndpointError is raised (see circuit_breaker). A call that still fails
after that is a Failed("infrastructure"): so a request that breaks an endpoint every time ends no
run. A rejected request is examined by openai_rejections.

All attempts of a call carry one `Idempotency-Key`, so that a gateway that honours it never charges
for a call twice.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.completion import Completion as TextCompletion

from optimizer.errors import EndpointError
from optimizer.types import Completion, Failed, Outcome, Request
from serving.clients.bounded_bodies import ACCEPTED, bound_replies
from serving.clients.dispatch_hook import Once, Sending
from serving.clients.openai_client import open_client
from serving.clients.openai_errors import UNREADABLE, Faults
from serving.clients.openai_rejections import Rejections, is_lost
from serving.clients.openai_requests import body_of, idempotency_key
from serving.clients.openai_responses import GrowingReply, error_in, read, says_its_end
from serving.clients.probe import PROBE
from serving.concurrency.aimd import effort
from serving.concurrency.circuit_breaker import EndpointCircuitBreaker
from serving.concurrency.gate import AdaptiveGate, Gate
from serving.concurrency.hedging import Hedging
from serving.concurrency.retrying import Limiter, Retry, Transient, all_of
from serving.contracts.refusals import Rejected
from serving.contracts.streaming import Piece
from serving.settings import OpenAISettings

_CONNECT_S = 15.0
"""Seconds for a connection alone [ours]: a host that is gone is known before an answer could be
late.
"""
_CHECK_S = 8.0
_CHECK_WAIT_S = 1.0
"""Seconds for the attempts of a call that waits for no outage, and the longest pause between two
of them [ours].
"""
_PROBES = 3
_AT_ONCE_S = 2.0
"""Requests that fail before an endpoint counts as down, and the seconds after which a failure is
no accident of the line [ours].
"""
_PROBE_PAUSE_S = 0.2
"""Seconds between two of them."""
_UNSAID = 3
"""Replies without a finish reason, and none with one, after which an endpoint counts as one that
never gives it [ours].
"""


class OpenAIModel:
    """A LanguageModel over HTTP; for one event loop.

    `gate`: the concurrency limit; None for one of its own, with settings.max_in_flight slots.
    """

    def __init__(
        self,
        settings: OpenAISettings,
        api_key: str,
        retry: Retry | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._settings = settings
        self._faults = Faults(settings, api_key)
        self._retry = retry or Retry(attempts=settings.attempts, retry_s=settings.retry_s)
        self._outage = EndpointCircuitBreaker(settings.base_url, self._is_there, settings.outage_s)
        gate = gate or AdaptiveGate(settings.max_in_flight)
        hedge = Hedging(settings.hedge_percentile, gate) if settings.hedge_percentile else None
        self._limiter = Limiter(
            settings.max_in_flight,
            self._retry,
            gate=gate,
            circuit_breaker=self._outage,
            hedge=hedge,
            effort_of=_effort_of,
        )
        # We retry ourselves. Its timeout is for each step (connect, each read of some bytes), not
        # for the call: see _send.
        self._client = open_client(
            settings.base_url,
            api_key,
            openai.Timeout(settings.timeout_s, connect=min(_CONNECT_S, settings.timeout_s)),
            {"Accept-Encoding": ACCEPTED},
        )
        bound_replies(self._client)
        self._rejections = Rejections(settings, self._faults, self._attempt)
        self._ends_unsaid = 0
        """Replies without a finish reason, while none has one; -1: some do."""

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._settings.identity

    @property
    def pause(self) -> str:
        """Return one sentence on an outage (see circuit_breaker.Pausable)."""
        return self._outage.pause

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order."""
        return await all_of(
            self._outcome(request, partial(self._attempt, request)) for request in requests
        )

    async def complete_announced(
        self, requests: Sequence[Request], sending: Sending
    ) -> list[Outcome]:
        """Return the outcomes, with an announcement (see Announcing).

        A request goes out when it has its slot.
        """
        once = Once(sending)
        return await all_of(
            self._outcome(request, partial(once.before, partial(self._attempt, request)))
            for request in requests
        )

    async def at_once(self, request: Request) -> Outcome:
        """Return the outcome without waiting for an outage (see probe.AnswersAtOnce)."""
        retry = replace(
            self._retry,
            retry_s=min(_CHECK_S, self._retry.retry_s),
            longest_wait_s=min(_CHECK_WAIT_S, self._retry.longest_wait_s),
        )
        try:
            outcome = await Limiter(1, retry).run(partial(self._attempt, request))
        except Transient as problem:
            raise EndpointError(
                f"{problem.reason} Check that base_url {self._settings.base_url} is right and "
                "answers."
            ) from problem
        if isinstance(outcome, Rejected) and outcome.concerns_all:
            raise await self._rejections.explained(request, outcome)
        return outcome

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield the pieces of one answer, from server-sent events, and its outcome.

        A call is retried, and an outage waited for, only before the first of them. `timeout_s`
        limits the time to the first and between two, not the whole, which is as fast as the caller
        reads it.
        """
        growing, failed = GrowingReply(), None
        try:
            reply = await self._limiter.run(partial(self._send, request, stream=True))
            if isinstance(reply, Failed):
                failed = await self._rejections.examined(request, reply)
            else:
                async with aclosing(self._events(reply)) as events:
                    async for event in events:
                        if text := growing.add(event):
                            yield text
        except Transient as problem:
            failed = Failed("infrastructure", problem.reason)
        if failed is None and growing.outcome is not None:
            self._rejections.answered(request)
        yield failed or growing.outcome or Failed("infrastructure", self._faults.garbled().reason)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._limiter.gate.aclose()
        await self._client.close()

    async def _outcome(
        self, request: Request, attempt: Callable[[], Awaitable[Outcome]]
    ) -> Outcome:
        try:
            return await self._rejections.examined(request, await self._limiter.run(attempt))
        except Transient as problem:
            return Failed("infrastructure", problem.reason)

    async def _attempt(self, request: Request, settings: OpenAISettings | None = None) -> Outcome:
        """Return the outcome of one attempt, possibly with other settings.

        Raises:
            Transient: If another attempt may succeed.
            AccessError: If the key is refused.
        """
        reply = await self._send(request, settings=settings)
        outcome: Outcome | None = reply if isinstance(reply, Failed) else read(reply)
        if outcome is None:
            if not (error := error_in(reply)):
                raise self._faults.garbled()
            outcome = self._faults.in_place(error)
        elif isinstance(outcome, Completion):
            if says_its_end(reply):
                self._ends_unsaid = -1
            else:
                self._ends_unsaid += self._ends_unsaid >= 0
                # Cut off; unless so many had no finish reason that the endpoint never gives one.
                if self._ends_unsaid < _UNSAID:
                    raise self._faults.broke_off(ValueError("it does not say why it ended"))
        self._outage.answered()
        if settings is None and not is_lost(outcome):
            self._rejections.answered(request)
        return outcome

    async def _send(
        self, request: Request, *, stream: bool = False, settings: OpenAISettings | None = None
    ) -> Any:
        """Return the reply, whatever it is, or the call's own fate.

        Raises:
            Transient: If another attempt may succeed.
            AccessError: If the key is refused.
        """
        whole, event = (
            (TextCompletion, TextCompletion)
            if request.raw
            else (ChatCompletion, ChatCompletionChunk)
        )
        body = body_of(settings or self._settings, request, stream=stream)
        # The package follows redirects by default: to wherever the endpoint likes, with
        # the question and perhaps a key.
        options: Any = {
            "headers": {"Idempotency-Key": idempotency_key(self.name, body)},
            "security": {"bearer_auth": True},
            "follow_redirects": False,
        }
        try:
            # For the whole call: an endpoint that drips is as late as a silent one.
            async with asyncio.timeout(self._settings.timeout_s):
                return await self._client.post(
                    "/completions" if request.raw else "/chat/completions",
                    content=body,
                    cast_to=whole,
                    options=options,
                    stream=stream,
                    stream_cls=openai.AsyncStream[event],  # type: ignore[valid-type]
                )
        except TimeoutError as problem:
            raise self._faults.too_late() from problem
        except (openai.OpenAIError, *UNREADABLE) as problem:
            return self._faults.fate(problem)

    async def _events(self, reply: Any) -> AsyncGenerator[Any, None]:
        """Yield the events of a reply until it ends or breaks off.

        It closes the reply, also where the caller leaves.
        """
        events = aiter(reply)
        try:
            while True:
                # Comments may arrive in time, too, and are no events.
                async with asyncio.timeout(self._settings.timeout_s):
                    event = await anext(events, None)
                if event is None:
                    return
                yield event
        except TimeoutError as problem:
            raise self._faults.too_late() from problem
        except (openai.OpenAIError, *UNREADABLE) as problem:
            raise self._faults.broke_off(problem) from problem
        finally:
            await reply.close()

    async def _is_there(self) -> bool:
        """Return whether the endpoint answers another request, with anything at all.

        It is sent beside the concurrency limit, which may be full of calls that wait for nothing;
        and again where it fails at once, as an older connection may have been dead.

        Raises:
            AccessError: If the key is refused.
        """
        now = asyncio.get_running_loop().time
        began = now()
        for _ in range(_PROBES):
            try:
                await self._attempt(PROBE)
            except Transient:
                if now() - began > _AT_ONCE_S:
                    return False
                await asyncio.sleep(_PROBE_PAUSE_S)
            else:
                return True
        return False


def _effort_of(result: Any, seconds: float) -> float | None:
    return (
        effort(seconds, result.completion_tokens or 0) if isinstance(result, Completion) else None
    )
