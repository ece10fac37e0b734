"""A real HTTP server for tests: uvicorn, without the fixed pauses with which it notices that it is
to end, and ends.

Each is a tenth of a second, and hundreds of tests start a server of their own.
"""

import asyncio
import socket

import uvicorn

LOOK_EVERY_S = 0.005
LONGEST_S = 0.1
"""For connections to close, as uvicorn waits in any case."""


class PromptServer(uvicorn.Server):
    """Serves as uvicorn does, and ends as soon as it can."""

    async def main_loop(self) -> None:
        await self.on_tick(0)  # makes the headers that each answer has
        while not self.should_exit:
            await asyncio.sleep(LOOK_EVERY_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(round(LONGEST_S / LOOK_EVERY_S)):
            await asyncio.sleep(LOOK_EVERY_S)
            if not self.server_state.connections and not self.server_state.tasks:
                return
