"""A model that looks into the ledger first.

Knows no file, no Ray, no budget, and nothing of the model behind it.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice, takewhile

from optimizer.errors import BudgetExhausted
from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Outcome, Request
from serving.clients.dispatch_hook import announced
from serving.concurrency.held_slots import held_until_recorded
from serving.concurrency.retrying import all_of
from serving.contracts.payment import FreePayment, Payment, Reservation
from serving.ledger.coordinator import LedgerClient
from serving.ledger.group_commit import Groups
from serving.ledger.schema import Paid, key_of
from serving.ledger.single_flight import RENEWAL_S
from serving.runtime.supervision import Backoff, Supervisor

RECORD_WITHIN_S = 30.0
"""Maximum seconds that a cancelled batch waits for a slow ledger [ours]."""


class CachedModel:
    """A PayableModel that looks into the ledger first.

    Identical requests of one batch are sent once. What the ledger lacks goes out in chunks at the
    same time, and each chunk is recorded when it is finished: if the batch is cancelled, or fails
    in another chunk, those answers stay recorded. Chunks that finish while others are being
    recorded are recorded together. A call's slot at the model's endpoint is free when its answer is
    recorded: so a slow ledger slows the calls down, and a kill repeats no more of them than there
    are slots. For one event loop.
    """

    def __init__(
        self,
        model: LanguageModel,
        ledger: LedgerClient,
        chunk: int = 16,
        renewal_s: float = RENEWAL_S,
    ) -> None:
        """Put the ledger in front of the model; `renewal_s` is the time between two renewals.

        It is a few times shorter than a lease.
        """
        self._model = model
        self._ledger = ledger
        self._records = Groups[bytes, Paid, Completion](self._record_group)
        self._chunk = chunk
        self._renewal_s = renewal_s

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return one outcome for each request, in order, without any payment."""
        return await self.complete_paid(requests, FreePayment())

    async def complete_paid(self, requests: Sequence[Request], payment: Payment) -> list[Outcome]:
        """Return one outcome for each request (see PayableModel.complete_paid)."""
        name, owner = self.name, uuid.uuid4().hex
        keys = [key_of(name, request) for request in requests]
        # Of equal requests the first one is sent.
        request_by_key = dict(zip(reversed(keys), reversed(requests), strict=True))
        outcome_by_key: dict[bytes, Outcome] = {}
        wanted, refusal = list(dict.fromkeys(keys)), None
        # Again until nothing is missing: what was in flight elsewhere may have failed there, and is
        # this batch's to pay for then.
        while missing := [key for key in wanted if key not in outcome_by_key]:
            claims = dict(zip(missing, await self._ledger.claim(missing, owner), strict=True))
            outcome_by_key.update(
                {key: claim for key, claim in claims.items() if isinstance(claim, Completion)}
            )
            own = {key: request_by_key[key] for key, claim in claims.items() if claim == "yours"}
            try:
                # The own calls first: whoever waits for others before it has paid its own may wait
                # for one that waits for it.
                await self._fill(own, owner, payment, outcome_by_key)
            except BudgetExhausted as refused:
                # What stands before the refused request is returned, and nothing behind it.
                # The first refusal names the request at which the search ends.
                refusal = refusal or refused
                first = next(key for key in own if key not in outcome_by_key)
                wanted = wanted[: wanted.index(first)]
                continue
            if elsewhere := [key for key, claim in claims.items() if claim == "elsewhere"]:
                await self._ledger.wait(elsewhere)
        if refusal is not None:
            refusal.answered = _in_order(
                list(takewhile(set(wanted).__contains__, keys)), outcome_by_key
            )
            raise refusal
        return _in_order(keys, outcome_by_key)

    async def _fill(
        self,
        request_by_key: Mapping[bytes, Request],
        owner: str,
        payment: Payment,
        into: dict[bytes, Outcome],
    ) -> None:
        """Add the outcomes of the requests that this batch has claimed to those that it has.

        As many go out at a time as the payment permits. Claims are released, however it ends.

        Raises:
            BudgetExhausted: If the payment refused one; what came before it is in `into`.
        """
        if not request_by_key:
            return
        keys = list(request_by_key)
        # Claims are leases: without renewal another caller would pay for the same keys.
        alive = asyncio.create_task(self._stay_alive(keys, owner))
        try:
            while rest := {key: request_by_key[key] for key in keys if key not in into}:
                # A payment may grant fewer calls than were wanted; the others are reserved in the
                # next turn.
                reservation = await payment.reserve(rest)
                try:
                    first = dict(islice(rest.items(), reservation.calls))
                    into.update(await self._pay_chunks(first, reservation))
                finally:
                    reservation.close()
        except BudgetExhausted as refusal:
            # Some payments, such as that of a final test, put a failure in the place of what cannot
            # be paid.
            if (failed := payment.in_place(refusal, anything=bool(into))) is None:
                raise
            into.update({key: failed for key in keys if key not in into})
        finally:
            # Cancelled before the release: a renewal that comes later would claim the keys again.
            alive.cancel()
            await self._ledger.release(keys, owner)

    async def _pay_chunks(
        self, request_by_key: Mapping[bytes, Request], reservation: Reservation
    ) -> dict[bytes, Outcome]:
        items = list(request_by_key.items())
        chunks = [dict(items[at : at + self._chunk]) for at in range(0, len(items), self._chunk)]
        paid = await all_of(self._pay_chunk(chunk, reservation) for chunk in chunks)
        return {key: outcome for chunk in paid for key, outcome in chunk.items()}

    async def _pay_chunk(
        self, request_by_key: Mapping[bytes, Request], reservation: Reservation
    ) -> dict[bytes, Outcome]:
        # The slots of answered calls stay reserved until the record is made: see the class.
        with held_until_recorded():
            outcomes = await announced(
                self._model,
                list(request_by_key.values()),
                partial(reservation.send, list(request_by_key)),
            )
            outcome_by_key = dict(zip(request_by_key, outcomes, strict=True))
            return await self._recorded(request_by_key, outcome_by_key, reservation)

    async def _recorded(
        self,
        request_by_key: Mapping[bytes, Request],
        outcome_by_key: dict[bytes, Outcome],
        reservation: Reservation,
    ) -> dict[bytes, Outcome]:
        """Return the outcomes that stand.

        Each call is settled as soon as its answer is recorded.
        """
        answers = {
            key: outcome
            for key, outcome in outcome_by_key.items()
            if isinstance(outcome, Completion)
        }
        reservation.settle(
            # Failures need no record in the ledger, so they are settled at once.
            {key: outcome for key, outcome in outcome_by_key.items() if key not in answers},
            answered=False,
        )
        if not answers:
            return outcome_by_key
        paid_by_key = {
            key: Paid(answer, self.name, request_by_key[key]) for key, answer in answers.items()
        }
        standing = await self._record(
            paid_by_key, partial(reservation.settle, answers, answered=True)
        )
        return outcome_by_key | {
            # Another caller may have recorded this key first: the first answer stands, also for us,
            # or a resumed run would see another one.
            key: answers[key] if stored.text == answers[key].text else stored
            for key, stored in zip(answers, standing, strict=True)
        }

    async def _record(
        self, paid_by_key: Mapping[bytes, Paid], recorded: Callable[[], None]
    ) -> list[Completion]:
        """Record paid answers and call `recorded`, even if the batch is cancelled meanwhile.

        It may be cancelled more than once.
        """
        recording = asyncio.ensure_future(self._records.committed(paid_by_key))
        try:
            # Shielded: answers that were paid for are recorded even when nobody wants them any
            # more.
            standing = await asyncio.shield(recording)
        except asyncio.CancelledError:
            ends_at = time.monotonic() + RECORD_WITHIN_S
            while not recording.done() and (left_s := ends_at - time.monotonic()) > 0:
                # Tasks that fail together are cancelled twice.
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([recording], timeout=left_s)
            # Settled only where the answers do stand; otherwise the calls count with the most that
            # they can cost.
            if recording.done() and not recording.cancelled() and recording.exception() is None:
                recorded()
            raise
        recorded()
        return standing

    async def _record_group(self, paid_by_key: Mapping[bytes, Paid]) -> dict[bytes, Completion]:
        return dict(zip(paid_by_key, await self._ledger.record(paid_by_key), strict=True))

    async def _stay_alive(self, keys: Sequence[bytes], owner: str) -> None:
        """Renew claims; a renewal that fails is repeated: several fall into a lease."""
        tasks = Supervisor("a client of the ledger", Backoff(self._renewal_s, self._renewal_s))
        await tasks.every(
            "renewing claims", self._renewal_s, lambda: self._ledger.renew(keys, owner)
        )


def _in_order(keys: Sequence[bytes], outcome_by_key: Mapping[bytes, Outcome]) -> list[Outcome]:
    """Return outcomes in the order of the batch; a repetition inside it is marked as cached."""
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
