"""A model that notes what ended it for good, for whoever is to know which of a trial's models is
gone. Knows no trial.
"""

from collections.abc import Sequence

from optimizer.budget.cost import Role
from optimizer.errors import BudgetExhausted, PromptrayError
from optimizer.protocols import LanguageModel
from optimizer.types import Outcome, Request


class Noting:
    """A model, and a note of what ended it for good."""

    def __init__(self, model: LanguageModel, role: Role, lost: dict[Role, PromptrayError]) -> None:
        self._model = model
        self._role = role
        self._lost = lost

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        try:
            return await self._model.complete(requests)
        except PromptrayError as problem:
            if not isinstance(problem, BudgetExhausted):  # a budget is no model's fault
                self._lost[self._role] = problem
            raise
