"""The Pareto front over dev items (GEPA, arXiv 2507.19457, section 3.2).

On the front are prompts that are best on items on which no other is. Pure arithmetic on scores by
item; knows no prompt.
"""

from collections.abc import Sequence
from random import Random

from optimizer.statistics import mean_score

Scores = Sequence[float | None]


def led_items(scores_by_arm: Sequence[Scores]) -> list[int]:
    """Return for each arm the number of items that it leads, alone or with others.

    An arm that is not on the front has 0: others on the front lead every item that it leads; the
    weakest are looked at first (as in `gepa_utils.py` of gepa-ai/gepa). An item that nobody was
    measured on, or that nobody has a point on, has no leader.

        >>> led_items([[1, 1, 0], [1, 0, 0], [0, 0, 1]])
        [2, 0, 1]
    """
    leaders_by_item = [
        leaders for item in zip(*scores_by_arm, strict=True) if (leaders := _leaders(item))
    ]
    front = set(range(len(scores_by_arm)))
    # Weakest first, so that of two arms that lead the same items the stronger one stays.
    for arm in sorted(front, key=lambda arm: (mean_score(scores_by_arm[arm]) or 0.0, -arm)):
        if all(leaders & front - {arm} for leaders in leaders_by_item if arm in leaders):
            front.discard(arm)
    return [
        sum(arm in leaders for leaders in leaders_by_item) * (arm in front)
        for arm in range(len(scores_by_arm))
    ]


def draw(led: Sequence[int], draws: int, rng: Random) -> list[int]:
    """Return how often each arm is drawn in `draws` draws, weighted by the items that it leads.

    The first arm gets all draws where nobody leads any item.
    """
    weights = led if any(led) else [at == 0 for at in range(len(led))]
    chosen = rng.choices(range(len(led)), weights=weights, k=draws)
    return [chosen.count(arm) for arm in range(len(led))]


def _leaders(item: Sequence[float | None]) -> set[int]:
    best = max((score for score in item if score is not None), default=0.0)
    return {arm for arm, score in enumerate(item) if score == best} if best > 0 else set()
