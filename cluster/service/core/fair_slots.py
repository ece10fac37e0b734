"""Slots for work of several owners, limited in total and for each owner, and given out in turn.

For one event loop.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cluster.service.core.errors import Busy


class FairSlots:
    """A limit of `most` slots at once, of them at most `most_per_owner` for one owner.

    Other requests wait, each owner's in turn, at most `most_waiting` of one owner: however much one
    owner asks for, the next one is served as soon as a slot is free.
    """

    def __init__(
        self, most: int, most_per_owner: int, most_waiting: int, what: str, retry_after_s: float
    ) -> None:
        """Create free slots.

        Args:
            most: Slots in all.
            most_per_owner: Slots of one owner.
            most_waiting: Requests of one owner that may wait.
            what: A noun for the work in error messages, such as "checks".
            retry_after_s: The seconds after which a refused owner may try again, for the error.
        """
        self._most = most
        self._most_per_owner = most_per_owner
        self._most_waiting = most_waiting
        self._what = what
        self._retry_after_s = retry_after_s
        self._held_by_owner: dict[str, int] = {}
        self._waiting_by_owner: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """The owner whose turn is next comes first."""

    @property
    def held(self) -> int:
        """Return how many slots are taken."""
        return sum(self._held_by_owner.values())

    @asynccontextmanager
    async def one(self, owner: str) -> AsyncIterator[None]:
        """Hold a slot until the end of the block.

        Raises:
            Busy: The owner has too many requests waiting.
        """
        await self.take(owner)
        try:
            yield
        finally:
            self.free(owner)

    async def take(self, owner: str) -> None:
        """Wait for a slot; the caller has to free it.

        Raises:
            Busy: The owner has too many requests waiting.
        """
        if self._has_room(owner) and owner not in self._waiting_by_owner:
            self._hold(owner)
            return
        waiting = self._waiting_by_owner.setdefault(owner, deque())
        if len(waiting) >= self._most_waiting:
            if not waiting:
                del self._waiting_by_owner[owner]
            raise Busy(
                f"Too many of your {self._what} are under way, and {self._most_waiting} wait: come "
                "again in a moment.",
                self._retry_after_s,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.free(owner)
            else:
                self._forget(owner, turn)
            raise

    def free(self, owner: str) -> None:
        """Give a slot back, to the owner whose turn is next."""
        self._held_by_owner[owner] -= 1
        if not self._held_by_owner[owner]:
            del self._held_by_owner[owner]
        for next_owner in list(self._waiting_by_owner):
            waiting = self._waiting_by_owner[next_owner]
            # Those that were cancelled while they waited.
            while waiting and waiting[0].done():
                waiting.popleft()
            if waiting and self._has_room(next_owner):
                self._hold(next_owner)
                waiting.popleft().set_result(None)
                # To the end, so that owners take turns.
                self._waiting_by_owner.move_to_end(next_owner)
            if not waiting:
                del self._waiting_by_owner[next_owner]

    def _has_room(self, owner: str) -> bool:
        return self.held < self._most and self._held_by_owner.get(owner, 0) < self._most_per_owner

    def _hold(self, owner: str) -> None:
        self._held_by_owner[owner] = self._held_by_owner.get(owner, 0) + 1

    def _forget(self, owner: str, turn: "asyncio.Future[None]") -> None:
        waiting = self._waiting_by_owner.get(owner)
        if waiting is not None and turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting_by_owner[owner]
