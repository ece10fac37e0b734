"""A client of a model on this Ray cluster: one handle call for a chunk of requests.

Chunks, because a call costs the same for 1 and for 32 prompts: measured 372 prompts/s one by one,
13,000/s in chunks of 32. They are prompt-major: requests that begin alike go together, so that a
replica reads their beginning once.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from typing import Any

from ray import serve
from ray.exceptions import ObjectLostError, RayActorError, RayTaskError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
    ReplicaUnavailableError,
)

from optimizer.errors import EndpointError, PromptrayError
from optimizer.types import Failed, Message, Outcome, Request
from serving.clients.dispatch_hook import Once, Sending
from serving.concurrency.gate import Gate
from serving.concurrency.retrying import Limiter, Retry, Transient, all_of
from serving.contracts.streaming import Piece
from serving.engines import EngineDied
from serving.hosting.deployment import find

_DIED = (RayActorError, ObjectLostError, ReplicaUnavailableError, DeploymentUnavailableError)
"""Errors of a call whose replica, or its node, is gone."""
PATIENT = Retry(attempts=8)
"""Retries for a minute in all: Ray may take half of one to notice that a node is gone, and until
then offers its replicas.
"""


class ServeHandleModel:
    """A LanguageModel whose engine runs in replicas; picklable until its first call.

    Where a replica dies, or its engine does, its chunk goes to the next one. Methods raise
    EndpointError where the deployment is not on this cluster, or its replicas die beyond all
    retries.

    Args:
        deployment: Name of the deployment.
        identity: The model with all that decides its answers.
        chunk: Maximum number of requests in a call.
        max_in_flight: Maximum number of concurrent calls, if `gate` is None.
        retry: Limits of the retries.
        affine: Send chunks of one prompt to one replica, for deployments that route so.
        gate: A concurrency limit shared with others; a client with one stays in its event loop.
    """

    def __init__(
        self,
        deployment: str,
        identity: str,
        chunk: int = 16,
        max_in_flight: int = 8,
        retry: Retry | None = None,
        *,
        affine: bool = False,
        gate: Gate | None = None,
    ) -> None:
        self._deployment = deployment
        self._identity = identity
        self._chunk = chunk
        self._max_in_flight = max_in_flight
        self._retry = retry or PATIENT
        self._affine = affine
        self._gate = gate
        self._line: tuple[Any, Limiter] | None = None

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._identity

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order."""
        return await self.complete_announced(requests, _not_announced)

    async def complete_announced(
        self, requests: Sequence[Request], sending: Sending
    ) -> list[Outcome]:
        """Return the outcomes, with an announcement (see Announcing).

        A chunk goes out when it has its slot.
        """
        once = Once(sending)
        chunks = chunks_of(requests, self._chunk, mixed=not self._affine)
        handle, limiter = await self._connect()
        calls = (
            limiter.run(
                partial(once.before, partial(self._attempt, handle, [requests[at] for at in chunk]))
            )
            for chunk in chunks
        )
        with _given_up():
            answered = await all_of(calls)
        outcome_by_place: dict[int, Outcome] = {}
        for chunk, outcomes in zip(chunks, answered, strict=True):
            outcome_by_place.update(zip(chunk, outcomes, strict=True))
        return [outcome_by_place[at] for at in range(len(requests))]

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield the pieces of one answer, and its outcome.

        A replica that dies before the first piece is replaced; later, the stream ends with
        Failed("infrastructure").
        """
        handle, limiter = await self._connect()
        with _given_up():
            first, rest = await limiter.run(partial(self._begin, handle, request))
        yield first
        try:
            with self._as_package_errors():
                async for piece in rest:
                    yield piece
        except Transient as problem:
            yield Failed("infrastructure", problem.reason)
        finally:
            # A caller who leaves must leave no work behind.
            rest.cancel()

    async def _connect(self) -> tuple[Any, Limiter]:
        if self._line is None:
            handle = await asyncio.to_thread(self._find)
            # Another call may have connected while this one waited for the thread.
            self._line = self._line or (
                handle,
                Limiter(self._max_in_flight, self._retry, gate=self._gate),
            )
        return self._line

    def _find(self) -> Any:
        app = find(self._deployment)
        if app is None:
            raise EndpointError(f"The model {self._identity} is not hosted on this cluster.")
        try:
            return serve.get_deployment_handle(self._deployment, app)
        except RayServeException as problem:
            raise EndpointError(
                f"The model {self._identity} is not hosted on this cluster ({problem})."
            ) from problem

    async def _attempt(self, handle: Any, chunk: list[Request]) -> list[Outcome]:
        with self._as_package_errors():
            outcomes: list[Outcome] = await self._routed(handle, chunk[0]).complete.remote(chunk)
            return outcomes

    async def _begin(self, handle: Any, request: Request) -> tuple[Piece, Any]:
        answer = self._routed(handle.options(stream=True), request).stream.remote(request)
        with self._as_package_errors():
            return await anext(answer), answer

    def _routed(self, handle: Any, request: Request) -> Any:
        return (
            handle.options(session_id=sha256(repr(_beginning(request)).encode()).hexdigest())
            if self._affine
            else handle
        )

    @contextmanager
    def _as_package_errors(self) -> Iterator[None]:
        try:
            yield
        except BackPressureError as problem:
            raise Transient(
                f"The model {self._identity} is overloaded ({problem}).", overloaded=True
            ) from problem
        except _DIED as problem:
            raise Transient(
                f"A replica of {self._identity} died ({type(problem).__name__})."
            ) from problem
        except RayTaskError as problem:
            if isinstance(problem.cause, EngineDied):
                raise Transient(str(problem.cause)) from problem
            if isinstance(problem.cause, PromptrayError):
                raise problem.cause from None
            cause = f"{type(problem.cause).__name__}: {problem.cause}"
            raise EndpointError(f"The model {self._identity} failed: {cause}.") from problem

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_line": None}


def chunks_of(requests: Sequence[Request], size: int, *, mixed: bool) -> list[list[int]]:
    """Return positions in the batch, in chunks of at most `size`.

    Requests that differ only in their last message stay together. The rest of a prompt behind its
    full chunks shares a chunk with others where it fits whole; not unless `mixed`.
    """
    places_by_beginning: dict[tuple[Message, ...], list[int]] = {}
    for at, request in enumerate(requests):
        places_by_beginning.setdefault(_beginning(request), []).append(at)
    full, rests = list[list[int]](), list[list[int]]()
    for places in places_by_beginning.values():
        pieces = [places[at : at + size] for at in range(0, len(places), size)]
        full.extend(piece for piece in pieces if len(piece) == size)
        rest = pieces[-1] if len(pieces[-1]) < size else []
        if mixed and rests and len(rests[-1]) + len(rest) <= size:
            rests[-1].extend(rest)
        elif rest:
            rests.append(rest)
    return full + rests


async def _not_announced() -> None:
    """Do nothing when the batch goes out."""


def _beginning(request: Request) -> tuple[Message, ...]:
    return request.messages[:-1]


@contextmanager
def _given_up() -> Iterator[None]:
    """Turn what is still Transient after all retries into an EndpointError."""
    try:
        yield
    except Transient as problem:
        raise EndpointError(problem.reason) from problem
