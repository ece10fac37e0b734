"""OPRO: implicit reflection, on scores instead of errors.

The optimizer model sees earlier instructions with their scores, and writes a better one. Each round
shows it the best instructions so far in ascending order of score, and a few examples of the task;
all samples of its reply compete. Yang et al., "Large Language Models as Optimizers", arXiv
2309.03409; as an arm of the comparison in Ma et al., arXiv 2402.02101. It writes instructions only:
steps and demonstrations of the baseline stay as they are. Knows no engine, no clock and no test
split.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from optimizer.candidate import Candidate, Problem, Round, Standing
from optimizer.operators.asking import Asking
from optimizer.operators.new_prompt import sampling_for
from optimizer.operators.propose import propose
from optimizer.protocols import Evaluator, OptimizerModel
from optimizer.questions.reply import MOST_OF_BASELINE
from optimizer.sampling import some
from optimizer.strategies.scores import Scores
from optimizer.validators import at_least


@dataclass(frozen=True, kw_only=True)
class OPRO:
    """Settings of the search.

    The defaults are those of `optimize_instructions.py` in google-deepmind/opro, the paper's own
    code. The paper scores an instruction on all of its training examples. Here a score is the dev
    accuracy that the selection rule found (scores.py explains its meaning where the rule looked at
    few items), so that all methods are selected alike [ours].

    Raises:
        SettingsError: For a value out of range.
    """

    rounds: int = 200
    """Rounds after round 0 (the code's 200 steps); a budget mostly ends it before."""
    samples: int = 8
    """Instructions drawn in a round, from the same question."""
    shown: int = 20
    """Maximum number of instructions shown: the best of all so far."""
    hide_below: float = 0.0
    """Instructions with a lower score, from 0 to 1, are not shown (the code: 0.3 for GPT targets,
    0.0 for a weaker one).
    """
    exemplars: int = 3
    """Training examples shown with their answers, a new choice each round."""
    max_characters: int = 500
    """Longer instructions are dropped; the question states this limit [ours]. Where the baseline is
    long it is half as much again as that.
    """
    beam: int = 4
    """Best prompts that compete again in the next round, as many as in APO [ours]. The paper's code
    has none: it keeps them all, and measures each once, on everything.
    """
    temperature: float = 1.0
    """Temperature of the optimizer model."""
    max_tokens: int = 512
    """Maximum tokens of a reply of the optimizer model."""

    def __post_init__(self) -> None:
        at_least(
            0,
            rounds=self.rounds,
            samples=self.samples,
            shown=self.shown,
            hide_below=self.hide_below,
            exemplars=self.exemplars,
            temperature=self.temperature,
        )
        at_least(1, beam=self.beam, max_characters=self.max_characters, max_tokens=self.max_tokens)

    async def search(
        self, problem: Problem, optimizer: OptimizerModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        """Yield the rounds of the search (see protocols.Strategy)."""
        ask = Asking(optimizer, sampling_for(problem, self.temperature, self.max_tokens), rng)
        archive = _Archive()
        seed = Candidate(problem.seed, "seed", 0)
        archive.admit(seed)
        standings = await evaluate.select([seed], self.beam, rng)
        archive.note(standings)
        latest = Round(0, standings, "The baseline alone.")
        yield latest
        problem = problem.with_baseline_score(standings)
        # The limit follows a long baseline: every proposal would be dropped otherwise.
        most = max(self.max_characters, int(MOST_OF_BASELINE * len(seed.prompt.instruction)))
        for number in range(1, self.rounds + 1):
            shown = archive.best(self.shown, self.hide_below)
            exemplars = some(problem.train, self.exemplars, rng)
            texts = await ask([propose(problem, shown, exemplars, most)] * self.samples)
            # All that were shown are its parents; a lineage is a tree, so the best survivor stands
            # for them.
            parent = latest.best.candidate
            drawn = [
                Candidate(replace(parent.prompt, instruction=text), "propose", number, parent.id)
                for text in texts
                if text and len(text) <= most
            ]
            overlong = sum(len(text or "") > most for text in texts)
            ask.refused(f"it is longer than {most} characters", overlong)
            children = [candidate for candidate in drawn if archive.admit(candidate)]
            standings = await evaluate.select([*latest.kept, *children], self.beam, rng)
            archive.note(standings)
            note = (
                f"{len(children)} new instructions, written after {len(shown)} earlier ones and "
                "their scores."
            )
            latest = Round(number, standings, note, ask.take_parse_failures())
            yield latest
            ask.go_on()


class _Archive:
    """Every instruction of the search, in order of arrival, with its score."""

    def __init__(self) -> None:
        self._candidates: list[Candidate] = []
        self._texts: set[str] = set()
        self._scores = Scores()

    def admit(self, candidate: Candidate) -> bool:
        """Add the instruction if it is new, and return whether it is.

        Upper case, white space and a last full stop make no difference (as in the code).
        """
        text = " ".join(candidate.prompt.instruction.casefold().split()).rstrip(".")
        new = text not in self._texts
        if new:
            self._texts.add(text)
            self._candidates.append(candidate)
        return new

    def note(self, standings: Sequence[Standing]) -> None:
        """Record the scores of a selection."""
        self._scores.note(standings)

    def best(self, at_most: int, least: float) -> list[tuple[str, int]]:
        """Return the best instructions with their scores from 0 to 100, in ascending order.

        Of equals the later one stands later.
        """
        known = [
            (candidate.prompt.instruction, score)
            for candidate in self._candidates
            if (score := self._scores.score(candidate.id)) is not None and score >= least
        ]
        # A stable sort: of equals the later instruction stays nearer to the question.
        ascending = sorted(known, key=lambda entry: entry[1])
        return [
            (instruction, round(100 * score))
            for instruction, score in ascending[max(0, len(ascending) - at_most) :]
        ]
