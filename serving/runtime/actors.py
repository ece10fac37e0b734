"""What our named actors on the Ray cluster have in common: where they live, and how what they raise
is told. Knows none of them.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from optimizer.errors import PromptrayError, StorageError
from serving.storage import Folder

NAMESPACE = "promptray"
FAULTS = (RayTaskError, ActorDiedError, ActorUnavailableError)
"""What a call of an actor raises."""
T = TypeVar("T")


def lasting(folder: Folder) -> dict[str, Any]:
    """Ray's options for an actor whose state stands in a folder: it needs no CPU of its own and
    comes back by itself after a crash.
    A folder of this machine keeps it on this node; on shared storage it may come back on any.
    """
    options: dict[str, Any] = {
        "namespace": NAMESPACE,
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": 20,
        "max_concurrency": 1000,
    }
    if folder.local:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
    return options


async def answered(call: Awaitable[T], of: str, within_s: float | None = None) -> T:
    """The answer of an actor, the one `of` something; what it raises as `told` tells it.

    Raises StorageError where it says nothing
    for `within_s` seconds.
    """
    try:
        async with asyncio.timeout(within_s):
            return await call
    except TimeoutError:
        raise StorageError(
            f"The process of {of} has not answered for {within_s:g} s; whether it has done what "
            "was asked is not known: look, and "
            "ask again."
        ) from None
    except FAULTS as problem:
        raise told(problem, of) from None


def told(problem: RayError, of: str) -> Exception:
    """Our own error out of an actor as it was raised there, any other fault in it unchanged;
    StorageError where it is gone.
    """
    if isinstance(problem, RayTaskError):
        return problem.cause if isinstance(problem.cause, PromptrayError) else problem
    return StorageError(f"The process of {of} is gone ({problem}); start the same command again.")
