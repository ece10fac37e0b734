"""Measure 4, predictability of the target: does it follow the prompt, and does that matter?

Ma et al., arXiv 2402.02101, section 5: the target model does not reliably follow its prompt, so
that even a right prompt does not bring about the behaviour. One prompt with steps is tried with and
without its demonstrations. Knows no search.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from optimizer.diagnostics.findings import Verdict, figure, share_above
from optimizer.prompt import Prompt, followed_steps, read_trace
from optimizer.protocols import Evaluator
from optimizer.statistics import Estimate, estimate
from optimizer.types import Answer, Example

Following = Literal["follows", "does not follow", "cannot be told"]
_VERDICTS: dict[Verdict, Following] = {
    "detected": "does not follow",
    "not detected": "follows",
    "cannot be told": "cannot be told",
}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """The target's answers under one prompt; each share with Wilson's interval."""

    demonstrations: int
    followed_by_step: tuple[Estimate, ...]
    """Share of the responses in which the step is present, in order, and in its form."""
    followed_all: Estimate
    """Share of the responses that follow every step."""
    accuracy: Estimate
    accuracy_followed: Estimate
    """Accuracy of the responses that follow every step."""
    accuracy_not_followed: Estimate
    """Accuracy of the others."""


@dataclass(frozen=True, kw_only=True)
class Predictability:
    """The share of steps that the target follows, and the effect of following them."""

    verdict: Following
    """The verdict by the share of responses that follow every step of a prompt without
    demonstrations: most of them, or most not.
    """
    steps: tuple[str, ...]
    told: Condition
    """Results with the steps in words alone."""
    shown: Condition | None
    """Results with the prompt's demonstrations; None where it has none."""
    accuracy_followed: Estimate
    accuracy_not_followed: Estimate
    """Over both conditions: accuracy of the responses that follow every step, and of the others."""

    @property
    def sentence(self) -> str:
        """Return the verdict with its figures, for people."""
        finding = {
            "does not follow": "Does not follow the steps of its prompt",
            "follows": "Follows the steps of its prompt",
        }.get(self.verdict, "It is not clear whether it follows the steps of its prompt")
        shown = (
            f", with {_plural(self.shown.demonstrations)} {figure(self.shown.followed_all)}"
            if self.shown
            else ""
        )
        return (
            f"{finding}: {figure(self.told.followed_all)} of its responses follow every step of a "
            "prompt without demonstrations"
            f"{shown}; accuracy of those that follow {figure(self.accuracy_followed)}, of the "
            "others "
            f"{figure(self.accuracy_not_followed)}."
        )


async def predictability(
    prompt: Prompt, examples: Sequence[Example], evaluate: Evaluator
) -> Predictability:
    """Measure one prompt that has steps; one batch of the target model."""
    # The same steps twice, so that only the demonstrations differ.
    prompts = [replace(prompt, demonstrations=()), *([prompt] if prompt.demonstrations else [])]
    answers = await evaluate.answers(
        [(one, example) for one in prompts for example in examples], "validate"
    )
    rows = [
        _answered(answers[at * len(examples) : (at + 1) * len(examples)])
        for at in range(len(prompts))
    ]
    told, *shown = [_condition(one, row) for one, row in zip(prompts, rows, strict=True)]
    follows = [(answer, _follows(prompt, answer)) for row in rows for answer in row]
    # Judged without demonstrations: they show the form, and would hide a target that ignores words.
    lapses = estimate([float(not _follows(prompt, answer)) for answer in rows[0]])
    return Predictability(
        verdict=_VERDICTS[share_above(lapses)],
        steps=tuple(step.text for step in prompt.steps),
        told=told,
        shown=next(iter(shown), None),
        accuracy_followed=_accuracy([answer for answer, whole in follows if whole]),
        accuracy_not_followed=_accuracy([answer for answer, whole in follows if not whole]),
    )


def _condition(prompt: Prompt, answers: Sequence[Answer]) -> Condition:
    rows = [followed_steps(prompt, read_trace(answer.text)) for answer in answers]
    whole = [all(row) for row in rows]
    return Condition(
        demonstrations=len(prompt.demonstrations),
        followed_by_step=tuple(
            estimate([float(row[at]) for row in rows]) for at in range(len(prompt.steps))
        ),
        followed_all=estimate([float(one) for one in whole]),
        accuracy=_accuracy(answers),
        accuracy_followed=_accuracy(
            [answer for answer, one in zip(answers, whole, strict=True) if one]
        ),
        accuracy_not_followed=_accuracy(
            [answer for answer, one in zip(answers, whole, strict=True) if not one]
        ),
    )


def _answered(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers with a response; a refusal shows nothing of steps."""
    return [answer for answer in answers if answer.score.verdict not in ("missing", "refused")]


def _follows(prompt: Prompt, answer: Answer) -> bool:
    return all(followed_steps(prompt, read_trace(answer.text)))


def _accuracy(answers: Sequence[Answer]) -> Estimate:
    return estimate([answer.score.value for answer in answers])


def _plural(demonstrations: int) -> str:
    return f"{demonstrations} demonstration" + ("" if demonstrations == 1 else "s")
