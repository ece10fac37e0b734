"""Any OpenAI-compatible endpoint, by the openai package. A batch fans out; each call is limited and retried on its own.

What becomes of a fault: a wrong key or model is an AccessError at once; what may pass (429, 5xx, no connection) is tried again;
after that, and for a garbled reply, the call is a Failed("infrastructure"). Where no call of a batch is answered, the endpoint may
be broken: it is asked one thing more, and if it does not answer that either, EndpointError is raised. Only a lone call may fail
between good ones without that question. So a request that breaks an endpoint every time ends no run, not even where the ledger has
answered all others of its batch.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn

import openai

from optimizer.errors import AccessError, EndpointError
from optimizer.types import Failed, Outcome, Request
from serving.clients.openai_replies import GrowingReply, read
from serving.clients.reach import PROBE
from serving.limiter import Limiter, Retry, Transient, all_of
from serving.settings import OpenAISettings
from serving.streaming import Piece

REFUSAL_CODES = frozenset({"content_filter", "content_policy_violation", "context_length_exceeded", "request_refused"})
_OVERLOAD_STATUSES = frozenset({408, 429, 503, 529})


class OpenAIModel:
    """A LanguageModel over HTTP; for one event loop."""

    def __init__(self, settings: OpenAISettings, api_key: str, retry: Retry | None = None) -> None:
        self._settings = settings
        self._key = api_key
        self._limiter = Limiter(settings.max_in_flight, retry or Retry(attempts=settings.attempts))
        # The package's own HTTP client: one handed in was measured ten times slower. We retry ourselves.
        self._client = openai.AsyncOpenAI(
            api_key=api_key, base_url=settings.base_url, max_retries=0, timeout=settings.timeout_s)
        self._dark = 1
        """Calls since the last answer; one to begin with, as nothing is known of the endpoint."""

    @property
    def name(self) -> str:
        return self._settings.identity

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        return await self._borne(await all_of(self._outcome(request) for request in requests))

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Server-sent events. Tried again only before the first of them."""
        growing, failed = GrowingReply(), None
        try:
            reply = await self._limiter.run(partial(self._send, request, stream=True, stream_options={"include_usage": True}))
            if isinstance(reply, Failed):
                failed = reply
            else:
                async with aclosing(self._events(reply)) as events:
                    async for event in events:
                        if text := growing.add(event):
                            yield text
        except Transient as problem:
            failed = Failed("infrastructure", problem.reason)
        yield (await self._borne([failed or growing.outcome or self._garbled()]))[0]

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _outcome(self, request: Request) -> Outcome:
        try:
            return await self._limiter.run(partial(self._ask, request))
        except Transient as problem:
            return Failed("infrastructure", problem.reason)

    async def _ask(self, request: Request) -> Outcome:
        reply = await self._send(request)
        return reply if isinstance(reply, Failed) else read(reply) or self._garbled()

    async def _send(self, request: Request, **more: Any) -> Any:
        """The reply, whatever it is, or the call's own fate. Raises Transient and AccessError."""
        where, create = self._settings.base_url, self._client.chat.completions.create
        if request.raw:
            create = self._client.completions.create  # type: ignore[assignment]
        try:
            return await create(**self._body(request), **more)
        except openai.APIStatusError as problem:
            return self._refusal(problem)
        except openai.APITimeoutError as problem:
            raise Transient(f"{where} did not answer within {self._settings.timeout_s:g} s.", overloaded=True) from problem
        except openai.APIConnectionError as problem:
            raise Transient(f"{where} cannot be reached ({problem.__cause__ or problem}).") from problem
        except (openai.OpenAIError, json.JSONDecodeError, UnicodeDecodeError):
            return self._garbled()

    async def _events(self, reply: Any) -> AsyncGenerator[Any, None]:
        """The events of a reply until it ends or breaks off. Closes it, also where the caller leaves."""
        try:
            async for event in reply:
                yield event
        except (openai.OpenAIError, ValueError) as problem:
            raise Transient(f"{self._settings.base_url} broke off its answer ({self._clean(str(problem))}).") from problem
        finally:
            await reply.close()

    async def _borne(self, outcomes: list[Outcome]) -> list[Outcome]:
        """The outcomes, if the endpoint can still be believed to work. Raises EndpointError."""
        lost = [outcome for outcome in outcomes if isinstance(outcome, Failed) and outcome.kind == "infrastructure"]
        if len(lost) < len(outcomes):
            self._dark = 0
        elif lost:
            self._dark += len(lost)
            if self._dark > 1 and not await self._is_there():
                raise EndpointError(f"{lost[0].reason} Check that base_url {self._settings.base_url} is right and answers.")
        return outcomes

    async def _is_there(self) -> bool:
        """Does it answer a simple question, asked once?"""
        try:
            outcome = await self._ask(PROBE)
        except Transient:
            return False
        there = not (isinstance(outcome, Failed) and outcome.kind == "infrastructure")
        self._dark = 0 if there else self._dark
        return there

    def _body(self, request: Request) -> dict[str, Any]:
        settings, sampling = self._settings, request.sampling
        limit = settings.max_tokens or sampling.max_tokens
        body: dict[str, Any] = {"model": settings.model}
        if request.raw:
            body |= {"prompt": request.messages[-1].content, "max_tokens": limit}
        else:
            messages = [{"role": message.role, "content": message.content} for message in request.messages]
            body |= {"messages": messages, settings.max_tokens_field: limit}
        if settings.send_temperature:
            body["temperature"] = sampling.temperature
        if request.sample:
            body["seed"] = request.sample
        return body

    def _refusal(self, problem: openai.APIStatusError) -> Failed:
        """The endpoint said no: raises what ends or repeats the call, returns what is the call's own fate."""
        status, reason = problem.status_code, self._clean(problem.message)
        said = f"{self._settings.base_url} answered {status}: {reason}."
        if status in (401, 403, 404) or problem.code == "insufficient_quota":
            self._no_access(status, reason)
        if status in _OVERLOAD_STATUSES or status == 409 or status >= 500:
            raise Transient(said, status in _OVERLOAD_STATUSES, _wait_s(problem))
        return Failed("refused", reason) if problem.code in REFUSAL_CODES else Failed("infrastructure", said)

    def _no_access(self, status: int, reason: str) -> NoReturn:
        settings = self._settings
        if status == 404:
            raise AccessError(f"{settings.base_url} does not know the model {settings.model!r} (404: {reason}).")
        raise AccessError(f"{settings.base_url} refused the key in {settings.key_place} ({status}: {reason}).")

    def _garbled(self) -> Failed:
        return Failed("infrastructure", f"{self._settings.base_url} answers with something that is no chat completion.")

    def _clean(self, text: str) -> str:
        """One short line, without the key, should the endpoint repeat it."""
        return " ".join(text.replace(self._key, "[key]").split())[:300].rstrip(".")


def _wait_s(problem: openai.APIStatusError) -> float | None:
    """The seconds of a Retry-After header; None where there is none, or a date."""
    try:
        return float(problem.response.headers.get("retry-after", ""))
    except ValueError:
        return None
