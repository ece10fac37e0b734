"""Searcher `random`: points drawn at random, without repeats; all comparison groups get the same
ones. Bergstra & Bengio, JMLR 13, 2012.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.search.domains import Value
from cluster.search.searchers.searcher import TRIALS
from cluster.search.space import Point, Space

_DRAWS_PER_POINT = 100
"""In a small space, so many draws without a new point mean that there is none left [ours]."""


@dataclass(frozen=True, kw_only=True)
class Random:
    """Settings: the same seed draws the same points."""

    seed: int = 0

    def check(self) -> None:
        """See Searcher. It needs nothing."""

    def plan(self, space: Space, trials: int | None) -> Sequence[Point | None]:
        """See Searcher. Fewer points than trials where the space has no more."""
        wanted, rng = trials or TRIALS, random.Random(self.seed)
        wanted = min(wanted, space.count() or wanted)
        points: dict[tuple[tuple[str, Value], ...], Point] = {}
        for _ in range(wanted * _DRAWS_PER_POINT):
            point = space.draw(lambda dimension: dimension.domain.draw(rng))
            points.setdefault(tuple(point.items()), point)
            if len(points) == wanted:
                break
        return list(points.values())

    def open(self, space: Space, at_once: int) -> None:
        """See Searcher. All points are planned."""
