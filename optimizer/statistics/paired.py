"""The paired test of two prompts on the same items, and its verdict.

Knows one pair of prompts, not many.
"""

from dataclasses import dataclass
from math import comb
from typing import Literal

from optimizer.statistics.permutation import permutation_test, permutation_test_one_sided
from optimizer.statistics.scores import Scores, differences, discordant, is_binary

Comparison = Literal["better", "worse", "not distinguishable"]
TestKind = Literal["exact McNemar", "permutation"]


@dataclass(frozen=True)
class PairedTest:
    """The comparison of a second set of scores with the first, item by item."""

    p_value: float
    """Two-sided."""
    verdict: Comparison
    improved: int
    """Items that the second scores higher."""
    worsened: int
    pairs: int
    """Items that both have a score for."""
    kind: TestKind = "exact McNemar"


def sign_test(fewer: int, more: int) -> float:
    """Return the one-sided exact p-value of at least `more` wins in `fewer + more` fair draws."""
    # The integers of numpy would overflow silently.
    fewer, more = int(fewer), int(more)
    draws = fewer + more
    return sum(comb(draws, wins) for wins in range(more, draws + 1)) / (1 << draws)


def leads(wins: int, losses: int, items: int, least_items: int = 10, alpha: float = 0.1) -> bool:
    """Return whether a prompt beats another by its wins and losses on their shared items.

    Neither has to be measured on everything: on at least `least_items`, by a one-sided sign test.
    The defaults are those of racing [ours].
    """
    return items >= least_items and sign_test(losses, wins) <= alpha


def chance_behind(scores: Scores, rival: Scores) -> float:
    """Return the one-sided p-value of `scores` being lower than those of `rival`.

    It is at most alpha with a chance of at most alpha where the two are equally good, at each look.
    A sign test for scores of 0 and 1 alone, else a permutation test, which has the sign test's
    p-values there.
    """
    if is_binary(scores, rival):
        wins, losses, _ = discordant(rival, scores)
        return sign_test(wins, losses)
    return permutation_test_one_sided(differences(scores, rival))


def leads_on_scores(
    scores: Scores, rival: Scores, least_items: int = 10, alpha: float = 0.1
) -> bool:
    """Return whether a prompt beats another by their scores, as `leads` does by wins and losses."""
    shared = discordant(rival, scores)[2]
    return shared >= least_items and chance_behind(rival, scores) <= alpha


def two_sided(improved: int, worsened: int) -> float:
    """Return the p-value of the exact McNemar test.

    McNemar 1947; the exact form is a two-sided binomial on the items that differ.
    """
    return min(1.0, 2 * sign_test(min(improved, worsened), max(improved, worsened)))


def verdict(p_value: float, difference: float, alpha: float = 0.05) -> Comparison:
    """Return the verdict in words, from a two-sided p-value, corrected or not.

    Only the sign of `difference` counts.
    """
    if p_value > alpha or difference == 0:
        return "not distinguishable"
    return "better" if difference > 0 else "worse"


def paired_test(before: Scores, after: Scores, alpha: float = 0.05) -> PairedTest:
    """Run an exact McNemar test on scores of 0 and 1, else a permutation test of the mean.

    Both sequences are over the same items in the same order.

    Raises:
        ValueError: If their lengths differ.
    """
    improved, worsened, pairs = discordant(before, after)
    if is_binary(before, after):
        p_value = two_sided(improved, worsened)
        return PairedTest(
            p_value, verdict(p_value, improved - worsened, alpha), improved, worsened, pairs
        )
    found = differences(before, after)
    p_value = permutation_test(found)
    return PairedTest(
        p_value, verdict(p_value, sum(found), alpha), improved, worsened, pairs, "permutation"
    )
