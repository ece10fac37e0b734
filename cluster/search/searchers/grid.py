"""Searcher `grid`: every point of the space, in the order in which the settings list the values."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.search.searchers.searcher import MOST_POINTS
from cluster.search.space import Point, Space
from optimizer.errors import SettingsError


@dataclass(frozen=True)
class Grid:
    """A searcher without settings, which uses no random numbers."""

    def check(self) -> None:
        """Do nothing: no package is needed."""

    def plan(self, space: Space, trials: int | None) -> Sequence[Point | None]:
        """Return every point of the space.

        Raises:
            SettingsError: A number of trials is set, or the points cannot be listed or are too
                many.
        """
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
        """Return None: all points are planned."""
