"""An engine whose answers a Python function gives: an agent, a retriever, a vendor's package.

Each call runs on its own: an asynchronous function in the caller's event loop, any other one in a
thread. A call that raises, gives no answer, or takes too long is repeated, and in the end an
infrastructure failure: a fault of the function is never booked against a prompt. Knows no prompt
and no vendor.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from inspect import iscoroutinefunction, signature
from typing import Any

from optimizer.errors import AccessError, shortened
from optimizer.types import Completion, Failed, Outcome, Request
from serving.concurrency.retrying import Limiter, Retry, Transient, all_of
from serving.contracts.streaming import Piece, in_one_piece
from serving.engines import EngineDied
from serving.settings.functions import FUNCTIONS, SAMPLING, CalledHere

Call = Callable[[Request], Any]
"""Gives a text, a mapping with `text`, an outcome, or an awaitable of one of them."""


def function_called(reference: str) -> Call:
    """Import a function and return it as a call of one request.

    Args:
        reference: `module:function`.

    Raises:
        SettingsError: It cannot be imported, or cannot be called with (messages, example).
    """
    function = FUNCTIONS.import_name(reference)
    return _Function(function, SAMPLING in signature(function).parameters)


class _Function:
    """A function of messages and example as a call of one request."""

    def __init__(self, function: Callable[..., Any], takes_sampling: bool) -> None:
        self._function = function
        self._takes_sampling = takes_sampling
        self.is_async = iscoroutinefunction(function) or iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004
        )

    def __call__(self, request: Request) -> Any:
        messages = [{"role": one.role, "content": one.content} for one in request.messages]
        row = dict(request.row or {})
        if not self._takes_sampling:
            return self._function(messages, row)
        sampling = {
            "temperature": request.sampling.temperature,
            "max_tokens": request.sampling.max_tokens,
            "sample": request.sample,
        }
        return self._function(messages, row, sampling=sampling)


class FunctionEngine:
    """A language model's interface over calls of Python code."""

    def __init__(self, settings: CalledHere, call: Call) -> None:
        """Take what is called for each request, once for each."""
        self._settings = settings
        self._call = call
        self._threads = (
            None
            if getattr(call, "is_async", False)
            else ThreadPoolExecutor(settings.max_in_flight, thread_name_prefix="function")
        )
        self._stuck = 0
        """Threads whose call was given up and has not ended: they answer nothing else."""
        self._limiter = Limiter(settings.max_in_flight, Retry(attempts=settings.attempts))
        self._closed = False

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._settings.identity

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order.

        Raises:
            EngineDied: If it is closed, or all of its threads hang in calls.
            AccessError: If a vendor refused the key.
        """
        await self.check_health()
        return await all_of(self._outcome(request) for request in requests)

    def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield the answer in one piece, and its outcome."""
        return in_one_piece(self, request)

    async def check_health(self) -> None:
        """Check that it is open, and that there is a thread that can answer."""
        if self._closed:
            raise EngineDied(f"The model {self._settings.label} is closed.")
        if self._stuck >= self._settings.max_in_flight:
            raise EngineDied(
                f"All {self._stuck} threads of {self._settings.label} hang in calls that took more "
                f"than {self._settings.timeout_s:g} s."
            )

    def close(self) -> None:
        """Close it; calls in progress are left to their end."""
        self._closed = True
        if self._threads:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _outcome(self, request: Request) -> Outcome:
        try:
            return await self._limiter.run(lambda: self._attempt(request))
        except Transient as problem:
            return Failed("infrastructure", problem.reason)

    async def _attempt(self, request: Request) -> Outcome:
        """Return the outcome of one call.

        Raises:
            Transient: It raised, gave no answer, or took too long.
            AccessError: A vendor refused the key.
        """
        await self.check_health()
        label = self._settings.label
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                given = await self._called(request)
        except TimeoutError as problem:
            raise Transient(
                f"{label} gave no answer within {self._settings.timeout_s:g} s; raise its "
                "timeout_s."
            ) from problem
        except (AccessError, EngineDied, Transient):
            raise
        # Code of others raises whatever it likes, and may leave as a script does.
        except (Exception, SystemExit) as problem:
            said = shortened(f"{type(problem).__name__}: {problem}")
            raise Transient(f"{label} raised {said}.") from problem
        return _read(given, label)

    async def _called(self, request: Request) -> Any:
        if self._threads is None:
            return await self._call(request)
        future = self._threads.submit(self._call, request)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # Python cannot end a thread: it is counted until its call returns.
            if future.running():
                self._stuck += 1
                future.add_done_callback(self._freed)
            raise

    def _freed(self, _: object) -> None:
        self._stuck -= 1


def _read(given: Any, label: str) -> Outcome:
    """Return what a call gave as an outcome.

    Raises:
        Transient: It is no answer.
    """
    if isinstance(given, Completion | Failed):
        return given
    if isinstance(given, str):
        return Completion(given, prompt_tokens=None, completion_tokens=None)
    if isinstance(given, Mapping) and isinstance(text := given.get("text"), str):
        counts = [given.get(key) for key in ("prompt_tokens", "completion_tokens")]
        if all(_is_count(number) for number in counts):
            return Completion(
                text,
                bool(given.get("truncated", False)),
                prompt_tokens=counts[0],
                completion_tokens=counts[1],
            )
    raise Transient(
        f"{label} gave {shortened(repr(given), 80)}; it must give the answer's text, or a mapping "
        "with text and, where they are known, prompt_tokens and completion_tokens."
    )


def _is_count(number: Any) -> bool:
    return number is None or (
        isinstance(number, int) and not isinstance(number, bool) and number >= 0
    )
