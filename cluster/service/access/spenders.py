"""Whoever spends for an owner: jobs, probes, and callers at the models' gateway.

Each goes to the controller's OwnerBudgets for it.

Knows the controller as whatever brings it an act. For one event loop each, but for JobShare, which
is picklable.
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

_OF = "the service"
KNOWN_FOR_S = 2.0
"""For so long it is taken for known whether an owner has a limit [ours]."""
GATEWAY = "door"


class JobShare:
    """A job's part of its owner's day, for its trials. Small and picklable."""

    def __init__(self, controller: Any, owner: str, job: str) -> None:
        self._controller = controller
        self._owner = owner
        self.job = job

    def of(self, trial: str) -> OwnerBudgetClient:
        return OwnerBudgetClient(self.ask, self.tell, self._owner, self.holder(trial))

    def holder(self, trial: str) -> str:
        """The name of a trial among all that the owner's day is spent by."""
        return f"{self.job}/{trial}"

    async def ask(self, act: str, *given: Any) -> Any:
        return await answered(self._controller.spend.remote(act, *given), _OF)

    def tell(self, act: str, *given: Any) -> None:
        self._controller.spend.remote(act, *given)


class GatewayMetrics:
    """Meters what callers ask of the models at the gateway.

    `spend` brings an act to the controller and gives what it says.
    """

    def __init__(
        self, spend: Callable[..., Awaitable[Any]], models: Sequence[ModelSettings]
    ) -> None:
        self._spend = spend
        self._price_list_by_label = {
            model.label: price_list_of(model, "target") for model in models
        }
        self._bounded_by_owner: dict[str, tuple[float, bool]] = {}

    def __call__(self, principal: Hashable, label: str, model: LanguageModel) -> LanguageModel:
        """The model, as this caller may ask it. A key of the gateway's own is no owner's."""
        return (
            Metered(model, self, principal.owner, self._price_list_by_label[label])
            if isinstance(principal, Principal)
            else model
        )

    async def spend(self, act: str, *given: Any) -> Any:
        return await self._spend(act, *given)

    async def bounded(self, owner: str) -> bool:
        """Has the owner a limit?"""
        known_at, bounded = self._bounded_by_owner.get(owner, (float("-inf"), False))
        if time.monotonic() - known_at > KNOWN_FOR_S:
            bounded = bool(await self._spend("open", owner))
            self._bounded_by_owner[owner] = time.monotonic(), bounded
        return bounded


class Metered:
    """A model whose calls are the owner's: on record before they go out where the owner has a
    limit, and afterwards where there is
    none. A call that breaks counts at the most that it can cost.
    """

    def __init__(
        self, model: LanguageModel, meter: GatewayMetrics, owner: str, price_list: PriceList
    ) -> None:
        self._model = model
        self._meter = meter
        self._owner = owner
        self._price_list = price_list

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """As LanguageModel.complete.

        Raises Refused where the owner's quota has no room for all of them.
        """
        key = await self._sent(requests)
        outcomes: Sequence[Outcome] | None = None
        try:
            outcomes = await self._model.complete(requests)
            return outcomes
        finally:
            await self._settle(key, requests, outcomes)

    async def stream(self, request: Request) -> AsyncIterator[Piece]:
        """As streaming.pieces."""
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
        """The key of the call on record; None where it is not on record yet."""
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
