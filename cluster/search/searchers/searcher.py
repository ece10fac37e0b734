"""The protocol of a searcher: a class of settings, which may open studies that learn."""

from collections.abc import Sequence
from typing import Protocol

from cluster.search.space import Point, Space

TRIALS = 16
"""Points that a searcher samples where the settings give no number [ours]."""
MOST_POINTS = 10_000
"""A grid above this is a mistake rather than an experiment [ours]."""


class Study(Protocol):
    """The points of one comparison group, chosen as its results come in."""

    def propose(self, number: int) -> Point | None:
        """Return the point of the comparison group's `number`th trial, counted from 0 and in order.

        None means: ask again after the next result.
        """

    def tell(self, number: int, accuracy: float | None) -> None:
        """Record how a trial ended: its dev accuracy, or None where it has none."""


class Searcher(Protocol):
    """Chooses points, the same ones for the same settings."""

    def check(self) -> None:
        """Check that the searcher can run here.

        Raises:
            SettingsError: A package is missing.
        """

    def plan(self, space: Space, trials: int | None) -> Sequence[Point | None]:
        """Return one entry for each trial of a comparison group.

        The entry is the trial's point, or None where a study will choose it.

        Raises:
            SettingsError: The searcher cannot be used with this space or number of trials.
        """

    def open(self, space: Space, at_once: int) -> Study | None:
        """Return a study for one comparison group; None where all points are planned.

        Args:
            space: The space of the search.
            at_once: Number of trials of the group that run concurrently, about.
        """
