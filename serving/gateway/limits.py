"""How much and how often: a body's size, questions a minute, questions at once.

Knows no HTTP framework and no model.
"""

import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import contextmanager

from serving.gateway.errors import Refused

_DIGITS = 18
"""More than any length has; Python refuses to read numbers of thousands of digits."""
_ROUNDING = 1e-6
"""What binary fractions may lose of a token: who waited exactly as long as they were told is not
sent away again.
"""


class TokenBucket:
    """At most `size` + `per_s` x t admissions in any t seconds (Turner, "New directions in
    communications", 1986).
    """

    def __init__(
        self, size: float, per_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._per_s = per_s
        self._clock = clock
        self._tokens = size
        self._at = clock()

    def take(self) -> float:
        """0.0 where a token was there and is taken now; otherwise the seconds until there is
        one.
        """
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens >= 1.0 - _ROUNDING:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._per_s


class Rate:
    """Questions a minute, each owner of a key on their own.

    A minute's worth may come at once: a batch is sent as a burst.
    """

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._bucket_by_owner: dict[Hashable, TokenBucket] = {}
        """As many as there are keys, at most: owners are known by their keys."""

    def take(self, owner: Hashable) -> None:
        """Raises Refused (429) with the time until the next question may come."""
        if self._per_minute is None:
            return
        if owner not in self._bucket_by_owner:
            self._bucket_by_owner[owner] = TokenBucket(
                self._per_minute, self._per_minute / 60, self._clock
            )
        if wait_s := self._bucket_by_owner[owner].take():
            raise Refused(
                429,
                "rate_limit_exceeded",
                f"The limit is {self._per_minute} requests a minute: wait {wait_s:.1f} s.",
                retry_after_s=wait_s,
            )


class Places:
    """Requests at once, of all owners and of one.

    There is no queue: who finds no place comes again.
    """

    def __init__(
        self, most: int, most_per_owner: int | None = None, retry_after_s: float = 1.0
    ) -> None:
        self._most = most
        self._most_per_owner = most if most_per_owner is None else most_per_owner
        self._retry_after_s = retry_after_s
        self._taken_by_owner: dict[Hashable, int] = {}
        self.taken = 0

    @contextmanager
    def one(self, owner: Hashable = None) -> Iterator[None]:
        """A place, held until the end of the block; `owner` None: of somebody who shares with
        nobody. Raises Refused (429) where
        all are taken, or the owner has their share.
        """
        own = self._taken_by_owner.get(owner, 0)
        if own >= (self._most if owner is None else self._most_per_owner):
            raise self._full(f"{own} of your requests are under way")
        if self.taken >= self._most:
            raise self._full(f"{self._most} requests are under way")
        self.taken += 1
        self._taken_by_owner[owner] = own + 1
        try:
            yield
        finally:
            self.taken -= 1
            self._taken_by_owner[owner] -= 1
            if not self._taken_by_owner[owner]:
                del self._taken_by_owner[owner]

    def _full(self, so_many: str) -> Refused:
        return Refused(
            429,
            "too_many_in_flight",
            f"{so_many}, and no more at once: wait a moment.",
            retry_after_s=self._retry_after_s,
        )


async def bounded(announced: str | None, chunks: AsyncIterator[bytes], most: int) -> bytes:
    """The whole body.

    `announced` is the Content-Length, which a chunked body has not. Raises Refused (413) beyond
    `most` bytes.

    Reads no more than the one chunk that passes the limit, and nothing where the length alone does.
    """
    if announced_beyond(announced, most):
        raise too_large(most)
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise too_large(most)
    return bytes(body)


def announced_beyond(announced: str | None, most: int) -> bool:
    """Does a Content-Length say more than `most`? One that is no number says nothing."""
    return (
        announced is not None
        and announced.isdecimal()
        and (len(announced) > _DIGITS or int(announced) > most)
    )


def too_large(most: int) -> Refused:
    """A refusal that says the limit."""
    return Refused(
        413, "request_too_large", f"The request is larger than {most} bytes: send less at once."
    )
