"""Places that stay taken beyond the end of their calls, until what the calls gave is on record.

Whoever records answers opens a block around calls and record. A call inside it that was answered
keeps its place in the gate until the block ends: so there are never more paid answers without a
record than places, however slow the record is. Calls of one block never wait for each other's
places: one that has ended hands its place to another of its block that wants one. For one event
loop.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from serving.concurrency.gate import Gate


class HeldSlots:
    """The places of one block."""

    def __init__(self) -> None:
        self._kept: list[Gate] = []
        """Of calls that were answered, a gate for each place."""
        self._wanting: deque[tuple[Gate, asyncio.Future[None]]] = deque()
        self._over = False

    async def enter(self, gate: Gate) -> None:
        """Take a place that a call of this block has left, or the next that the gate gives."""
        if gate in self._kept:
            self._kept.remove(gate)
            return
        handed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entering = asyncio.ensure_future(gate.enter())
        self._wanting.append((gate, handed))
        try:
            await asyncio.wait([handed, entering], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._not_both(gate, entering)
            if handed.done():
                gate.leave()
            raise
        finally:
            self._wanting = deque(one for one in self._wanting if one[1] is not handed)
        if handed.done():
            await self._not_both(gate, entering)
        else:
            entering.result()

    def leave(self, gate: Gate, answered: bool) -> None:
        """Keep the place of a call that was answered; give back that of one that was not."""
        if not answered or self._over:
            gate.leave()
            return
        for wanted, handed in self._wanting:
            if wanted is gate and not handed.done():
                handed.set_result(None)
                return
        self._kept.append(gate)

    def release(self) -> None:
        """Give back what is kept: the block ends."""
        self._over = True
        kept, self._kept = self._kept, []
        for gate in kept:
            gate.leave()

    async def _not_both(self, gate: Gate, entering: "asyncio.Future[None]") -> None:
        """Give back what the gate gives, or has given, to one that has a place already or wants
        none.
        """
        entering.cancel()
        await asyncio.wait([entering])
        if not entering.cancelled() and not entering.exception():
            gate.leave()


_of_this_block: ContextVar[HeldSlots | None] = ContextVar(
    "places held until a record is made", default=None
)


@contextmanager
def held_until_recorded() -> Iterator[None]:
    """Calls in this block, and in tasks that are begun in it, keep their places until it ends."""
    places = HeldSlots()
    token = _of_this_block.set(places)
    try:
        yield
    finally:
        _of_this_block.reset(token)
        places.release()


async def enter(gate: Gate) -> None:
    """Take a place for a call."""
    places = _of_this_block.get()
    await (places.enter(gate) if places else gate.enter())


def leave(gate: Gate, answered: bool) -> None:
    """Give the place of a call back, or keep it for the rest of the block that the call is in."""
    if places := _of_this_block.get():
        places.leave(gate, answered)
    else:
        gate.leave()
