"""What an endpoint was asked, held against what the ledger had at each death: which calls were made
again without need.

A call is repeated if its answer was in the ledger when something was killed, and it comes again
afterwards; or if it is answered in whole twice, unless the first answer was lost with the process
that waited for it, before it was in the ledger.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from optimizer.errors import StorageError
from serving.ledger import key_of
from serving.ledger.inspection import read_segments
from serving.settings import OpenAISettings
from serving.storage import open_folder
from tests.e2e.chaos.endpoint import Call, Endpoint

HOLDS_CALLS = frozenset({"trial", "driver", "node with trials"})
"""Victims with whom answers are lost that were on their way, or not recorded yet."""


@dataclass(frozen=True)
class Death:
    """Something was killed."""

    kind: str
    killed_at: float
    """Just before."""
    counted_at: float
    """When the ledger had been read, afterwards."""
    answered: frozenset[bytes]
    """The keys that were in it."""


class TrialBudget:
    """Of one results folder, whose calls go to one endpoint, or to none."""

    def __init__(self, out: Path, served: Endpoint | None = None) -> None:
        self._out = out
        self._served = served
        self.deaths: list[Death] = []

    def note(self, kind: str, killed_at: float) -> None:
        """Call this as soon as the victim is dead."""
        answered = answered_keys(self._out)
        self.deaths.append(Death(kind, killed_at, time.monotonic(), answered))

    @property
    def repeated(self) -> list[str]:
        """The calls that were made again and need not have been, a line each."""
        return [
            f"{call.model} was asked again, {why}: {call.request.messages[-1].content[:80]!r}"
            for call, why in self._repeats()
        ]

    @property
    def again(self) -> int:
        """Whole answers to what had been answered before, with or without need."""
        return sum(len(calls) - 1 for calls in self._calls_by_key(answered=True).values())

    def strangers(self) -> frozenset[bytes]:
        """Keys of whole answers that are not in the ledger, and others than those: none, after a
        run that came to its end. It
        says that the keys are reckoned here as they are there."""
        return answered_keys(self._out) ^ set(self._calls_by_key(answered=True))

    def _repeats(self) -> Iterator[tuple[Call, str]]:
        for key, calls in self._calls_by_key(answered=False).items():
            for call in calls:
                if any(
                    death.counted_at < call.came_at and key in death.answered
                    for death in self.deaths
                ):
                    yield call, "though its answer was in the ledger"
                    break
        for key, calls in self._calls_by_key(answered=True).items():
            for before, call in pairwise(calls):
                if not self._answer_was_lost(key, before, call):
                    yield call, "though it had been answered"

    def _answer_was_lost(self, key: bytes, before: Call, again: Call) -> bool:
        return any(
            death.kind in HOLDS_CALLS
            and key not in death.answered
            and before.came_at <= death.counted_at
            and again.came_at >= death.killed_at
            for death in self.deaths
        )

    def _calls_by_key(self, *, answered: bool) -> dict[bytes, list[Call]]:
        """In the order in which they came; only those that were answered in whole, or all."""
        found = defaultdict[bytes, list[Call]](list)
        for call in tuple(self._served.calls) if self._served else ():
            if not call.is_probe and (call.answered_at is not None or not answered):
                found[self._key(call)].append(call)
        return found

    def _key(self, call: Call) -> bytes:
        assert self._served
        return key_of(_identity(call.model, self._served.base_url), call.request)


def answered_keys(out: Path) -> frozenset[bytes]:
    """What the ledger of a results folder holds at this moment.

    Takes no lock: a run may be writing to it.
    """
    for attempt in range(20):
        try:
            segments = read_segments(open_folder(out / "ledger"), ["key"])
            return frozenset(
                key
                for _, _, found in segments
                for batch in found.batches
                for key in batch["key"].to_pylist()
            )
        except StorageError:  # a file of it has just been replaced by another
            if attempt == 19:
                raise
            time.sleep(0.05)
    raise AssertionError


@lru_cache
def _identity(model: str, base_url: str) -> str:
    return OpenAISettings(model=model, base_url=base_url).identity
