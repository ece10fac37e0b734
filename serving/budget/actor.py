"""The budget as one named actor of the Ray cluster, and its clients in trials and the driver."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError

from optimizer.budget.cost import NOTHING, Cost, Limits, PriceList, Role
from optimizer.errors import SettingsError
from serving.budget.record import Elapsed
from serving.budget.recovery import recover
from serving.budget.store import BudgetStore
from serving.ledger.coordinator import LedgerClient
from serving.runtime.actors import answered, lasting
from serving.runtime.supervision import Supervisor
from serving.storage import Folder, open_folder

_OF = "the experiment's budget"


class BudgetActor(BudgetStore):
    """A BudgetStore in an actor of Ray, which records time while trials run."""

    def __init__(
        self,
        folder: str,
        limits: Limits,
        reserved_by_trial: Mapping[str, Cost],
        seconds_allowed: Mapping[str, float | None],
        spare: Cost,
        course: str,
    ) -> None:
        super().__init__(
            open_folder(folder),
            limits,
            reserved_by_trial,
            seconds_allowed,
            spare=spare,
            course=course,
        )
        self._recording: asyncio.Task[None] | None = None

    async def begin(self, trial: str) -> Elapsed:
        """Start a trial, and the recording of time (see BudgetStore.begin)."""
        if self._recording is None or self._recording.done():
            self._recording = Supervisor("the experiment's budget").until_done(
                "recording time", self.record_time
            )
        return await super().begin(trial)

    async def stop(self) -> None:
        """End the run (see BudgetStore.stop)."""
        if self._recording:
            self._recording.cancel()
        await super().stop()

    async def spent_now(self) -> Cost:
        """Return BudgetStore.spent, which a call of an actor cannot read."""
        return self.spent


class TrialBudgetClient:
    """The experiment's budget as one trial sees it: Paying, Reserve and Endings.

    The budget itself is in the actor. Small and picklable.
    """

    def __init__(self, actor: Any, trial: str, bounded: bool) -> None:
        self._actor = actor
        self._trial = trial
        self.bounded = bounded
        self._ending: tuple[str, str] | None = None

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """Reserve calls (see Paying.reserve).

        Raises:
            BudgetExhausted: If nothing can be reserved.
            StorageError: If a refusal cannot be recorded.
        """
        given: int = await answered(self._actor.reserve.remote(self._trial, list(costs), test), _OF)
        return given

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        """Record that reserved calls are sent (see Paying.send).

        Raises:
            StorageError: If it cannot be recorded.
        """
        await answered(self._actor.send.remote(self._trial, dict(most_by_key), test), _OF)

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        """Settle calls (see Paying.settle)."""
        # Sent, not awaited: it is often called while the caller is being cancelled.
        self._actor.settle.remote(self._trial, dict(cost_by_key), answered)

    def release(self, most: Cost, *, test: bool = False) -> None:
        """Release a reservation (see Paying.release)."""
        self._actor.release.remote(self._trial, most, test)

    async def hold(self, cost: Cost) -> None:
        """Hold an amount for the trial's final test."""
        if self.bounded:
            await answered(self._actor.hold.remote(self._trial, cost), _OF)

    async def begin(
        self,
        ledger: LedgerClient | None = None,
        price_list_by_role: Mapping[Role, PriceList] | None = None,
    ) -> Elapsed:
        """Start the trial, or start it again.

        What it had sent before is settled by what the ledger has of it.
        """
        elapsed: Elapsed = await answered(self._actor.begin.remote(self._trial), _OF)
        self._ending = elapsed.ending
        if elapsed.sent and ledger is not None and price_list_by_role is not None:
            await recover(self, elapsed.sent, ledger, price_list_by_role)
        return elapsed

    @property
    def ending(self) -> tuple[bytes, str] | None:
        """Return the refused request and the reason (see Endings.ending).

        It is known when the trial has begun.
        """
        if self._ending is None:
            return None
        key, reason = self._ending
        return bytes.fromhex(key), reason

    async def refused(self, key: bytes, reason: str) -> None:
        """Record a refusal (see Endings.refused)."""
        await answered(self._actor.ended.remote(self._trial, key.hex(), reason), _OF)

    async def close(self, done: bool) -> None:
        """End the trial, whatever its result."""
        await answered(self._actor.close.remote(self._trial, done), _OF)


class BudgetClient:
    """The experiment's budget, for the code that passes it to trials; small and picklable."""

    def __init__(self, actor: Any, bounded: bool) -> None:
        """Wrap the actor; `bounded` means that there are limits but those of time."""
        self._actor = actor
        self._bounded = bounded

    def of(self, trial: str) -> TrialBudgetClient:
        """Return the budget of one trial."""
        return TrialBudgetClient(self._actor, trial, self._bounded)

    def close(self, trial: str, done: bool) -> None:
        """End a trial that cannot end itself; the call is sent and not awaited."""
        self._actor.close.remote(trial, done)

    def spent(self) -> Cost:
        """Return what was spent, for a caller without an event loop."""
        spent: Cost = ray.get(self._actor.spent_now.remote(), timeout=30)
        return spent

    def stop(self) -> None:
        """End the run, for the driver when all trials are done.

        It never raises: a time that is not stopped counts a few seconds too much.
        """
        with suppress(RayError):
            ray.get(self._actor.stop.remote(), timeout=30)

    def end(self) -> None:
        """End the actor (see RemoteLedger.end)."""
        ray.kill(self._actor)


def open_budget(
    folder: Folder,
    limits: Limits,
    reserved_by_trial: Mapping[str, Cost],
    seconds_allowed: Mapping[str, float | None] | None = None,
    *,
    spare: Cost = NOTHING,
    course: str = "",
) -> BudgetClient:
    """Open the budget of a results folder; see BudgetStore.

    The actor restarts after a crash, and ends with the job that opened it.

    Raises:
        DataError: If its record cannot be read.
        SettingsError: If it has no room for the final tests.
    """
    place, seconds = folder.absolute(), dict(seconds_allowed or {})
    first = BudgetStore(place, limits, reserved_by_trial, seconds, course=course)
    # What an interruption has lost is no mistake of the settings: such a run goes on, and tests
    # what can still be paid.
    if name := limits.passed_by(first.spent - first.lost + first.held):
        left, wanted = getattr(limits, name) - getattr(first.spent, name), getattr(first.held, name)
        raise SettingsError(
            f"The final tests of {len(reserved_by_trial)} trials may take {wanted:,.6g} "
            f"{name.replace('_', ' ')}, and of "
            f"budget.total.{name} only {left:,.6g} are left; raise it, or make sizes.test smaller."
        )
    actor: Any = (
        ray.remote(BudgetActor)
        .options(**lasting(place))
        .remote(place.place, limits, dict(reserved_by_trial), seconds, spare, course)
    )
    return BudgetClient(actor, limits.bounded)
