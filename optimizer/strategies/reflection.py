"""The rounds of explicit reflection with a beam, which APO and APO-Sum share.

They differ only in the reason that an editor sees. Each round, for every prompt of the beam:
collect its errors on a shared minibatch; a critic explains why it failed, from a few errors at a
time; an editor writes a new prompt from each group of errors and the reason; paraphrases search
around each new prompt and around the old one. Then all compete. It writes instructions only: steps
and demonstrations that a prompt may hold stay as they are. Knows no engine, no clock and no test
split.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from optimizer.candidate import Candidate, Problem, Round
from optimizer.operators.asking import Asking
from optimizer.operators.criticise import criticise
from optimizer.operators.edit import edit
from optimizer.operators.new_prompt import sampling_for
from optimizer.operators.paraphrase import paraphrase
from optimizer.prompt import Prompt
from optimizer.protocols import Evaluator, OptimizerModel
from optimizer.sampling import some, some_errors
from optimizer.strategies.lineage import unseen
from optimizer.strategies.minibatch import errors_by_parent
from optimizer.types import Answer
from optimizer.validators import at_least


@dataclass(frozen=True)
class Group:
    """A few errors of one prompt, which a critic sees together."""

    parent: Candidate
    errors: tuple[Answer, ...]


@dataclass(frozen=True, kw_only=True)
class Reflection(ABC):
    """Settings of the search.

    The defaults are those of `main.py` in microsoft/LMOps `prompt_optimization`, ProTeGi's own
    code.

    Raises:
        SettingsError: For a value out of range.
    """

    rounds: int = 6
    """Rounds after round 0."""
    beam: int = 4
    """Prompts kept of a round."""
    minibatch: int = 64
    """Training examples that all prompts of a round are tried on, for their errors."""
    error_groups: int = 4
    """Criticisms of one prompt in a round, and edits of it."""
    errors_per_group: int = 4
    """Maximum number of errors that a critic sees."""
    paraphrases: int = 2
    """Paraphrases of each new prompt, and of the old one."""
    max_children: int = 8
    """Maximum number of new prompts of one old prompt that compete; a random choice of all."""
    temperature: float = 0.7
    """Temperature of the optimizer model."""
    max_tokens: int = 1024
    """Maximum tokens of a reply of the optimizer model."""

    def __post_init__(self) -> None:
        at_least(
            0,
            rounds=self.rounds,
            error_groups=self.error_groups,
            paraphrases=self.paraphrases,
            temperature=self.temperature,
        )
        at_least(
            1,
            beam=self.beam,
            minibatch=self.minibatch,
            errors_per_group=self.errors_per_group,
            max_children=self.max_children,
            max_tokens=self.max_tokens,
        )

    @abstractmethod
    async def _guidance(
        self, groups: Sequence[Group], reasons: Sequence[str | None], problem: Problem, ask: Asking
    ) -> Sequence[str | None]:
        """Return the reason that the editor of each group sees, given the critics' reasons.

        None means that nothing is known, and nothing is edited.
        """

    async def search(
        self, problem: Problem, optimizer: OptimizerModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        """Yield the rounds of the search (see protocols.Strategy)."""
        ask = Asking(optimizer, sampling_for(problem, self.temperature, self.max_tokens), rng)
        seed = Candidate(problem.seed, "seed", 0)
        seen = {seed.id}
        standings = await evaluate.select([seed], self.beam, rng)
        latest = Round(0, standings, "The baseline alone.")
        yield latest
        problem = problem.with_baseline_score(standings)
        for number in range(1, self.rounds + 1):
            parents = latest.kept
            errors = await errors_by_parent(parents, problem.train, self.minibatch, evaluate, rng)
            groups = self._groups(parents, errors, rng)
            edits = await self._edits(groups, problem, ask, number)
            paraphrases = await self._paraphrases(parents, edits, problem, ask, number)
            children = self._capped(parents, unseen([*edits, *paraphrases], seen), rng)
            seen.update(child.id for child in children)
            standings = await evaluate.select([*parents, *children], self.beam, rng)
            note = (
                f"{len(groups)} criticisms of {sum(map(len, errors))} errors; {len(children)} new "
                f"prompts from {len(parents)}."
            )
            latest = Round(number, standings, note, ask.take_parse_failures())
            yield latest
            ask.go_on()

    def _groups(
        self, parents: Sequence[Candidate], errors: Sequence[list[Answer]], rng: Random
    ) -> list[Group]:
        return [
            Group(parent, tuple(some_errors(wrong, self.errors_per_group, rng)))
            for parent, wrong in zip(parents, errors, strict=True)
            if wrong
            for _ in range(self.error_groups)
        ]

    async def _edits(
        self, groups: Sequence[Group], problem: Problem, ask: Asking, number: int
    ) -> list[Candidate]:
        """Run the critic, then the editor: at most one new prompt for each group."""
        reasons = await ask(
            [criticise(problem, group.parent.prompt.instruction, group.errors) for group in groups]
        )
        guidance = await self._guidance(groups, reasons, problem, ask)
        criticised = [
            (group, reason) for group, reason in zip(groups, guidance, strict=True) if reason
        ]
        texts = await ask(
            [
                edit(problem, group.parent.prompt.instruction, group.errors, reason)
                for group, reason in criticised
            ]
        )
        return [
            Candidate(
                replace(group.parent.prompt, instruction=text),
                "edit",
                number,
                group.parent.id,
                reason,
            )
            for (group, reason), text in zip(criticised, texts, strict=True)
            if text
        ]

    async def _paraphrases(
        self,
        parents: Sequence[Candidate],
        edits: Sequence[Candidate],
        problem: Problem,
        ask: Asking,
        number: int,
    ) -> list[Candidate]:
        """Return rewordings of the beam and of its edits.

        Their parent is the beam's prompt, since an edit may not come to compete.
        """
        origins: list[tuple[Prompt, str | None, str]] = [
            (parent.prompt, parent.id, "") for parent in parents
        ]
        origins += [(edited.prompt, edited.parent, edited.reflection) for edited in edits]
        # An empty instruction cannot be paraphrased.
        drawn = [
            origin for origin in origins if origin[0].instruction for _ in range(self.paraphrases)
        ]
        texts = await ask([paraphrase(prompt.instruction, problem) for prompt, _, _ in drawn])
        return [
            Candidate(replace(prompt, instruction=text), "paraphrase", number, parent, reason)
            for (prompt, parent, reason), text in zip(drawn, texts, strict=True)
            if text
        ]

    def _capped(
        self, parents: Sequence[Candidate], children: Sequence[Candidate], rng: Random
    ) -> list[Candidate]:
        """Return at most `max_children` of each parent."""
        # Capped by parent, so that one prompt with many errors does not crowd out the others.
        litters = [[child for child in children if child.parent == parent.id] for parent in parents]
        return [child for litter in litters for child in some(litter, self.max_children, rng)]
