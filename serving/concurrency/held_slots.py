"""Slots that stay reserved beyond the end of their calls, until the answers are recorded.

The code that records answers opens a block around calls and record. A call inside it that was
answered holds its slot in the gate until the block ends: so there are never more paid answers
without a record than slots, however slow the record is. Calls of one block never wait for each
other's slots: one that has ended passes its slot to another of its block that wants one. For one
event loop.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from serving.concurrency.gate import Gate


class HeldSlots:
    """The slots of one block."""

    def __init__(self) -> None:
        self._held: list[Gate] = []
        """The gate of each slot whose call was answered."""
        self._wanting: deque[tuple[Gate, asyncio.Future[None]]] = deque()
        self._over = False

    async def enter(self, gate: Gate) -> None:
        """Reserve a slot that a call of this block has left, or the next of the gate."""
        if gate in self._held:
            self._held.remove(gate)
            return
        handed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Both ways at once: the gate may be full of slots that this very block holds.
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
        """Hold the slot of a call that was answered; release that of one that was not."""
        if not answered or self._over:
            gate.leave()
            return
        # A waiter of the same block goes first: otherwise the block could wait for itself.
        for wanted, handed in self._wanting:
            if wanted is gate and not handed.done():
                handed.set_result(None)
                return
        self._held.append(gate)

    def release(self) -> None:
        """Release the held slots: the block ends."""
        self._over = True
        held, self._held = self._held, []
        for gate in held:
            gate.leave()

    async def _not_both(self, gate: Gate, entering: "asyncio.Future[None]") -> None:
        """Release the slot that the gate gives to a call that has one already, or wants none."""
        entering.cancel()
        await asyncio.wait([entering])
        if not entering.cancelled() and not entering.exception():
            gate.leave()


_of_this_block: ContextVar[HeldSlots | None] = ContextVar(
    "slots held until a record is made", default=None
)


@contextmanager
def held_until_recorded() -> Iterator[None]:
    """Hold the slots of calls in this block, and in tasks started in it, until it ends."""
    slots = HeldSlots()
    token = _of_this_block.set(slots)
    try:
        yield
    finally:
        _of_this_block.reset(token)
        slots.release()


async def enter(gate: Gate) -> None:
    """Reserve a slot for a call."""
    slots = _of_this_block.get()
    await (slots.enter(gate) if slots else gate.enter())


def leave(gate: Gate, answered: bool) -> None:
    """Release the slot of a call, or hold it for the rest of the block that the call is in."""
    if slots := _of_this_block.get():
        slots.leave(gate, answered)
    else:
        gate.leave()
