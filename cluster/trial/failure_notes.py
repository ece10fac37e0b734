"""Record which model's failure ended a trial."""

from collections.abc import Sequence

from optimizer.budget.cost import Role
from optimizer.errors import BudgetExhausted, PromptrayError
from optimizer.outcome_counts import OutcomeCounts
from optimizer.protocols import LanguageModel
from optimizer.types import Outcome, Request


class Noting:
    """A model that records the error that ended it for good."""

    def __init__(self, model: LanguageModel, role: Role, lost: dict[Role, PromptrayError]) -> None:
        self._model = model
        self._role = role
        self._lost = lost

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Complete the requests, and record an error of ours before it is raised again."""
        try:
            return await self._model.complete(requests)
        except PromptrayError as problem:
            if not isinstance(problem, BudgetExhausted):  # a budget is no model's fault
                self._lost[self._role] = problem
            raise


class CountedJudge:
    """A model that grades, whose failed calls are counted by their reasons."""

    def __init__(self, model: LanguageModel, outcome_counts: OutcomeCounts) -> None:
        self._model = model
        self._outcome_counts = outcome_counts

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Complete the requests, and count those that brought nothing."""
        outcomes = await self._model.complete(requests)
        self._outcome_counts.failed("grader", outcomes)
        return outcomes
