"""Runs work on what a stranger has sent in processes that can be killed; see check_server.

The slots for it are given out fairly. One server process serves all of this process; it is started
when it is first needed, and again if it has died.
"""

import asyncio
import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any

from cluster.service.core.errors import Unavailable
from cluster.service.core.fair_slots import FairSlots
from cluster.service.core.settings import WorkSettings
from cluster.service.stores.check_server import (
    DONE,
    ENDING_BYTES,
    LARGE,
    LATE,
    READY,
    Work,
    framed,
    unframed,
)
from optimizer.errors import PromptrayError, SettingsError

MODULES = (
    "cluster.service.stores.file_inspection",
    "cluster.service.backends.estimates",
    "pyarrow.parquet",
    "pyarrow.compute",
)
"""The modules that the work needs, which the server imports at its start."""
STARTS_WITHIN_S = 60.0
"""Seconds that the server may take to start."""
GRACE_S = 30.0
"""Seconds after the time limit within which the server may report that it was exceeded."""
_ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Threads of libraries do not survive a fork; and freed memory must be seen to be free."""


class CheckPool:
    """Processes for checks that can be killed; for one event loop."""

    def __init__(
        self, settings: WorkSettings | None = None, server: "CheckServer | None" = None
    ) -> None:
        """Take the limits from the settings.

        Args:
            settings: The limits; None: the defaults.
            server: The server process; None: the one of this process.
        """
        self._settings = settings or WorkSettings()
        self._server = server or shared_server()
        # One thread: two checks that find no server must not start two.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="checks")
        own = self._settings
        self._slots = FairSlots(
            own.checks_at_once,
            own.checks_per_owner,
            own.waiting_per_owner,
            "checks",
            retry_after_s=min(5.0, own.check_s),
        )

    async def open(self) -> None:
        """Start the server, so that the first check does not wait for it.

        Raises:
            Unavailable: It does not start.
        """
        try:
            await self._ready()
        except OSError as problem:
            raise Unavailable(f"The process for checks does not start ({problem}).") from None

    async def ping(self) -> None:
        """Return if the server runs, or was not needed yet; start it again if it has died.

        Raises:
            OSError: It does not start.
        """
        if self._server.broke:
            await self._ready()

    async def run(self, owner: str, work: Work, *given: Any) -> Any:
        """Run work in a child of the server, and return what it returns or raise what it raises.

        Args:
            owner: Whose slot it takes.
            work: A function of a module.
            given: Its arguments; they are pickled.

        Raises:
            SettingsError: It took more time or memory than is allowed.
            Busy: The owner has too many checks waiting.
            Unavailable: The process broke.
        """
        own = self._settings
        async with self._slots.one(owner):
            try:
                await self._ready()
                async with asyncio.timeout(
                    own.check_s + GRACE_S
                ):  # nobody is left waiting by a server that is stuck
                    data = await self._answer(framed((work, given)))
            except (TimeoutError, OSError) as problem:
                # A server that does not answer in time may be stuck for all: the next check starts
                # another.
                self._server.kill()
                raise _broken() from problem
        return self._result(data)

    async def _answer(self, request: bytes) -> bytes:
        """Return all that the child sends; to close the socket ends the child at any time."""
        loop, own = asyncio.get_running_loop(), self._settings
        limits = {"time_s": own.check_s, "memory_bytes": own.check_bytes}
        try:
            answers = self._server.work(limits)
        except OSError:  # it has died this moment
            await self._ready()
            answers = self._server.work(limits)
        with answers:
            answers.setblocking(False)
            with suppress(BrokenPipeError, ConnectionResetError):  # it has died: why comes behind
                await loop.sock_sendall(answers, request)
            data = bytearray()
            with suppress(ConnectionResetError):
                while part := await loop.sock_recv(answers, 2**20):
                    data += part
            return bytes(data)

    async def _ready(self) -> None:
        if not self._server.ready:
            await asyncio.get_running_loop().run_in_executor(self._starter, self._server.start)

    def _result(self, data: bytes) -> Any:
        # The end of the data is the server's word on how the child ended; what stands before it is
        # the child's.
        own, why = self._settings, data[-ENDING_BYTES:]
        if why == LATE:
            raise SettingsError(
                f"Checking this took more than {own.check_s:g} s and was stopped: make the data, "
                "the search space or the patterns "
                "smaller."
            )
        if why == LARGE:
            raise SettingsError(
                f"Checking this took more than {own.check_bytes // 2**20} MiB of memory and was "
                "stopped: make the data or the search space smaller."
            )
        if why != DONE:
            raise _broken()
        done, outcome = unframed(data[:-ENDING_BYTES])
        if done:
            return outcome
        if isinstance(outcome, PromptrayError):
            raise outcome
        raise _broken() from outcome


class CheckServer:
    """The server process; safe to use from several threads and event loops."""

    def __init__(self, modules: Sequence[str] = MODULES) -> None:
        """Start nothing yet."""
        self._modules = list(modules)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def ready(self) -> bool:
        """Return whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def broke(self) -> bool:
        """Return whether the process has died."""
        return self._process is not None and self._process.poll() is not None

    @property
    def pid(self) -> int | None:
        """Return the number of the process, if it was started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process unless it runs; block until it is ready.

        Raises:
            OSError: It does not start.
        """
        with self._lock:
            if self.ready:
                return
            self._close()
            self._control, theirs = socket.socketpair()
            code = (
                f"import sys; sys.path[:] = {sys.path!r}; import {', '.join(self._modules)}; "
                "from cluster.service.stores.check_server import main; main()"
            )
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=os.environ | _ONE_THREAD,
                )
            self._control.settimeout(STARTS_WITHIN_S)
            if self._control.recv(len(READY)) != READY:
                self._close()
                raise OSError("the process for checks does not start")

    def work(self, limits: dict[str, float]) -> socket.socket:
        """Let a child begin, and return the socket of its work.

        Args:
            limits: `time_s` and `memory_bytes`.

        Raises:
            OSError: The process is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            if self._control is None:
                ours.close()
                raise OSError("the process for checks is gone")
            try:
                socket.send_fds(
                    self._control, [json.dumps(limits).encode() + b"\n"], [theirs.fileno()]
                )
            except OSError:
                ours.close()
                raise
        return ours

    def kill(self) -> None:
        """Kill the process with all its children; the next piece of work starts it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(
                    1.0
                )  # it kills its children when it sees that the control is closed
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


@cache
def shared_server() -> CheckServer:
    """Return the one server of this process."""
    server = CheckServer()
    atexit.register(server.kill)
    return server


def _broken() -> Unavailable:
    return Unavailable(
        "The check's process broke off; the reason is in the service's log: come again in a moment."
    )
