"""Allocation of a budget of pairs: how far each of some arms should run.

The rule of optimal computing budget allocation (Chen, Lin, Yücesan & Chick 2000, "Simulation budget
allocation for further enhancing the efficiency of ordinal optimization"): all arms end equally many
standard errors away from the best one, so that an arm that is close gets more items than one that
is far. Ours counts a standard error for a draw without replacement, since the truth is the mean
over all items: it is 0 for an arm that has run over all of them [ours]. Knows gaps between scores,
no arms and no measuring.
"""

from collections.abc import Sequence

HALVINGS = 40
"""Steps of the bisection for the standard errors that spend the budget."""


def worthwhile_items(gaps: Sequence[float], done: int, items: int, pairs: int) -> list[float]:
    """Return the number of items on which each arm should be measured in the end.

    An arm whose number is not above `done` is decided.

    Args:
        gaps: Gap of each arm to the best, above 0.
        done: Items that every arm was measured on so far.
        items: Number of all items.
        pairs: Pairs that the arms may still share.
    """
    if pairs >= len(gaps) * (items - done):
        return [float(items)] * len(gaps)
    low, high = 0.0, float(items)
    # A bisection: the pairs that are needed rise with the number of standard errors.
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        wanted = (_items_for(gap, middle, items) for gap in gaps)
        if sum(max(0.0, upto - done) for upto in wanted) <= pairs:
            low = middle
        else:
            high = middle
    return [_items_for(gap, low, items) for gap in gaps]


def _items_for(gap: float, errors: float, items: int) -> float:
    """Return the n that solves gap = errors * sqrt(1/n - 1/items).

    Scores are assumed to have a standard deviation of 1.
    """
    return 1 / (1 / items + (gap / errors) ** 2) if errors > 0 else 0.0
