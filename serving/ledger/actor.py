"""The ledger as one named actor of a Ray job, shared by all its trials.

It is the only writer of its folder, and has batched methods only. The actor opens its folder at its
first call, and not when it is made: so an error of the folder reaches the caller as it is, after a
restart too. Its memory of the calls in flight is lost with its process; the owners' renewals
restore it (see single_flight.py).
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayError

from optimizer.errors import StorageError
from optimizer.types import Completion
from serving.ledger.coordinator import Claim, LedgerCoordinator, LedgerCounts
from serving.ledger.schema import Paid
from serving.ledger.single_flight import GRACE_S, SingleFlight
from serving.ledger.store import Ledger
from serving.runtime.actors import FAULTS, actor_error, answered, lasting
from serving.storage import Folder, open_folder

_OF = "the ledger"
CLOSE_WITHIN_S = 10.0
"""[ours]"""
OPENS_WITHIN_S = 600.0
"""A large ledger on a slow store is read whole [ours]."""
OPENINGS = 10
AGAIN_S = 0.3


LedgerAct = Literal["claim", "answers", "record", "release", "renew", "wait", "counts"]
"""The methods of LedgerCoordinator that callers in other processes may use."""


class LedgerActor:
    """`LedgerCoordinator` behind Ray; async, so that waiting callers do not delay the others."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._grace_s = (
            GRACE_S if ray.get_runtime_context().was_current_actor_reconstructed else 0.0
        )
        self._opening = asyncio.Lock()
        self._shared: LedgerCoordinator | None = None
        self._closed = False

    async def open(self) -> list[str]:
        """Open the folder, and return what is damaged.

        It may be called again after an error.

        Raises:
            StorageError: If the folder cannot be opened.
        """
        self._closed = False
        return (await self._ready()).damage

    async def close(self) -> None:
        """Release the folder, until `open` is called again."""
        async with self._opening:
            self._closed = True
            if self._shared:
                await asyncio.to_thread(self._shared.close)
                self._shared = None

    async def call(self, act: LedgerAct, *given: Any) -> Any:
        """Call a method of the coordinator by its name; RemoteLedger has the types."""
        return await getattr(await self._ready(), act)(*given)

    async def _ready(self) -> LedgerCoordinator:
        if self._shared:
            return self._shared
        async with self._opening:
            if self._closed:
                raise StorageError(
                    f"The ledger {self._folder} was closed; start the same command again."
                )
            if self._shared is None:
                self._shared = LedgerCoordinator(
                    await asyncio.to_thread(Ledger, self._folder),
                    SingleFlight(grace_s=self._grace_s),
                )
            return self._shared


class RemoteLedger:
    """A LedgerClient whose ledger lives in the actor; small and picklable: pass it to trials.

    Methods raise StorageError where the actor cannot write, or is gone beyond its restarts.
    """

    def __init__(self, actor: Any, damage: Sequence[str] = ()) -> None:
        self._actor = actor
        self.damage = tuple(damage)
        """A sentence for each segment that could not be read when it was opened."""

    async def claim(self, keys: Sequence[bytes], owner: str) -> list[Claim]:
        """Claim keys (see LedgerClient.claim)."""
        return await answered(self._call("claim", list(keys), owner), _OF)

    async def answers(self, keys: Sequence[bytes]) -> list[Completion | None]:
        """Return the answers of keys (see LedgerClient.answers)."""
        return await answered(self._call("answers", list(keys)), _OF)

    async def record(self, paid_by_key: Mapping[bytes, Paid]) -> list[Completion]:
        """Record answers (see LedgerClient.record)."""
        return await answered(self._call("record", dict(paid_by_key)), _OF)

    async def release(self, keys: Sequence[bytes], owner: str) -> None:
        """Release claims (see LedgerClient.release)."""
        # Sent, not awaited: it is often called while the caller is being cancelled. A lost release
        # only costs a lease.
        self._call("release", list(keys), owner)

    async def renew(self, keys: Sequence[bytes], owner: str) -> None:
        """Renew claims (see LedgerClient.renew)."""
        self._call("renew", list(keys), owner)

    async def wait(self, keys: Sequence[bytes]) -> None:
        """Wait for keys in flight (see LedgerClient.wait)."""
        await answered(self._call("wait", list(keys)), _OF)

    async def counts(self) -> LedgerCounts:
        """Return how the ledger was used."""
        return await answered(self._call("counts"), _OF)

    def _call(self, act: LedgerAct, *given: Any) -> Any:
        return self._actor.call.remote(act, *given)

    def end(self) -> None:
        """End the actor, for an opener that goes on with something else.

        Trials may still hold handles of it.
        """
        ray.kill(self._actor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # After an error, or Ctrl-C, callers may still be recording what they have paid for: the
        # ledger ends with the job then.
        if kind is None:
            self.close()

    def close(self) -> None:
        """Release the folder, for the driver when all callers are done.

        It never raises: all that matters is durable, and a folder that is not released becomes free
        by itself.
        """
        with suppress(RayError):
            ray.get(self._actor.close.remote(), timeout=CLOSE_WITHIN_S)


def open_ledger(folder: Folder | Path | str) -> RemoteLedger:
    """Return the open ledger of a folder; the same actor for every caller in this Ray job.

    The actor restarts after a crash, as the folder holds all that it must know, and ends with the
    job that opened it.

    Raises:
        StorageError: If the folder cannot be used, or another job or process is writing to it.
    """
    place = open_folder(folder).absolute()
    # A folder that cannot be used is found here, with a clear error.
    place.make()
    context = ray.get_runtime_context()
    node = context.get_node_id() if place.local else ""
    # The same path on two nodes is two ledgers, and one ledger is one job's: with that, its actor
    # ends.
    name = (
        f"ledger-{hashlib.sha256(f'{context.get_job_id()}{node}{place}'.encode()).hexdigest()[:12]}"
    )
    damage: list[str] = []
    for attempt in range(1, OPENINGS + 1):
        actor: Any = (
            ray.remote(LedgerActor)
            .options(name=name, get_if_exists=True, **lasting(place))
            .remote(place.place)
        )
        try:
            damage = ray.get(actor.open.remote(), timeout=OPENS_WITHIN_S)
            break
        except GetTimeoutError:
            raise StorageError(
                f"The ledger {place} could not be opened within {OPENS_WITHIN_S:g} s: its storage "
                "does not answer, or the cluster "
                "has no room for its process; start the same command again."
            ) from None
        except FAULTS as problem:
            if not isinstance(problem, ActorDiedError) or attempt == OPENINGS:
                raise actor_error(problem, _OF) from problem
            # The actor of an opener that was ended just now still had the name.
            time.sleep(AGAIN_S)
    return RemoteLedger(actor, damage)
