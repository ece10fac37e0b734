"""Multi: several graders, whose scores become one: a weighted mean, the least, or all of them."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from optimizer.errors import SettingsError
from optimizer.grader import Grader
from optimizer.graders.base import PureGrader, pure_part
from optimizer.graders.judging.expression import Expression
from optimizer.graders.judging.judge import GradingRefused
from optimizer.types import Completion, Example, Score, graded

MOST_PARTS = 20


@dataclass(frozen=True)
class Multi:
    """Grades with each part, and combines the scores.

    A part that could not grade (`missing`) makes the whole missing: half of a score is none.
    """

    parts: Mapping[str, Any]
    """Name of a part -> its grader: a name, or a mapping with its kind and its settings."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Weights of the mean; a part without one weighs 1."""
    combine: Literal["mean", "min", "all"] = "mean"
    """`mean`: the weighted mean. `min`: the least score. `all`: 1 if every part has its full score,
    else 0.
    """
    calculate_output: str | None = None
    """A formula in the names of the parts, such as `0.7 * style + 0.3 * facts`, in place of
    `combine`; what is below 0 or above 1 counts as 0 or 1.
    """

    def __post_init__(self) -> None:
        if not 1 <= len(self.parts) <= MOST_PARTS:
            raise SettingsError(f"A multi grader needs 1 to {MOST_PARTS} parts.")
        if odd := [name for name in self.weights if name not in self.parts]:
            raise SettingsError(
                f"There is a weight for {odd[0]!r}, and no part of that name; the parts are: "
                f"{', '.join(self.parts)}."
            )
        if any(not 0 <= weight < float("inf") for weight in self.weights.values()) or not sum(
            self._weights.values()
        ):
            raise SettingsError("The weights of a multi grader must be 0 or more, and not all 0.")
        if self.calculate_output is not None:
            Expression.read(self.calculate_output, tuple(self.parts))

    @property
    def _weights(self) -> dict[str, float]:
        return {name: self.weights.get(name, 1.0) for name in self.parts}

    @property
    def graders(self) -> dict[str, Grader]:
        """Return the parts, which were built before."""
        return dict(self.parts)

    @property
    def accepts(self) -> str:
        """Return which answer is right: what all parts say."""
        said = "; ".join(f"{name}: {part.accepts}" for name, part in self.graders.items())
        how = {
            "mean": "the weighted mean of these scores",
            "min": "the least of these scores",
            "all": "an answer that is fully right by all of these",
        }[self.combine]
        formula = f"{self.calculate_output}, where the names are scores"
        return f"{formula if self.calculate_output is not None else how} ({said})"

    @property
    def answer_line(self) -> str:
        """Return the answer line of the first part that has one."""
        lines = [part.answer_line for part in self.graders.values()]
        return next(filter(None, lines), "")

    @property
    def pure(self) -> PureGrader | None:
        """Return it as a grader that calls no model, where all parts are such."""
        parts = {name: pure_part(part) for name, part in self.graders.items()}
        known = {name: part for name, part in parts.items() if part is not None}
        return _PureMulti(replace(self, parts=known)) if len(known) == len(parts) else None

    async def grade(self, pairs: Sequence[tuple[Completion, Example]]) -> list[Score]:
        """Return the combined scores; all parts grade at once."""
        graders = self.graders
        columns = await _all_of(graders.values(), pairs)
        return [
            self.combined(dict(zip(graders, row, strict=True)))
            for row in zip(*columns, strict=True)
        ]

    def form_is_at_fault(self, response: Completion, example: Example) -> bool:
        """Return whether it is by any part."""
        return any(part.form_is_at_fault(response, example) for part in self.graders.values())

    def combined(self, score_by_part: Mapping[str, Score]) -> Score:
        """Return one score of those of the parts."""
        values = {name: score.value for name, score in score_by_part.items()}
        known = {name: value for name, value in values.items() if value is not None}
        feedback = " ".join(
            f"{name}: {score.feedback}" for name, score in score_by_part.items() if score.feedback
        )
        if len(known) < len(values):
            lacking = ", ".join(name for name in values if name not in known)
            return Score("missing", feedback=f"{lacking} could not grade it. {feedback}".strip())
        verdicts = {score.verdict for score in score_by_part.values()}
        if len(verdicts) == 1 and verdicts <= {"unparsable", "truncated"}:
            return Score(verdicts.pop(), feedback=feedback)
        answers = {name: score.answer for name, score in score_by_part.items() if score.answer}
        answer = (
            next(iter(answers.values()))
            if len(set(answers.values())) == 1
            else json.dumps(answers, ensure_ascii=False)
            if answers
            else ""
        )
        return graded(self._value(known), answer, feedback)

    def _value(self, values: Mapping[str, float]) -> float:
        if self.calculate_output is not None:
            return Expression.read(self.calculate_output, tuple(self.parts)).value(values)
        if self.combine == "min":
            return min(values.values())
        # Exact for full scores: a sum of weights may miss 1.0 by a rounding.
        if all(value == 1.0 for value in values.values()):
            return 1.0
        if self.combine == "all":
            return 0.0
        weights = self._weights
        total = sum(weights.values())
        return min(1.0, sum(weights[name] * value for name, value in values.items()) / total)


async def _all_of(
    graders: Iterable[Grader], pairs: Sequence[tuple[Completion, Example]]
) -> list[list[Score]]:
    """Return the scores of each grader; all grade at once, and end before an error is raised.

    Raises:
        GradingRefused: With the number of answers that all of them have graded.
    """
    found = await asyncio.gather(
        *(grader.grade(pairs) for grader in graders), return_exceptions=True
    )
    errors = [one for one in found if isinstance(one, BaseException)]
    refusals = [one for one in errors if isinstance(one, GradingRefused)]
    if errors:
        if len(refusals) == len(errors):
            raise min(refusals, key=lambda refusal: refusal.graded)
        raise next(one for one in errors if not isinstance(one, GradingRefused))
    return [one for one in found if not isinstance(one, BaseException)]


@dataclass(frozen=True)
class _PureMulti(PureGrader):
    multi: Multi

    @property
    def accepts(self) -> str:  # type: ignore[override]
        return self.multi.accepts

    @property
    def answer_line(self) -> str:  # type: ignore[override]
        return self.multi.answer_line

    def score(self, response: Completion, example: Example) -> Score:
        return self.multi.combined(
            {name: part.score(response, example) for name, part in self.multi.parts.items()}
        )
