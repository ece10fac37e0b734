"""Report that a model's endpoint is down and waited for, where no trial does."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serving.concurrency.circuit_breaker import pause_of
from serving.runtime.supervision import Supervisor

LOOK_EVERY_S = 0.5


@asynccontextmanager
async def reporting_outages(notify: Callable[[str], None], *models: object) -> AsyncIterator[None]:
    """Call `notify` with a line when the models begin to wait, and when they continue.

    It holds as long as the block lasts.
    """
    tasks, reported = Supervisor("the notices of pauses"), ""

    async def look() -> None:
        nonlocal reported
        if (paused := pause_of(*models)) != reported:
            reported = paused
            notify(f"Paused, as {paused}" if paused else "The endpoint answers again, resumed.")

    tasks.every("reporting of pauses", LOOK_EVERY_S, look)
    try:
        yield
    finally:
        await tasks.close()
