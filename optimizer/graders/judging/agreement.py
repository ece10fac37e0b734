"""How far a judge agrees with people, on answers that people have rated.

Such answers stand in the data: the column `human_answer` has an answer, and the column `human` what
people said of it, a label or a number. Other columns can be named in the judge's settings.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import StatisticsError, correlation
from typing import Any

from optimizer.grader import Grader
from optimizer.graders.judging.judge import Judge
from optimizer.types import Completion, Example

MOST_RATED = 100
"""Maximum number of rated answers that a judge is asked about [ours]."""


@dataclass(frozen=True)
class Agreement:
    """The agreement of a judge with people."""

    items: int
    exact: float
    """Share of the answers on which both say the same."""
    kappa: float | None = None
    """Cohen's kappa, for labels (Cohen 1960); None where both always say the same one label."""
    correlation: float | None = None
    """Pearson's, for numbers; None where one of the two never varies."""

    @property
    def sentence(self) -> str:
        """Return the agreement in words."""
        more = ""
        if self.kappa is not None:
            more = f" (Cohen's kappa {self.kappa:.2f})"
        elif self.correlation is not None:
            more = f" (correlation {self.correlation:.2f})"
        return (
            f"On {self.items} answers that people rated, the judge says the same on "
            f"{self.exact:.0%}{more}."
        )


async def agreement_with_people(
    judge: Grader, grader: Grader, examples: Sequence[Example]
) -> Agreement | None:
    """Return how far a judge agrees with people.

    Args:
        judge: Its settings, not bound to a model.
        grader: The same, bound: it is asked about the rated answers.
        examples: Where ratings may stand.

    Returns:
        None where the grader is no judge, or nothing is rated, or no reply was usable.
    """
    if not isinstance(judge, Judge):
        return None
    rated = [pair for example in examples if (pair := _rated(judge, example))][:MOST_RATED]
    if not rated:
        return None
    scores = await grader.grade([(Completion(answer), example) for example, answer, _ in rated])
    said = [
        (score.answer, human)
        for score, (_, _, human) in zip(scores, rated, strict=True)
        if score.value is not None
    ]
    return agreement(said) if said else None


def agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Return the agreement of what a judge and people say, numbers or labels."""
    numbers = [(_number(one), _number(other)) for one, other in pairs]
    known = [(one, other) for one, other in numbers if one is not None and other is not None]
    if len(known) == len(pairs):
        same = sum(one == other for one, other in known) / len(known)
        return Agreement(len(pairs), same, correlation=_correlation(known))
    folded = [(one.strip().casefold(), other.strip().casefold()) for one, other in pairs]
    same = sum(one == other for one, other in folded) / len(folded)
    ones, others = (Counter(side) for side in zip(*folded, strict=True))
    chance = sum(ones[label] * others[label] for label in ones) / len(folded) ** 2
    kappa = None if chance == 1.0 else (same - chance) / (1 - chance)
    return Agreement(len(pairs), same, kappa)


def _rated(judge: Any, example: Example) -> tuple[Example, str, str] | None:
    answer, human = (example.fields.get(name) for name in (judge.human_answer, judge.human))
    if not isinstance(answer, str) or human is None or isinstance(human, dict | list):
        return None
    return example, answer, str(human)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    try:
        return correlation(*zip(*pairs, strict=True))
    except StatisticsError:
        return None
