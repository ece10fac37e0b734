"""Common parts of the named actors on the Ray cluster: namespace, options and error handling.

Knows none of the actors.
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
"""Exceptions that a call of an actor raises."""
T = TypeVar("T")


def lasting(folder: Folder) -> dict[str, Any]:
    """Return Ray's options for an actor whose state is stored in a folder.

    It needs no CPU of its own and restarts after a crash. A folder of this machine pins it to this
    node; on shared storage it may restart on any.
    """
    options: dict[str, Any] = {
        "namespace": NAMESPACE,
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": 20,
        "max_concurrency": 1000,
    }
    # Not soft: on another node the folder would be another one.
    if folder.local:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
    return options


async def answered(call: Awaitable[T], of: str, within_s: float | None = None) -> T:
    """Return the answer of an actor.

    Args:
        call: The call of the actor.
        of: What the actor belongs to, for messages.
        within_s: Seconds to wait; None: without a limit.

    Raises:
        StorageError: If the actor does not answer in time, or is gone.
        PromptrayError: If the actor raised one.
    """
    try:
        # Not wait_for, in which a cancellation may be lost.
        async with asyncio.timeout(within_s):
            return await call
    except TimeoutError:
        raise StorageError(
            f"The process of {of} has not answered for {within_s:g} s; it is not known whether the "
            "request was carried out. Check, then repeat it."
        ) from None
    except FAULTS as problem:
        raise actor_error(problem, of) from None


def actor_error(problem: RayError, of: str) -> Exception:
    """Return the error of a failed call as it was raised inside the actor.

    A StorageError stands for an actor that is gone.
    """
    if isinstance(problem, RayTaskError):
        return problem.cause if isinstance(problem.cause, PromptrayError) else problem
    return StorageError(f"The process of {of} is gone ({problem}); start the same command again.")
