"""One comparison of two contenders, prompts or strategies, and the words for it."""

from dataclasses import dataclass

from cluster.text.formatting import plural, share, signed
from optimizer.statistics import (
    Comparison,
    Interval,
)

SEED_PROMPT = "baseline"
"""Stands among the strategies, as the one that every trial has run too."""
ANSWER_LINE = "answer line"
"""The control arm among the strategies."""
PROMPTS_OF_ALL = (ANSWER_LINE, SEED_PROMPT)
"""Contenders that no strategy has found, the last in every order."""
ALL_TASKS = ""


@dataclass(frozen=True)
class PairwiseComparison:
    """The prompts of one contender against those of another on one task over its seeds; or two
    strategies, over all trials.
    """

    task: str
    """ALL_TASKS: over all of them, and about strategies: the trials are counted and not the items.
    """
    first: str
    second: str
    difference: float
    """Test accuracy of `first` less that of `second`, on the items of the trials that both have."""
    interval: Interval | None
    """95%, of this comparison alone; None over all tasks."""
    p_value: float
    """Corrected."""
    verdict: Comparison
    """On `first`, corrected."""
    pairs: int
    """Of trials: seeds, over all tasks times tasks."""
    ahead: int
    """Pairs in which `first` has more items right."""
    behind: int
    family: int
    """Statements of its kind that were corrected for."""

    @property
    def turned(self) -> "PairwiseComparison":
        """The same, seen from the other side."""
        ends = self.interval and Interval(-self.interval.high, -self.interval.low)
        flipped: dict[Comparison, Comparison] = {"better": "worse", "worse": "better"}
        return PairwiseComparison(
            self.task,
            self.second,
            self.first,
            -self.difference,
            ends,
            self.p_value,
            flipped.get(self.verdict, self.verdict),
            self.pairs,
            self.behind,
            self.ahead,
            self.family,
        )

    @property
    def sentence(self) -> str:
        """In words, the better one first, and whether it is about prompts or about strategies."""
        if self.difference < 0:
            return self.turned.sentence
        better = self.verdict == "better"
        if self.task:
            first, second, where = (
                prompts_of(self.first),
                prompts_of(self.second),
                f" on {self.task}",
            )
            told = (
                f"{first} are better than {second}"
                if better
                else f"{first} and {second} are not distinguishable"
            )
        else:
            where, first, second = "", strategy_called(self.first), strategy_called(self.second)
            told = (
                f"{first} is better than {second.removeprefix('the strategy ')}"
                if better
                else (
                    f"the strategies {self.first} and {self.second} are not distinguishable"
                    if not {self.first, self.second} & set(PROMPTS_OF_ALL)
                    else f"{first} and {second} are not distinguishable"
                )
            )
        return f"{capitalized(told)}{where}: {self.figures}."

    @property
    def figures(self) -> str:
        """ "+0.35 [0.28, 0.42], p < 0.001 after correction for 15 comparisons": from `first`'s
        side.
        """
        spread = (
            f"[{share(self.interval.low)}, {share(self.interval.high)}]"
            if self.interval
            else (f"on average, ahead in {self.ahead} of {plural(self.pairs, 'pair')} of trials")
        )
        corrected = f" after correction for {self.family} statements" if self.family > 1 else ""
        return f"{signed(self.difference)} {spread}, {p_told(self.p_value)}{corrected}"


def p_told(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def prompts_of(name: str) -> str:
    own = {SEED_PROMPT: "the baselines", ANSWER_LINE: "the baselines with the answer line"}
    return own.get(name, f"the prompts of {name}")


def strategy_called(name: str) -> str:
    own = {SEED_PROMPT: "the baseline", ANSWER_LINE: "the baseline with the answer line"}
    return own.get(name, f"the strategy {name}")


def capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
