"""What spends for an owner: jobs, probes, and principals at the models' gateway.

Each calls the controller's OwnerBudgets. For one event loop each, but for JobShare, which is
picklable.
"""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from typing import Any

from cluster.service.access.owner_budgets import OwnerBudgetClient, as_calls
from cluster.service.core.backend import Principal
from cluster.trial.budget import price_list_of
from optimizer.budget.cost import Cost, PriceList
from optimizer.errors import QuotaExhausted
from optimizer.protocols import LanguageModel
from optimizer.types import Outcome, Request
from serving.contracts.streaming import Piece, pieces
from serving.gateway.errors import Refused
from serving.runtime.actors import answered
from serving.settings import ModelSettings

_SERVICE = "the service"
KNOWN_FOR_S = 2.0
"""Seconds for which it is remembered whether an owner has a limit [ours]."""
GATEWAY = "door"
"""The holder's name for all calls at the gateway; recorded budgets have it under the old word."""


class JobShare:
    """A job's share of its owner's daily budget, for its trials; small and picklable."""

    def __init__(self, controller: Any, owner: str, job: str) -> None:
        """Spend for one job.

        Args:
            controller: The handle of the controller's actor.
            owner: The owner.
            job: The job's id.
        """
        self._controller = controller
        self._owner = owner
        self.job = job

    def of(self, trial: str) -> OwnerBudgetClient:
        """Return the budget client of a trial."""
        return OwnerBudgetClient(self.call, self.notify, self._owner, self.holder(trial))

    def holder(self, trial: str) -> str:
        """Return the name of a trial among all that spend the owner's budget."""
        return f"{self.job}/{trial}"

    async def call(self, act: str, *given: Any) -> Any:
        """Call a method of OwnerBudgets, and return its answer."""
        return await answered(self._controller.spend.remote(act, *given), _SERVICE)

    def notify(self, act: str, *given: Any) -> None:
        """Call a method of OwnerBudgets without waiting."""
        self._controller.spend.remote(act, *given)


class GatewayMeter:
    """Meters the calls of models at the gateway, for the owners' quotas."""

    def __init__(
        self, spend: Callable[..., Awaitable[Any]], models: Sequence[ModelSettings]
    ) -> None:
        """Meter these models.

        Args:
            spend: Calls a method of OwnerBudgets, and returns its answer.
            models: The models of the gateway.
        """
        self._spend = spend
        self._price_list_by_label = {
            model.label: price_list_of(model, "target") for model in models
        }
        self._bounded_by_owner: dict[str, tuple[float, bool]] = {}

    def __call__(self, principal: Hashable, label: str, model: LanguageModel) -> LanguageModel:
        """Return the model as this principal may call it.

        A key of the gateway's own has no owner, and is not metered.
        """
        return (
            MeteredModel(model, self, principal.owner, self._price_list_by_label[label])
            if isinstance(principal, Principal)
            else model
        )

    async def spend(self, act: str, *given: Any) -> Any:
        """Call a method of OwnerBudgets, and return its answer."""
        return await self._spend(act, *given)

    async def bounded(self, owner: str) -> bool:
        """Return whether the owner has a limit of calls or money."""
        known_at, bounded = self._bounded_by_owner.get(owner, (float("-inf"), False))
        if time.monotonic() - known_at > KNOWN_FOR_S:
            bounded = bool(await self._spend("open", owner))
            self._bounded_by_owner[owner] = time.monotonic(), bounded
        return bounded


class MeteredModel:
    """A model whose calls an owner pays for.

    They are recorded before they are sent if the owner has a limit, and afterwards if not. A call
    that breaks counts at its maximum.
    """

    def __init__(
        self, model: LanguageModel, meter: GatewayMeter, owner: str, price_list: PriceList
    ) -> None:
        """Meter a model for one owner.

        Args:
            model: The model.
            meter: What brings the costs to the owner's budget.
            owner: The owner.
            price_list: The prices of the model.
        """
        self._model = model
        self._meter = meter
        self._owner = owner
        self._price_list = price_list

    @property
    def name(self) -> str:
        """Return the name of the model."""
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Complete the requests; see LanguageModel.complete.

        Raises:
            Refused: The owner's quota has no room for all of them.
        """
        key = await self._sent(requests)
        outcomes: Sequence[Outcome] | None = None
        try:
            outcomes = await self._model.complete(requests)
            return outcomes
        finally:
            await self._settle(key, requests, outcomes)

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        """Yield the answer to a request piece by piece; see streaming.pieces.

        Raises:
            Refused: The owner's quota has no room.
        """
        key = await self._sent([request])
        last: Piece | None = None
        try:
            async for last in pieces(self._model, request):
                yield last
        finally:
            await self._settle(
                key, [request], None if last is None or isinstance(last, str) else [last]
            )

    async def _sent(self, requests: Sequence[Request]) -> bytes | None:
        """Record calls before they are sent.

        Returns:
            The key of the record; None if it is recorded afterwards.
        """
        if not await self._meter.bounded(self._owner):
            return None
        key = os.urandom(16)
        try:
            await self._meter.spend("send", self._owner, GATEWAY, {key: self._most(requests)}, True)
        except QuotaExhausted as problem:
            raise Refused(429, "quota_exceeded", str(problem), retry_after_s=60.0) from None
        return key

    async def _settle(
        self, key: bytes | None, requests: Sequence[Request], outcomes: Sequence[Outcome] | None
    ) -> None:
        cost = (
            self._most(requests)
            if outcomes is None
            else as_calls(Cost.of_all(map(self._price_list.of, outcomes, requests)))
        )
        if key is None:
            await self._meter.spend("note", self._owner, cost)
        else:
            await self._meter.spend("settle", self._owner, GATEWAY, {key: cost}, True)

    def _most(self, requests: Sequence[Request]) -> Cost:
        return as_calls(Cost.of_all(map(self._price_list.at_most, requests)))
