"""Find each task's leading prompts, and put into words what that says about the strategies."""

from collections import Counter
from collections.abc import Sequence
from math import ceil, log2

from cluster.analysis.comparisons import KINDS, comparisons, comparisons_over_tasks
from cluster.analysis.pairwise import PROMPTS_OF_ALL, PairwiseComparison, capitalized, prompts_of
from cluster.analysis.pooling import contenders, pool
from cluster.text.formatting import plural
from cluster.trial.result import TrialResult


def leaders(results: Sequence[TrialResult]) -> tuple[tuple[PairwiseComparison, ...], ...]:
    """Return for each task the comparisons of its leader, the closest rival first.

    The leader is the contender whose smallest difference to any other is the largest. It is chosen
    on the test split; its verdicts hold all the same, as they are corrected for every choice there
    was.
    """
    found = comparisons(results)
    led = []
    for task in dict.fromkeys(comparison.task for comparison in found):
        sides = [
            side
            for comparison in found
            if comparison.task == task
            for side in (comparison, comparison.turned)
        ]
        names = list(dict.fromkeys(side.first for side in sides))
        leader = max(
            names, key=lambda name: min(side.difference for side in sides if side.first == name)
        )
        own = (side for side in sides if side.first == leader)
        led.append(tuple(sorted(own, key=lambda comparison: comparison.difference)))
    return tuple(led)


def leader_lines(results: Sequence[TrialResult]) -> list[str]:
    """Return sentences for the terminal about leading prompts, their rivals and strategies."""
    names_by_task = {
        task: contenders([one for one in results if one.task == task])
        for task in dict.fromkeys(result.task for result in results)
    }
    lines = [_leader_line(own, len(names_by_task[own[0].task]) - 1) for own in leaders(results)]
    pairs = _strategy_pairs(results)
    return (
        [*lines, _strategies_line(comparisons_over_tasks(results), pairs)]
        if pairs and lines
        else lines
    )


def _leader_line(own: Sequence[PairwiseComparison], others: int) -> str:
    """Format a leader and its closest rival.

    Args:
        own: The leader's comparisons, the closest first.
        others: Contenders beside the leader, whether or not it could be compared with them.
    """
    closest, beaten = (
        own[0],
        [comparison.second for comparison in own[1:] if comparison.verdict == "better"],
    )
    if len(own) == 1 or len(own) < others or closest.verdict != "better":
        rest = (
            f" The former are better than {', '.join(map(prompts_of, beaten))}." if beaten else ""
        )
        return closest.sentence + rest
    return (
        f"{capitalized(prompts_of(closest.first))} are better than all others on {closest.task}; "
        f"the closest are {prompts_of(closest.second)}: {closest.figures}."
    )


def _strategies_line(found: Sequence[PairwiseComparison], pairs: int) -> str:
    """Format what the trials say about the strategies, which is less than they say about prompts.

    Args:
        found: Comparisons over all tasks.
        pairs: The most pairs of trials in which two strategies meet.
    """
    significant = [
        comparison
        for comparison in found
        if comparison.verdict != "not distinguishable" and comparison.second not in PROMPTS_OF_ALL
    ]
    if significant:
        return " ".join(comparison.sentence for comparison in significant)
    # The sign-flip test over n pairs gives no p-value below 2 / 2**n.
    least = ceil(log2(max(1, len(found)) * KINDS * 2 / 0.05))
    if pairs < least:
        return (
            "This is about these prompts. Nothing can be concluded about the strategies "
            f"themselves: they meet in {plural(pairs, 'pair')} of trials, and at least {least} are "
            "needed; run more seeds or tasks."
        )
    return (
        "This is about these prompts. There is no significant difference between the strategies "
        f"over {plural(pairs, 'pair')} of trials."
    )


def _strategy_pairs(results: Sequence[TrialResult]) -> int:
    """Return the most pairs of trials in which two strategies meet; 0 where none do."""
    pairs: Counter[tuple[str, str]] = Counter()
    for (_, first, second), pooled in pool(results).items():
        if second not in PROMPTS_OF_ALL:
            pairs[first, second] += pooled.strata
    return max(pairs.values(), default=0)
