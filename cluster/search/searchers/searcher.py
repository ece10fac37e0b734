"""What a search asks of a searcher: a class of settings, which opens a study for each comparison
group if it learns from results.
"""

from collections.abc import Sequence
from typing import Protocol

from cluster.search.space import Point, Space

TRIALS = 16
"""Points that a searcher draws where the settings do not say how many [ours]."""
MOST_POINTS = 10_000
"""A grid above this is a mistake rather than an experiment [ours]."""


class Study(Protocol):
    """The points of one comparison group, chosen as its results come in."""

    def propose(self, number: int) -> Point | None:
        """The point of the comparison group's `number`th trial, counted from 0 and asked for in
        order; None: ask again after a result.
        """

    def tell(self, number: int, accuracy: float | None) -> None:
        """How a trial ended: its dev accuracy, or None where it has none."""


class Searcher(Protocol):
    """Chooses points, the same ones for the same settings."""

    def check(self) -> None:
        """Raises SettingsError where a package is missing."""

    def plan(self, space: Space, trials: int | None) -> Sequence[Point | None]:
        """One entry a trial of each comparison group: its point, or None where a study will choose
        it. Raises SettingsError.
        """

    def open(self, space: Space, at_once: int) -> Study | None:
        """A study for one comparison group, of which about `at_once` trials run at a time; None
        where all points are planned.
        """
