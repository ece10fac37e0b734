"""A model that asks the ledger first. Knows no file, no Ray, and nothing of the model behind it."""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Protocol

from optimizer.budget.shared_budget import Cost, Paying, PriceList, is_test
from optimizer.errors import BudgetExhausted, QuotaExhausted
from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Failed, Outcome, Request
from serving.clients.dispatch_hook import announced
from serving.concurrency.circuit_breaker import pause_of
from serving.concurrency.held_slots import held_until_recorded
from serving.concurrency.retrying import all_of
from serving.ledger.coordinator import LedgerClient
from serving.ledger.group_commit import Groups
from serving.ledger.schema import Paid, key_of
from serving.ledger.single_flight import RENEWAL_S
from serving.runtime.supervision import Pauses, Supervisor

RECORD_WITHIN_S = 30.0
"""[ours] What a batch that is cancelled waits for a slow ledger at most."""


class Endings(Protocol):
    """Where a search was refused what it had to pay for.

    It ends at the same request when it is repeated, though somebody else may
    have paid for that meanwhile.
    """

    def refuses(self, keys: Sequence[bytes]) -> str:
        """Why, where it was refused one of these; else ""."""

    async def refused(self, key: bytes, reason: str) -> None:
        """To be called before the search is told."""


class CachedModel:
    """A LanguageModel that asks the ledger first. Identical requests of one batch are asked once.

    What must be paid for goes out in chunks at the same time, and each chunk is recorded when it is
    finished: if the batch is cancelled, or fails in another chunk, those answers are kept. Chunks
    that finish while others are being recorded are recorded together. A call's place at the model's
    endpoint is free when its answer is recorded: so a slow ledger slows the calls down, and a kill
    repeats no more of them than there are places. For one event loop.
    """

    def __init__(
        self,
        model: LanguageModel,
        ledger: LedgerClient,
        chunk: int = 16,
        shared_budget: Paying | None = None,
        price_list: PriceList | None = None,
        renewal_s: float = RENEWAL_S,
        endings: Endings | None = None,
    ) -> None:
        """`shared_budget`: what is paid for comes out of it, at this price list, one chunk after
        the other as they go out (see serving.budget);
        `endings` remembers what it refused. `renewal_s`: how often
        the ledger hears that we live; a few times in a lease.
        """
        self._model = model
        self._ledger = ledger
        self._records = Groups[bytes, Paid, Completion](self._record_group)
        self._chunk = chunk
        self._shared_budget = shared_budget
        self._price_list = price_list or PriceList()
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
        """As LanguageModel.complete.

        Raises BudgetExhausted where the budget has not enough for what must be paid, with the
        outcomes of all requests before the one that was refused. Of a final test for which the
        budget has something, though not enough, the rest has no answer.
        """
        name = self.name
        keys = [key_of(name, request) for request in requests]
        request_by_key = dict(
            zip(reversed(keys), reversed(requests), strict=True)
        )  # the first of equals is the one asked
        outcome_by_key: dict[bytes, Outcome] = {}
        try:
            if self._endings and (reason := self._endings.refuses(keys)):
                refused = next(key for key in keys if self._endings.refuses([key]))
                raise _Refused(BudgetExhausted(reason), refused)
            await self._fill(keys, request_by_key, outcome_by_key)
        except _Refused as refused_one:
            refusal = refused_one.refusal
            refusal.answered = await self._before(
                keys[: keys.index(refused_one.key)], request_by_key, outcome_by_key
            )
            raise refusal from None
        return _in_order(keys, outcome_by_key)

    async def _before(
        self,
        keys: Sequence[bytes],
        request_by_key: Mapping[bytes, Request],
        outcome_by_key: dict[bytes, Outcome],
    ) -> list[Outcome]:
        """The outcomes of what stands before a refused request: the same ones whenever the search
        is repeated, whoever has paid for
        what in the meantime.
        """
        with suppress(_Refused):  # one that was answered for nobody, and is refused this time
            await self._fill(keys, request_by_key, outcome_by_key)
        return _in_order(list(takewhile(outcome_by_key.__contains__, keys)), outcome_by_key)

    async def _fill(
        self,
        keys: Sequence[bytes],
        request_by_key: Mapping[bytes, Request],
        outcome_by_key: dict[bytes, Outcome],
    ) -> None:
        """Puts an outcome of each key into `outcome_by_key`.

        Raises _Refused; what came before is there.
        """
        owner = uuid.uuid4().hex
        while missing := [key for key in dict.fromkeys(keys) if key not in outcome_by_key]:
            claims = dict(zip(missing, await self._ledger.claim(missing, owner), strict=True))
            outcome_by_key.update(
                {key: claim for key, claim in claims.items() if isinstance(claim, Completion)}
            )
            own = {key: request_by_key[key] for key, claim in claims.items() if claim == "yours"}
            if own:
                await self._pay(own, owner, outcome_by_key)
            if elsewhere := [key for key, claim in claims.items() if claim == "elsewhere"]:
                await self._ledger.wait(elsewhere)

    async def _pay(
        self, request_by_key: Mapping[bytes, Request], owner: str, into: dict[bytes, Outcome]
    ) -> None:
        """Adds the outcomes to those that the batch has already."""
        keys = list(request_by_key)
        alive = asyncio.create_task(self._stay_alive(keys, owner))
        outcome_by_key: dict[bytes, Outcome] = {}
        try:
            if self._shared_budget is None or not self._shared_budget.bounded:
                outcome_by_key.update(await self._pay_chunks(request_by_key))
            else:
                await self._pay_in_waves(self._shared_budget, request_by_key, outcome_by_key)
        except BudgetExhausted as refusal:
            if is_test(request_by_key.values()) and (outcome_by_key or into):
                lacking = Failed("infrastructure", f"It was not asked: {refusal}")
                into.update({key: lacking for key in keys if key not in outcome_by_key})
                return
            refused = keys[len(outcome_by_key)]
            if self._endings and not isinstance(
                refusal, QuotaExhausted
            ):  # tomorrow it goes on from here
                await self._endings.refused(refused, str(refusal))
            raise _Refused(refusal, refused) from refusal
        finally:
            into.update(outcome_by_key)
            alive.cancel()
            await self._ledger.release(keys, owner)

    async def _pay_in_waves(
        self,
        shared_budget: Paying,
        request_by_key: Mapping[bytes, Request],
        into: dict[bytes, Outcome],
    ) -> None:
        """As many at a time as the budget lets.

        What a wave has reserved and not sent is given back, however it ends.
        """
        keys, test = list(request_by_key), is_test(request_by_key.values())
        costs = [self._price_list.at_most(request) for request in request_by_key.values()]
        while len(into) < len(keys):
            at = len(into)
            until = at + await shared_budget.take(costs[at:], test=test)
            wave = _Wave(
                shared_budget, dict(zip(keys[at:until], costs[at:until], strict=True)), test
            )
            try:
                into.update(
                    await self._pay_chunks(
                        {key: request_by_key[key] for key in keys[at:until]}, wave
                    )
                )
            finally:
                wave.give_back()

    async def _pay_chunks(
        self, request_by_key: Mapping[bytes, Request], wave: "_Wave | None" = None
    ) -> dict[bytes, Outcome]:
        items = list(request_by_key.items())
        chunks = [dict(items[at : at + self._chunk]) for at in range(0, len(items), self._chunk)]
        paid = await all_of(self._pay_chunk(chunk, wave) for chunk in chunks)
        return {key: outcome for chunk in paid for key, outcome in chunk.items()}

    async def _pay_chunk(
        self, request_by_key: Mapping[bytes, Request], wave: "_Wave | None"
    ) -> dict[bytes, Outcome]:
        with held_until_recorded():
            return await self._pay_and_record(request_by_key, wave)

    async def _pay_and_record(
        self, request_by_key: Mapping[bytes, Request], wave: "_Wave | None"
    ) -> dict[bytes, Outcome]:
        requests = list(request_by_key.values())
        if wave is None:
            outcomes = await self._model.complete(requests)
        else:
            outcomes = await announced(
                self._model, requests, partial(wave.send, list(request_by_key))
            )
        return await self._recorded(
            request_by_key, dict(zip(request_by_key, outcomes, strict=True)), wave
        )

    async def _recorded(
        self,
        request_by_key: Mapping[bytes, Request],
        outcome_by_key: dict[bytes, Outcome],
        wave: "_Wave | None",
    ) -> dict[bytes, Outcome]:
        """The outcomes that stand; each call is settled as soon as its answer is on record."""
        answers = {
            key: outcome
            for key, outcome in outcome_by_key.items()
            if isinstance(outcome, Completion)
        }
        cost_by_key = {
            key: self._price_list.of(outcome, request_by_key[key])
            for key, outcome in outcome_by_key.items()
        }
        if wave is not None:
            wave.settle(
                {key: cost for key, cost in cost_by_key.items() if key not in answers},
                answered=False,
            )
        if not answers:
            return outcome_by_key
        settled = (
            None
            if wave is None
            else partial(wave.settle, {key: cost_by_key[key] for key in answers}, answered=True)
        )
        paid_by_key = {
            key: Paid(answer, self.name, request_by_key[key]) for key, answer in answers.items()
        }
        standing = await self._record(paid_by_key, settled)
        return outcome_by_key | {
            key: answers[key] if kept.text == answers[key].text else kept
            for key, kept in zip(answers, standing, strict=True)
        }

    async def _record(
        self, paid_by_key: Mapping[bytes, Paid], recorded: Callable[[], None] | None = None
    ) -> list[Completion]:
        """What is paid for is recorded, and `recorded` is called, even if the batch is cancelled in
        this moment, and more
        than once.
        """
        recording = asyncio.ensure_future(self._records.committed(paid_by_key))
        try:
            standing = await asyncio.shield(recording)
        except asyncio.CancelledError:
            ends_at = time.monotonic() + RECORD_WITHIN_S
            while not recording.done() and (left_s := ends_at - time.monotonic()) > 0:
                with suppress(asyncio.CancelledError):  # whoever fails together is cancelled twice
                    await asyncio.wait([recording], timeout=left_s)
            if (
                recorded
                and recording.done()
                and not recording.cancelled()
                and recording.exception() is None
            ):
                recorded()
            raise
        if recorded:
            recorded()
        return standing

    async def _record_group(self, paid_by_key: Mapping[bytes, Paid]) -> dict[bytes, Completion]:
        return dict(zip(paid_by_key, await self._ledger.record(paid_by_key), strict=True))

    async def _stay_alive(self, keys: Sequence[bytes], owner: str) -> None:
        """A renewal that fails is made again: several fall into a lease."""
        tasks = Supervisor("a client of the ledger", Pauses(self._renewal_s, self._renewal_s))
        await tasks.every(
            "renewing claims", self._renewal_s, lambda: self._ledger.renew(keys, owner)
        )


