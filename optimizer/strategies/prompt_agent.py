"""PromptAgent: Monte Carlo tree search over prompts, with explicit reflection.

Wang et al., "PromptAgent: Strategic Planning with Language Models Enables Expert-level Prompt
Optimization", arXiv 2310.16427.

An iteration walks down the tree by UCT to a prompt without children, and on from there: it writes
children of it, goes to the best of them, writes children of that one, and so on, until a prompt is
good enough, not good enough, or too deep. Then the rewards go back up the path. One expansion is
one round: its children are written side by side, each from errors of its own, and measured
together. So the rounds of an iteration follow one another, and nothing else does. A reward is the
dev accuracy that the selection rule found when the children competed with the search's present
result, and it keeps the best alone [ours] (the paper's code measures every child on everything). It
writes instructions only. Knows no engine, no clock and no test split.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from optimizer.candidate import Candidate, Problem, Round, Standing
from optimizer.operators.asking import Asking
from optimizer.operators.criticise import criticise
from optimizer.operators.new_prompt import sampling_for
from optimizer.operators.rewrite import rewrite
from optimizer.protocols import Evaluator, OptimizerModel
from optimizer.sampling import some
from optimizer.strategies.lineage import unseen
from optimizer.strategies.scores import Scores
from optimizer.strategies.tree import Node, back_propagate, best_of, selected
from optimizer.types import Answer
from optimizer.validators import at_least

ALL_RIGHT = (
    "All of these examples were answered rightly. Keep what led to that, and say it more clearly "
    "and more completely."
)
"""The reason that a rewriter sees where there is no error to criticise [ours] (the paper's code has
a pair of questions for this).
"""


@dataclass(frozen=True, kw_only=True)
class PromptAgent:
    """Settings of the search.

    The defaults are those of the paper's own code (XinyuanWangCS/PromptAgent, `main.py`), whose
    example configurations have 10 iterations and a depth limit of 5.

    Raises:
        SettingsError: For a value out of range.
    """

    iterations: int = 12
    """Walks from the root to the end of a path."""
    rounds: int = 96
    """Maximum number of expansions in all: as many as the iterations and the depth limit allow, so
    that these decide [ours].
    """
    expand_width: int = 3
    """Children written of one prompt."""
    batch: int = 5
    """Training examples that a prompt is tried on before each child of it is written."""
    exploration: float = 2.5
    """The weight of UCT's second term."""
    depth_limit: int = 8
    """A prompt at this depth has no children; the root's depth is 0."""
    min_depth: int = 2
    """Only a prompt that is deeper ends a path by its reward: one that beats all before it, or one
    that falls behind.
    """
    temperature: float = 1.0
    """Temperature of the optimizer model."""
    max_tokens: int = 1024
    """Maximum tokens of a reply of the optimizer model [ours: as APO]."""

    def __post_init__(self) -> None:
        at_least(
            0,
            iterations=self.iterations,
            rounds=self.rounds,
            exploration=self.exploration,
            depth_limit=self.depth_limit,
            min_depth=self.min_depth,
            temperature=self.temperature,
        )
        at_least(1, expand_width=self.expand_width, batch=self.batch, max_tokens=self.max_tokens)

    async def search(
        self, problem: Problem, optimizer: OptimizerModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        """Yield the rounds of the search (see protocols.Strategy).

        The best standing of each round is the result so far: the best prompt of the best path.
        """
        writer = _Writer(
            self,
            problem,
            Asking(optimizer, sampling_for(problem, self.temperature, self.max_tokens), rng),
            evaluate,
            rng,
        )
        scores = Scores()
        seed = Candidate(problem.seed, "seed", 0)
        standings = await evaluate.select([seed], 1, rng)
        scores.note(standings)
        yield Round(0, standings, "The baseline alone.")
        writer.problem = problem.with_baseline_score(standings)
        root = Node(seed, scores.score(seed.id) or 0.0, ended=self.depth_limit == 0)
        threshold, result, number = root.reward, root, 0
        paths: list[list[Node]] = []
        for _ in range(self.iterations):
            path = selected(root, self.exploration)
            paths.append(path)
            while not path[-1].ended:
                # Checked before the expansion, which costs the calls.
                if number == self.rounds:
                    return
                number += 1
                children = await writer.children(path, number)
                standings = await evaluate.select([result.candidate, *children], 1, rng)
                scores.note(standings)
                # The result was measured again, perhaps on more items than before.
                result.reward = scores.score(result.candidate.id) or 0.0
                best = self._grown(path[-1], children, scores)
                walked = best is None or self._beats(best, threshold)
                if best:
                    path.append(best)
                    threshold = max(threshold, best.reward)
                result = best_of(paths)
                note = (
                    f"Iteration {len(paths)}, depth {len(path) - 1}: {len(children)} new prompts."
                )
                yield Round(
                    number,
                    _led_by(result, standings, scores),
                    note,
                    writer.ask.take_parse_failures(),
                )
                writer.ask.go_on()
                if walked:
                    # nothing new was written, or it is good enough for now; a later iteration may
                    # go on from here
                    break
            back_propagate(path)

    def _grown(self, node: Node, children: Sequence[Candidate], scores: Scores) -> Node | None:
        """Add the measured children to the tree, and return the best of them.

        Children that could not be measured for an infrastructure failure are left out.
        """
        rewards = [(child, scores.score(child.id)) for child in children]
        node.children = [
            Node(child, reward, node) for child, reward in rewards if reward is not None
        ]
        for child in node.children:
            child.ended = self._too_deep_or_poor(child)
        return max(node.children, key=lambda child: child.reward, default=None)

    def _beats(self, node: Node, threshold: float) -> bool:
        """Return whether a walk ends early at a prompt that beats all before it.

        The prompt stays open, as in the paper's code.
        """
        return node.depth > self.min_depth and node.reward > threshold

    def _too_deep_or_poor(self, node: Node) -> bool:
        above = node.path[:-1]
        # As in the paper's code: below the middle of root and parent a path is given up.
        least = (above[0].reward + above[-1].reward) / 2
        return node.depth >= self.depth_limit or (
            node.depth > self.min_depth and node.reward < least
        )


@dataclass(frozen=True)
class _Draft:
    """The material for the writer of one child.

    It is the errors of a batch, or its right answers where there is no error, and the reason.
    """

    answers: tuple[Answer, ...]
    reason: str


class _Writer:
    """One search's work with the optimizer model; all children of a prompt are written together."""

    def __init__(
        self, settings: PromptAgent, problem: Problem, ask: Asking, evaluate: Evaluator, rng: Random
    ) -> None:
        self.ask = ask
        self._settings = settings
        self.problem = problem
        self._evaluate = evaluate
        self._rng = rng
        self._seen = {problem.seed.id}

    async def children(self, path: Sequence[Node], number: int) -> list[Candidate]:
        """Return new prompts written from the last one of the path.

        Each is written from the errors of its own batch, and the prompts on the path.
        """
        parent = path[-1].candidate
        series = [node.candidate.prompt.instruction for node in path]
        drafts = await self._drafts(parent)
        texts = await self.ask(
            [rewrite(self.problem, series, draft.answers, draft.reason) for draft in drafts]
        )
        written = unseen(
            [
                Candidate(
                    replace(parent.prompt, instruction=text),
                    "rewrite",
                    number,
                    parent.id,
                    draft.reason,
                )
                for draft, text in zip(drafts, texts, strict=True)
                if text
            ],
            self._seen,
        )
        self._seen.update(child.id for child in written)
        return written

    async def _drafts(self, parent: Candidate) -> list[_Draft]:
        batches = [
            some(self.problem.train, self._settings.batch, self._rng)
            for _ in range(self._settings.expand_width)
        ]
        answers = iter(
            await self._evaluate.answers(
                [(parent.prompt, example) for batch in batches for example in batch]
            )
        )
        tries = [[next(answers) for _ in batch] for batch in batches]
        shown = [_errors(tried) or _right(tried) for tried in tries]
        reasons = await self.ask(
            [
                criticise(self.problem, parent.prompt.instruction, answers)
                for answers in shown
                if _errors(answers)
            ]
        )
        given = iter(reasons)
        drafts = [
            (answers, next(given) if _errors(answers) else ALL_RIGHT)
            for answers in shown
            if answers
        ]
        return [_Draft(answers, reason) for answers, reason in drafts if reason]


def _errors(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    return tuple(answer for answer in answers if answer.is_error)


def _right(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    return tuple(answer for answer in answers if answer.is_right)


def _led_by(result: Node, standings: Sequence[Standing], scores: Scores) -> tuple[Standing, ...]:
    """Return the round's standings with the result first, as the only one kept."""
    first = scores.standing(result.candidate.id)
    if first is None:
        return tuple(standings)
    others = [
        replace(standing, kept=False)
        for standing in standings
        if standing.candidate.id != result.candidate.id
    ]
    return (replace(first, kept=True), *others)
