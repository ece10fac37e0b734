"""The record of what an experiment has spent, and how long it has run: OUT/spent.json. Knows no Ray, no trial but by name, and of
an experiment only its folder.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optimizer.errors import BudgetExhausted, DataError
from optimizer.purse import Cost, Limits, Purse
from serving.stopwatch import Stopwatch
from serving.storage import Folder

FILE = "spent.json"
WHOLE = ""
"""The experiment itself, among the names of those whose time is kept."""
RECORD_EVERY_S = 5.0
"""[ours] Time is on record for two of these ahead: a killed run has lost that much of it at most."""


@dataclass(frozen=True)
class Elapsed:
    """What is behind a trial that begins: seconds, in all runs together."""

    trial_s: float
    whole_s: float
    ending: tuple[str, str] | None = None
    """The request, in hex of its key, that the trial was refused in an earlier run with the same limits, and why."""


class RecordedPurse:
    """A Purse whose state stands in `folder`/spent.json. For one event loop.

    `kept_by_trial`: what each trial's final test may cost at least. `seconds_allowed`: by name of a setting. A trial that is done
    keeps nothing, in later runs either. With other limits than the recorded ones all trials may search again. Raises DataError for
    a file that cannot be read.
    """

    def __init__(
        self, folder: Folder, limits: Limits, kept_by_trial: Mapping[str, Cost],
        seconds_allowed: Mapping[str, float | None] | None = None,
    ) -> None:
        self._folder = folder
        self._limits = asdict(limits) | dict(seconds_allowed or {})
        self._ending_by_trial: dict[str, tuple[str, str]] = {}
        self._purse = Purse(limits, of="budget.total")
        self._done: set[str] = set()
        self._writing = asyncio.Lock()
        recorded = self._read()
        self._time = Stopwatch(recorded.get("seconds"))
        kept = {trial: Cost(**cost) for trial, cost in recorded.get("kept", {}).items()}
        self._purse.spent = Cost(**recorded.get("spent", {}))
        if recorded.get("limits") == self._limits:
            self._purse.refused.update(recorded["refused"])
            self._ending_by_trial.update({trial: (key, why) for trial, (key, why) in recorded.get("endings", {}).items()})
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

    async def begin(self, trial: str) -> Elapsed:
        """See Purse.begin. The trial's time runs until it is closed, whether its process lives or not; the experiment's from the
        first trial's beginning to the end of the run."""
        self._purse.begin(trial)
        self._time.start(WHOLE)
        self._time.start(trial)
        elapsed = Elapsed(self._time.seconds(trial), self._time.seconds(WHOLE), self._ending_by_trial.get(trial))
        await self._write()
        return elapsed

    async def ended(self, trial: str, key: str, reason: str) -> None:
        """The trial's search was refused a request; the first one counts."""
        self._ending_by_trial.setdefault(trial, (key, reason))
        await self._write()

    async def keep_time(self) -> None:
        """Puts time on record for ever, before it passes."""
        while True:
            await self._write()
            await asyncio.sleep(RECORD_EVERY_S)

    async def stop(self) -> None:
        """The run is over."""
        for name in self._time.running:
            self._time.stop(name)
        await self._write()

    async def keep(self, trial: str, cost: Cost) -> None:
        """See Purse.keep."""
        self._purse.keep(cost, trial)
        await self._write()

    async def close(self, trial: str, done: bool) -> None:
        """See Purse.close. A trial that is not `done` may come again in another run, with its test."""
        self._purse.close(trial)
        self._time.stop(trial)
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
                "limits": self._limits, "endings": self._ending_by_trial,
                "spent": asdict(purse.spent), "refused": sorted(purse.refused),
                "kept": {trial: asdict(cost) for trial, cost in purse.kept_by_holder.items()}, "done": sorted(self._done),
                "seconds": self._time.state(2 * RECORD_EVERY_S)}
            await asyncio.to_thread(self._folder.write, FILE, (json.dumps(state, indent=1) + "\n").encode())
