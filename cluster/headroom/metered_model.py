"""A model that counts what its calls cost, so that a check can say what those of a run will."""

import time
from collections.abc import Sequence
from dataclasses import replace

from cluster.headroom.cost_estimate import CallCost
from optimizer.outcome_counts import Asked, Failure, OutcomeCounts
from optimizer.protocols import LanguageModel
from optimizer.types import Completion, Outcome, Request


class MeteredModel:
    """A model that counts the tokens, speed and failures of its calls."""

    def __init__(self, model: LanguageModel, role: Asked) -> None:
        self._model = model
        self._role = role
        self._outcome_counts = OutcomeCounts()
        self._calls = self._fresh = self._measured = self._read = self._written = 0
        self._busy_s = 0.0

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self._model.name

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Return the calls without a usable answer, by reason."""
        return self._outcome_counts.failures

    def cost(self, known: CallCost) -> CallCost:
        """Return the measured cost of a call, filled up with `known` where nothing was measured.

        Not measured are the speed of cached answers, and the tokens of an endpoint that does not
        report them.
        """
        if not self._calls:
            return known
        rate = self._fresh / self._busy_s if self._fresh else known.calls_per_s
        if not self._measured:
            return replace(known, calls_per_s=rate)
        return CallCost(self._read / self._measured, self._written / self._measured, rate)

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Complete the requests as LanguageModel.complete does, and measure them."""
        started = time.monotonic()
        outcomes = await self._model.complete(requests)
        self._outcome_counts.failed(self._role, outcomes)
        answers = [outcome for outcome in outcomes if isinstance(outcome, Completion)]
        fresh = sum(not answer.from_ledger for answer in answers)
        self._calls += len(answers)
        for answer in answers:
            if answer.prompt_tokens is not None and answer.completion_tokens is not None:
                self._measured += 1
                self._read += answer.prompt_tokens
                self._written += answer.completion_tokens
        if fresh:
            self._fresh += fresh
            self._busy_s += time.monotonic() - started
        return outcomes
