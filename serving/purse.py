"""The purse of a whole experiment: what all its trials together may pay. One named actor of the Ray cluster gives out of it.

What is given out stands in a file before any call is sent, at the most that it can cost: so the limits hold whoever is killed, and
an experiment that is continued goes on with what is left. Knows no trial but by name, and of an experiment only its folder.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import ray

from optimizer.errors import BudgetExhausted, DataError, SettingsError
from optimizer.purse import Cost, Limits, Purse
from serving.actors import answered, lasting
from serving.storage import Folder, open_folder

FILE = "spent.json"
_OF = "the experiment's budget"


class RecordedPurse:
    """A Purse whose state stands in `folder`/spent.json. For one event loop.

    `kept_by_trial`: what each trial's final test may cost at least. A trial that is done keeps nothing, in later runs either. With
    other limits than the recorded ones all trials may search again. Raises DataError for a file that cannot be read.
    """

    def __init__(self, folder: Folder, limits: Limits, kept_by_trial: Mapping[str, Cost]) -> None:
        self._folder = folder
        self._purse = Purse(limits, of="budget.total")
        self._done: set[str] = set()
        self._writing = asyncio.Lock()
        recorded = self._read()
        kept = {trial: Cost(**cost) for trial, cost in recorded.get("kept", {}).items()}
        self._purse.spent = Cost(**recorded.get("spent", {}))
        if recorded.get("limits") == asdict(limits):
            self._purse.refused.update(recorded["refused"])
            self._done.update(recorded["done"])
        for trial, cost in kept_by_trial.items():
            if trial not in self._done:
                self._purse.keep(kept.get(trial, cost), trial)

    @property
    def spent(self) -> Cost:
        return self._purse.spent

    @property
    def kept(self) -> Cost:
        """For all final tests."""
        return Cost.of_all(self._purse.kept_by_holder.values())

    async def take(self, trial: str, costs: Sequence[Cost], test: bool) -> int:
        """See Purse.take; returns when it is on record."""
        try:
            given = await self._purse.take(costs, trial, test=test)
        except BudgetExhausted:
            await self._write()
            raise
        try:
            await self._write()
        except BaseException:
            self._purse.settle(Cost.of_all(costs[:given]), Cost(), trial)
            raise
        return given

    def settle(self, trial: str, most: Cost, cost: Cost) -> None:
        """See Purse.settle. It comes on record with the next `take`; until then a crash costs the difference."""
        self._purse.settle(most, cost, trial)

    def begin(self, trial: str) -> None:
        """See Purse.begin."""
        self._purse.begin(trial)

    async def keep(self, trial: str, cost: Cost) -> None:
        """See Purse.keep."""
        self._purse.keep(cost, trial)
        await self._write()

    async def close(self, trial: str, done: bool) -> None:
        """See Purse.close. A trial that is not `done` may come again in another run, with its test."""
        self._purse.close(trial)
        if done:
            self._done.add(trial)
        await self._write()

    def _read(self) -> dict[str, Any]:
        if not self._folder.exists(FILE):
            return {}
        place = self._folder.place_of(FILE)
        try:
            recorded = json.loads(self._folder.read(FILE))
            Cost(**recorded["spent"])
            assert {"limits", "kept", "refused", "done"} <= set(recorded)
            return dict(recorded)
        except (ValueError, TypeError, KeyError, AssertionError) as problem:
            raise DataError(
                f"{place}, which says what this experiment has spent, cannot be read; bring it back from a copy, or remove it and "
                "lower budget.total by what was spent.") from problem

    async def _write(self) -> None:
        async with self._writing:
            purse = self._purse
            state = {
                "limits": asdict(purse.limits), "spent": asdict(purse.spent), "refused": sorted(purse.refused),
                "kept": {trial: asdict(cost) for trial, cost in purse.kept_by_holder.items()}, "done": sorted(self._done)}
            await asyncio.to_thread(self._folder.write, FILE, (json.dumps(state, indent=1) + "\n").encode())


class PurseActor:
    """`RecordedPurse` behind Ray."""

    def __init__(self, folder: str, limits: Limits, kept_by_trial: Mapping[str, Cost]) -> None:
        self._purse = RecordedPurse(open_folder(folder), limits, kept_by_trial)

    async def take(self, trial: str, costs: list[Cost], test: bool) -> int:
        return await self._purse.take(trial, costs, test)

    async def settle(self, trial: str, most: Cost, cost: Cost) -> None:
        self._purse.settle(trial, most, cost)

    async def begin(self, trial: str) -> None:
        self._purse.begin(trial)

    async def keep(self, trial: str, cost: Cost) -> None:
        await self._purse.keep(trial, cost)

    async def close(self, trial: str, done: bool) -> None:
        await self._purse.close(trial, done)

    async def spent(self) -> Cost:
        return self._purse.spent


class TrialPurse:
    """The experiment's purse as one trial sees it: Spending and Reserve, where the actor is. Small and picklable."""

    bounded = True

    def __init__(self, actor: Any, trial: str) -> None:
        self._actor = actor
        self._trial = trial

    async def take(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        """Raises BudgetExhausted, and StorageError where it cannot be put on record."""
        given: int = await answered(self._actor.take.remote(self._trial, list(costs), test), _OF)
        return given

    def settle(self, most: Cost, cost: Cost) -> None:
        # Sent, not awaited: it is often called while the caller is being cancelled.
        self._actor.settle.remote(self._trial, most, cost)

    async def keep(self, cost: Cost) -> None:
        await answered(self._actor.keep.remote(self._trial, cost), _OF)

    async def begin(self) -> None:
        """To be called when the trial starts, and starts again."""
        await answered(self._actor.begin.remote(self._trial), _OF)

    async def close(self, done: bool) -> None:
        """To be called when the trial is over, whatever became of it."""
        await answered(self._actor.close.remote(self._trial, done), _OF)


class SharedPurse:
    """The experiment's purse, for whoever hands it to trials. Small and picklable."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def of(self, trial: str) -> TrialPurse:
        return TrialPurse(self._actor, trial)

    def close(self, trial: str, done: bool) -> None:
        """As TrialPurse.close, sent and not awaited: for whoever sees a trial end that cannot say so itself."""
        self._actor.close.remote(trial, done)

    def end(self) -> None:
        """As RemoteLedger.end."""
        ray.kill(self._actor)

    def spent(self) -> Cost:
        """For a caller without an event loop."""
        spent: Cost = ray.get(self._actor.spent.remote(), timeout=30)
        return spent


def open_purse(folder: Folder, limits: Limits, kept_by_trial: Mapping[str, Cost]) -> SharedPurse:
    """The purse of a results folder. Raises DataError where its record cannot be read, SettingsError where it has no room for the
    final tests. The actor comes back by itself after a crash, and ends with the job that opened it."""
    place = folder.absolute()
    first = RecordedPurse(place, limits, kept_by_trial)
    if name := limits.passed_by(first.spent + first.kept):
        left, wanted = getattr(limits, name) - getattr(first.spent, name), getattr(first.kept, name)
        raise SettingsError(
            f"The final tests of {len(kept_by_trial)} trials may take {wanted:,.6g} {name.replace('_', ' ')}, and of "
            f"budget.total.{name} only {left:,.6g} are left; raise it, or make sizes.test smaller.")
    actor: Any = ray.remote(PurseActor).options(**lasting(place)).remote(place.place, limits, dict(kept_by_trial))
    return SharedPurse(actor)
