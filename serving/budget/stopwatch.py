"""A stopwatch for the total time of named things, in all runs of an experiment together.

Pure: its clock is passed in.
"""

import time
from collections.abc import Callable, Mapping


class Stopwatch:
    """Seconds by name; `recorded` has those of earlier runs."""

    def __init__(
        self,
        recorded: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._before = dict(recorded or {})
        self._since: dict[str, float] = {}

    def start(self, name: str) -> None:
        """Start a name's time; one that runs goes on."""
        self._since.setdefault(name, self._clock())

    def stop(self, name: str) -> None:
        """Stop a name's time, if it runs."""
        if name in self._since:
            self._before[name] = self.seconds(name)
            del self._since[name]

    @property
    def running(self) -> tuple[str, ...]:
        """Return the names whose time runs."""
        return tuple(self._since)

    def seconds(self, name: str) -> float:
        """Return a name's seconds."""
        since = self._since.get(name)
        return self._before.get(name, 0.0) + (0.0 if since is None else self._clock() - since)

    def state(self, ahead_s: float) -> dict[str, float]:
        """Return the seconds to record.

        What runs counts as if it ran `ahead_s` seconds longer, as it may be killed before the next
        record.
        """
        return {
            name: round(self.seconds(name) + (ahead_s if name in self._since else 0.0), 3)
            for name in sorted(self._before.keys() | self._since.keys())
        }
