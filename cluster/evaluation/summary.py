"""What an evaluation says: each prompt's mean score, and which prompts differ.

Items are paired: two prompts are compared on the items that both have a score for. The comparisons
of one evaluation are corrected together (Holm 1979).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

from optimizer.errors import shortened
from optimizer.outcome_counts import Failure
from optimizer.statistics import (
    Estimate,
    Scores,
    estimate,
    gain_interval,
    holm,
    mean_score,
    paired_test,
    too_many_missing,
    verdict,
)


@dataclass(frozen=True, kw_only=True)
class PromptSummary:
    """One prompt on all items."""

    prompt: str
    mean: float | None
    """Mean score of the items that were scored; None where none was."""
    low: float
    high: float
    items: int
    """Items that were scored."""
    missing: int
    """Items of which no answer came, or which were not asked."""
    verdicts: Mapping[str, int]
    passed: bool | None
    """Whether the mean reaches the least score; None where none is asked for, or too much is
    missing.
    """


@dataclass(frozen=True, kw_only=True)
class PromptComparison:
    """A second prompt compared with a first one, item by item."""

    first: str
    second: str
    difference: float | None
    """Mean score of the second less that of the first, on shared items."""
    low: float
    high: float
    p_value: float
    corrected_p_value: float
    verdict: str
    """Of the second prompt, after correction: better, worse, not distinguishable."""
    improved: int
    worsened: int
    items: int


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The outcome of an evaluation, as OUT/summary.json has it."""

    data: str
    target: str
    grader: str
    items: int
    """Items of the data."""
    prompts: tuple[PromptSummary, ...]
    comparisons: tuple[PromptComparison, ...]
    least_score: float | None
    complete: bool
    """Whether every item was asked under every prompt."""
    ended: str
    """Why it ended before; "" where it is complete."""
    calls: int
    """Answers of the target model, cached ones included."""
    cached: int
    money: float | None
    """Cost of the paid calls of this run; None where it is not known."""
    failures: tuple[Failure, ...] = field(default=())

    @property
    def passed(self) -> bool | None:
        """Return whether every prompt reaches the least score; None where that is not known."""
        if self.least_score is None:
            return None
        known = [prompt.passed for prompt in self.prompts]
        if False in known:
            return False
        return None if None in known else True

    @property
    def sentence(self) -> str:
        """Say what each prompt scored, and why not more was asked."""
        scores = ", ".join(
            f"{shortened(one.prompt, 80)} {'-' if one.mean is None else format(one.mean, '.3f')}"
            for one in self.prompts
        )
        reached = {True: " The least score is reached.", False: " The least score is not reached."}
        ended = f" It is not complete: {self.ended}" if self.ended else ""
        said = "" if self.passed is None else reached[self.passed]
        return f"Mean scores: {scores}.{said}{ended}"

    def to_json(self) -> dict[str, Any]:
        """Return the content of OUT/summary.json."""
        return asdict(self) | {"passed": self.passed}


def summaries(
    scores_by_prompt: Mapping[str, Scores],
    verdicts_by_prompt: Mapping[str, Counter[str]],
    least_score: float | None,
) -> tuple[PromptSummary, ...]:
    """Return the summary of each prompt; an item that was not asked counts as missing."""
    return tuple(
        _summary(prompt, scores, verdicts_by_prompt[prompt], least_score)
        for prompt, scores in scores_by_prompt.items()
    )


def _summary(
    prompt: str, scores: Scores, verdicts: Counter[str], least_score: float | None
) -> PromptSummary:
    found: Estimate = estimate(scores)
    unknown = least_score is None or found.mean is None or too_many_missing(scores)
    return PromptSummary(
        prompt=prompt,
        mean=found.mean,
        low=found.low,
        high=found.high,
        items=found.items,
        missing=len(scores) - found.items,
        verdicts=dict(sorted(verdicts.items())),
        passed=None if unknown else found.mean >= least_score,  # type: ignore[operator]
    )


def comparisons(scores_by_prompt: Mapping[str, Scores]) -> tuple[PromptComparison, ...]:
    """Return the comparison of each pair of prompts, corrected for their number."""
    pairs = list(combinations(scores_by_prompt, 2))
    tests = [paired_test(scores_by_prompt[one], scores_by_prompt[two]) for one, two in pairs]
    corrected = holm([test.p_value for test in tests])
    found = []
    for (first, second), test, p_value in zip(pairs, tests, corrected, strict=True):
        before, after = scores_by_prompt[first], scores_by_prompt[second]
        difference = _mean_difference(before, after)
        interval = gain_interval(before, after)
        found.append(
            PromptComparison(
                first=first,
                second=second,
                difference=difference,
                low=interval.low,
                high=interval.high,
                p_value=test.p_value,
                corrected_p_value=p_value,
                verdict=verdict(p_value, difference or 0.0),
                improved=test.improved,
                worsened=test.worsened,
                items=test.pairs,
            )
        )
    return tuple(found)


def _mean_difference(before: Scores, after: Scores) -> float | None:
    pairs: Sequence[tuple[float | None, float | None]] = list(zip(before, after, strict=True))
    return mean_score([two - one for one, two in pairs if one is not None and two is not None])
