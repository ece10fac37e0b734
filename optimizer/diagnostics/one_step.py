"""Measure 3, one-step refinement: is one reflection and edit better than a blind rewording?

Ma et al., arXiv 2402.02101, section 4: a valid reflection often fails to become a better prompt in
one step, and APO is not clearly ahead of APE. Every new prompt is tried on the same dev items as
the baseline. Knows no strategy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import Literal

from optimizer.candidate import Problem
from optimizer.diagnostics.evidence import Evidence, Feedback
from optimizer.diagnostics.findings import RESAMPLES, chance, figure, mean_estimate
from optimizer.operators.asking import Asking
from optimizer.operators.edit import edit
from optimizer.operators.paraphrase import paraphrase
from optimizer.prompt import Prompt
from optimizer.protocols import Evaluator
from optimizer.statistics import Comparison, Estimate, estimate, paired_test
from optimizer.types import Answer, Example

Arm = Literal["valid reflection", "invalid reflection", "reflection", "paraphrase"]
"""The origin of a new prompt; plain "reflection" where its validity is not known."""
ARMS: tuple[Arm, ...] = ("valid reflection", "invalid reflection", "reflection", "paraphrase")
LEAST_PROMPTS = 4
"""Minimum number of prompts on each side of a comparison; with fewer there is no verdict [ours]."""


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """One new prompt, against the baseline on the same dev items."""

    arm: Arm
    instruction: str
    reason: str = ""
    """The feedback behind the edit."""
    change: float
    """Change in accuracy, over the items that both have a score for."""
    improved: int
    worsened: int
    """`improved` and `worsened` count the items that only the new, or only the old prompt gets
    right.
    """
    items: int
    p_value: float
    """The p-value of the exact paired test."""


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """The refinements of one arm; each share with Wilson's interval."""

    improve: Estimate
    worsen: Estimate
    same: Estimate
    """Share of refinements with as many items won as lost."""
    significant: int
    """Refinements that are better by the exact paired test, at 5%."""
    change: Estimate
    """Mean change in dev accuracy, with a bootstrap interval over refinements."""


@dataclass(frozen=True, kw_only=True)
class OneStep:
    """New prompts from one reflection, compared with blind rewordings."""

    verdict: Comparison | Literal["cannot be told"]
    """The verdict on the reflections' mean change in accuracy against the paraphrases', at 5%."""
    by_arm: Mapping[str, ArmResult]
    """Arms that have refinements; "all reflections" sums up those of every validity."""
    seed_accuracy: float | None
    p_value: float | None
    """The p-value of the permutation test that reflections and paraphrases change accuracy
    alike; None where there are too few.
    """
    p_validity: float | None
    """The same for valid against invalid reflections."""
    refinements: tuple[Refinement, ...]

    @property
    def sentence(self) -> str:
        """Return the verdict with its figures, for people."""
        all_of, blind = self.by_arm.get(ALL), self.by_arm.get("paraphrase")
        if self.verdict == "cannot be told" or all_of is None or blind is None:
            return "Cannot be told: there are too few different new prompts."
        finding = {"better": "Better than", "worse": "Worse than"}.get(
            self.verdict, "No significant difference from"
        )
        arms = ("valid reflection", "invalid reflection", "paraphrase")
        changes = ", ".join(
            f"{arm} {self.by_arm[arm].change.mean:+.3f}" for arm in arms if arm in self.by_arm
        )
        return (
            f"{finding} blind rewording ({chance(self.p_value)}): one reflection improves "
            f"{figure(all_of.improve)} and worsens "
            f"{figure(all_of.worsen)} of the prompts, a paraphrase {figure(blind.improve)} and "
            f"{figure(blind.worsen)}; mean "
            f"change in accuracy: {changes}."
        )


ALL = "all reflections"


async def one_step(
    problem: Problem,
    feedbacks: Sequence[Feedback],
    evidence: Evidence,
    dev: Sequence[Example],
    ask: Asking,
    evaluate: Evaluator,
    rng: Random,
) -> OneStep:
    """Try one edit for each feedback on errors, and as many paraphrases of the baseline.

    There may be fewer paraphrases: equal prompts are tried once.
    """
    drafts = await _drafts(problem, feedbacks, evidence, ask)
    prompts = [problem.seed, *(Prompt(instruction) for _, instruction, _ in drafts)]
    answers = await evaluate.answers(
        [(prompt, example) for prompt in prompts for example in dev], "validate"
    )
    rows = [answers[at * len(dev) : (at + 1) * len(dev)] for at in range(len(prompts))]
    tried = (_refinement(draft, rows[0], row) for draft, row in zip(drafts, rows[1:], strict=True))
    # A prompt without any answer was not tried.
    refinements = tuple(one for one in tried if one.items)
    return summarised(refinements, estimate([answer.score.value for answer in rows[0]]).mean, rng)


