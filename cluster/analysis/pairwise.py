"""One comparison of two contenders, prompts or strategies, and the words for it."""

from dataclasses import dataclass

from cluster.text.formatting import plural, share, signed
from optimizer.statistics import (
    Comparison,
    Interval,
)

BASELINE = "baseline"
"""The baseline's name among the strategies: every trial has run it too."""
ANSWER_LINE = "answer line"
"""The control arm's name among the strategies."""
PROMPTS_OF_ALL = (ANSWER_LINE, BASELINE)
"""Contenders that no strategy has found; the last in every order."""
ALL_TASKS = ""
"""The task of a comparison over all tasks."""


@dataclass(frozen=True)
class PairwiseComparison:
    """Two contenders: their prompts on one task over its seeds, or two strategies."""

    task: str
    """ALL_TASKS for a comparison of strategies, which counts trials in place of items."""
    first: str
    second: str
    difference: float
    """Mean test score of `first` minus that of `second`, on the items of the trials that both have.
    """
    interval: Interval | None
    """95% interval of this comparison alone; None over all tasks."""
    p_value: float
    """Corrected p-value, two-sided."""
    verdict: Comparison
    """Corrected verdict on `first`."""
    pairs: int
    """Pairs of trials: the seeds of a task, or seeds times tasks over all of them."""
    ahead: int
    """Pairs in which `first` has the higher score."""
    behind: int
    family: int
    """Number of statements of its kind that were corrected for."""

    @property
    def turned(self) -> "PairwiseComparison":
        """Return the same comparison seen from the other side."""
        ends = self.interval and Interval(
            -self.interval.high, -self.interval.low, self.interval.kind
        )
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
        """Format the comparison as a sentence, the better contender first."""
        if self.difference < 0:
            return self.turned.sentence
        better = self.verdict == "better"
        if self.task:
            first, second, where = (
                prompts_of(self.first),
                prompts_of(self.second),
                f" on {self.task}",
            )
            statement = f"{first} are better than {second}"
        else:
            where, first, second = "", strategy_called(self.first), strategy_called(self.second)
            statement = f"{first} is better than {second.removeprefix('the strategy ')}"
        if not better:
            statement = f"no significant difference between {first} and {second}"
        return f"{capitalized(statement)}{where}: {self.figures}."

    @property
    def figures(self) -> str:
        """Format the figures from `first`'s side.

        Such as `+0.35 [0.28, 0.42], p < 0.001 after correction for 15 statements`.
        """
        spread = (
            f"[{share(self.interval.low)}, {share(self.interval.high)}]"
            if self.interval
            else (f"on average, ahead in {self.ahead} of {plural(self.pairs, 'pair')} of trials")
        )
        corrected = f" after correction for {self.family} statements" if self.family > 1 else ""
        return f"{signed(self.difference)} {spread}, {format_p_value(self.p_value)}{corrected}"


def format_p_value(p_value: float) -> str:
    """Format a p-value with three digits: `p = 0.041`, or `p < 0.001`."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def prompts_of(name: str) -> str:
    """Name a contender's prompts in a sentence."""
    own = {BASELINE: "the baselines", ANSWER_LINE: "the baselines with the answer line"}
    return own.get(name, f"the prompts of {name}")


def strategy_called(name: str) -> str:
    """Name a contender as a strategy in a sentence."""
    own = {BASELINE: "the baseline", ANSWER_LINE: "the baseline with the answer line"}
    return own.get(name, f"the strategy {name}")


def capitalized(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
