"""ABO: optimizes what the target model does, not only what it is told. Ma et al., "Are Large Language Models Good Prompt
Optimizers?", arXiv 2402.02101, section 6.

  a. Decompose the task into numbered steps, each with a result that can be checked.
  b. Demonstrate the steps on a few training examples, so that the target model follows them.
  c. Let the target model answer, step by step.
  d. Localise, in its errors, the step that failed first; vote.
  e. Refine that step alone; demonstrate the changed steps anew.
  f. Select, and go on with c.

The paper's code is not public: what its text leaves open is marked [ours]. Knows no engine, no clock and no test split.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Literal, get_args

from optimizer.candidate import Candidate, Problem, Round
from optimizer.operators.asking import Asking, Question
from optimizer.operators.decompose import decompose
from optimizer.operators.demonstrate import demonstrate
from optimizer.operators.localise import Blame, localise
from optimizer.operators.refine import refine, wording
from optimizer.operators.template import attempted, solved
from optimizer.prompt import Demonstration, Prompt, Step
from optimizer.protocols import Evaluator, LanguageModel
from optimizer.strategies.lineage import unseen
from optimizer.strategies.minibatch import errors_by_parent, some
from optimizer.strategies.ranges import at_least, one_of
from optimizer.types import Answer, Example, Sampling

Localise = Literal["vote", "random"]
Refine = Literal["step", "whole_prompt"]
EVIDENCE_SHOWN = 3
"""Of the votes for a step, so many are quoted to the refiner [ours]."""


@dataclass(frozen=True, kw_only=True)
class ABO:
    """Settings of the search. What it shares with APO has APO's values, so that the two differ only in what they propose [ours].

    The paper's ablations: `demonstrations=0`, `refine="whole_prompt"`, `localise="random"`. Raises SettingsError for a bad value.
    """

    rounds: int = 2
    """Rounds after round 0 (the paper reports steps 0, 1 and 2)."""
    beam: int = 4
    """Prompts kept of a round (APO's main.py: 4)."""
    minibatch: int = 64
    """Training examples that all prompts of a round are tried on, for their errors (APO's main.py: 64)."""
    decompositions: int = 4
    """Plans that compete in round 0, beside the seed prompt [ours]."""
    solved_examples: int = 4
    """Training examples with gold answers that a decomposition is shown [ours]."""
    demonstrations: int = 2
    """In a prompt (the paper shows them without saying how many) [ours]."""
    demonstration_attempts: int = 2
    """Training examples tried for one demonstration, each asked at most twice, before it is done without [ours]."""
    localised_errors: int = 8
    """Errors of one prompt that vote on its failing step [ours]."""
    cases: int = 2
    """Errors shown to the refiner and to a new decomposition [ours]."""
    children: int = 4
    """Refinements of one prompt in a round [ours] (APO: at most 8 new prompts)."""
    localise: Localise = "vote"
    """Which step is refined: the one that most errors blame, or any one."""
    refine: Refine = "step"
    """Whether that step alone is rewritten, or the whole prompt."""
    opening: str = "Follow these steps:"
    """What stands before the steps of a prompt [ours]."""
    closing: str = "Write the result of each step on a line of its own, as 'Step 1: ...'. End with 'Answer: ' and the answer."
    """What stands after them: the form in which a response is read back, step by step [ours]."""
    temperature: float = 0.7
    """Of the optimizer model (APO's main.py: 0.7)."""
    max_tokens: int = 1024
    """Of a reply of the optimizer model (APO's main.py: 1024)."""

    def __post_init__(self) -> None:
        at_least(0, rounds=self.rounds, decompositions=self.decompositions, demonstrations=self.demonstrations, cases=self.cases,
                 children=self.children, temperature=self.temperature)
        at_least(1, beam=self.beam, minibatch=self.minibatch, solved_examples=self.solved_examples,
                 demonstration_attempts=self.demonstration_attempts, localised_errors=self.localised_errors,
                 max_tokens=self.max_tokens)
        one_of(get_args(Localise), localise=self.localise)
        one_of(get_args(Refine), refine=self.refine)

    async def search(
        self, problem: Problem, optimizer: LanguageModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        """See protocols.Strategy."""
        ask = Asking(optimizer, Sampling(self.temperature, self.max_tokens), rng)
        teacher = _Teacher(self, problem, ask, rng)
        seed = Candidate(problem.seed, "seed", 0)
        plans = unseen(await teacher.demonstrated(await teacher.decomposed(seed)), {seed.id})
        seen = {seed.id, *(plan.id for plan in plans)}
        standings = await evaluate.select([seed, *plans], self.beam, rng)
        latest = Round(0, standings, f"{len(plans)} plans of steps beside the seed prompt.", ask.take_parse_failures())
        yield latest
        for number in range(1, self.rounds + 1):
            parents = latest.kept
            errors = await errors_by_parent(parents, problem.train, self.minibatch, evaluate, rng)
            findings = await teacher.localised(parents, errors)
            children = unseen(await teacher.demonstrated(await teacher.refined(findings, number)), seen)
            seen.update(child.id for child in children)
            standings = await evaluate.select([*parents, *children], self.beam, rng)
            latest = Round(number, standings, _note(findings, len(children)), ask.take_parse_failures())
            teacher.remember(latest)
            yield latest


@dataclass(frozen=True)
class _Finding:
    """What a round found out about one prompt: the step that failed (None: it has no steps), and errors that show it."""

    parent: Candidate
    blame: Blame | None
    cases: tuple[Answer, ...]


class _Teacher:
    """One search's work with the optimizer model. Each method asks about all prompts of a round together."""

    def __init__(self, settings: ABO, problem: Problem, ask: Asking, rng: Random) -> None:
        self._settings = settings
        self._problem = problem
        self._ask = ask
        self._rng = rng
        self._tried_by_step: defaultdict[str, list[str]] = defaultdict(list)

    async def decomposed(self, seed: Candidate) -> list[Candidate]:
        """a. Plans of the whole task, each from other solved examples."""
        shown = [some(self._problem.train, self._settings.solved_examples, self._rng) for _ in range(self._settings.decompositions)]
        task, prompt = self._problem.description, seed.prompt.text()
        plans = await self._ask([decompose(task, prompt, solved(examples)) for examples in shown])
        return [Candidate(self._behaviour(steps), "decompose", 0, seed.id) for steps in plans if steps]

    async def demonstrated(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """b. The candidates with new demonstrations of their steps; fewer where the optimizer model could not write a right one."""
        wanted = self._settings.demonstrations
        made: list[list[Demonstration]] = [[] for _ in candidates]
        unused = [iter(_spread(self._problem.train, self._rng)) for _ in candidates]
        for _ in range(self._settings.demonstration_attempts):
            orders = [(at, example) for at, shown in enumerate(made) for example in islice(unused[at], wanted - len(shown))]
            written = await self._ask([
                demonstrate(self._problem.description, candidates[at].prompt.steps, example) for at, example in orders])
            for (at, _example), demonstration in zip(orders, written, strict=True):
                made[at] += [demonstration] if demonstration else []
        return [
            replace(candidate, prompt=replace(candidate.prompt, demonstrations=tuple(shown)))
            for candidate, shown in zip(candidates, made, strict=True)]

    async def localised(self, parents: Sequence[Candidate], errors: Sequence[Sequence[Answer]]) -> list[_Finding]:
        """d. For each parent with errors, its failing step. One without steps has none to blame: it will be decomposed."""
        samples = [some(wrong, self._settings.localised_errors, self._rng) for wrong in errors]
        erring = [(parent, sample) for parent, sample in zip(parents, samples, strict=True) if sample]
        stepless = [self._finding(parent, None, sample) for parent, sample in erring if not parent.prompt.steps]
        stepped = [(parent, sample) for parent, sample in erring if parent.prompt.steps]
        if self._settings.localise == "random":
            return stepless + [self._finding(parent, self._any_step(parent), sample) for parent, sample in stepped]
        return stepless + await self._blamed_by_vote(stepped)

    async def _blamed_by_vote(self, stepped: Sequence[tuple[Candidate, list[Answer]]]) -> list[_Finding]:
        inspected = [(parent, error) for parent, sample in stepped for error in sample]
        blames = await self._ask([
            localise(self._problem.description, parent.prompt.steps, error) for parent, error in inspected])
        findings = []
        for parent, _ in stepped:
            votes = [(blame, error) for (erring, error), blame in zip(inspected, blames, strict=True) if blame and erring is parent]
            if votes:
                winner = vote([blame for blame, _ in votes])
                cases = [error for blame, error in votes if blame.step == winner.step]
                findings.append(self._finding(parent, winner, cases))
        return findings

    def _any_step(self, parent: Candidate) -> Blame:
        return Blame(self._rng.randint(1, len(parent.prompt.steps)), "ambiguous", "not inspected")

    def _finding(self, parent: Candidate, blame: Blame | None, errors: Sequence[Answer]) -> _Finding:
        return _Finding(parent, blame, tuple(errors[: self._settings.cases]))

    async def refined(self, findings: Sequence[_Finding], number: int) -> list[Candidate]:
        """e. New prompts in which only the failing step is another. Their demonstrations are to be made anew."""
        drafts = [finding for finding in findings for _ in range(self._settings.children)]
        written = await self._ask([self._refinement(finding) for finding in drafts])
        return [self._rewritten(finding, steps, number) for finding, steps in zip(drafts, written, strict=True) if steps]

    def _refinement(self, finding: _Finding) -> Question[tuple[Step, ...]]:
        task, prompt, blame = self._problem.description, finding.parent.prompt, finding.blame
        if blame is None or self._settings.refine == "whole_prompt":
            return decompose(task, prompt.text(), attempted(finding.cases), _reflection(blame))
        return refine(task, prompt.steps, blame, finding.cases, self._tried_by_step[prompt.steps[blame.step - 1].text])

    def _rewritten(self, finding: _Finding, steps: tuple[Step, ...], number: int) -> Candidate:
        parent, blame = finding.parent, finding.blame
        if blame is None or self._settings.refine == "whole_prompt":
            return Candidate(self._behaviour(steps), "decompose", number, parent.id, _reflection(blame))
        return Candidate(parent.prompt.with_step(blame.step, *steps), "refine", number, parent.id, _reflection(blame), blame.step)

    def remember(self, latest: Round) -> None:
        """Notes the round's refinements that came out behind the prompt that they refine, so that they are not written again."""
        ahead: dict[str, Prompt] = {}
        for standing in latest.standings:
            child = standing.candidate
            if child.round == latest.number and child.changed_step and child.parent in ahead:
                old, new = ahead[child.parent].steps, child.prompt.steps
                first, parts = child.changed_step - 1, len(new) - len(old) + 1
                tried = self._tried_by_step[old[first].text]
                tried += {wording(new[first : first + parts])}.difference(tried)
            ahead[child.id] = child.prompt

    def _behaviour(self, steps: tuple[Step, ...]) -> Prompt:
        return Prompt(self._settings.opening, steps, closing=self._settings.closing)


def vote(blames: Sequence[Blame]) -> Blame:
    """The step that most of the blames name (of equals the earlier one), how it mostly failed, and some of the evidence.

    >>> vote([Blame(2, "wrong", "a"), Blame(1, "skipped", "b"), Blame(2, "skipped", "c"), Blame(2, "wrong", "d")])
    Blame(step=2, kind='wrong', evidence='a\\nc\\nd')
    """
    votes = Counter(blame.step for blame in blames)
    step = min(votes, key=lambda candidate: (-votes[candidate], candidate))
    agreeing = [blame for blame in blames if blame.step == step]
    kind = Counter(blame.kind for blame in agreeing).most_common(1)[0][0]
    evidence = dict.fromkeys(blame.evidence for blame in agreeing)
    return Blame(step, kind, "\n".join(list(evidence)[:EVIDENCE_SHOWN]))


def _spread(examples: Sequence[Example], rng: Random) -> list[Example]:
    """The examples shuffled, and so that answers alternate: demonstrations that all say "Yes" would teach to say "Yes" [ours]."""
    turns: Counter[str] = Counter()
    turn_by_id = {}
    shuffled = some(examples, len(examples), rng)
    for example in shuffled:
        turn_by_id[example.id] = turns[example.answers[0]]
        turns[example.answers[0]] += 1
    return sorted(shuffled, key=lambda example: turn_by_id[example.id])


def _reflection(blame: Blame | None) -> str:
    return f"Step {blame.step} was {blame.kind}: {blame.evidence}" if blame else ""


def _note(findings: Sequence[_Finding], children: int) -> str:
    blames = [f"step {finding.blame.step} ({finding.blame.kind})" for finding in findings if finding.blame]
    return f"Failing first: {', '.join(blames) or 'no step'}; {children} new prompts from {len(findings)}."
