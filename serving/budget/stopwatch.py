"""How long things have run, in all runs of an experiment together.

Pure: its clock comes from outside.
"""

import time
from collections.abc import Callable, Mapping


class Stopwatch:
    """`recorded`: seconds by name, of earlier runs."""

    def __init__(
        self,
        recorded: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._before = dict(recorded or {})
        self._since: dict[str, float] = {}

    def start(self, name: str) -> None:
        """One that runs goes on."""
        self._since.setdefault(name, self._clock())

    def stop(self, name: str) -> None:
        """One that does not run is left alone."""
        if name in self._since:
            self._before[name] = self.seconds(name)
            del self._since[name]

    @property
    def running(self) -> tuple[str, ...]:
        return tuple(self._since)

    def seconds(self, name: str) -> float:
        since = self._since.get(name)
        return self._before.get(name, 0.0) + (0.0 if since is None else self._clock() - since)

    def state(self, ahead_s: float) -> dict[str, float]:
        """To be recorded: what runs counts as if it ran so much longer, as it may be killed before
        the next record.
        """
        return {
            name: round(self.seconds(name) + (ahead_s if name in self._since else 0.0), 3)
            for name in sorted(self._before.keys() | self._since.keys())
        }
