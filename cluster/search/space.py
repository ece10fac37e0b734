"""The space of a search, and its points: dimensions, some of which depend on another's value.

A point maps keys to values, such as {"strategy": "apo", "strategy.beam": 4}: a key that does not
apply (another strategy's setting) is not in it. One walk over the dimensions serves every searcher.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from cluster.search.domains import Domain, Value

Point = Mapping[str, Value]
Pick = Callable[["Dimension"], Value]


@dataclass(frozen=True)
class Dimension:
    """One key and its values.

    It applies to points that have one of the values `among` under the key `parent`; without a
    parent, to all.
    """

    key: str
    domain: Domain
    parent: str = ""
    among: frozenset[Value] = frozenset()

    def applies(self, point: Point) -> bool:
        """Return whether a point has this key."""
        return not self.parent or point[self.parent] in self.among


@dataclass(frozen=True)
class Space:
    """Dimensions in an order in which parents come before their children."""

    dimensions: tuple[Dimension, ...]

    def sample(self, pick: Pick) -> Point:
        """Return the point whose values `pick` chooses, called for the dimensions that apply."""
        point: dict[str, Value] = {}
        for dimension in self.dimensions:
            if dimension.applies(point):
                point[dimension.key] = pick(dimension)
        return point

    def all(self) -> Iterator[Point]:
        """Yield every point once, the last dimension's values changing fastest.

        No dimension may be a range of real numbers.
        """
        yield from self._below({}, self.dimensions)

    def endless(self) -> str:
        """Return the key of a dimension that is a range of real numbers; "" where there is none.

        Without one, the points can be listed.
        """
        return next(
            (dimension.key for dimension in self.dimensions if dimension.domain.all() is None), ""
        )

    def count(self) -> int | None:
        """Return the number of points, by multiplication and without making one.

        None where a dimension is a range of real numbers.
        """
        if self.endless():
            return None
        return prod(
            self._count_below(dimension) for dimension in self.dimensions if not dimension.parent
        )

    def _count_below(self, dimension: Dimension) -> int:
        """Count the ways to choose a value of `dimension` and of everything that depends on it."""
        children = [child for child in self.dimensions if child.parent == dimension.key]
        size = dimension.domain.size or 0
        if not children:
            return size
        # Only values that a child names make a difference; a range of a billion others is not
        # walked through.
        listed = dimension.domain.all() or ()
        named = {value for child in children for value in child.among if value in listed}
        ways = {child.key: self._count_below(child) for child in children}
        return (
            size
            - len(named)
            + sum(
                prod(ways[child.key] for child in children if value in child.among)
                for value in named
            )
        )

    def part(self, owner: str) -> "Space":
        """Return the dimensions called `owner`, or OWNER.SETTING."""
        return Space(
            tuple(
                dimension
                for dimension in self.dimensions
                if dimension.key == owner or dimension.key.startswith(f"{owner}.")
            )
        )

    def _below(self, point: dict[str, Value], dimensions: tuple[Dimension, ...]) -> Iterator[Point]:
        if not dimensions:
            yield point
            return
        first, *rest = dimensions
        if not first.applies(point):
            yield from self._below(point, tuple(rest))
            return
        for value in first.domain.all() or ():
            yield from self._below({**point, first.key: value}, tuple(rest))


def settings_at(point: Point, owner: str) -> dict[str, Value]:
    """Return the settings that a point has for an owner, OWNER.SETTING becoming SETTING."""
    split = ((*key.rpartition("."), value) for key, value in point.items())
    return {setting: value for before, _, setting, value in split if before == owner}
