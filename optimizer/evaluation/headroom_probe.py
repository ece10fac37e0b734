"""What is asked before an experiment, to learn whether it can pay: the baseline again and again,
and a few other prompts.

Every call is one that some trial might make, with the same messages, so that a later run with the
same ledger has its answers; only where answers may be wrong for their form alone, the answer line
is tried too. Uses the train and dev splits alone. Knows no Ray, no clock and no price; the numbers
are optimizer.statistics.headroom's.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from random import Random

from optimizer.counted_model import CountedModel
from optimizer.evaluation.answer_forms import NotRight, Reading, reading
from optimizer.evaluation.evaluator import Evaluation
from optimizer.graders.graders import SCORERS, judge, with_answer_line
from optimizer.prompt import Demonstration, Prompt
from optimizer.protocols import LanguageModel, SelectionRule, Strategy
from optimizer.statistics import Scores, mean_score, share_known, wilson
from optimizer.tasks.task import Task
from optimizer.types import Example, Outcome, Request, Sampling

MOST_ITEMS = 100
"""Items that are asked: the dev split, and training items up to this number [ours]."""
DRAWS = 3
DRAW_TEMPERATURE = 0.7
"""Self-consistency (Wang et al. 2022, arXiv 2203.11171) draws at 0.7 too."""
SOLVED = 3
"""Training examples with their gold answers in the few-shot probe [ours]."""
_SHIFTS = 5
"""Other items whose answers an item's tries are held against, to see what guessing gives."""


@dataclass(frozen=True)
class Probing:
    """How to probe a task.

    `strategy` and `rule` are those of a trial whose first round shows what other prompts can do.
    """

    strategy: Strategy
    rule: SelectionRule
    sampling: Sampling
    seed: int = 0
    """Of that trial: with the same one its first round asks the same questions."""
    repeats: int = 3


@dataclass(frozen=True)
class Probed:
    """Scores of every try over the same items."""

    repeats: tuple[Scores, ...]
    """Of the baseline, asked as the experiment asks it."""
    draws: tuple[Scores, ...]
    """Of the baseline at DRAW_TEMPERATURE."""
    scores_by_prompt: dict[str, Scores]
    """Of other prompts, by what they are."""
    chance_of_one: float
    """How often one try is right about an item that it was not asked about."""
    chance_of_any: float
    """How often at least one of an item's tries is."""
    not_right: NotRight | None = None
    """Where no try was right on any item: one of them."""
    reading: Reading | None = None
    """How the baseline's answers were read; None where none came."""

    @property
    def tries(self) -> tuple[Scores, ...]:
        return (*self.repeats, *self.draws, *self.scores_by_prompt.values())

    @property
    def best_other(self) -> tuple[str, Scores] | None:
        """The other prompt with the highest accuracy."""
        measured = [
            (name, scores)
            for name, scores in self.scores_by_prompt.items()
            if mean_score(scores) is not None
        ]
        return max(measured, key=lambda entry: mean_score(entry[1]) or 0.0, default=None)

    @property
    def ever_right(self) -> float:
        """Share of the items that came right in at least one try."""
        items = list(zip(*self.tries, strict=True))
        return sum(1.0 in scores for scores in items) / len(items) if items else 0.0

    @property
    def ceiling(self) -> float:
        """What seems within reach: the best prompt's accuracy, or, if higher, what the target model
        surely gets right in some try beyond guessing (the low end of a 95% interval: many guesses
        come near to 1 by themselves), and the rest guessed [ours].

        An estimate from a few tries: a search may find what none of them did.
        """
        items = len(self.repeats[0])
        known = share_known(wilson(self.ever_right * items, items).low, self.chance_of_any)
        accuracies = [
            mean_score(scores) or 0.0
            for scores in (*self.repeats[:1], *self.scores_by_prompt.values())
        ]
        return max(known + (1 - known) * self.chance_of_one, *accuracies)


