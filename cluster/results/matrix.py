"""Every contestant against every other one, as a square table for the page. Knows contests, no trial."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.analysis.comparisons import ALL_TASKS, Contest


@dataclass(frozen=True)
class Matrix:
    """`cells[row][column]`: the contest as the row's contestant sees it; None where the two did not meet, as on the diagonal."""

    title: str
    names: tuple[str, ...]
    cells: tuple[tuple[Contest | None, ...], ...]
    family: int
    """Comparisons that its verdicts are corrected for."""
    pairs: int
    """Most pairs of trials that a cell rests on."""


def matrices(contests: Sequence[Contest]) -> tuple[Matrix, ...]:
    """One a task, in order of first appearance."""
    return tuple(
        _matrix(task, [contest for contest in contests if contest.task == task])
        for task in dict.fromkeys(contest.task for contest in contests))


def _matrix(task: str, contests: Sequence[Contest]) -> Matrix:
    by_names = {(side.first, side.second): side for contest in contests for side in (contest, contest.turned)}
    names = tuple(dict.fromkeys(name for contest in contests for name in (contest.first, contest.second)))
    return Matrix(
        "strategies, over all trials" if task == ALL_TASKS else task, names,
        tuple(tuple(by_names.get((row, column)) for column in names) for row in names),
        contests[0].family, max(contest.pairs for contest in contests))
