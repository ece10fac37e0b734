"""Selection `racing`: all arms run over the same items, block by block, and an arm that is significantly behind drops out."""

from dataclasses import dataclass, field
from random import Random

from optimizer.errors import SettingsError
from optimizer.protocols import Measure
from optimizer.selection.full import rank
from optimizer.statistics import discordant, mean_score, sign_test


@dataclass(frozen=True, kw_only=True)
class Racing:
    """Settings of a race. The idea: Hoeffding and F-races (Maron & Moore 1994; Birattari et al. 2002), for prompts CAPO
    (arXiv 2504.16005: blocks, paired t-test at 0.2). Ours pairs by an exact sign test, since scores are 0 or 1 [ours].

    Items are run in their given order, which the split has shuffled: a parent that competes again next round meets the same
    items, and the ledger has its answers.
    """

    block_items: int = 10
    """Items between two looks at the scores [ours]: enough for 4 one-sided differences, the least that can be significant."""
    alpha: float = 0.1
    """Chance, at each look, to drop an arm that is as good as the one it is compared with [ours]."""
    finish: bool = True
    """Measure the kept arms on all items even if the race is decided before, so that accuracies compare across rounds and the
    winner does not rest on one block. A kept arm competes again next round, when these calls are answered by the ledger [ours]."""

    def __post_init__(self) -> None:
        if self.block_items < 1:
            raise SettingsError(f"racing's block_items must be at least 1, not {self.block_items}.")
        if not 0 < self.alpha < 0.5:
            raise SettingsError(f"racing's alpha must lie between 0 and 0.5, not at {self.alpha}.")

    async def select(self, arms: int, items: int, keep: int, measure: Measure, rng: Random) -> list[int]:
        """See protocols.SelectionRule. One batch a block; ends when only `keep` arms run, or with the items."""
        race = _Race(list(range(arms)), keep)
        done = 0
        while done < items and (done == 0 or len(race.running) > keep):
            block = range(done, min(done + self.block_items, items))
            await race.run(block, measure)
            race.drop_those_behind(self.alpha)
            done = block.stop
        if self.finish and done < items:
            await race.run(range(done, items), measure)
        return race.order()


@dataclass
class _Race:
    """The state of a race. `running` arms have been measured on the same items."""

    running: list[int]
    keep: int
    dropped: list[int] = field(default_factory=list)
    """Best first: those that held out longer, then by mean."""
    scores_by_arm: dict[int, list[float | None]] = field(default_factory=dict)

    async def run(self, block: range, measure: Measure) -> None:
        pairs = [(arm, item) for arm in self.running for item in block]
        for (arm, _), score in zip(pairs, await measure(pairs), strict=True):
            self.scores_by_arm.setdefault(arm, []).append(score)

    def drop_those_behind(self, alpha: float) -> None:
        """Drop each running arm that loses to the keep-th best one; so at least `keep` arms stay."""
        ranked = self._ranked(self.running)
        if len(ranked) <= self.keep:
            return
        marker = ranked[self.keep - 1]
        behind = [arm for arm in ranked[self.keep :] if self._is_behind(arm, marker, alpha)]
        self.running = [arm for arm in self.running if arm not in behind]
        self.dropped = behind + self.dropped

    def order(self) -> list[int]:
        return self._ranked(self.running) + self.dropped

    def _is_behind(self, arm: int, marker: int, alpha: float) -> bool:
        wins, losses, _ = discordant(self.scores_by_arm[marker], self.scores_by_arm[arm])
        return sign_test(wins, losses) <= alpha

    def _ranked(self, arms: list[int]) -> list[int]:
        return sorted(arms, key=lambda arm: rank(arm, mean_score(self.scores_by_arm.get(arm, []))))
