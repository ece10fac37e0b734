"""The optimizer model of one trial, as its search sees it."""

from collections.abc import Sequence

from optimizer.outcome_counts import OutcomeCounts
from optimizer.protocols import LanguageModel
from optimizer.types import Outcome, Request


class CountedModel:
    """An OptimizerModel: a language model, and where the use of its replies is counted."""

    def __init__(self, model: LanguageModel, outcome_counts: OutcomeCounts | None = None) -> None:
        """Count into `outcome_counts`; None: into counts that nobody else looks at."""
        self._model = model
        self.outcome_counts = outcome_counts or OutcomeCounts()

    @property
    def name(self) -> str:
        """Return the model's identity."""
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Complete as LanguageModel does."""
        return await self._model.complete(requests)
