"""The time of an experiment goes on being recorded after a fault of the storage."""

import asyncio
from pathlib import Path

from optimizer.budget.cost import NOTHING, Limits
from optimizer.errors import StorageError
from serving.budget.actor import BudgetActor


class Faulty(BudgetActor):
    """Cannot record the time at first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), Limits(), {}, {}, NOTHING, "")
        self.tries = 0
        self.recording = asyncio.Event()

    async def record_time(self) -> None:
        self.tries += 1
        if self.tries == 1:
            raise StorageError("The disk is full.")
        self.recording.set()
        await asyncio.Event().wait()


async def test_time_is_recorded_again_after_a_fault_of_the_storage(tmp_path: Path) -> None:
    actor = Faulty(tmp_path)
    await actor.begin("t")
    async with asyncio.timeout(10):
        await actor.recording.wait()
    await actor.stop()
    assert actor.tries == 2
