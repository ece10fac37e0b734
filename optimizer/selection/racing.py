"""Selection `racing`: run all arms block by block, and drop an arm that is significantly behind.

All arms run over the same items. With a limited budget of pairs, its own or the rest of the
trial's, an arm drops out that is too far behind to be worth its share of the budget.
"""

from dataclasses import dataclass
from random import Random

from optimizer.errors import SettingsError
from optimizer.protocols import Measure
from optimizer.selection.allocation import worthwhile_items
from optimizer.selection.scoreboard import Scoreboard, check_budget_share
from optimizer.statistics import Scores, chance_behind, leads, leads_on_scores
from optimizer.validators import at_least

CROWDING = 0.3
"""With a limited budget, an arm's gap counts as larger by its rank to this power: of many close
arms only a few can run far enough to be distinguished [ours]. Chosen between 0 and 0.5 on
made-up rounds of another seed than README.md's, and on recorded ones.
"""


@dataclass(frozen=True, kw_only=True)
class Racing:
    """Settings of a race.

    The idea: Hoeffding and F-races (Maron & Moore 1994; Birattari et al. 2002), for prompts CAPO
    (arXiv 2504.16005: blocks, paired t-test at 0.2). Ours pairs by an exact sign test where scores
    are 0 or 1, and else by a permutation test, for which a small win counts less than a large one
    [ours]. Items are run in their given order, which the split has shuffled: a parent
    that competes again next round meets the same items, and the ledger has its answers.

    Raises:
        SettingsError: For a value out of range.
    """

    block_items: int = 10
    """Items between two looks at the scores [ours]: enough for 4 one-sided differences, the least
    that can be significant.
    """
    alpha: float = 0.1
    """Chance, at each look, to drop an arm that is as good as the one it is compared with [ours].
    Used without a limited budget.
    """
    finish: bool = True
    """Measure the kept arms on all items, or as far as the budget goes, even if the race is decided
    before: so that accuracies compare across rounds and the winner does not rest on one block. A
    kept arm competes again next round, when these calls are cached [ours].
    """
    budget_share: float = 1.0
    """Share of all pairs that may be measured. 1: as many as it takes to be sure, by `alpha`. Less:
    the budget decides how many arms run on, by selection.allocation, and nearly all of it is
    spent [ours].
    """
    tolerance: float = 0.02
    """With a limited budget: the difference in score that is not worth settling [ours]; an
    indifference zone (Bechhofer 1954).
    """

    def __post_init__(self) -> None:
        at_least(1, block_items=self.block_items)
        if not 0 < self.alpha < 0.5:
            raise SettingsError(f"racing's alpha must lie between 0 and 0.5, not at {self.alpha}.")
        if not 0 < self.tolerance < 1:
            raise SettingsError(
                f"racing's tolerance must lie between 0 and 1, not at {self.tolerance}."
            )
        check_budget_share(self.budget_share)

    def ahead(self, wins: int, losses: int, items: int) -> bool:
        """Return whether the test of the race drops the other arm, after a block or more.

        See protocols.Deciding.
        """
        return leads(wins, losses, items, self.block_items, self.alpha)

    def ahead_on_scores(self, scores: Scores, rival: Scores) -> bool:
        """Return the same for graded scores (see protocols.DecidingOnScores)."""
        return leads_on_scores(scores, rival, self.block_items, self.alpha)

    async def select(
        self, arms: int, items: int, keep: int, measure: Measure, rng: Random
    ) -> list[int]:
        """Run the race, one batch for each block (see protocols.SelectionRule).

        It ends when only `keep` arms run, or with the items or the budget.
        """
        race = _Race(self, Scoreboard(arms, items, measure, self.budget_share), keep)
        await race.run_block()
        race.drop()
        while race.goes_on:
            await race.run_block()
            race.drop()
        if self.finish:
            await race.run_to_the_end()
        return race.order()


class _Race:
    """The state of a race.

    `running` arms have been measured on the same items; at least `keep` of them always run on.
    """

    def __init__(self, rules: Racing, board: Scoreboard, keep: int) -> None:
        self._rules = rules
        self._board = board
        self._keep = keep
        self._running = list(board.arms)
        self._dropped: list[int] = []
        """Best first: those that held out longer, then by mean."""

    @property
    def goes_on(self) -> bool:
        undecided = len(self._running) > self._keep
        return (
            undecided and self._done < self._board.items and self._board.left >= len(self._running)
        )

    async def run_block(self) -> None:
        """Measure the running arms on the next block."""
        await self._board.run_together(self._running, self._done + self._rules.block_items)

    async def run_to_the_end(self) -> None:
        """Measure the running arms on all items."""
        await self._board.run_together(self._running, self._board.items)

    def drop(self) -> None:
        """Drop the arms that are behind."""
        ranked = self._board.ranked(self._running)
        # After a cut the arms are measured unequally, and a comparison would be unfair.
        if len(ranked) > self._keep and not self._board.cut:
            within = self._board.within(self._running)
            limited = self._rules.budget_share < 1
            leaving = set() if limited else self._behind(ranked)
            if limited or within < len(ranked) * (self._board.items - self._done):
                leaving |= self._not_worthwhile(ranked, within)
            self._running = [arm for arm in self._running if arm not in leaving]
            self._dropped = [arm for arm in ranked if arm in leaving] + self._dropped

    def order(self) -> list[int]:
        """Return all arms, best first."""
        return self._board.known_first(self._board.ranked(self._running) + self._dropped)

    @property
    def _done(self) -> int:
        return self._board.done(self._running[0])

    def _behind(self, ranked: list[int]) -> set[int]:
        """Return the arms that lose to the last one that would be kept."""
        # Compared with the last kept one: losing to the best alone is no reason to drop out.
        marker = self._board.scores(ranked[self._keep - 1])
        return {
            arm
            for arm in ranked[self._keep :]
            if chance_behind(self._board.scores(arm), marker) <= self._rules.alpha
        }

    def _not_worthwhile(self, ranked: list[int], within: int) -> set[int]:
        """Return the arms that are not worth half of another block.

        They are judged by their gaps to the last one that would be kept, given the pairs that are
        left.
        """
        means = [self._board.mean_or_middling(arm) for arm in ranked]
        gaps = [max(means[self._keep - 1] - mean, self._rules.tolerance) for mean in means]
        widened = [
            gap * max(1, place - self._keep) ** CROWDING for place, gap in enumerate(gaps, 2)
        ]
        worth = worthwhile_items(widened, self._done, self._board.items, within)
        half = min(self._rules.block_items, self._board.items - self._done) / 2
        return {
            arm
            for arm, upto in list(zip(ranked, worth, strict=True))[self._keep :]
            if upto < self._done + half
        }
