"""/healthz: reports whether the gateway works, or which part behind it does not.

Open to everybody, so it costs next to nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from fastapi.responses import JSONResponse

SEEN_WITHIN_S = 1.0
"""Seconds for which a result is reused, however many requests come."""


class Health:
    """The health of the gateway and of the parts behind it.

    `failing` returns which parts do not work, and why; None: there are none but the gateway itself.
    """

    def __init__(
        self,
        failing: Callable[[], Awaitable[Mapping[str, str]]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failing = failing
        self._clock = clock
        self._found: Mapping[str, str] = {}
        self._found_at: float | None = None
        self._checking: asyncio.Task[None] | None = None

    async def answer(self) -> JSONResponse:
        """Return 200 where all works, 503 where a part does not."""
        if self._failing is not None and (
            self._found_at is None or self._clock() - self._found_at > SEEN_WITHIN_S
        ):
            if self._checking is None or self._checking.done():
                self._checking = asyncio.create_task(self._check())
            # A caller who leaves must not end the check for the others.
            await asyncio.shield(self._checking)
        if self._found:
            return JSONResponse(
                {"status": "failing", "parts": dict(self._found)}, 503, {"Retry-After": "5"}
            )
        return JSONResponse({"status": "ok"})

    async def _check(self) -> None:
        assert self._failing is not None
        self._found = await self._failing()
        self._found_at = self._clock()
