"""The evaluation that a trial hands to its strategy."""

from collections.abc import Sequence
from random import Random
from typing import Any

from cluster.trial.budget import TrialBudget
from cluster.trial.form_control import FormControl
from optimizer.candidate import Candidate, Problem, Standing
from optimizer.evaluation.evaluator import Evaluation
from optimizer.prompt import Prompt
from optimizer.statistics import Estimate, estimate
from optimizer.types import Answer, Example, Purpose


class TrialEvaluation(Evaluation):
    """An evaluation that reserves the final test of every prompt that is compared on dev.

    It also records how prompts did on the training items on which the search tried them, and
    reserves the control arm as soon as an answer shows that one is needed.
    """

    def __init__(
        self, trial_budget: TrialBudget, form: FormControl, problem: Problem, *given: Any
    ) -> None:
        super().__init__(*given)
        self._problem = problem
        self._trial_budget = trial_budget
        self._form = form
        self._score_by_example: dict[str, dict[str, float | None]] = {}
        # The texts are those that the trial remembers anyhow.
        self._dev_answers: dict[str, dict[str, Answer]] = {}

    async def select(
        self, candidates: Sequence[Candidate], keep: int, rng: Random
    ) -> tuple[Standing, ...]:
        """Select as Evaluation.select does, after reserving the final test of the candidates.

        A candidate without the kept parts never competes. Our operators refuse such a reply when it
        is read; a strategy that comes from elsewhere may write prompts of its own.
        """
        candidates = [one for one in candidates if not self._problem.fault_of(one.prompt)]
        await self._trial_budget.may_be_best([candidate.prompt for candidate in candidates])
        return await super().select(candidates, keep, rng)

    async def answers(
        self, work: Sequence[tuple[Prompt, Example]], purpose: Purpose = "learn"
    ) -> list[Answer]:
        """Answer as Evaluation.answers does, and record the scores of training items."""
        answers = await super().answers(work, purpose)
        if purpose != "test":
            for (prompt, _), answer in zip(work, answers, strict=True):
                if self._form.look(prompt, [answer]) and self._form.prompt is not None:
                    self._trial_budget.reserve_for_control(self._form.prompt)
        if purpose == "validate":
            for (prompt, example), answer in zip(work, answers, strict=True):
                self._dev_answers.setdefault(prompt.id, {})[example.id] = answer
        if purpose == "learn":
            for (prompt, example), answer in zip(work, answers, strict=True):
                self._score_by_example.setdefault(prompt.id, {})[example.id] = answer.score.value
        return answers

    def dev_answers(self, prompt: Prompt) -> tuple[Answer, ...]:
        """Return the answers on the dev items on which the search has compared a prompt."""
        return tuple(self._dev_answers.get(prompt.id, {}).values())

    def tried(self, prompt: Prompt) -> Estimate:
        """Return the accuracy of a prompt on the training items that the search tried it on."""
        return estimate(list(self._score_by_example.get(prompt.id, {}).values()))
