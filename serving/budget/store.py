"""The record of what an experiment has spent, and how long it has run: OUT/spent.json.

Knows no Ray, no trial but by name, and of an experiment only its folder. Three numbers are
distinct, and a call goes through them in this order:

1. Reserved (`reserve`): the calls of a batch, at the most that they can cost. In memory alone,
   since nothing was sent: whatever ends the process or the batch releases it (`release`, `begin`,
   `close`, or that nobody remembers it).
2. Sent (`send`): before a call goes out, its key and the most that it can cost stand in the record,
   and are spent. So whoever reads the record at any moment finds at least what the endpoint has
   received.
3. Paid (`settle`): when the answer is in the ledger, and not before, the call costs what it did
   cost. A call that failed (an error in place of an answer) is settled too, without an answer. Both
   are recorded with the next `send`, or at the latest with `close` and `stop`: until then a crash
   leaves the call among those that were sent.

A holder that starts again (`begin`) gets the calls that it has sent and never settled, and looks
them up in the ledger: one whose answer is there was paid for, and costs what that answer cost; any
other may have been paid for, and counts with the most, for ever. It is sent again under a new entry
if it is needed again. So what is spent is never below what was paid; it is above it by no more than
the calls that were in flight at an interruption; and cached calls cost nothing again.

Of a final test, `kept` is what it still lacks: its whole cost, less that of its calls which are
answered or in flight (`tested`). A call that is lost or fails is lacking again. So an interruption
takes nothing from what is held; what it has lost comes out of what is free, and out of `spare`,
which searches leave free for that. Only where even that is not enough do the last calls of a test
find nothing left, and their items stay missing. `tested` holds for the same `course` alone: another
may test another prompt.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from optimizer.budget.cost import NOTHING, Cost, Limits
from optimizer.budget.shared_budget import SharedBudget
from optimizer.errors import BudgetExhausted
from serving.budget.record import FILE, Elapsed, SentCall, SpentRecord, read_record
from serving.budget.stopwatch import Stopwatch
from serving.storage import Folder

WHOLE = ""
"""The experiment itself, among the names whose time is recorded."""
RECORD_EVERY_S = 5.0
"""Seconds between two records of time [ours]. Time is recorded for two of these ahead: a killed
run has lost that much of it at most.
"""


class BudgetStore:
    """A budget whose state is stored in `folder`/spent.json; for one event loop.

    Nothing is held for a trial that is done, in later runs either. With other limits than the
    recorded ones all trials may search again.

    Args:
        folder: The results folder.
        limits: Limits of the experiment.
        reserved_by_trial: The least that each trial's final test may cost.
        seconds_allowed: Limits of time, by name of a setting.
        spare: See SharedBudget.spare.
        course: A name that is equal for runs that test the same prompts.
        of: Name of the budget in messages.

    Raises:
        DataError: If the file cannot be read.
    """

    def __init__(
        self,
        folder: Folder,
        limits: Limits,
        reserved_by_trial: Mapping[str, Cost],
        seconds_allowed: Mapping[str, float | None] | None = None,
        *,
        spare: Cost = NOTHING,
        course: str = "",
        of: str = "budget.total",
    ) -> None:
        self._folder = folder
        self._limits = asdict(limits) | dict(seconds_allowed or {})
        self._course = course
        self._ending_by_trial: dict[str, tuple[str, str]] = {}
        self._shared_budget = SharedBudget(limits, of=of)
        self._shared_budget.spare = spare
        self._done: set[str] = set()
        # Not recorded: nothing of a reservation was sent, so a crash releases it.
        self._reserved: dict[tuple[str, bool], Cost] = {}
        """Reservations by trial, and whether they are for its test."""
        self._writing = asyncio.Lock()
        # Counters, not a flag: a change that comes while a write is under way is not in that write.
        self._changes = self._written = 0
        recorded = read_record(folder)
        self._time = Stopwatch(recorded.seconds)
        # Copies: the record that was read stays as it was, and each trial may add its own.
        self._sent = {trial: dict(own) for trial, own in recorded.sent.items()}
        self._shared_budget.spent = recorded.spent
        self.lost = recorded.lost
        """The part of what is spent that has brought no answer."""
        # With other limits a refusal of an earlier run says nothing about this one.
        if recorded.has_limits(self._limits):
            self._shared_budget.refused.update(recorded.refused)
            self._ending_by_trial.update(recorded.endings)
            self._done.update(recorded.done)
            if recorded.course == course:
                self._shared_budget.tested_by_holder.update(recorded.tested)
        for trial, cost in reserved_by_trial.items():
            if trial not in self._done:
                self._shared_budget.hold(
                    # At least what the record holds: a best prompt that was found in an earlier run
                    # may cost more to test than the baseline.
                    cost.at_least(
                        recorded.kept.get(trial, Cost())
                        + self._shared_budget.tested_by_holder.get(trial, Cost())
                    ),
                    trial,
                )

    @property
    def spent(self) -> Cost:
        """Return what was paid, and the most that the other sent calls can cost."""
        # The shared budget counts a reservation as spent, so that nobody else takes it; nothing of
        # it was sent.
        return self._shared_budget.spent - Cost.of_all(self._reserved.values())

    @property
    def held(self) -> Cost:
        """Return what is held for all final tests."""
        return Cost.of_all(self._shared_budget.held_by_holder.values())

    @property
    def holders(self) -> set[str]:
        """Return trials for which something is held, or of which something is in flight."""
        return {
            *self._shared_budget.held_by_holder,
            *self._sent,
            *(trial for trial, _ in self._reserved),
        }

    def lacking(self, test_by_trial: Mapping[str, Cost]) -> Cost:
        """Return what tests of these costs still lack, with what is held for all other trials."""
        tested, held = self._shared_budget.tested_by_holder, self._shared_budget.held_by_holder
        own = [
            (cost - tested.get(trial, Cost())).at_least(Cost())
            for trial, cost in test_by_trial.items()
        ]
        return Cost.of_all(
            [*own, *(cost for trial, cost in held.items() if trial not in test_by_trial)]
        )

    def add(self, cost: Cost) -> None:
        """Add what was spent beside this budget; it is recorded with the next `send`."""
        self._shared_budget.spent += cost

    def limit(self, limits: Limits) -> None:
        """Set other limits, with which all may search again."""
        if limits != self._shared_budget.limits:
            self._shared_budget.limits, self._limits = limits, self._limits | asdict(limits)
            # A trial that was refused under the old limits may find room under the new ones.
            self._shared_budget.refused.clear()

    async def reserve(self, trial: str, costs: Sequence[Cost], test: bool) -> int:
        """Reserve calls of a trial (see Paying.reserve).

        A refusal of a search is recorded before it is raised.
        """
        try:
            given = await self._shared_budget.reserve(costs, trial, test=test)
        except BudgetExhausted:
            await self._write()
            raise
        # Only the calls that were granted, which are the first ones: the order of a batch is kept.
        self._add_reserved(trial, test, Cost.of_all(costs[:given]))
        return given

    async def send(self, trial: str, most_by_key: Mapping[bytes, Cost], test: bool) -> None:
        """Record that reserved calls are sent (see Paying.send); return when it is recorded.

        What an earlier process of this budget has reserved is reserved again.
        """
        own = self._sent.setdefault(trial, {})
        if all(own.get(key) == SentCall(most, test) for key, most in most_by_key.items()):
            # A repetition: its sender never got the reply to the first one.
            return await self._write()
        most = Cost.of_all(most_by_key.values())
        reserved = self._reserved.get((trial, test), Cost())
        if reserved.covers(most):
            self._add_reserved(trial, test, Cost() - most)
        else:
            # The reservation is of a process that is gone: the calls go out now, so they count
            # whatever is left.
            self._shared_budget.reserve_now(most, trial, test=test)
        for key, cost in most_by_key.items():
            # An entry of an earlier run with this key may still be there, of another trial too: it
            # stays spent, as its answer never came.
            self._forget(key)
            own[key] = SentCall(cost, test)
        try:
            await self._write()
        except Exception:
            for key, cost in most_by_key.items():
                # Nothing was sent, since the record does not stand; unless another caller has
                # settled it meanwhile.
                if own.pop(key, None):
                    self._shared_budget.settle(cost, Cost(), trial, lacking=test)
            raise

    def settle(self, trial: str, cost_by_key: Mapping[bytes, Cost], answered: bool) -> None:
        """Settle calls (see Paying.settle).

        A call that is not known (any more) stays spent as it is.
        """
        for key, cost in cost_by_key.items():
            # Popped: a settlement that is repeated, because its reply was lost, changes nothing.
            if sent := self._sent.get(trial, {}).pop(key, None):
                self._shared_budget.settle(
                    sent.most, cost, trial, lacking=sent.test and not answered
                )
                # A failed call may have been charged by the endpoint, and has brought nothing.
                self.lost += Cost() if answered else cost

    def release(self, trial: str, most: Cost, test: bool) -> None:
        """Release a reservation (see Paying.release).

        A reservation of an earlier process of this budget does not exist any more.
        """
        reserved = self._reserved.get((trial, test), Cost())
        if reserved.covers(most):
            self._add_reserved(trial, test, Cost() - most)
            self._shared_budget.settle(most, Cost(), trial, lacking=test)

    def _add_reserved(self, trial: str, test: bool, cost: Cost) -> None:
        left = (self._reserved.pop((trial, test), Cost()) + cost).at_least(Cost())
        # Without calls, what is left of the money is a rounding error of floats.
        if left.calls:
            self._reserved[trial, test] = left

    def _release_all(self, trial: str) -> None:
        for test in (False, True):
            if most := self._reserved.pop((trial, test), None):
                self._shared_budget.settle(most, Cost(), trial, lacking=test)

    def _forget(self, key: bytes) -> None:
        """Book the earlier sending of a call as lost, since it is sent again."""
        for trial, own in self._sent.items():
            if sent := own.pop(key, None):
                self._shared_budget.settle(sent.most, sent.most, trial, lacking=sent.test)
                self.lost += sent.most

    async def begin(self, trial: str) -> Elapsed:
        """Start a trial (see SharedBudget.begin).

        What it had reserved is released, and what it had sent is returned to be settled. The
        trial's time runs until it is closed, whether its process lives or not; the experiment's
        from the first trial's beginning to the end of the run.
        """
        self._release_all(trial)
        self._shared_budget.begin(trial)
        self._time.start(WHOLE)
        self._time.start(trial)
        elapsed = Elapsed(
            self._time.seconds(trial),
            self._time.seconds(WHOLE),
            self._ending_by_trial.get(trial),
            {key: sent.most for key, sent in self._sent.get(trial, {}).items()},
        )
        await self._write()
        return elapsed

    async def ended(self, trial: str, key: str, reason: str) -> None:
        """Record that the trial's search was refused a request; the first one counts."""
        self._ending_by_trial.setdefault(trial, (key, reason))
        await self._write()

    async def record_time(self) -> None:
        """Record time for ever, before it passes."""
        while True:
            await self._write()
            await asyncio.sleep(RECORD_EVERY_S)

    async def stop(self) -> None:
        """End the run."""
        # A trial that was killed never stopped its own clock.
        for name in self._time.running:
            self._time.stop(name)
        await self._write()

    async def hold(self, trial: str, cost: Cost) -> None:
        """Hold an amount for a trial's final test (see SharedBudget.hold)."""
        self._shared_budget.hold(cost, trial)
        await self._write()

    async def close(self, trial: str, done: bool) -> None:
        """End a trial (see SharedBudget.close).

        A trial that is not `done` may come again in another run: what its test lacks is held until
        then.
        """
        self._release_all(trial)
        self._time.stop(trial)
        if done:
            self._shared_budget.close(trial)
            self._done.add(trial)
        else:
            self._shared_budget.begin(trial)
        await self._write()

    async def _write(self) -> None:
        """Return when all changes up to now are recorded; concurrent callers share one write."""
        self._changes += 1
        mine = self._changes
        # One write at a time: an older content must not overwrite a newer one.
        async with self._writing:
            # The write that this caller waited for began after its change, so it has the change.
            if self._written >= mine:
                return
            # Both in the event loop and without a pause between: the content has just the changes
            # that it is said to cover.
            covered, content = self._changes, self._record().to_bytes()
            writing = asyncio.ensure_future(asyncio.to_thread(self._folder.write, FILE, content))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                # The thread goes on writing: nobody else may write before it is done.
                await asyncio.wait([writing])
                raise
            self._written = covered

    def _record(self) -> SpentRecord:
        shared_budget, tested = self._shared_budget, dict(self._shared_budget.tested_by_holder)
        held = shared_budget.held_by_holder
        for (trial, test), most in self._reserved.items():
            # Nothing of a reservation was sent, so the record must not count it as tested.
            if test:
                tested[trial] = (tested.get(trial, Cost()) - most).at_least(Cost())
                held[trial] = held.get(trial, Cost()) + most
        return SpentRecord(
            limits=self._limits,
            course=self._course,
            endings=self._ending_by_trial,
            spent=self.spent,
            lost=self.lost,
            refused=frozenset(shared_budget.refused),
            kept=held,
            tested=tested,
            done=frozenset(self._done),
            sent=self._sent,
            # Ahead: if the process is killed now, the time until the next record counts as used.
            seconds=self._time.state(2 * RECORD_EVERY_S),
        )
