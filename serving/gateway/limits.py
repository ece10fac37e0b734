"""Limits of size, rate and concurrency of requests.

Knows no HTTP framework and no model.
"""

import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import contextmanager

from serving.gateway.errors import Refused

_DIGITS = 18
"""More digits than any length has; Python refuses to read numbers of thousands of digits."""
_ROUNDING = 1e-6
"""Loss of a token by binary fractions: a caller who waited exactly as long as requested is not
refused again.
"""


class TokenBucket:
    """A bucket that admits at most `size` + `per_s` x t calls in any t seconds.

    Turner, "New directions in communications", 1986.
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
        """Use a token and return 0.0, or return the seconds until there is one."""
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        # Rounding must not send a caller away who waited exactly as requested.
        if self._tokens >= 1.0 - _ROUNDING:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._per_s


class Rate:
    """A limit of requests a minute, separate for each owner of a key.

    A minute's worth may come at once: a batch is sent as a burst.
    """

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._bucket_by_owner: dict[Hashable, TokenBucket] = {}
        """No more entries than there are keys: owners are known by their keys."""

    def take(self, owner: Hashable) -> None:
        """Count a request of this owner.

        Raises:
            Refused: 429, with the time until the next request.
        """
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


class SlotLimit:
    """A limit of concurrent requests, of all owners and of one.

    There is no queue: a caller that finds no slot has to retry.
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
        """Reserve a slot until the end of the block.

        `owner` None: the caller shares with nobody.

        Raises:
            Refused: 429, if all slots are reserved, or the owner has used up its share.
        """
        own = self._taken_by_owner.get(owner, 0)
        # The owner's own share first: its message names what the caller can change.
        if own >= (self._most if owner is None else self._most_per_owner):
            raise self._full(f"{own} of your requests are in flight")
        if self.taken >= self._most:
            raise self._full(f"{self._most} requests are in flight")
        self.taken += 1
        self._taken_by_owner[owner] = own + 1
        try:
            yield
        finally:
            self.taken -= 1
            self._taken_by_owner[owner] -= 1
            # Removed at zero, so that the table does not grow with every owner.
            if not self._taken_by_owner[owner]:
                del self._taken_by_owner[owner]

    def _full(self, so_many: str) -> Refused:
        return Refused(
            429,
            "too_many_in_flight",
            f"{so_many}, the maximum: wait a moment.",
            retry_after_s=self._retry_after_s,
        )


async def bounded(announced: str | None, chunks: AsyncIterator[bytes], most: int) -> bytes:
    """Return the whole body.

    It reads no more than the one chunk that exceeds the limit, and nothing where the announced
    length alone does.

    Args:
        announced: The Content-Length, which a chunked body does not have.
        chunks: The body.
        most: Maximum number of bytes.

    Raises:
        Refused: 413, beyond `most` bytes.
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
    """Return whether a Content-Length exceeds `most`; an invalid one does not count."""
    return (
        announced is not None
        and announced.isdecimal()
        and (len(announced) > _DIGITS or int(announced) > most)
    )


def too_large(most: int) -> Refused:
    """Return the error for a body beyond the limit."""
    return Refused(
        413, "request_too_large", f"The request is larger than {most} bytes: send less at once."
    )
