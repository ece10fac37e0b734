"""What every searcher does.

A new one's test class inherits SearcherContract and says what it is.
"""

from typing import ClassVar

from cluster.search.domains import FloatRange, IntRange, OneOf, Value
from cluster.search.searchers import Searcher
from cluster.search.space import Dimension, Point, Space

SPACE = Space(
    (
        Dimension("strategy", OneOf(("apo", "abo"))),
        Dimension("strategy.beam", IntRange(1, 4)),
        Dimension("abo.demonstrations", OneOf((0, 1, 2)), "strategy", frozenset({"abo"})),
    )
)
"""Of 4 points for apo and 12 for abo, one dimension of which is abo's alone."""
POINTS = 16


def lies_in(space: Space, point: Point) -> bool:
    """Has the point a possible value for each dimension that applies to it, and no other key?"""
    same = space.sample(lambda dimension: point[dimension.key]) == point
    return same and all(
        _allows(dimension, point[dimension.key])
        for dimension in space.dimensions
        if dimension.applies(point)
    )


def _allows(dimension: Dimension, value: Value) -> bool:
    match dimension.domain:
        case OneOf(values):
            return value in values
        case IntRange(low, high):
            return isinstance(value, int) and low <= value <= high
        case FloatRange(low, high):
            return isinstance(value, float) and low <= value <= high


class SearcherContract:
    """Give `searcher`, `trials` (None where it takes no number) and `expected`, the trials of a
    comparison group in SPACE.
    """

    searcher: ClassVar[Searcher]
    trials: ClassVar[int | None]
    expected: ClassVar[int]

    def points(self) -> list[Point]:
        """All points of a comparison group whose accuracy is the higher the larger the beam; one
        trial at a time.
        """
        study = self.searcher.open(SPACE, 1)
        points: list[Point] = []
        for number, planned in enumerate(self.searcher.plan(SPACE, self.trials)):
            if study is not None:
                proposed = study.propose(number)
                assert proposed is not None
                study.tell(number, float(str(proposed["strategy.beam"])) / 4)
                points.append(proposed)
            elif planned is not None:
                points.append(planned)
        return points

    def test_every_trial_has_a_point_in_the_space(self) -> None:
        points = self.points()
        assert len(points) == self.expected
        assert all(lies_in(SPACE, point) for point in points)

    def test_the_same_settings_choose_the_same_points(self) -> None:
        assert self.points() == self.points()

    def test_it_is_usable_here(self) -> None:
        self.searcher.check()

    def test_an_entry_is_planned_or_left_to_a_study(self) -> None:
        planned = [point is not None for point in self.searcher.plan(SPACE, self.trials)]
        assert all(planned) == (self.searcher.open(SPACE, 1) is None)
        assert len(set(planned)) == 1
