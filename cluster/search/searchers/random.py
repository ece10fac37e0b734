"""Searcher `random`: points sampled at random, without repeats.

All comparison groups get the same points. Bergstra & Bengio, JMLR 13, 2012.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.search.domains import Value
from cluster.search.searchers.searcher import TRIALS
from cluster.search.space import Point, Space

_SAMPLES_PER_POINT = 100
"""Samples without a new point after which a small space counts as exhausted [ours]."""


@dataclass(frozen=True, kw_only=True)
class Random:
    """Settings: the same seed samples the same points."""

    seed: int = 0

    def check(self) -> None:
        """Do nothing: no package is needed."""

    def plan(self, space: Space, trials: int | None) -> Sequence[Point | None]:
        """Return random points, fewer than trials where the space has no more."""
        wanted, rng = trials or TRIALS, random.Random(self.seed)
        wanted = min(wanted, space.count() or wanted)
        points: dict[tuple[tuple[str, Value], ...], Point] = {}
        for _ in range(wanted * _SAMPLES_PER_POINT):
            point = space.sample(lambda dimension: dimension.domain.sample(rng))
            points.setdefault(tuple(point.items()), point)
            if len(points) == wanted:
                break
        return list(points.values())

    def open(self, space: Space, at_once: int) -> None:
        """Return None: all points are planned."""
