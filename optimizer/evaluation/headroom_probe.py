"""Calls before an experiment that show whether it can pay: the baseline, and a few other prompts.

Every call is one that some trial might make, with the same messages, so that a later run with the
same ledger has its answers; only where answers may be wrong for their form alone, the answer line
is tried too. Uses the train and dev splits alone. Knows no Ray, no clock and no price; the numbers
are those of optimizer.statistics.headroom.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from optimizer.counted_model import CountedModel
from optimizer.evaluation.answer_forms import NotRight, Reading, reading
from optimizer.evaluation.evaluator import Evaluation
from optimizer.grader import Grader
from optimizer.graders.base import grade_outcomes, pure_part, score_outcome
from optimizer.graders.graders import with_answer_line
from optimizer.prompt import Demonstration, Prompt
from optimizer.protocols import LanguageModel, SelectionRule, Strategy
from optimizer.statistics import Scores, mean_score, share_known, wilson
from optimizer.tasks.task import Task
from optimizer.types import Example, Outcome, Request, Sampling

MOST_ITEMS = 100
"""Maximum number of items in the probe: the dev split, then training items up to this number
[ours].
"""
DRAWS = 3
DRAW_TEMPERATURE = 0.7
"""Temperature of the repeated draws; self-consistency (Wang et al. 2022, arXiv 2203.11171) uses 0.7
too.
"""
SOLVED = 3
"""Training examples with their gold answers in the few-shot probe [ours]."""
_SHIFTS = 5
"""Number of other items whose answers each answer is compared with, to measure the gain of
guessing.
"""


@dataclass(frozen=True)
class Probing:
    """Settings of a task's probe.

    `strategy` and `rule` are those of a trial whose first round shows what other prompts can do.
    """

    strategy: Strategy
    rule: SelectionRule
    sampling: Sampling
    seed: int = 0
    """The random seed of that trial: with the same one its first round makes the same requests."""
    repeats: int = 3
    with_rows: bool = False
    """The target sees the row of each example beside the messages."""


@dataclass(frozen=True)
class Probed:
    """The scores of every attempt over the same items."""

    repeats: tuple[Scores, ...]
    """The baseline, sampled as the experiment samples it."""
    draws: tuple[Scores, ...]
    """The baseline at DRAW_TEMPERATURE."""
    scores_by_prompt: dict[str, Scores]
    """The other prompts, by their description."""
    chance_of_one: float
    """Mean score of attempts on items that they did not answer."""
    chance_of_any: float
    """Mean of the best score that any attempt at another item gets on an item."""
    not_right: NotRight | None = None
    """A wrong answer, where no attempt was right on any item."""
    reading: Reading | None = None
    """The reading of the baseline's answers; None where none came."""

    @property
    def tries(self) -> tuple[Scores, ...]:
        """Return the scores of all attempts."""
        return (*self.repeats, *self.draws, *self.scores_by_prompt.values())

    @property
    def best_other(self) -> tuple[str, Scores] | None:
        """Return the other prompt with the highest accuracy."""
        measured = [
            (name, scores)
            for name, scores in self.scores_by_prompt.items()
            if mean_score(scores) is not None
        ]
        return max(measured, key=lambda entry: mean_score(entry[1]) or 0.0, default=None)

    @property
    def ever_right(self) -> float:
        """Return the mean over the items of the best score that any attempt got.

        Without partial credit it is the share of the items that came right in at least one attempt.
        """
        items = list(zip(*self.tries, strict=True))
        best = [max((score or 0.0 for score in scores), default=0.0) for scores in items]
        return sum(best) / len(best) if best else 0.0

    @property
    def ceiling(self) -> float:
        """Return the accuracy that seems within reach [ours].

        It is the best prompt's accuracy, or, if higher, what the target model surely gets right in
        some attempt beyond guessing (the low end of a 95% interval: many guesses come near to 1 by
        themselves), with the rest guessed. An estimate from a few attempts: a search may find what
        none of them did.
        """
        items = len(self.repeats[0])
        # The low end of the interval, since a few attempts overstate the share.
        known = share_known(wilson(self.ever_right * items, items).low, self.chance_of_any)
        accuracies = [
            mean_score(scores) or 0.0
            for scores in (*self.repeats[:1], *self.scores_by_prompt.values())
        ]
        return max(known + (1 - known) * self.chance_of_one, *accuracies)


