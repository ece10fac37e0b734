"""Headroom before an experiment: the noise, the possible gain, and whether the test could show it.

Knows scores of a few probing prompts, not where they come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import ceil, exp, lgamma, log, sqrt
from statistics import NormalDist, stdev

from optimizer.statistics.scores import Scores, differences, too_many_missing

POWER = 0.8
"""Chance with which a gain of the detectable size is found (convention of Cohen 1988)."""
_STEP = 0.005
"""Resolution of detectable gains."""
_WITHIN_SD = 7.0
"""Counts that are farther than this many standard deviations from their mean are ignored."""


@dataclass(frozen=True)
class Noise:
    """The changes between repeated runs of one prompt on the same items.

    The values are 0.0 where repeats agree, None where no item was measured twice.
    """

    flip_rate: float | None
    """Share of items whose score differs between two runs."""
    sd: float | None
    """Standard deviation of the accuracy from run to run on the same items: sqrt(d / 2 / items),
    with d the mean square of an item's change between two runs, which is twice the item's variance.
    Of scores of 0 and 1 it is the flip rate.
    """
    repeats: int
    """Number of runs."""
    came: int = 0
    """Runs of which not too many answers are missing: the others measure nothing."""

    @property
    def unknown(self) -> str:
        """Return in words why the noise is not known; "" where it is."""
        return (
            ""
            if self.flip_rate is not None
            else f"noise unknown: {self.came} of {self.repeats} repeats came"
        )


def noise_floor(repeats: Sequence[Scores]) -> Noise:
    """Return the noise between runs of one prompt over the same items.

    `repeats` has the scores of each run.
    """
    came = [scores for scores in repeats if not too_many_missing(scores)]
    changes = [
        change for first, second in combinations(came, 2) for change in differences(first, second)
    ]
    if not changes:
        return Noise(None, None, len(repeats), len(came))
    flip_rate = sum(change != 0 for change in changes) / len(changes)
    square = sum(change * change for change in changes) / len(changes)
    return Noise(flip_rate, sqrt(square / 2 / len(repeats[0])), len(repeats), len(came))


def share_known(right_at_least_once: float, by_chance: float) -> float:
    """Return the share of items that can be answered without guessing.

    This is the classical correction for guessing, for a set of attempts.

    Args:
        right_at_least_once: Share of the items that came right at least once in several attempts.
        by_chance: Chance that attempts without any knowledge do so.
    """
    return max(0.0, (right_at_least_once - by_chance) / (1 - by_chance)) if by_chance < 1 else 0.0


def power(items: int, gain: float, lost: float, alpha: float = 0.05) -> float:
    """Return the chance that the exact paired test finds an improvement.

    A share `gain + lost` of the items is improved and `lost` worsened. Exact: summed over how many
    items differ, and how many of these are improved (Duffy 1984; Connor 1987 approximates it).
    """
    differing = gain + 2 * lost
    # Rounding alone must not make a possible case impossible.
    if differing <= 0 or differing > 1 + 1e-9:
        return 0.0
    differing, improved = min(1.0, differing), min(1.0, (gain + lost) / differing)
    return sum(
        chance * _tail(count, _critical(count, alpha), improved)
        for count, chance in _likely(items, differing)
    )


def detectable_gain(
    items: int, lost: float, alpha: float = 0.05, wanted: float = POWER
) -> float | None:
    """Return the least gain in accuracy that the paired test finds with the chance `wanted`.

    It is None where the test would find no gain at all.
    """
    # In whole steps, so that the bisection ends; gain and losses share the items.
    low, high = 0, int((1 - 2 * lost) / _STEP + 1e-9)
    if high < 1 or power(items, high * _STEP, lost, alpha) < wanted:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if power(items, middle * _STEP, lost, alpha) >= wanted else (middle, high)
        )
    return high * _STEP


def detectable_mean_gain(
    items: int,
    baseline: Scores,
    others: Sequence[Scores],
    alpha: float = 0.05,
    wanted: float = POWER,
) -> float | None:
    """Return the least gain of a mean of graded scores that the permutation test finds.

    From the measured spread of the differences, of whichever of the others differs most from item
    to item. By the normal approximation, with the correction of Guenther (1981) for a spread that
    the test must estimate.

    Args:
        items: Number of items of the test.
        baseline: Scores of the baseline by item.
        others: Scores of other prompts, or other runs, on the same items.
        alpha: Level of the two-sided test.
        wanted: Chance with which the gain is found.

    Returns:
        The gain; None where the test would find none. Where no difference was measured it is the
        gain that `detectable_gain` gives for scores of 0 and 1, which differ most.
    """
    measured = [differences(baseline, other) for other in others]
    spread = max((stdev(found) for found in measured if len(found) > 1), default=0.0)
    if not spread:
        return detectable_gain(items, 0.0, alpha, wanted)
    to_find, by_chance = (NormalDist().inv_cdf(share) for share in (wanted, 1 - alpha / 2))
    effective = items - by_chance**2 / 2
    # Without these no pattern of signs is rare enough.
    if effective <= 0 or 2.0 ** (1 - items) > alpha:
        return None
    gain = (to_find + by_chance) * spread / sqrt(effective)
    steps = ceil(gain / _STEP - 1e-9)
    return steps * _STEP if steps * _STEP <= 1 else None


@dataclass(frozen=True)
class Headroom:
    """The verdict whether optimization can pay, with its reason.

    `reason` continues the sentence "optimization can pay here, because" or "... cannot pay ...".
    """

    pays: bool
    reason: str
    known: bool = True
    """False: the measurements do not decide it, and `pays` is False too."""

    @property
    def sentence(self) -> str:
        """Return the verdict with its reason, for people."""
        if not self.known:
            return f"It is not known yet whether optimization can pay here: {self.reason}"
        return f"Optimization {'can' if self.pays else 'cannot'} pay here, because {self.reason}"


def headroom(
    seed: float | None, ceiling: float, known_by: str, detectable: float | None, test_items: int
) -> Headroom:
    """Return whether optimization can pay: whether the ceiling is a detectable gain away [ours].

    Args:
        seed: The baseline's accuracy; None where no answer could be scored.
        ceiling: The accuracy that seems within reach.
        known_by: What has shown the ceiling, in words.
        detectable: The least gain that the final test finds; None where it finds none.
        test_items: Number of items of the final test.
    """
    if seed is None:
        return Headroom(False, "the target model gave no answer that could be scored.", known=False)
    if detectable is None:
        return Headroom(
            False, f"a test of {test_items} items cannot show any gain; make sizes.test larger."
        )
    shows = f"with {test_items} test items only gains ≥ {detectable:.2f} can be detected"
    if 1 - seed < detectable:
        return Headroom(
            False,
            f"the baseline is at {seed:.2f} already: at most {1 - seed:.2f} can be gained, and "
            f"{shows}.",
        )
    if ceiling - seed < detectable:
        return Headroom(
            False,
            f"there is little headroom: baseline {seed:.2f}, best probe {ceiling:.2f}; {shows}.",
        )
    return Headroom(
        True,
        f"the baseline is at {seed:.2f}, and {ceiling:.2f} is within reach ({known_by}); {shows}.",
    )


def _likely(draws: int, chance: float) -> list[tuple[int, float]]:
    """Return the likely counts of a binomial with their chances."""
    reach = _WITHIN_SD * sqrt(draws * chance * (1 - chance)) + 1
    counts = range(
        max(0, ceil(draws * chance - reach)), min(draws, int(draws * chance + reach)) + 1
    )
    return [(count, _chance(draws, count, chance)) for count in counts]


def _tail(draws: int, least: int | None, chance: float) -> float:
    return (
        0.0
        if least is None
        else sum(own for count, own in _likely(draws, chance) if count >= least)
    )


def _chance(draws: int, count: int, chance: float) -> float:
    if chance in (0.0, 1.0):
        return float(count == draws * chance)
    return exp(
        lgamma(draws + 1)
        - lgamma(count + 1)
        - lgamma(draws - count + 1)
        + count * log(chance)
        + (draws - count) * log(1 - chance)
    )


@lru_cache(maxsize=4096)
def _critical(draws: int, alpha: float) -> int | None:
    """Return the least number of wins in `draws` that the two-sided test finds significant.

    It is None where not even all of them are.
    """
    # The tolerance keeps tails that equal alpha exactly on the significant side of rounding.
    wins, tail = draws + 1, 0.0
    while wins and 2 * (tail := tail + _chance(draws, wins - 1, 0.5)) <= alpha * (1 + 1e-9):
        wins -= 1
    return wins if wins <= draws else None
