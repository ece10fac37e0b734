"""The ledger as one named actor of the Ray cluster, shared by all trials: the only writer of its folder, batched methods only."""

import hashlib
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from optimizer.errors import PromptrayError, StorageError
from optimizer.types import Completion
from serving.ledger import Ledger
from serving.single_flight import Claim, LedgerCounts, SharedLedger
from serving.storage import Folder, open_folder

NAMESPACE = "promptray"
T = TypeVar("T")


class LedgerActor:
    """`SharedLedger` behind Ray. Async: waiting callers do not hold up the others."""

    def __init__(self, folder: str) -> None:
        self._shared = SharedLedger(Ledger(folder))

    async def claim(self, keys: list[bytes], owner: str) -> list[Claim]:
        return await self._shared.claim(keys, owner)

    async def record(self, answer_by_key: dict[bytes, Completion]) -> list[Completion]:
        return await self._shared.record(answer_by_key)

    async def release(self, keys: list[bytes], owner: str) -> None:
        await self._shared.release(keys, owner)

    async def renew(self, owner: str) -> None:
        await self._shared.renew(owner)

    async def wait(self, keys: list[bytes]) -> None:
        await self._shared.wait(keys)

    async def counts(self) -> LedgerCounts:
        return await self._shared.counts()


class RemoteLedger:
    """A LedgerClient whose ledger lives in the actor. Small and picklable: hand it to trials.

    Raises StorageError where the actor cannot write, or is gone beyond its restarts.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def claim(self, keys: Sequence[bytes], owner: str) -> list[Claim]:
        return await _answer(self._actor.claim.remote(list(keys), owner))

    async def record(self, answer_by_key: Mapping[bytes, Completion]) -> list[Completion]:
        return await _answer(self._actor.record.remote(dict(answer_by_key)))

    async def release(self, keys: Sequence[bytes], owner: str) -> None:
        # Sent, not awaited: it is often called while the caller is being cancelled. A lost release only costs a lease.
        self._actor.release.remote(list(keys), owner)

    async def renew(self, owner: str) -> None:
        self._actor.renew.remote(owner)

    async def wait(self, keys: Sequence[bytes]) -> None:
        await _answer(self._actor.wait.remote(list(keys)))

    async def counts(self) -> LedgerCounts:
        return await _answer(self._actor.counts.remote())

    def counts_now(self, timeout_s: float = 5.0) -> LedgerCounts:
        """The counts, for a caller without an event loop."""
        counts: LedgerCounts = ray.get(self._actor.counts.remote(), timeout=timeout_s)
        return counts


def open_ledger(folder: Folder | Path | str) -> RemoteLedger:
    """The ledger of a folder on this Ray cluster; the same actor for every caller. Raises StorageError.

    The actor needs no CPU of its own, comes back by itself after a crash (the folder holds all that it must know), and ends with
    the job that opened it. A folder of this machine keeps it on this node; on shared storage it may come back on any.
    """
    place = open_folder(folder).absolute()
    place.make()  # a folder that cannot be used is found here, with a clear error
    options: dict[str, Any] = {
        "namespace": NAMESPACE, "get_if_exists": True, "num_cpus": 0, "max_restarts": -1, "max_task_retries": 3,
        "max_concurrency": 1000}
    node = ray.get_runtime_context().get_node_id() if place.local else ""
    if node:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
    # The same path on two nodes is two ledgers.
    name = f"ledger-{hashlib.sha256(f'{node}{place}'.encode()).hexdigest()[:12]}"
    actor: Any = ray.remote(LedgerActor).options(name=name, **options).remote(place.place)
    return RemoteLedger(actor)


async def _answer(call: Awaitable[T]) -> T:
    try:
        return await call
    except RayTaskError as problem:
        if isinstance(problem.cause, PromptrayError):
            raise problem.cause from None
        raise
    except (ActorDiedError, ActorUnavailableError) as problem:
        raise StorageError(f"The ledger's process is gone ({problem}); start the same command again.") from problem