class _Refused(Exception):
    """A budget has refused to pay for a request, and for all behind it."""

    def __init__(self, refusal: BudgetExhausted, key: bytes) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.key = key


class _Wave:
    """Calls that a budget has reserved together: which of them were sent, and which of those are
    settled.
    """

    def __init__(
        self, shared_budget: Paying, most_by_key: Mapping[bytes, Cost], test: bool
    ) -> None:
        self._shared_budget = shared_budget
        self._reserved = dict(most_by_key)
        self._sent: dict[bytes, Cost] = {}
        self._test = test

    async def send(self, keys: Sequence[bytes]) -> None:
        """To be awaited before these go out."""
        most_by_key = {key: self._reserved.pop(key) for key in keys}
        # before it is known whether it came on record: a cancelled caller cannot tell
        self._sent |= most_by_key
        await self._shared_budget.send(most_by_key, test=self._test)

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        if cost_by_key:
            self._shared_budget.settle(cost_by_key, answered=answered)
        for key in cost_by_key:
            self._sent.pop(key, None)

    def give_back(self) -> None:
        """The wave is over: what was not sent was never spent, and what is not settled is lost."""
        if self._reserved:
            self._shared_budget.give_back(Cost.of_all(self._reserved.values()), test=self._test)
        if self._sent:
            self._shared_budget.settle(dict(self._sent), answered=False)
        self._reserved, self._sent = {}, {}


def _in_order(keys: Sequence[bytes], outcome_by_key: Mapping[bytes, Outcome]) -> list[Outcome]:
    """Outcomes in the order of the batch; a repetition inside it cost nothing, which it says."""
    seen: set[bytes] = set()
    outcomes: list[Outcome] = []
    for key in keys:
        outcome = outcome_by_key[key]
        outcomes.append(
            replace(outcome, from_ledger=True)
            if key in seen and isinstance(outcome, Completion)
            else outcome
        )
        seen.add(key)
    return outcomes