async def probe(
    task: Task,
    target: LanguageModel,
    optimizer: LanguageModel,
    probing: Probing,
    grader: Grader | None = None,
) -> Probed:
    """Run the probe's calls, and return the scores.

    Errors of a model pass through.

    Args:
        task: The task.
        target: The target model.
        optimizer: The optimizer model.
        probing: What is tried.
        grader: The task's grader where it was built before, as one that calls a model is; None
            builds it.
    """
    grader = grader or task.grader.build()
    # Without the examples that the few-shot probe shows with their answers.
    items = (*task.dev, *task.train[SOLVED:])[: max(MOST_ITEMS, len(task.dev))]
    row_of = task.visible_row if probing.with_rows else None
    asking = _Asking(grader, items, target, row_of)
    seed, hot = (
        Prompt(task.seed_instruction),
        replace(probing.sampling, temperature=DRAW_TEMPERATURE),
    )
    outcomes = await asking.ask(
        [
            *((seed, probing.sampling, sample) for sample in range(probing.repeats)),
            *((seed, hot, sample) for sample in range(DRAWS)),
            (_with_solved(seed, task.train[:SOLVED]), probing.sampling, 0),
        ]
    )
    found = await _first_found(task, grader, target, optimizer, probing)
    steps = await asking.ask([(found, probing.sampling, 0)] if found else [])
    names = [f"{len(task.train[:SOLVED])} solved examples", "the first prompt of a search"]
    tries = dict(zip(names, [*outcomes[probing.repeats + DRAWS :], *steps], strict=False))
    with_line = with_answer_line(seed, grader)
    scored, scores_by_prompt = await asking.scored(outcomes), await _scored_by_name(asking, tries)
    found_right = any(1.0 in scores for scores in (*scored, *scores_by_prompt.values()))
    read = await reading(
        task.scorer,
        grader,
        items,
        outcomes[: probing.repeats],
        with_line.closing if with_line else "",
        not found_right,
    )
    # The only call here that no trial's search makes; a final test may.
    if with_line and read.line_is_worth_asking:
        (answers,) = await asking.ask([(with_line, probing.sampling, 0)])
        tries["the answer line"] = answers
        (scores,) = await asking.scored([answers])
        scores_by_prompt["the answer line"] = scores
        read = replace(
            read,
            line_accuracy=mean_score(scores),
            never_right=read.never_right and 1.0 not in scores,
        )
    one, any_ = asking.by_chance([*outcomes[: probing.repeats + DRAWS], *tries.values()])
    return Probed(
        tuple(scored[: probing.repeats]),
        tuple(scored[probing.repeats :][:DRAWS]),
        scores_by_prompt,
        one,
        any_,
        read.example if read.never_right else None,
        read if read.answers else None,
    )


async def _scored_by_name(
    asking: "_Asking", tries: Mapping[str, Sequence[Outcome]]
) -> dict[str, Scores]:
    return dict(zip(tries, await asking.scored(list(tries.values())), strict=True))


@dataclass(frozen=True)
class _Asking:
    grader: Grader
    items: Sequence[Example]
    target: LanguageModel
    row_of: Callable[[Example], Mapping[str, Any]] | None

    async def ask(self, tries: Sequence[tuple[Prompt, Sampling, int]]) -> list[list[Outcome]]:
        """Return the outcomes of each attempt over all items; all attempts are one batch."""
        requests = [
            Request(
                prompt.render(item.input, item.history),
                sampling,
                sample,
                "validate",
                row=self.row_of(item) if self.row_of else None,
            )
            for prompt, sampling, sample in tries
            for item in self.items
        ]
        outcomes = await self.target.complete(requests) if requests else []
        size = len(self.items)
        return [outcomes[place * size : (place + 1) * size] for place in range(len(tries))]

    async def scored(self, tries: Sequence[Sequence[Outcome]]) -> list[Scores]:
        """Return the scores of each attempt over all items; all are graded as one batch."""
        pairs = [pair for outcomes in tries for pair in zip(outcomes, self.items, strict=True)]
        values = [score.value for score in await grade_outcomes(self.grader, pairs)]
        size = len(self.items)
        return [values[place * size : (place + 1) * size] for place in range(len(tries))]

    def by_chance(self, tries: Sequence[Sequence[Outcome]]) -> tuple[float, float]:
        """Return what one attempt, and the best of all attempts, scores on another item.

        Without partial credit that is how often they are right about it. Nothing under a grader
        that calls a model: to guess the answer of another item is no way to please a judge, and to
        ask it would cost many times what the probe does.
        """
        size, grader = len(self.items), pure_part(self.grader)
        if grader is None:
            return 0.0, 0.0
        shifts = 1 if grader.slow else _SHIFTS
        hits = [
            [
                score_outcome(grader, outcomes[place], self.items[(place + shift) % size]).value
                or 0.0
                for outcomes in tries
            ]
            # An item's answers are held against the targets of its neighbours: what is right there
            # was guessed.
            for shift in range(1, min(shifts, size - 1) + 1)
            for place in range(size)
        ]
        if not hits or not tries:
            return 0.0, 0.0
        return sum(map(sum, hits)) / (len(hits) * len(tries)), sum(map(max, hits)) / len(hits)


def _with_solved(seed: Prompt, examples: Sequence[Example]) -> Prompt:
    return replace(
        seed,
        demonstrations=tuple(
            Demonstration(example.input, f"Answer: {example.answers[0]}")
            for example in examples
            if example.answers
        ),
    )


async def _first_found(
    task: Task, grader: Grader, target: LanguageModel, optimizer: LanguageModel, probing: Probing
) -> Prompt | None:
    """Return the best prompt of a search's first round, the baseline excluded."""
    evaluation = Evaluation(
        target,
        grader,
        task.dev,
        probing.rule,
        probing.sampling,
        row_of=task.visible_row if probing.with_rows else None,
    )
    search = probing.strategy.search(
        task.problem(grader), CountedModel(optimizer), evaluation, Random(probing.seed)
    )
    async with aclosing(search) as rounds:  # type: ignore[type-var]  # an async generator, by the protocol's contract
        async for first in rounds:
            return next(
                (
                    one.candidate.prompt
                    for one in first.standings
                    if one.candidate.operator != "seed"
                ),
                None,
            )
    return None
