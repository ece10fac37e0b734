"""A model's answers, whole or in pieces, with every error as a Refused.

Knows models, and neither HTTP nor the form of a reply.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from typing import TypeVar

from optimizer.errors import EndpointError, PromptrayError
from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Failed, Outcome, Request
from serving.concurrency.retrying import Transient
from serving.contracts.refusals import Answer, Declined, Rejected
from serving.contracts.streaming import Piece, pieces
from serving.gateway.errors import Refused

T = TypeVar("T")
OVERLOADED_RETRY_S = 1.0
GONE_RETRY_S = 5.0
"""Seconds until a retry: few for a busy model, more for one whose replica has to start [ours]."""
_NOT_OF_THE_REQUEST = frozenset({403, 404})
_log = logging.getLogger(__name__)


async def whole(model: LanguageModel, requests: Sequence[Request]) -> list[Answer]:
    """Return all answers of one batch.

    Raises:
        Refused: If one of them failed: OpenAI's form cannot express a part.
    """
    try:
        outcomes = await model.complete(requests)
    except PromptrayError as problem:
        raise refusal(problem) from problem
    return [_answer(number, outcome, len(outcomes)) for number, outcome in enumerate(outcomes)]


async def in_pieces(
    model: LanguageModel, requests: Sequence[Request]
) -> AsyncGenerator[tuple[int, str | Answer]]:
    """Yield the pieces of all answers as they come, each with its request's number.

    The last item of each answer is the whole answer.

    Raises:
        Refused: If one of them failed.
    """
    queue: asyncio.Queue[tuple[int, Piece | Exception]] = asyncio.Queue()
    pumps = [
        asyncio.create_task(_pump(number, pieces(model, request), queue))
        for number, request in enumerate(requests)
    ]
    unfinished = len(pumps)
    try:
        while unfinished:
            number, piece = await queue.get()
            if isinstance(piece, Exception):
                raise refusal(piece) from piece
            unfinished -= not isinstance(piece, str)
            yield number, piece if isinstance(piece, str) else _answer(number, piece, len(pumps))
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(
    number: int, stream: AsyncIterator[Piece], queue: "asyncio.Queue[tuple[int, Piece | Exception]]"
) -> None:
    """Put the pieces of one answer into the queue."""
    try:
        # Put without waiting, so that a cancellation always reaches the stream at its own work,
        # which ends with it.
        async for piece in stream:
            queue.put_nowait((number, piece))
            if not isinstance(piece, str):
                return
        queue.put_nowait((number, Failed("infrastructure", "The model broke off its answer.")))
    except Exception as problem:  # noqa: BLE001 - raised again by the reader of the queue
        queue.put_nowait((number, problem))


def _answer(number: int, outcome: Outcome, of: int) -> Answer:
    if isinstance(outcome, Completion | Declined):
        return outcome
    where = f"Prompt {number}: " if of > 1 else ""
    if outcome.kind == "refused":
        raise Refused(400, "request_refused", where + outcome.reason)
    # The same request would be rejected again.
    if isinstance(outcome, Rejected) and outcome.status not in _NOT_OF_THE_REQUEST:
        raise Refused(400, "request_rejected", where + outcome.reason)
    raise Refused(503, "model_failed", where + outcome.reason, retry_after_s=GONE_RETRY_S)


def refusal(problem: Exception) -> Refused:
    """Return the response to an error.

    For an error that neither the caller nor the model can fix, it only states that there is one.
    """
    if isinstance(problem, Refused):
        return problem
    if isinstance(problem, EndpointError):
        if isinstance(problem.__cause__, Transient) and problem.__cause__.overloaded:
            return Refused(429, "model_overloaded", str(problem), retry_after_s=OVERLOADED_RETRY_S)
        return Refused(503, "model_failed", str(problem), retry_after_s=GONE_RETRY_S)
    _log.error("A request failed: %s: %s", type(problem).__name__, problem, exc_info=problem)
    return Refused(500, "internal_error", "The gateway failed; the reason is in its log.")


async def by(deadline: float, work: Awaitable[T]) -> T:
    """Return the work's result.

    Raises:
        Refused: 504, at `deadline`, which is in seconds of the event loop's clock.
    """
    try:
        async with asyncio.timeout_at(deadline):
            return await work
    except TimeoutError as problem:
        raise Refused(504, "timeout", "The model did not answer in time.") from problem
