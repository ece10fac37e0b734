"""A shared concurrency limit as a named actor of the Ray cluster.

The limit is an endpoint's, or a hosted model's; every caller reports to the actor a few times a
second, and never for each call. Thin: the arithmetic is in fair_share, the caller's side in
shared_gate.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from serving.concurrency.fair_share import CALL_S, SILENT_S, FairShare, Group, Report, Use
from serving.concurrency.gate import Gate
from serving.concurrency.shared_gate import SharedGate
from serving.runtime.actors import NAMESPACE
from serving.runtime.liveness import Process, lives, this_process
from serving.runtime.wakeup import Wakeup

ANSWERS_WITHIN_S = 2.0
HELD_S = 0.2
"""Seconds that a caller that wants more waits for its answer [ours]."""


CHECK_EVERY_S = 1.0
"""Seconds between two checks whether silent callers live [ours]."""
CHECK_WITHIN_S = 20.0
"""Seconds for another node to check that [ours]: it may have to start a worker."""


@dataclass(frozen=True)
class ProcessAddress:
    """The node and process of a caller, so that it can be checked when it is silent."""

    node: str
    process: Process


class EndpointActor:
    """`FairShare` behind Ray; async, so that its methods run one at a time in one thread."""

    def __init__(self, grace: bool = False) -> None:
        """Start without callers.

        `grace`: it replaces an actor that is gone, and callers may have calls in flight that it
        does not know of.
        """
        context = ray.get_runtime_context()
        self._node = context.get_node_id()
        self._shared = FairShare(
            grace_s=SILENT_S if grace or context.was_current_actor_reconstructed else 0.0
        )
        self._reported = Wakeup()
        self._address_by_caller: dict[str, ProcessAddress] = {}
        self._checking: asyncio.Task[None] | None = None

    async def report(
        self, caller: str, report: Report, address: ProcessAddress | None = None
    ) -> int:
        """Return the slots of a caller.

        A caller that uses all of its slots, and wants more, is answered a little later: slots that
        others free meanwhile go to it at once.
        """
        granted = self._shared.report(caller, report)
        if address and report.demand:
            self._address_by_caller[caller] = address
        else:
            self._address_by_caller.pop(caller, None)
        self._reported.wake()
        if self._shared.silent() and (self._checking is None or self._checking.done()):
            self._checking = asyncio.create_task(self._check_silent_callers())
        ends_at = time.monotonic() + HELD_S
        while (
            granted <= report.in_flight
            and granted < report.demand
            and (left := ends_at - time.monotonic()) > 0
        ):
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._reported.next.wait()
            granted = self._shared.grant(caller)
        return granted

    async def gone(self, caller: str) -> None:
        """Free the slots of a caller (see FairShare.gone)."""
        self._shared.gone(caller)
        self._address_by_caller.pop(caller, None)
        self._reported.wake()

    async def use(self) -> Use:
        """Return the use as of now."""
        return self._shared.use()

    async def _check_silent_callers(self) -> None:
        for caller in self._shared.silent():
            address = self._address_by_caller.get(caller)
            if address and not await self._lives(address) and caller in self._shared.silent():
                await self.gone(caller)
        await asyncio.sleep(CHECK_EVERY_S)

    async def _lives(self, address: ProcessAddress) -> bool:
        """Return whether a caller's process lives; in doubt it does."""
        if address.node == self._node:
            return lives(address.process)
        try:
            if address.node not in await asyncio.to_thread(_nodes_alive):
                return False
            there = NodeAffinitySchedulingStrategy(address.node, soft=False)
            checked = (
                ray.remote(lives)
                .options(num_cpus=0, max_retries=0, scheduling_strategy=there)
                .remote(address.process)
            )
            async with asyncio.timeout(CHECK_WITHIN_S):
                return bool(await checked)
        except (RayError, OSError, RuntimeError):
            # Ray is away, or the node too slow to reply; a TimeoutError is an OSError.
            return True


def _nodes_alive() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]


class RemoteSlotServer:
    """The shared_gate.SlotServer in the actor.

    An actor that is gone is opened again, with nothing remembered.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._actor: Any = None
        self._lost_one = False
        self._address: ProcessAddress | None = None

    async def report(self, caller: str, report: Report) -> int | None:
        """Return the slots that the actor grants; None where it does not answer."""
        try:
            self._actor = self._actor or await asyncio.to_thread(
                endpoint_actor, self._base_url, self._lost_one
            )
            self._address = self._address or ProcessAddress(
                ray.get_runtime_context().get_node_id(), this_process()
            )
            # Not wait_for, in which a cancellation may be lost.
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                granted: int = await self._actor.report.remote(caller, report, self._address)
            return granted
        except (RayError, OSError, RuntimeError, ValueError):
            # The ValueError: another actor got the name in this very moment.
            self._actor, self._lost_one = None, True
            return None

    def gone(self, caller: str) -> None:
        """Report that a caller ends."""
        if self._actor:
            with suppress(RayError, OSError, RuntimeError, ValueError):
                self._actor.gone.remote(caller)


def endpoint_actor(base_url: str, again: bool = False) -> Any:
    """Return the actor of an endpoint on this Ray cluster; the same for every caller.

    It ends with its opener: an experiment opens it in its driver before its trials do. It needs no
    CPU of its own. `again`: there was one before, which may be gone.
    """
    name = f"endpoint-{hashlib.sha256(base_url.encode()).hexdigest()[:12]}"
    return (
        ray.remote(EndpointActor)
        .options(
            name=name,
            namespace=NAMESPACE,
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_concurrency=1000,
        )
        .remote(again)
    )


@contextmanager
def endpoint_actors(base_urls: Iterable[str]) -> Iterator[None]:
    """Open the actors of some endpoints until the block ends.

    So what they learn is not lost between two trials.
    """
    actors = [endpoint_actor(base_url) for base_url in dict.fromkeys(base_urls)]
    yield
    # An actor ends with its opener's last handle.
    del actors


def endpoint_gate(
    base_url: str, model: str, most: int, group: Group = (), lasts_s: float = CALL_S
) -> Gate | None:
    """Return a caller's part of the endpoint's limit; None where this process has no Ray.

    `lasts_s`: see Report.
    """
    if not ray.is_initialized():
        return None
    return SharedGate(RemoteSlotServer(base_url), model, most, group=group, lasts_s=lasts_s)


def deployment_key(deployment: str) -> str:
    """Return the name under which a hosted model's slots are shared.

    No endpoint has such an address.
    """
    return f"deployment:{deployment}"


def deployment_gate(deployment: str, most: int, group: Group) -> Gate:
    """Return a caller's part of the chunks that the replicas of a hosted model process.

    `most` is for all replicas and callers together.
    """
    return SharedGate(RemoteSlotServer(deployment_key(deployment)), deployment, most, group=group)
