"""What is asked before an experiment, to learn whether it can pay: the seed prompt again and again, and a few other prompts.

Every call is one that some trial might make, with the same messages, so that a later run with the same ledger has its answers. Uses
the train and dev splits alone. Knows no Ray, no clock and no price; the numbers are optimizer.statistics.headroom's.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from random import Random

from optimizer.errors import shortened
from optimizer.evaluation import Evaluation
from optimizer.prompt import Demonstration, Prompt
from optimizer.protocols import LanguageModel, SelectionRule, Strategy
from optimizer.statistics import Scores, mean_score, share_known, wilson
from optimizer.tasks.scorers import SCORERS, judge
from optimizer.tasks.task import Task
from optimizer.types import Completion, Example, Outcome, Request, Sampling

MOST_ITEMS = 100
"""Items that are asked: the dev split, and training items up to this number [ours]."""
DRAWS = 3
DRAW_TEMPERATURE = 0.7
"""Self-consistency (Wang et al. 2022, arXiv 2203.11171) draws at 0.7 too."""
SOLVED = 3
"""Training examples with their gold answers in the few-shot probe [ours]."""
_SHOWN = 80
"""Characters of an input and of an answer in a sentence."""
_SHIFTS = 5
"""Other items whose answers an item's tries are held against, to see what guessing gives."""


@dataclass(frozen=True)
class Probing:
    """How to probe a task. `strategy` and `rule` are those of a trial whose first round shows what other prompts can do."""

    strategy: Strategy
    rule: SelectionRule
    sampling: Sampling
    seed: int = 0
    """Of that trial: with the same one its first round asks the same questions."""
    repeats: int = 3


@dataclass(frozen=True)
class NotRight:
    """An answer that counts as not right, beside what was accepted."""

    input: str
    accepted: str
    response: str
    read: str
    """What was taken for the answer in it; "" for nothing."""

    @property
    def sentence(self) -> str:
        """For people: no reading of answers is right for every model and every data set."""
        told = f"it read {shortened(self.read, _SHOWN)!r} in it" if self.read else "it found no answer in it"
        return (f"No answer was right in any try. For example, to {shortened(self.input, _SHOWN)!r} the target wrote "
                f"{shortened(self.response, 2 * _SHOWN)!r}; the scorer accepts {shortened(self.accepted, _SHOWN)!r}, and {told}. "
                "If that should be right, choose another scorer, or mend the data or the seed_instruction.")


@dataclass(frozen=True)
class Probed:
    """Scores of every try over the same items."""

    repeats: tuple[Scores, ...]
    """Of the seed prompt, asked as the experiment asks it."""
    draws: tuple[Scores, ...]
    """Of the seed prompt at DRAW_TEMPERATURE."""
    scores_by_prompt: dict[str, Scores]
    """Of other prompts, by what they are."""
    chance_of_one: float
    """How often one try is right about an item that it was not asked about."""
    chance_of_any: float
    """How often at least one of an item's tries is."""
    not_right: NotRight | None = None
    """Where no try was right on any item: one of them."""

    @property
    def tries(self) -> tuple[Scores, ...]:
        return (*self.repeats, *self.draws, *self.scores_by_prompt.values())

    @property
    def best_other(self) -> tuple[str, Scores] | None:
        """The other prompt with the highest accuracy."""
        measured = [(name, scores) for name, scores in self.scores_by_prompt.items() if mean_score(scores) is not None]
        return max(measured, key=lambda entry: mean_score(entry[1]) or 0.0, default=None)

    @property
    def ever_right(self) -> float:
        """Share of the items that came right in at least one try."""
        items = list(zip(*self.tries, strict=True))
        return sum(1.0 in scores for scores in items) / len(items) if items else 0.0

    @property
    def ceiling(self) -> float:
        """What seems within reach: the best prompt's accuracy, or, if higher, what the target model surely gets right in some try
        beyond guessing (the low end of a 95% interval: many guesses come near to 1 by themselves), and the rest guessed [ours].

        An estimate from a few tries: a search may find what none of them did.
        """
        items = len(self.repeats[0])
        known = share_known(wilson(self.ever_right * items, items).low, self.chance_of_any)
        accuracies = [mean_score(scores) or 0.0 for scores in (*self.repeats[:1], *self.scores_by_prompt.values())]
        return max(known + (1 - known) * self.chance_of_one, *accuracies)


