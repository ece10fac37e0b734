"""Made-up rounds of selection with known truth: arms x items of 0 and 1, in families that differ in
how the arms compare.

A score is drawn from the logistic of (arm's quality - item's difficulty + a whim of this arm on
this item): the item response model of Rasch (1960), with a whim. Difficulties that spread widely
make the arms right on the same items, as prompts for one model are; differences between arms are
then less noisy than the arms' own means. The truth is the mean over all items, which is what
measuring everything (brute force) finds.

How widely: 10 rounds of 9 to 36 arms on 100 items were recorded, which `apo` and `abo` made with
the built-in models (navigate, object_counting, web_of_lies). By round, the scores of two arms had a
median correlation of 0.30 to 0.92 (middle round: 0.75), and two arms differed on 3 to 25 items of
100 (middle: 9). `PAIRED` draws a spread for each case; its cases (but for one in ten) have
correlations of 0.40 to 0.85 (middle: 0.62) and differences on 8 to 30 items of 100 (middle: 19):
looser than most of what was recorded, and so harder. `LOOSE` (0.27, 36 items) is looser than all of
it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from optimizer.protocols import SelectionRule

Matrix = npt.NDArray[np.float64]
"""(arms, items), 0 or 1."""
Rng = np.random.Generator

PAIRED = (2.0, 16.0)
LOOSE = (1.5, 1.5)
"""Least and greatest spread of the items' difficulties; a case draws between them, evenly in the
logarithm.
"""


@dataclass(frozen=True)
class Case:
    """One round of selection, and what brute force finds in it."""

    family: str
    scores: Matrix

    @property
    def truth_by_arm(self) -> Matrix:
        return self.scores.mean(axis=1)

    def shortfall(self, arm: int) -> float:
        """How much worse the arm is than the best one, over all items."""
        return float(self.truth_by_arm.max() - self.truth_by_arm[arm])


@dataclass(frozen=True)
class Played:
    """What a rule did with a case."""

    order: list[int]
    pairs: int
    batches: int


async def play(rule: SelectionRule, case: Case, keep: int = 1) -> Played:
    rows = case.scores.tolist()
    sizes = []

    async def measure(pairs: Sequence[tuple[int, int]]) -> list[float | None]:
        sizes.append(len(pairs))
        return [rows[arm][item] for arm, item in pairs]

    order = await rule.select(*case.scores.shape, keep, measure, Random(0))
    return Played(order, sum(sizes), len(sizes))


def drawn(rng: Rng, accuracies: Matrix, items: int, spread: float) -> Matrix:
    """Scores of arms with about these mean accuracies."""
    difficulties = rng.normal(0, spread, items)
    whims = rng.normal(0, 0.5, (len(accuracies), items))
    # Averaging a logistic over normal difficulties flattens it by about this factor.
    steepness = np.sqrt(1 + (spread**2 + 0.25) / 2.89)
    clipped = np.clip(accuracies, 0.02, 0.98)
    quality = np.log(clipped / (1 - clipped)) * steepness
    chances = 1 / (1 + np.exp(-(quality[:, None] - difficulties + whims)))
    return (rng.random(chances.shape) < chances).astype(np.float64)


def one_clear(rng: Rng, arms: int, items: int, spread: float) -> Matrix:
    """One arm is 0.1 better than the next."""
    accuracies = rng.normal(0.55, 0.05, arms)
    best = rng.integers(arms)
    accuracies[best] = np.delete(accuracies, best).max() + 0.1
    return drawn(rng, accuracies, items, spread)


def normal(rng: Rng, arms: int, items: int, spread: float) -> Matrix:
    """Accuracies spread normally, with a standard deviation of 0.1."""
    return drawn(rng, rng.normal(rng.uniform(0.4, 0.7), 0.1, arms), items, spread)


def ladder(rng: Rng, arms: int, items: int, spread: float) -> Matrix:
    """Accuracies in equal steps from 0.4 to 0.75 (an experiment of Audibert et al. 2010)."""
    return drawn(rng, rng.permutation(np.linspace(0.4, 0.75, arms)), items, spread)


def two_groups(rng: Rng, arms: int, items: int, spread: float) -> Matrix:
    """A third of the arms about 0.75, the others about 0.45: those that have the right idea, and
    those that have not.
    """
    accuracies = np.where(rng.random(arms) < 1 / 3, 0.75, 0.45) + rng.normal(0, 0.03, arms)
    return drawn(rng, accuracies, items, spread)


def litters(rng: Rng, arms: int, items: int, spread: float) -> Matrix:
    """Four parents, and children that answer some items anew, for better or worse."""
    parents = drawn(rng, rng.normal(0.6, 0.06, 4), items, spread)
    children = parents[rng.integers(4, size=arms - 4)]
    for child in children:
        share = rng.uniform(0.03, 0.3)
        anew = rng.random(items) < share
        change = rng.normal(0, 0.06) / share
        child[anew] = rng.random(anew.sum()) < np.clip(0.6 + change, 0.02, 0.98)
    return np.concatenate([parents, children])


def crowded(rng: Rng, arms: int, items: int, spread: float) -> Matrix:
    """All arms are about as good as each other: which one is best on these items is chance."""
    return drawn(rng, rng.uniform(0.58, 0.6, arms), items, spread)


WITH_A_BEST_ARM = {
    "one_clear": one_clear,
    "normal": normal,
    "ladder": ladder,
    "two_groups": two_groups,
}
"""Families that are made with different qualities, so that there is a best arm to find."""
FAMILIES: dict[str, Callable[[Rng, int, int, float], Matrix]] = {
    **WITH_A_BEST_ARM,
    "litters": litters,
    "crowded": crowded,
}


def cases(
    family: str, count: int, seed: int = 0, spreads: tuple[float, float] = PAIRED
) -> Iterator[Case]:
    """16 to 32 arms on 100 to 200 items each."""
    for number in range(count):
        rng = np.random.default_rng([seed, number, list(FAMILIES).index(family)])
        arms, items = int(rng.integers(16, 33)), int(rng.integers(100, 201))
        spread = float(np.exp(rng.uniform(*np.log(spreads))))
        yield Case(family, FAMILIES[family](rng, arms, items, spread))
