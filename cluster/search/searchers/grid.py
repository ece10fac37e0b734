"""Searcher `grid`: every point of the space, in the order in which the settings list the values."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.search.searchers.searcher import MOST_POINTS
from cluster.search.space import Point, Space
from optimizer.errors import SettingsError


@dataclass(frozen=True)
class Grid:
    """It has no settings and uses no chance."""

    def check(self) -> None:
        """See Searcher. It needs nothing."""

    def plan(self, space: Space, trials: int | None) -> Sequence[Point | None]:
        """See Searcher."""
        if trials is not None:
            raise SettingsError(
                "The searcher grid tries every point: take search.trials out, or take the searcher "
                "random."
            )
        if key := space.endless():
            raise SettingsError(
                f"The searcher grid tries every value, and {key} is a range of real numbers; list "
                "its values, or take the searcher "
                "random."
            )
        if (count := space.count() or 0) > MOST_POINTS:
            raise SettingsError(
                f"The grid has more than {MOST_POINTS:,} points, {count:,} of them; take the "
                "searcher random, or fewer values."
            )
        return list(space.all())

    def open(self, space: Space, at_once: int) -> None:
        """See Searcher. All points are planned."""
