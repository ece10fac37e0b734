"""The scoreboard of a selection: what was measured, and what may still be spent.

Every arm is measured on the first items of the common order, some arms on more of them than others.
So two arms always share the items that the shorter-run one has, and a parent that competes again
next round meets the same items, for which the ledger has answers. Knows no rule: it measures,
counts and ranks.
"""

from collections.abc import Iterable, Mapping, Sequence

from optimizer.errors import BudgetExhausted, SettingsError
from optimizer.protocols import LimitedMeasure, Measure
from optimizer.statistics import known_mean, mean_score


class Scoreboard:
    """Scores by arm.

    `budget_share` of all pairs may be measured in the whole selection, but always one item of every
    arm.
    """

    def __init__(self, arms: int, items: int, measure: Measure, budget_share: float = 1.0) -> None:
        self.items = items
        self.left = max(arms, int(budget_share * arms * items))
        """Pairs that may still be measured."""
        self.cut = False
        """The budget of whoever measures did not cover what was wanted: nothing more is measured.
        """
        self._measure = measure
        self._limited = measure if isinstance(measure, LimitedMeasure) else None
        self._scores_by_arm: dict[int, list[float | None]] = {arm: [] for arm in range(arms)}

    @property
    def arms(self) -> range:
        """Return the numbers of all arms."""
        return range(len(self._scores_by_arm))

    def scores(self, arm: int) -> list[float | None]:
        """Return an arm's scores in the order of the items; None where there was no answer."""
        return self._scores_by_arm[arm]

    def done(self, arm: int) -> int:
        """Return the number of requested items, with an answer or without.

        So an arm whose calls fail is not requested again for ever.
        """
        return len(self._scores_by_arm[arm])

    async def run(self, upto_by_arm: Mapping[int, int]) -> None:
        """Measure each of these arms up to that many items, in one batch.

        It never goes back, nor beyond the items; what the budget does not cover is left out, from
        the last of the named arms.
        """
        await self._run(
            [
                (arm, item)
                for arm, upto in upto_by_arm.items()
                for item in range(self.done(arm), min(upto, self.items))
            ][: self.left]
        )

    async def run_together(self, arms: Iterable[int], upto: int) -> None:
        """Measure arms that stand at the same item up to that many items.

        They stop together as soon as the budget does not cover all of them.
        """
        running = list(arms)
        at = min(self.done(arm) for arm in running)
        await self._run(
            self._lacking(running, min(upto, at + self.left // len(running))), len(running)
        )

    def within(self, arms: Sequence[int]) -> int:
        """Return how many of the pairs that these arms lack may still be measured."""
        lacking = self._lacking(arms, self.items)
        return min(self.left, self._limited.fitting(lacking) if self._limited else len(lacking))

    def _lacking(self, arms: Sequence[int], upto: int) -> list[tuple[int, int]]:
        """Return the pairs item by item, so that a cut leaves the arms at the same item."""
        at = min(self.done(arm) for arm in arms)
        return [(arm, item) for item in range(at, min(upto, self.items)) for arm in arms]

    async def _run(self, pairs: Sequence[tuple[int, int]], together: int = 1) -> None:
        """Measure the pairs in one batch, or in several where the budget is nearly spent.

        The size of each batch is a multiple of `together`.
        """
        # Several batches, because calls mostly cost less than they were reserved for: after each,
        # the budget may cover more.
        while pairs and not self.cut:
            covered = self._limited.fitting(pairs) if self._limited else len(pairs)
            # Only whole rows, so that all arms stop at the same item.
            covered -= covered % together
            if covered:
                await self._run_batch(pairs[:covered])
            else:
                self._end()
            pairs = pairs[covered:]

    async def _run_batch(self, pairs: Sequence[tuple[int, int]]) -> None:
        self.left -= len(pairs)
        try:
            score_by_pair = dict(zip(pairs, await self._measure(pairs), strict=True))
        except BudgetExhausted:
            # A plain measure cannot report what it has measured, so the refusal passes through.
            if self._limited is None:
                raise
            score_by_pair = self._limited.score_by_pair(pairs)
            self._end()
        for arm, item in sorted(score_by_pair):
            # Never beyond an item that was left out: scores stay those of the first items.
            if item == self.done(arm):
                self._scores_by_arm[arm].append(score_by_pair[arm, item])

    def _end(self) -> None:
        assert self._limited is not None
        self.cut, self.left = True, 0
        self._limited.cut_short()

    def mean(self, arm: int) -> float | None:
        """Return an arm's mean; None if too many of its items gave no answer."""
        return known_mean(self.scores(arm))

    def mean_or_middling(self, arm: int) -> float:
        """Return the arm's mean; for an unknown arm that of all arms.

        A missing answer is neither right nor wrong.
        """
        own = self.mean(arm)
        if own is not None:
            return own
        return (
            mean_score([score for scores in self._scores_by_arm.values() for score in scores])
            or 0.0
        )

    def ranked(self, arms: Iterable[int]) -> list[int]:
        """Return the arms best first, by mean; equal ones by number, unknown ones last."""
        mean_by_arm = {arm: self.mean(arm) for arm in arms}
        return sorted(mean_by_arm, key=lambda arm: _place(arm, mean_by_arm[arm]))

    def known_first(self, order: Iterable[int]) -> list[int]:
        """Return the same order with the unknown arms moved behind all others.

        It is for rules that drop arms, and rank the dropped behind.
        """
        return sorted(order, key=lambda arm: self.mean(arm) is None)


def check_budget_share(share: float) -> None:
    """Check that the value is a share above 0.

    Raises:
        SettingsError: If it is not.
    """
    if not 0 < share <= 1:
        raise SettingsError(
            f"The setting budget_share is {share}, and must be above 0 and at most 1."
        )


def _place(arm: int, mean: float | None) -> tuple[float, int]:
    return (1.0 if mean is None else -mean, arm)