def summarised(
    refinements: Sequence[Refinement], seed_accuracy: float | None, rng: Random
) -> OneStep:
    """Return the measure over refinements that were tried."""
    by_arm: dict[str, list[Refinement]] = {
        arm: [one for one in refinements if one.arm == arm] for arm in ARMS
    }
    reflected = [one for one in refinements if one.arm != "paraphrase"]
    groups: dict[str, list[Refinement]] = {ALL: reflected, **by_arm}
    p_value = permutation_p(
        [one.change for one in reflected], [one.change for one in by_arm["paraphrase"]], rng
    )
    enough = min(len(reflected), len(by_arm["paraphrase"])) >= LEAST_PROMPTS
    valid, invalid = by_arm["valid reflection"], by_arm["invalid reflection"]
    return OneStep(
        verdict=_verdict(reflected, by_arm["paraphrase"], p_value) if enough else "cannot be told",
        by_arm={arm: _result(group, rng) for arm, group in groups.items() if group},
        seed_accuracy=seed_accuracy,
        p_value=p_value,
        refinements=tuple(refinements),
        p_validity=permutation_p(
            [one.change for one in valid], [one.change for one in invalid], rng
        ),
    )


def _verdict(
    reflected: Sequence[Refinement], blind: Sequence[Refinement], p_value: float | None
) -> Comparison:
    if p_value is None or p_value > 0.05:
        return "not distinguishable"
    return "better" if _mean(reflected) > _mean(blind) else "worse"


def permutation_p(first: Sequence[float], second: Sequence[float], rng: Random) -> float | None:
    """Return the two-sided p-value of the difference of two means (Fisher 1935).

    It is None where a side has fewer than LEAST_PROMPTS values.
    """
    if min(len(first), len(second)) < LEAST_PROMPTS:
        return None
    pooled, size = [*first, *second], len(first)

    def difference() -> float:
        return abs(fmean(pooled[:size]) - fmean(pooled[size:]))

    # The observed split counts as one of the permutations, so that no p-value is 0.
    seen, as_far = difference(), 1
    for _ in range(RESAMPLES):
        rng.shuffle(pooled)
        as_far += difference() >= seen - 1e-12
    return as_far / (RESAMPLES + 1)


async def _drafts(
    problem: Problem, feedbacks: Sequence[Feedback], evidence: Evidence, ask: Asking
) -> list[tuple[Arm, str, str]]:
    """Return arm, instruction and reason of every different new prompt."""
    on_errors = [feedback for feedback in feedbacks if feedback.given == "errors"]
    questions = [
        edit(problem, problem.seed.instruction, evidence.error_sets[one.set], one.text)
        for one in on_errors
    ]
    texts = await ask(
        [*questions, *(paraphrase(problem.seed.instruction, problem) for _ in on_errors)]
    )
    edits, reworded = texts[: len(on_errors)], [text for text in texts[len(on_errors) :] if text]
    # Rewordings of one short prompt are soon all alike: they are reworded once more.
    reworded += [
        text for text in await ask([paraphrase(text, problem) for text in reworded]) if text
    ]
    drafts: list[tuple[Arm, str, str]] = [
        (_arm(feedback), text, feedback.text)
        for feedback, text in zip(on_errors, edits, strict=True)
        if text
    ]
    drafts += [("paraphrase", text, "") for text in list(dict.fromkeys(reworded))[: len(on_errors)]]
    first_by_text = {draft[1]: draft for draft in reversed(drafts)}
    return [
        draft
        for draft in drafts
        if first_by_text[draft[1]] is draft and draft[1] != problem.seed.instruction
    ]


def _arm(feedback: Feedback) -> Arm:
    return (
        "reflection"
        if feedback.valid is None
        else "valid reflection"
        if feedback.valid
        else "invalid reflection"
    )


def _refinement(
    draft: tuple[Arm, str, str], before: Sequence[Answer], after: Sequence[Answer]
) -> Refinement:
    arm, instruction, reason = draft
    test = paired_test(
        [answer.score.value for answer in before], [answer.score.value for answer in after]
    )
    return Refinement(
        arm=arm,
        instruction=instruction,
        reason=reason,
        change=(test.improved - test.worsened) / max(1, test.pairs),
        improved=test.improved,
        worsened=test.worsened,
        items=test.pairs,
        p_value=test.p_value,
    )


def _result(group: Sequence[Refinement], rng: Random) -> ArmResult:
    def share(holds: Sequence[bool]) -> Estimate:
        return estimate([float(one) for one in holds])

    return ArmResult(
        improve=share([one.change > 0 for one in group]),
        worsen=share([one.change < 0 for one in group]),
        same=share([one.change == 0 for one in group]),
        significant=sum(one.change > 0 and one.p_value <= 0.05 for one in group),
        change=mean_estimate([one.change for one in group], rng),
    )


def _mean(group: Sequence[Refinement]) -> float:
    return fmean(one.change for one in group)
