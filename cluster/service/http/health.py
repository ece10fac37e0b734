"""Which parts of the service do not work: the controller of the jobs, the storage, the threads that
read, the processes that check, and what is done in the background.

Each is asked at once and within a deadline: a part that hangs is one that does not work. Nothing of
a fault is told but its kind: everybody may ask.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping

from cluster.service.http.deps import Service
from cluster.service.stores.threads import ReadingThreads

ANSWERS_WITHIN_S = 5.0
_log = logging.getLogger(__name__)


class PartsHealth:
    """Asks the parts of one replica."""

    def __init__(self, service: Service, deadline_s: float = ANSWERS_WITHIN_S) -> None:
        self._service = service
        self._deadline_s = deadline_s
        self._storage_thread = ReadingThreads(1, 1, most_waiting=1, deadline_s=deadline_s)
        """Of its own: a look that hangs takes no other thread, and the next look finds it there."""

    async def failing(self) -> Mapping[str, str]:
        """Part -> what is wrong with it, for those that do not work."""
        service = self._service
        parts: dict[str, Awaitable[object]] = {
            "jobs": service.backend.ping(),
            "storage": self._storage_thread.run("", service.files.ping),
            "threads": service.threads.ping(),
            "checks": service.checks.ping(),
            "background": self._expect_no_faults(),
        }
        found = await asyncio.gather(*(self._asked(name, work) for name, work in parts.items()))
        return {name: said for name, said in zip(parts, found, strict=True) if said}

    async def _expect_no_faults(self) -> None:
        """Raises where a background task fails again and again; see serving.runtime.supervision."""
        if faults := await self._service.faults():
            raise RuntimeError(" ".join(faults))

    async def _asked(self, name: str, work: Awaitable[object]) -> str:
        """ "" where it works."""
        try:
            async with asyncio.timeout(self._deadline_s):
                await work
        except TimeoutError:
            return f"does not answer within {self._deadline_s:g} s"
        except Exception as problem:  # noqa: BLE001 - any fault is one of that part
            _log.error("The part %s does not work: %s: %s", name, type(problem).__name__, problem)
            return "does not work"
        return ""