async def probe(
    task: Task, target: LanguageModel, optimizer: LanguageModel, probing: Probing
) -> Probed:
    """Asks all of it. What a model raises passes through."""
    items = (*task.dev, *task.train[SOLVED:])[: max(MOST_ITEMS, len(task.dev))]
    asking = _Asking(task, items, target)
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
    found = await _first_found(task, target, optimizer, probing)
    steps = await asking.ask([(found, probing.sampling, 0)] if found else [])
    names = [f"{len(task.train[:SOLVED])} solved examples", "the first prompt of a search"]
    tries = dict(zip(names, [*outcomes[probing.repeats + DRAWS :], *steps], strict=False))
    told = with_answer_line(seed, task.scorer)
    found_right = any(1.0 in scores for scores in asking.scored([*outcomes, *steps]))
    read = reading(
        task.scorer,
        items,
        outcomes[: probing.repeats],
        told.closing if told else "",
        not found_right,
    )
    if (
        told and read.line_is_worth_asking
    ):  # the only call here that no trial's search makes; a final test may
        (answers,) = await asking.ask([(told, probing.sampling, 0)])
        tries["the answer line"] = answers
        (scores,) = asking.scored([answers])
        read = replace(
            read,
            line_accuracy=mean_score(scores),
            never_right=read.never_right and 1.0 not in scores,
        )
    one, any_ = asking.by_chance([*outcomes[: probing.repeats + DRAWS], *tries.values()])
    scored = asking.scored(outcomes)
    return Probed(
        tuple(scored[: probing.repeats]),
        tuple(scored[probing.repeats :][:DRAWS]),
        dict(zip(tries, asking.scored(list(tries.values())), strict=True)),
        one,
        any_,
        read.example if read.never_right else None,
        read if read.answers else None,
    )


@dataclass(frozen=True)
class _Asking:
    task: Task
    items: Sequence[Example]
    target: LanguageModel

    async def ask(self, tries: Sequence[tuple[Prompt, Sampling, int]]) -> list[list[Outcome]]:
        """The outcomes of each try over all items; all tries are one batch."""
        requests = [
            Request(prompt.render(item.input), sampling, sample, "validate")
            for prompt, sampling, sample in tries
            for item in self.items
        ]
        outcomes = await self.target.complete(requests) if requests else []
        size = len(self.items)
        return [outcomes[place * size : (place + 1) * size] for place in range(len(tries))]

    def scored(self, tries: Sequence[Sequence[Outcome]]) -> list[Scores]:
        return [
            [self._score(outcome, item) for outcome, item in zip(outcomes, self.items, strict=True)]
            for outcomes in tries
        ]

    def by_chance(self, tries: Sequence[Sequence[Outcome]]) -> tuple[float, float]:
        """How often one try, and how often any of an item's tries, is right about another item."""
        size = len(self.items)
        hits = [
            [
                self._score(outcomes[place], self.items[(place + shift) % size]) == 1.0
                for outcomes in tries
            ]
            for shift in range(1, min(_SHIFTS, size - 1) + 1)
            for place in range(size)
        ]
        if not hits or not tries:
            return 0.0, 0.0
        return sum(map(sum, hits)) / (len(hits) * len(tries)), sum(map(any, hits)) / len(hits)

    def _score(self, outcome: Outcome, item: Example) -> float | None:
        return judge(outcome, item, SCORERS[self.task.scorer]).value


def _with_solved(seed: Prompt, examples: Sequence[Example]) -> Prompt:
    return replace(
        seed,
        demonstrations=tuple(
            Demonstration(example.input, f"Answer: {example.answers[0]}") for example in examples
        ),
    )


async def _first_found(
    task: Task, target: LanguageModel, optimizer: LanguageModel, probing: Probing
) -> Prompt | None:
    """The best prompt of a search's first round, but for the baseline; None where it has no
    other.
    """
    evaluation = Evaluation(target, SCORERS[task.scorer], task.dev, probing.rule, probing.sampling)
    search = probing.strategy.search(
        task.problem(), CountedModel(optimizer), evaluation, Random(probing.seed)
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
