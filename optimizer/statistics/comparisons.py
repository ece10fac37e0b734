"""Many comparisons at once: prompts pooled over seeds, strategies over tasks and seeds, and Holm.

Two questions stay separate. `pooled_test` asks whether the prompts that one strategy found in these
trials are better, on such items, than those that another one found; its unit is the item.
`sign_flip_test` asks whether a strategy finds better prompts from trial to trial; its unit is the
trial, and a few trials can show little. `holm` corrects for the number of comparisons.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from optimizer.statistics.bootstrap import bootstrap_difference_ends
from optimizer.statistics.intervals import Interval, difference_interval
from optimizer.statistics.paired import TestKind, two_sided
from optimizer.statistics.permutation import permutation_test
from optimizer.statistics.scores import Scores, differences, discordant, is_binary


@dataclass(frozen=True)
class Pooled:
    """The second prompts of some pairs compared with the first ones, over all their items."""

    difference: float
    """Difference of the mean scores, over all items that both have a score for; 0.0 where there are
    none.
    """
    p_value: float
    """Two-sided, not corrected for other comparisons."""
    improved: int
    worsened: int
    items: int
    strata: int
    """Number of pairs of prompts: mostly seeds."""
    net_by_stratum: tuple[float, ...]
    """Sum of the differences of each pair of prompts: of scores of 0 and 1 the items that the
    second prompt won, minus those that it lost.
    """
    kind: TestKind = "exact McNemar"
    differences: tuple[float, ...] = field(default=(), repr=False)
    """Difference of each item where scores are graded; else empty."""

    @property
    def interval(self) -> Interval:
        """Return the 95% interval of `difference`, not corrected for other comparisons."""
        if self.kind == "exact McNemar":
            return difference_interval(self.improved, self.worsened, self.items)
        # Made where it is shown, and not before: most comparisons only need the p-value.
        return Interval(*bootstrap_difference_ends(self.differences), "bootstrap")


def pooled_test(strata: Sequence[tuple[Scores, Scores]]) -> Pooled:
    """Run a paired test over several pairs of prompts.

    Each pair (first, second) was scored on items of its own. Stratified: only items within one pair
    are compared, so that strata may differ in difficulty. Under the null hypothesis each item that
    differs is a fair coin, whatever its stratum, so that of scores of 0 and 1 their counts add up
    (exact McNemar test; McNemar 1947, Cochran 1950), and of graded scores their differences
    (permutation test).

    Assumes that the items of different strata are drawn independently. Generated tasks do that:
    seeds share the generator, not items. Seeds of one data file may share items; then the p-value
    is a little too small. That trials differ from each other (a lucky search) is no part of it: see
    `sign_flip_test`.
    """
    counts = [discordant(first, second) for first, second in strata]
    improved, worsened, items = (
        (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
    )
    if all(is_binary(first, second) for first, second in strata):
        return Pooled(
            (improved - worsened) / items if items else 0.0,
            two_sided(improved, worsened),
            improved,
            worsened,
            items,
            len(counts),
            tuple(up - down for up, down, _ in counts),
        )
    by_stratum = [differences(first, second) for first, second in strata]
    found = tuple(change for changes in by_stratum for change in changes)
    return Pooled(
        sum(found) / items if items else 0.0,
        permutation_test(found),
        improved,
        worsened,
        items,
        len(counts),
        tuple(round(sum(changes), 12) for changes in by_stratum),
        "permutation",
        found,
    )


def sign_flip_test(net_wins: Sequence[float]) -> float:
    """Return the p-value of a two-sided exact sign-flip permutation test (Fisher 1935).

    The statistic is the sum of one number for each trial pair: if neither strategy is better, each
    could as well have had the other sign. Exact for whole numbers of any length: the distribution
    of the sum is computed, not sampled; for others up to 16 trial pairs, and sampled beyond. n
    trial pairs can give no p-value below 2 / 2**n.
    """
    if not all(float(net).is_integer() for net in net_wins):
        return permutation_test(net_wins)
    # The number of sign patterns for each sum, extended by one pair at a time.
    ways_by_sum: Counter[int] = Counter({0: 1})
    for net in map(int, net_wins):
        flipped: Counter[int] = Counter()
        for total, ways in ways_by_sum.items():
            flipped[total + net] += ways
            flipped[total - net] += ways
        ways_by_sum = flipped
    seen = abs(int(sum(net_wins)))
    return sum(ways for total, ways in ways_by_sum.items() if abs(total) >= seen) / (
        1 << len(net_wins)
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the number of comparisons (Holm 1979), in the given order.

    Rejecting those at or below alpha makes any false rejection with a chance of at most alpha,
    whatever the dependence of the comparisons.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        # Adjusted values must not decrease with the rank.
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
