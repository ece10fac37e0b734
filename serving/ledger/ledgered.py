"""A model that asks the ledger first. Knows no file, no Ray, and nothing of the model behind it."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

from optimizer.errors import BudgetExhausted
from optimizer.protocols import LanguageModel
from optimizer.purse import Purse, Spending, Tariff, in_waves
from optimizer.types import Completion, Outcome, Request
from serving.clients.outage import pause_of
from serving.held_places import held_until_recorded
from serving.ledger.flights import RENEWAL_S
from serving.ledger.grouping import Groups
from serving.ledger.keys import Paid, key_of
from serving.ledger.shared import LedgerClient
from serving.limiter import all_of

RECORD_WITHIN_S = 30.0
"""[ours] What a batch that is cancelled waits for a slow ledger at most."""


class Buildable(Protocol):
    """What `ledgered` asks of a model's settings."""

    @property
    def chunk(self) -> int:
        """Requests that go out, and are recorded, together."""

    def build(self) -> LanguageModel: ...


class Endings(Protocol):
    """Where a search was refused what it had to pay for. It ends at the same request when it is repeated, though somebody else may
    have paid for that meanwhile."""

    def refuses(self, keys: Sequence[bytes]) -> str:
        """Why, where it was refused one of these; else ""."""

    async def refused(self, key: bytes, reason: str) -> None:
        """To be called before the search is told."""


class Ledgered:
    """A LanguageModel that asks the ledger first. Identical requests of one batch are asked once.

    What must be paid for goes out in chunks at the same time, and each chunk is recorded when it is finished: if the batch is
    cancelled, or fails in another chunk, those answers are kept. Chunks that finish while others are being recorded are recorded
    together. A call's place at the model's endpoint is free when its answer is recorded: so a slow ledger slows the calls down, and
    a kill repeats no more of them than there are places. For one event loop.
    """

    def __init__(
        self, model: LanguageModel, ledger: LedgerClient, chunk: int = 16, purse: Spending | None = None,
        tariff: Tariff | None = None, renewal_s: float = RENEWAL_S, endings: Endings | None = None,
    ) -> None:
        """`purse`: what is paid for comes out of it, at this tariff; `endings` remembers what it refused. `renewal_s`: how often
        the ledger hears that we live; a few times in a lease."""
        self._model = model
        self._ledger = ledger
        self._records = Groups[bytes, Paid, Completion](self._record_group)
        self._chunk = chunk
        self._purse = purse or Purse()
        self._tariff = tariff or Tariff()
        self._renewal_s = renewal_s
        self._endings = endings

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def pause(self) -> str:
        """See Pauses."""
        return pause_of(self._model)

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """As LanguageModel.complete. Raises BudgetExhausted where the purse has not enough for what must be paid."""
        name = self.name
        keys = [key_of(name, request) for request in requests]
        if self._endings and (reason := self._endings.refuses(keys)):
            raise BudgetExhausted(reason)
        request_by_key = dict(zip(reversed(keys), reversed(requests), strict=True))  # the first of equals is the one asked
        outcome_by_key: dict[bytes, Outcome] = {}
        owner = uuid.uuid4().hex
        while missing := [key for key in dict.fromkeys(keys) if key not in outcome_by_key]:
            claims = dict(zip(missing, await self._ledger.claim(missing, owner), strict=True))
            outcome_by_key.update({key: claim for key, claim in claims.items() if isinstance(claim, Completion)})
            own = {key: request_by_key[key] for key, claim in claims.items() if claim == "yours"}
            if own:
                outcome_by_key.update(await self._pay(own, owner))
            if elsewhere := [key for key, claim in claims.items() if claim == "elsewhere"]:
                await self._ledger.wait(elsewhere)
        return _in_order(keys, outcome_by_key)

    async def _pay(self, request_by_key: Mapping[bytes, Request], owner: str) -> dict[bytes, Outcome]:
        keys = list(request_by_key)
        alive = asyncio.create_task(self._stay_alive(keys, owner))
        outcomes: list[Outcome] = []
        try:
            send = partial(self._pay_chunks, {request: key for key, request in request_by_key.items()})
            await in_waves(self._purse, self._tariff, list(request_by_key.values()), send, outcomes, lost_is_spent=True)
        except BudgetExhausted as refusal:
            if self._endings:
                await self._endings.refused(keys[len(outcomes)], str(refusal))
            raise
        finally:
            alive.cancel()
            await self._ledger.release(keys, owner)
        return dict(zip(keys, outcomes, strict=True))

    async def _pay_chunks(self, key_by_request: Mapping[Request, bytes], requests: Sequence[Request]) -> list[Outcome]:
        chunks = [requests[at : at + self._chunk] for at in range(0, len(requests), self._chunk)]
        paid = await all_of(self._pay_chunk({key_by_request[request]: request for request in chunk}) for chunk in chunks)
        return [outcome for chunk in paid for outcome in chunk.values()]

    async def _pay_chunk(self, request_by_key: Mapping[bytes, Request]) -> dict[bytes, Outcome]:
        with held_until_recorded():
            return await self._pay_and_record(request_by_key)

    async def _pay_and_record(self, request_by_key: Mapping[bytes, Request]) -> dict[bytes, Outcome]:
        outcomes = dict(zip(request_by_key, await self._model.complete(list(request_by_key.values())), strict=True))
        answers = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, Completion)}
        if answers:
            standing = await self._record({key: Paid(answer, self.name, request_by_key[key]) for key, answer in answers.items()})
            outcomes.update({
                key: answers[key] if kept.text == answers[key].text else kept
                for key, kept in zip(answers, standing, strict=True)})
        return outcomes

    async def _record(self, paid_by_key: Mapping[bytes, Paid]) -> list[Completion]:
        """What is paid for is recorded, even if the batch is cancelled in this moment, and more than once."""
        recording = asyncio.ensure_future(self._records.committed(paid_by_key))
        try:
            return await asyncio.shield(recording)
        except asyncio.CancelledError:
            ends_at = time.monotonic() + RECORD_WITHIN_S
            while not recording.done() and (left_s := ends_at - time.monotonic()) > 0:
                with suppress(asyncio.CancelledError):  # whoever fails together is cancelled twice
                    await asyncio.wait([recording], timeout=left_s)
            raise

    async def _record_group(self, paid_by_key: Mapping[bytes, Paid]) -> dict[bytes, Completion]:
        return dict(zip(paid_by_key, await self._ledger.record(paid_by_key), strict=True))

    async def _stay_alive(self, keys: Sequence[bytes], owner: str) -> None:
        while True:
            await asyncio.sleep(self._renewal_s)
            await self._ledger.renew(keys, owner)


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
