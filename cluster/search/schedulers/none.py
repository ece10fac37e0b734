"""Scheduler `none`: every trial runs to its end."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Unscheduled:
    """A scheduler without settings, which stops nothing."""

    def build(self) -> None:
        """Return None: there is nothing to decide."""
