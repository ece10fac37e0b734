"""The record of a budget in OUT/spent.json: its format, read and written.

An older version wrote no calls, only "spent" with all that was reserved in it: it stays spent.
Knows no rule of a budget.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optimizer.budget.cost import NOTHING, Cost
from optimizer.errors import DataError
from serving.storage import Folder

FILE = "spent.json"
_SUM = "checksum"


@dataclass(frozen=True)
class SentCall:
    """A call that may be in flight."""

    most: Cost
    test: bool


@dataclass(frozen=True)
class Elapsed:
    """The past of a trial that begins: seconds, in all runs together."""

    trial_s: float
    whole_s: float
    ending: tuple[str, str] | None = None
    """The request, in hex of its key, that the trial was refused in an earlier run with the same
    limits, and why.
    """
    sent: Mapping[bytes, Cost] = field(default_factory=dict)
    """Calls that it has sent and never settled, by key, at the most that they can cost."""


@dataclass(frozen=True)
class SpentRecord:
    """The recorded state of a budget; costs and calls by trial."""

    limits: Mapping[str, float | None] = field(default_factory=dict)
    course: str = ""
    endings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    spent: Cost = NOTHING
    lost: Cost = NOTHING
    refused: frozenset[str] = frozenset()
    kept: Mapping[str, Cost] = field(default_factory=dict)
    tested: Mapping[str, Cost] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    sent: Mapping[str, Mapping[bytes, SentCall]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def has_limits(self, limits: Mapping[str, float | None]) -> bool:
        """Return whether these limits were recorded."""
        return _as_recorded(self.limits) == _as_recorded(limits)

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        state = {
            "limits": _as_recorded(self.limits),
            "course": self.course,
            "endings": self.endings,
            "spent": self.spent.to_json(),
            "lost": self.lost.to_json(),
            "refused": sorted(self.refused),
            "kept": {trial: cost.to_json() for trial, cost in self.kept.items()},
            "tested": {trial: cost.to_json() for trial, cost in self.tested.items()},
            "done": sorted(self.done),
            "sent": {
                trial: {
                    key.hex(): {"most": one.most.to_json(), "test": one.test}
                    for key, one in own.items()
                }
                for trial, own in self.sent.items()
                if own
            },
            "seconds": self.seconds,
        }
        return (json.dumps(state | {_SUM: _sum(state)}, indent=1) + "\n").encode()


def read_record(folder: Folder) -> SpentRecord:
    """Return the record in a folder; an empty one where there is no file.

    Raises:
        DataError: If the file cannot be read.
    """
    if not folder.exists(FILE):
        return SpentRecord()
    place, data = folder.place_of(FILE), folder.read(FILE)
    try:
        recorded = json.loads(data)
        # a file of an earlier version has no checksum
        if recorded.pop(_SUM, None) not in (None, _sum(recorded)):
            raise ValueError("it is not what was written")
        return SpentRecord(
            limits=recorded["limits"],
            course=recorded.get("course", ""),
            endings={
                trial: (key, why) for trial, (key, why) in recorded.get("endings", {}).items()
            },
            spent=Cost(**recorded["spent"]),
            lost=Cost(**recorded.get("lost", {})),
            refused=frozenset(recorded["refused"]),
            kept=_costs_of(recorded["kept"]),
            tested=_costs_of(recorded.get("tested", {})),
            done=frozenset(recorded["done"]),
            sent=_sent_of(recorded.get("sent", {})),
            seconds=recorded.get("seconds", {}),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        raise DataError(
            f"{place}, the record of this experiment's spending, cannot be read; restore it "
            "from a copy, or remove it and "
            "lower budget.total by what was spent."
        ) from problem


def _as_recorded(limits: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return limits with one of grader calls only where it is set: older versions knew none."""
    return {
        name: limit for name, limit in limits.items() if limit is not None or name != "grader_calls"
    }


def _sum(state: Mapping[str, Any]) -> str:
    """Return the checksum of a state.

    A digit that flips on the disk would silently raise or lower a budget.
    """
    return f"{zlib.crc32(json.dumps(state, sort_keys=True).encode()):08x}"


def _costs_of(recorded: Mapping[str, Any]) -> dict[str, Cost]:
    return {trial: Cost(**cost) for trial, cost in recorded.items()}


def _sent_of(recorded: Mapping[str, Any]) -> dict[str, dict[bytes, SentCall]]:
    return {
        trial: {
            bytes.fromhex(key): SentCall(Cost(**one["most"]), bool(one["test"]))
            for key, one in own.items()
        }
        for trial, own in recorded.items()
    }
