"""What an evaluation runs in: a Ray of its own until Ctrl-C, or a service's."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from cluster.ray_runtime.session import ray_session
from optimizer.budget.call_budget import Usage
from optimizer.budget.cost import Role
from optimizer.budget.paying import Paying

HOLDER = "evaluation"
"""The name of an evaluation where trials have theirs, such as in budgets."""
_LOOK_EVERY_S = 0.25


class EvaluationStopped(Exception):
    """The evaluation was stopped before its end; every finished call is in its ledger."""


class OwnersBudget(Paying, Protocol):
    """The day of the owner of an evaluation, which pays beside its own budget."""

    async def begin(self) -> None:
        """Begin its spending; call it at every start."""


@dataclass(frozen=True)
class Spending:
    """What a run has spent so far."""

    usage_by_role: Mapping[Role, Usage] = field(default_factory=dict)
    money: float | None = None
    """None where it is not known."""
    paused: str = ""
    """Why it waits, while an endpoint is down; else ""."""


@dataclass(frozen=True)
class EvaluationContext:
    """What an evaluation runs in."""

    session: Callable[[], AbstractContextManager[None]] = ray_session
    """Provides Ray while it runs."""
    group: tuple[str, ...] | None = None
    """Its group in the fair share of the models' slots (see RunContext.group)."""
    owner: OwnersBudget | None = None
    """Who pays beside the evaluation's own budget; None: nobody else."""
    lasting: bool = False
    """Whether this process lives on for others: then the actors of this run are ended with it."""
    stop: Callable[[], bool] = lambda: False
    """Called several times a second: returns whether it is to stop, where no Ctrl-C comes."""
    spent: Callable[[Spending], None] = lambda spending: None
    """Is told several times a second what was spent, where that has changed."""


async def until_stopped(
    work: Coroutine[Any, Any, None], context: EvaluationContext, spending: Callable[[], Spending]
) -> None:
    """Run the work to its end, and tell meanwhile what it has spent.

    Raises:
        EvaluationStopped: The context has stopped it.
    """
    running, told = asyncio.ensure_future(work), Spending()

    def tell() -> None:
        nonlocal told
        if (now := spending()) != told:
            told = now
            context.spent(now)

    try:
        while not running.done():
            await asyncio.wait([running], timeout=_LOOK_EVERY_S)
            tell()
            if context.stop() and not running.done():
                raise EvaluationStopped
    finally:
        if not running.done():
            running.cancel()
            await asyncio.wait([running])
        tell()
    running.result()
