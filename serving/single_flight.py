"""One ledger for many callers: each answer is paid for once, even when several ask for it at the same moment. Knows no Ray.

A caller claims the keys of a whole batch at once. Each is a hit, or the caller's own to pay for, or in flight elsewhere. It does
its own work first and waits for the others' afterwards: so no two callers can wait for each other. A claim is a lease that its
owner renews; when the owner fails, or is killed and its lease runs out, the key is free again.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Outcome, Request
from serving.ledger import Ledger, key_of
from serving.limiter import all_of

LEASE_S = 20.0
"""What others wait for the answers of a caller that was killed. Its owner renews a lease four times in this."""
Claim = Completion | Literal["yours", "elsewhere"]


@dataclass(frozen=True)
class LedgerCounts:
    """How a ledger was used since it was opened; `entries` is all that it holds."""

    entries: int = 0
    hits: int = 0
    paid: int = 0
    in_flight: int = 0

    @property
    def hit_share(self) -> float:
        """Share of answers that came from the ledger; 0.0 before the first."""
        return self.hits / (self.hits + self.paid) if self.hits + self.paid else 0.0


class LedgerClient(Protocol):
    """What `Ledgered` asks of a ledger, here or in another process. Every call is for many keys."""

    async def claim(self, keys: Sequence[bytes], owner: str) -> list[Claim]:
        """One claim a key. Keys that come back as "yours" must be recorded or released."""

    async def record(self, answer_by_key: Mapping[bytes, Completion]) -> list[Completion]:
        """Makes answers durable and frees their keys. Returns the answers that stand, in order: the first one of a key does."""

    async def release(self, keys: Sequence[bytes], owner: str) -> None:
        """Gives up claims, so that others may make them."""

    async def renew(self, owner: str) -> None:
        """Says that the owner of some claims is alive."""

    async def wait(self, keys: Sequence[bytes]) -> None:
        """Returns when none of the keys is in flight any more, whatever became of it; claim again to learn that."""

    async def counts(self) -> LedgerCounts: ...


class Buildable(Protocol):
    """What `ledgered` asks of a model's settings."""

    @property
    def chunk(self) -> int:
        """Requests that go out, and are recorded, together."""

    def build(self) -> LanguageModel: ...


@dataclass
class _Flight:
    owner: str
    ends_at: float
    done: asyncio.Event


