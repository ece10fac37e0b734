"""Many listeners of events in one process, for one question to the keeper at a time. Knows neither the keeper's place nor Ray.

All who follow a job read the same list of its events; what is new in all jobs that somebody follows comes with one long poll.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from cluster.service.objects import ENDS, Event
from optimizer.errors import PromptrayError

POLL_S = 20.0
"""How long the keeper may wait before it says that there is nothing new [ours]."""
News = Callable[[Mapping[str, int], float], Awaitable[dict[str, list[Event]]]]


@dataclass
class _Followed:
    """A job that somebody follows: its events from the first on."""

    events: list[Event] = field(default_factory=list)
    listeners: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    fault: PromptrayError | None = None

    @property
    def over(self) -> bool:
        return bool(self.events) and self.events[-1].kind in ENDS

    def tell(self) -> None:
        wake, self.changed = self.changed, asyncio.Event()
        wake.set()


class Hub:
    """For one event loop. `news` is the keeper's; `known` reads a job's events from storage."""

    def __init__(self, news: News, known: Callable[[str], Awaitable[list[Event]]]) -> None:
        self._news = news
        self._known = known
        self._followed: dict[str, _Followed] = {}
        self._polling: asyncio.Task[None] | None = None
        self._more = asyncio.Event()
        """Somebody follows another job than before."""

    async def follow(self, job: str, after: int) -> AsyncIterator[Event]:
        """As Office.follow."""
        own = self._followed.setdefault(job, _Followed())
        own.listeners += 1
        try:
            if own.listeners == 1:
                own.events = await self._known(job)
                own.tell()
            self._poll()
            while True:
                wake = own.changed
                for event in own.events[after:]:
                    after = event.id
                    yield event
                if own.over and after >= len(own.events):
                    return
                if own.fault:
                    raise own.fault
                if wake is own.changed:
                    await wake.wait()
        finally:
            own.listeners -= 1
            if not own.listeners:
                self._followed.pop(job, None)

    def _poll(self) -> None:
        self._more.set()
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll_all())

    async def _poll_all(self) -> None:
        """As long as somebody follows anything."""
        while self._followed:
            self._more.clear()
            after = {job: len(one.events) for job, one in self._followed.items()}
            asked = asyncio.ensure_future(self._news(after, POLL_S))
            more = asyncio.ensure_future(self._more.wait())
            await asyncio.wait([asked, more], return_when=asyncio.FIRST_COMPLETED)
            more.cancel()
            if not asked.done():
                asked.cancel()
                continue
            self._take(asked)

    def _take(self, asked: "asyncio.Future[dict[str, list[Event]]]") -> None:
        problem = asked.exception()
        if problem is not None and not isinstance(problem, PromptrayError):
            raise problem
        for job, one in self._followed.items():
            if isinstance(problem, PromptrayError):
                one.fault = problem
                one.tell()
            elif job in asked.result():
                one.events += [event for event in asked.result()[job] if event.id > len(one.events)]
                one.tell()
