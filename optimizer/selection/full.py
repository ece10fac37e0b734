"""Selection `full`: every arm on every item, in one batch. The dearest rule, and the one that others are compared with."""

from dataclasses import dataclass
from random import Random

from optimizer.protocols import Measure
from optimizer.statistics import mean_score


@dataclass(frozen=True)
class Full:
    """ProTeGi's brute force (arXiv 2305.03495), on the same items for every arm. It has no settings and uses no chance."""

    async def select(self, arms: int, items: int, keep: int, measure: Measure, rng: Random) -> list[int]:
        """See protocols.SelectionRule. Always measures arms * items pairs."""
        scores = await measure([(arm, item) for arm in range(arms) for item in range(items)])
        means = [mean_score(scores[arm * items : (arm + 1) * items]) for arm in range(arms)]
        return sorted(range(arms), key=lambda arm: rank(arm, means[arm]))


def rank(arm: int, mean: float | None) -> tuple[float, int]:
    """Sort key, best first: by mean, then by arm number. An arm of which nothing is known stands last."""
    return (1.0 if mean is None else -mean, arm)