class SharedLedger:
    """A LedgerClient over a Ledger in this process; for one event loop."""

    def __init__(self, ledger: Ledger, lease_s: float = LEASE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._lease_s = lease_s
        self._clock = clock
        self._flight_by_key: dict[bytes, _Flight] = {}
        self._pending: dict[bytes, Completion] = {}
        self._writing = asyncio.Lock()
        self._hits = 0
        self._paid = 0

    async def claim(self, keys: Sequence[bytes], owner: str) -> list[Claim]:
        return [self._claim(key, owner) for key in keys]

    def _claim(self, key: bytes, owner: str) -> Claim:
        if answer := self._ledger.get(key):
            self._hits += 1
            return replace(answer, from_ledger=True)
        flight = self._flight_by_key.get(key)
        if flight and flight.ends_at > self._clock():
            return "elsewhere"
        self._land(key)
        self._flight_by_key[key] = _Flight(owner, self._clock() + self._lease_s, asyncio.Event())
        return "yours"

    async def record(self, answer_by_key: Mapping[bytes, Completion]) -> list[Completion]:
        self._pending.update(answer_by_key)
        async with self._writing:  # group commit: whoever is first writes what has gathered meanwhile
            group, self._pending = self._pending, {}
            try:
                await asyncio.to_thread(self._ledger.append, group)
            except BaseException:
                self._pending = {**group, **self._pending}
                raise
        for key in answer_by_key:
            self._land(key)
        self._paid += len(answer_by_key)
        return [self._ledger.get(key) or answer for key, answer in answer_by_key.items()]

    async def release(self, keys: Sequence[bytes], owner: str) -> None:
        for key in keys:
            if (flight := self._flight_by_key.get(key)) and flight.owner == owner:
                self._land(key)

    async def renew(self, owner: str) -> None:
        for flight in self._flight_by_key.values():
            if flight.owner == owner:
                flight.ends_at = self._clock() + self._lease_s

    async def wait(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            while (flight := self._flight_by_key.get(key)) and (left_s := flight.ends_at - self._clock()) > 0:
                try:
                    await asyncio.wait_for(flight.done.wait(), left_s)
                except TimeoutError:
                    continue  # renewed meanwhile, or at its end: the loop looks again

    async def counts(self) -> LedgerCounts:
        return LedgerCounts(len(self._ledger), self._hits, self._paid, len(self._flight_by_key))

    def _land(self, key: bytes) -> None:
        if flight := self._flight_by_key.pop(key, None):
            flight.done.set()


class Ledgered:
    """A LanguageModel that asks the ledger first. Identical requests of one batch are asked once.

    What must be paid for goes out in chunks at the same time, and each chunk is recorded when it is finished: if the batch is
    cancelled, or fails in another chunk, those answers are kept.
    """

    def __init__(self, model: LanguageModel, ledger: LedgerClient, chunk: int = 16, lease_s: float = LEASE_S) -> None:
        self._model = model
        self._ledger = ledger
        self._chunk = chunk
        self._lease_s = lease_s

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        keys = [key_of(self.name, request) for request in requests]
        request_by_key = dict(zip(reversed(keys), reversed(requests), strict=True))  # the first of equals is the one asked
        outcome_by_key: dict[bytes, Outcome] = {}
        owner = uuid.uuid4().hex
        while missing := [key for key in dict.fromkeys(keys) if key not in outcome_by_key]:
            claims = dict(zip(missing, await self._ledger.claim(missing, owner), strict=True))
            outcome_by_key.update({key: claim for key, claim in claims.items() if isinstance(claim, Completion)})
            own = [key for key, claim in claims.items() if claim == "yours"]
            outcome_by_key.update(await self._pay({key: request_by_key[key] for key in own}, owner))
            await self._wait([key for key, claim in claims.items() if claim == "elsewhere"])
        return _in_order(keys, outcome_by_key)

    async def _wait(self, keys: Sequence[bytes]) -> None:
        if keys:
            await self._ledger.wait(keys)

    async def _pay(self, request_by_key: Mapping[bytes, Request], owner: str) -> dict[bytes, Outcome]:
        if not request_by_key:
            return {}
        keys = list(request_by_key)
        alive = asyncio.create_task(self._stay_alive(owner))
        try:
            chunks = [keys[at : at + self._chunk] for at in range(0, len(keys), self._chunk)]
            paid = await all_of(self._pay_chunk({key: request_by_key[key] for key in chunk}) for chunk in chunks)
        finally:
            alive.cancel()
            await self._ledger.release(keys, owner)
        return {key: outcome for chunk in paid for key, outcome in chunk.items()}

    async def _pay_chunk(self, request_by_key: Mapping[bytes, Request]) -> dict[bytes, Outcome]:
        outcomes = dict(zip(request_by_key, await self._model.complete(list(request_by_key.values())), strict=True))
        answers = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, Completion)}
        if answers:
            standing = await self._record(answers)
            outcomes.update({
                key: answers[key] if kept.text == answers[key].text else kept
                for key, kept in zip(answers, standing, strict=True)})
        return outcomes

    async def _record(self, answers: Mapping[bytes, Completion]) -> list[Completion]:
        """What is paid for is recorded, even if the batch is cancelled in this moment."""
        recording = asyncio.ensure_future(self._ledger.record(answers))
        try:
            return await asyncio.shield(recording)
        except asyncio.CancelledError:
            await asyncio.wait([recording])
            raise

    async def _stay_alive(self, owner: str) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 4)
            await self._ledger.renew(owner)


def ledgered(settings: Buildable, ledger: LedgerClient) -> Ledgered:
    """The client of a model behind the ledger, which cuts batches as the model wants them."""
    return Ledgered(settings.build(), ledger, settings.chunk)


def _in_order(keys: Sequence[bytes], outcome_by_key: Mapping[bytes, Outcome]) -> list[Outcome]:
    """Outcomes in the order of the batch; a repetition inside it cost nothing, which it says."""
    seen: set[bytes] = set()
    outcomes: list[Outcome] = []
    for key in keys:
        outcome = outcome_by_key[key]
        outcomes.append(replace(outcome, from_ledger=True) if key in seen and isinstance(outcome, Completion) else outcome)
        seen.add(key)
    return outcomes
