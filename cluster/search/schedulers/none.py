"""Scheduler `none`: every trial runs to its end."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Unscheduled:
    """It has no settings."""

    def build(self) -> None:
        """Nothing is to be decided."""
