"""Finds out which parts of the service do not work.

The parts are the controller of jobs, the storage, the threads for reading, the processes for
checks, and the background tasks. Each is checked at once and within a deadline: a part that hangs
does not work. Of a fault only its kind is shown, as everybody may ask.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping

from cluster.service.http.deps import Service
from cluster.service.stores.threads import ReadingThreads

ANSWERS_WITHIN_S = 5.0
_log = logging.getLogger(__name__)


class PartsHealth:
    """Checks the parts of one replica."""

    def __init__(self, service: Service, deadline_s: float = ANSWERS_WITHIN_S) -> None:
        """Check within a deadline.

        Args:
            service: The parts.
            deadline_s: How long a part may take to answer.
        """
        self._service = service
        self._deadline_s = deadline_s
        self._storage_thread = ReadingThreads(1, 1, most_waiting=1, deadline_s=deadline_s)
        """A thread of its own: a check that hangs takes no other thread, and the next check finds
        it there.
        """

    async def failing(self) -> Mapping[str, str]:
        """Return part -> what is wrong with it, for those that do not work."""
        service = self._service
        parts: dict[str, Awaitable[object]] = {
            "jobs": service.backend.ping(),
            "storage": self._storage_thread.run("", service.files.ping),
            "threads": service.threads.ping(),
            "checks": service.checks.ping(),
            "background": self._expect_no_faults(),
        }
        found = await asyncio.gather(*(self._fault_of(name, work) for name, work in parts.items()))
        return {name: fault for name, fault in zip(parts, found, strict=True) if fault}

    async def _expect_no_faults(self) -> None:
        """Raise if a background task has failed for a while; see serving.runtime.supervision."""
        if faults := await self._service.faults():
            raise RuntimeError(" ".join(faults))

    async def _fault_of(self, name: str, work: Awaitable[object]) -> str:
        """Return what is wrong with a part; empty if it works."""
        try:
            async with asyncio.timeout(self._deadline_s):
                await work
        except TimeoutError:
            return f"does not answer within {self._deadline_s:g} s"
        except Exception as problem:  # noqa: BLE001 - any fault is one of that part
            _log.error("The part %s does not work: %s: %s", name, type(problem).__name__, problem)
            return "does not work"
        return ""