async def probe(task: Task, target: LanguageModel, optimizer: LanguageModel, probing: Probing) -> Probed:
    """Asks all of it. What a model raises passes through."""
    items = (*task.dev, *task.train[SOLVED:])[: max(MOST_ITEMS, len(task.dev))]
    asking = _Asking(task, items, target)
    seed, hot = Prompt(task.seed_instruction), replace(probing.sampling, temperature=DRAW_TEMPERATURE)
    outcomes = await asking.ask([
        *((seed, probing.sampling, sample) for sample in range(probing.repeats)),
        *((seed, hot, sample) for sample in range(DRAWS)),
        (_with_solved(seed, task.train[:SOLVED]), probing.sampling, 0)])
    found = await _first_found(task, target, optimizer, probing)
    steps = await asking.ask([(found, probing.sampling, 0)] if found else [])
    names = [f"{len(task.train[:SOLVED])} solved examples", "the first prompt of a search"]
    others = dict(zip(names, asking.scored([*outcomes[probing.repeats + DRAWS :], *steps]), strict=False))
    one, any_ = asking.by_chance([*outcomes, *steps])
    scored = asking.scored(outcomes)
    found_right = any(1.0 in scores for scores in (*scored, *others.values()))
    return Probed(
        tuple(scored[: probing.repeats]), tuple(scored[probing.repeats :][:DRAWS]), others, one, any_,
        None if found_right else asking.not_right(outcomes[0]))


@dataclass(frozen=True)
class _Asking:
    task: Task
    items: Sequence[Example]
    target: LanguageModel

    async def ask(self, tries: Sequence[tuple[Prompt, Sampling, int]]) -> list[list[Outcome]]:
        """The outcomes of each try over all items; all tries are one batch."""
        requests = [
            Request(prompt.render(item.input), sampling, sample, "validate") for prompt, sampling, sample in tries
            for item in self.items]
        outcomes = await self.target.complete(requests) if requests else []
        size = len(self.items)
        return [outcomes[place * size : (place + 1) * size] for place in range(len(tries))]

    def scored(self, tries: Sequence[Sequence[Outcome]]) -> list[Scores]:
        return [[self._score(outcome, item) for outcome, item in zip(outcomes, self.items, strict=True)] for outcomes in tries]

    def not_right(self, outcomes: Sequence[Outcome]) -> NotRight | None:
        """The first answer of a try that has a text, with how it was read."""
        for outcome, item in zip(outcomes, self.items, strict=True):
            if isinstance(outcome, Completion) and outcome.text.strip():
                read = judge(outcome, item, SCORERS[self.task.scorer]).answer
                return NotRight(item.input, item.answers[0], outcome.text, read)
        return None

    def by_chance(self, tries: Sequence[Sequence[Outcome]]) -> tuple[float, float]:
        """How often one try, and how often any of an item's tries, is right about another item."""
        size = len(self.items)
        hits = [
            [self._score(outcomes[place], self.items[(place + shift) % size]) == 1.0 for outcomes in tries]
            for shift in range(1, min(_SHIFTS, size - 1) + 1) for place in range(size)]
        if not hits or not tries:
            return 0.0, 0.0
        return sum(map(sum, hits)) / (len(hits) * len(tries)), sum(map(any, hits)) / len(hits)

    def _score(self, outcome: Outcome, item: Example) -> float | None:
        return judge(outcome, item, SCORERS[self.task.scorer]).value


def _with_solved(seed: Prompt, examples: Sequence[Example]) -> Prompt:
    return replace(seed, demonstrations=tuple(
        Demonstration(example.input, f"Answer: {example.answers[0]}") for example in examples))


async def _first_found(task: Task, target: LanguageModel, optimizer: LanguageModel, probing: Probing) -> Prompt | None:
    """The best prompt of a search's first round, but for the seed prompt; None where it has no other."""
    evaluation = Evaluation(target, SCORERS[task.scorer], task.dev, probing.rule, probing.sampling)
    search = probing.strategy.search(task.problem(), optimizer, evaluation, Random(probing.seed))
    async with aclosing(search) as rounds:  # type: ignore[type-var]  # an async generator, by the protocol's contract
        async for first in rounds:
            return next((one.candidate.prompt for one in first.standings if one.candidate.operator != "seed"), None)
    return None
