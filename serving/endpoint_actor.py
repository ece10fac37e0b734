"""An endpoint's shared window, or a hosted model's, as a named actor of the Ray cluster, to which every caller there reports a few
times a second.

Thin: the arithmetic is in sharing, the caller's side in joint_window. There is no call of the actor for a call of a model.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.exceptions import RayError

from serving.actors import NAMESPACE
from serving.joint_window import JointWindow
from serving.settings.scaling import Scaling
from serving.sharing import Group, Report, SharedWindow, Use
from serving.window import Gate

ANSWERS_WITHIN_S = 2.0
HELD_S = 0.2
"""[ours] How long a caller that wants more is kept waiting for its answer."""


class EndpointActor:
    """`SharedWindow` behind Ray. Async, so that its methods run one at a time in one thread."""

    def __init__(self) -> None:
        self._shared = SharedWindow()
        self._reported = asyncio.Event()

    async def report(self, caller: str, report: Report) -> int:
        """A caller that uses all that it may have, and wants more, is answered a little later: what others leave meanwhile is its
        at once."""
        granted = self._shared.report(caller, report)
        self._reported.set()
        self._reported = asyncio.Event()
        ends_at = time.monotonic() + HELD_S
        while granted <= report.in_flight and granted < report.demand and (left := ends_at - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._reported.wait()
            granted = self._shared.grant(caller)
        return granted

    async def use(self) -> Use:
        return self._shared.use()


class RemoteOffice:
    """joint_window.Office, in the actor. One that is gone is opened again, with nothing remembered."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._actor: Any = None

    async def report(self, caller: str, report: Report) -> int | None:
        try:
            self._actor = self._actor or await asyncio.to_thread(open_window, self._base_url)
            async with asyncio.timeout(ANSWERS_WITHIN_S):  # not wait_for, in which a cancellation may be lost
                granted: int = await self._actor.report.remote(caller, report)
            return granted
        except (RayError, OSError, RuntimeError, ValueError):  # the last: the name went to another in this very moment
            self._actor = None
            return None


def open_window(base_url: str) -> Any:
    """The actor of an endpoint on this Ray cluster; the same for every caller. It ends with its opener: an experiment opens it in
    its driver before its trials do. It needs no CPU of its own."""
    name = f"endpoint-{hashlib.sha256(base_url.encode()).hexdigest()[:12]}"
    return ray.remote(EndpointActor).options(
        name=name, namespace=NAMESPACE, get_if_exists=True, num_cpus=0, max_restarts=-1, max_concurrency=1000).remote()


@contextmanager
def windows_kept(base_urls: Iterable[str]) -> Iterator[None]:
    """Opens the actors of some endpoints, and keeps them until the block ends: what they learn is not lost between two trials."""
    actors = [open_window(base_url) for base_url in dict.fromkeys(base_urls)]
    yield
    del actors  # an actor ends with its opener's last handle


def window_on_cluster(base_url: str, model: str, most: int, group: Group = ()) -> Gate | None:
    """A caller's part of the endpoint's window; None where this process has no Ray."""
    if not ray.is_initialized():
        return None
    return JointWindow(RemoteOffice(base_url), model, most, group=group)


def fleet_place(deployment: str) -> str:
    """The name under which the places of a hosted model's replicas are shared; no endpoint has such an address."""
    return f"deployment:{deployment}"


def fleet_window(deployment: str, scaling: Scaling, group: Group) -> Gate:
    """A caller's part of the chunks that the replicas of a hosted model take, as many replicas as there may be."""
    return JointWindow(RemoteOffice(fleet_place(deployment)), deployment, scaling.most_ongoing_chunks * scaling.max, group=group)
