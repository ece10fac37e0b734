"""Every contender against every other one, as a square table for the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.analysis.pairwise import ALL_TASKS, PairwiseComparison


@dataclass(frozen=True)
class Matrix:
    """A square table of comparisons."""

    title: str
    names: tuple[str, ...]
    cells: tuple[tuple[PairwiseComparison | None, ...], ...]
    """`cells[row][column]`: the comparison as the row's contender sees it; None where the two did
    not meet, as on the diagonal.
    """
    family: int
    """Number of comparisons that its verdicts are corrected for."""
    pairs: int
    """The most pairs of trials that a cell rests on."""


def matrices(comparisons: Sequence[PairwiseComparison]) -> tuple[Matrix, ...]:
    """Return one matrix a task, in order of first appearance."""
    return tuple(
        _matrix(task, [comparison for comparison in comparisons if comparison.task == task])
        for task in dict.fromkeys(comparison.task for comparison in comparisons)
    )


def _matrix(task: str, comparisons: Sequence[PairwiseComparison]) -> Matrix:
    by_names = {
        (side.first, side.second): side
        for comparison in comparisons
        for side in (comparison, comparison.turned)
    }
    names = tuple(
        dict.fromkeys(
            name for comparison in comparisons for name in (comparison.first, comparison.second)
        )
    )
    return Matrix(
        "strategies, over all trials" if task == ALL_TASKS else task,
        names,
        tuple(tuple(by_names.get((row, column)) for column in names) for row in names),
        comparisons[0].family,
        max(comparison.pairs for comparison in comparisons),
    )
