"""One ledger for many callers: each answer is paid for once, even with concurrent requests.

A caller claims the keys of a whole batch at once. Each is a hit, or the caller's own to pay for, or
in flight elsewhere. It does its own work first and waits for the others' afterwards: so no two
callers can wait for each other. Knows no Ray.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from optimizer.types import Completion
from serving.ledger.group_commit import Groups
from serving.ledger.schema import Paid
from serving.ledger.single_flight import SingleFlight
from serving.ledger.store import Ledger
from serving.ledger.usage import UsageCounter

Claim = Completion | Literal["yours", "elsewhere"]


@dataclass(frozen=True)
class LedgerCounts:
    """The use of a ledger since it was opened; `entries` is the number of all its entries."""

    entries: int = 0
    hits: int = 0
    paid: int = 0
    in_flight: int = 0


class LedgerClient(Protocol):
    """The interface of a ledger that `CachedModel` needs, here or in another process.

    Every call is for many keys, and may be repeated.
    """

    async def claim(self, keys: Sequence[bytes], owner: str) -> list[Claim]:
        """Return one claim for each key; record or release keys that come back as "yours"."""

    async def answers(self, keys: Sequence[bytes]) -> list[Completion | None]:
        """Return the present answers of these keys, in order, without claims or hits."""

    async def record(self, paid_by_key: Mapping[bytes, Paid]) -> list[Completion]:
        """Make answers durable and free their keys.

        Returns:
            The answers that stand, in order: the first one of each key.
        """

    async def release(self, keys: Sequence[bytes], owner: str) -> None:
        """Release claims, so that others may make them."""

    async def renew(self, keys: Sequence[bytes], owner: str) -> None:
        """Record that the owner is alive and paying for these keys.

        Keys that were recorded meanwhile are ignored.
        """

    async def wait(self, keys: Sequence[bytes]) -> None:
        """Return when none of the keys is in flight any more; claim again to learn the result."""

    async def counts(self) -> LedgerCounts:
        """Return how the ledger was used."""


class LedgerCoordinator:
    """A LedgerClient over a Ledger in this process; for one event loop."""

    def __init__(self, ledger: Ledger, single_flight: SingleFlight | None = None) -> None:
        self._ledger = ledger
        self._single_flight = single_flight or SingleFlight()
        self._usage = UsageCounter(ledger.folder)
        self._saving: asyncio.Task[None] | None = None
        self._groups = Groups[bytes, Paid, Completion](self._commit)
        self._hits = 0
        self._paid = 0

    async def claim(self, keys: Sequence[bytes], owner: str) -> list[Claim]:
        """Claim keys (see LedgerClient.claim)."""
        claims = [self._claim(key, owner) for key in keys]
        # Hits write nothing else, so the counts would never be saved in a run that is answered by
        # the ledger alone.
        if self._usage.due and (self._saving is None or self._saving.done()):
            self._saving = asyncio.create_task(asyncio.to_thread(self._usage.save))
        return claims

    def _claim(self, key: bytes, owner: str) -> Claim:
        # The ledger first: a key is free again once its answer is recorded.
        if answer := self._ledger.get(key):
            self._hits += 1
            self._usage.hit(self._ledger.model_of(key), answer)
            return answer
        return "yours" if self._single_flight.claim(key, owner) else "elsewhere"

    async def answers(self, keys: Sequence[bytes]) -> list[Completion | None]:
        """Return the answers of keys (see LedgerClient.answers)."""
        return [self._ledger.get(key) for key in keys]

    async def record(self, paid_by_key: Mapping[bytes, Paid]) -> list[Completion]:
        """Record answers (see LedgerClient.record)."""
        return await self._groups.committed(paid_by_key)

    async def _commit(self, group: Mapping[bytes, Paid]) -> dict[bytes, Completion]:
        # Before the append: afterwards all of them are there, and a repetition would count as paid
        # again.
        new = [paid for key, paid in group.items() if self._ledger.get(key) is None]
        # In a thread: a slow disk must not stop the event loop.
        await asyncio.to_thread(self._append, group)
        self._paid += len(new)
        for paid in new:
            self._usage.pay(paid.model, paid.answer)
        # After the append: whoever wakes up now finds the answer.
        for key in group:
            self._single_flight.land(key)
        # The ledger has the first answer of each key, which may be another caller's.
        return {key: self._ledger.get(key) or paid.answer for key, paid in group.items()}

    def _append(self, group: Mapping[bytes, Paid]) -> None:
        self._ledger.append(group)
        if self._usage.due:
            self._usage.save()

    async def release(self, keys: Sequence[bytes], owner: str) -> None:
        """Release claims (see LedgerClient.release)."""
        self._single_flight.release(keys, owner)

    async def renew(self, keys: Sequence[bytes], owner: str) -> None:
        """Renew claims (see LedgerClient.renew)."""
        # A renewal may arrive after the record: it must not claim a key that is answered.
        self._single_flight.renew([key for key in keys if self._ledger.get(key) is None], owner)

    async def wait(self, keys: Sequence[bytes]) -> None:
        """Wait for keys in flight (see LedgerClient.wait)."""
        await self._single_flight.wait(keys)

    async def counts(self) -> LedgerCounts:
        """Return how the ledger was used."""
        return LedgerCounts(len(self._ledger), self._hits, self._paid, self._single_flight.count)

    @property
    def damage(self) -> list[str]:
        """Return a sentence for each damaged segment (see Ledger.damage)."""
        return self._ledger.damage

    def close(self) -> None:
        """Save the usage and release the folder; recorded answers are durable without this."""
        self._usage.save()
        self._ledger.close()
