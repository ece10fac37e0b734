"""Runs work on what a stranger has sent in processes that can be killed.

A server process forks one child for each piece of work.

The server has imported what the work needs, so a child begins within milliseconds; it never works
itself, so it can always kill. A child has a time limit and a memory limit, holds no state, and is
gone when its work is done. What blocks the interpreter, such as an endless regular expression,
blocks the child only.

A client sends one line of JSON with one end of a socket pair. On that socket the child reads its
work and writes its result, both pickled. The child trusts the process that started it. From a
child, which has read what a stranger sent, the client accepts only values and our own classes (see
`_Values`). When the child is gone the server adds why (see ENDING_BYTES) and closes. A client that
closes its end gets its child killed; a server whose control socket is closed kills all its children
and ends.
"""

import ctypes
import gc
import io
import json
import os
import pickle
import resource
import select
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.errors import PromptrayError

ENDING_BYTES = 8
"""The length of the word at the end of every answer."""
DONE, LATE, LARGE, DIED = (
    word.ljust(ENDING_BYTES) for word in (b"done", b"late", b"large", b"died")
)
READY = b"ready\n"
_OUT_OF_MEMORY = 3
"""The exit status of a child without memory."""
_WHY_BY_CODE = {0: DONE, _OUT_OF_MEMORY: LARGE, -signal.SIGALRM: LATE}
_LENGTH_BYTES = 8
_LOOK_EVERY_S = 0.05
_NICENESS = 5
"""The service's event loop has priority; a higher value would make an honest check too late on a
busy machine.
"""
_PARENT_DIED = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""
_OWN_PACKAGES = ("optimizer", "serving", "cluster")
_PLAIN = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "RuntimeError"),
    ("pathlib", "PosixPath"),
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    ("collections", "Counter"),
    ("collections", "OrderedDict"),
    ("datetime", "datetime"),
    ("datetime", "timezone"),
    ("datetime", "timedelta"),
    ("copyreg", "_reconstructor"),
    ("builtins", "object"),
    ("types", "MappingProxyType"),
}
_OWN_TIMER_TIMES = 1.5
"""After this multiple of its time limit the system kills a child, in case the server is gone."""


@dataclass
class _Child:
    """A piece of work under way."""

    pid: int
    answers: socket.socket
    ends_at: float
    most_pages: int
    why: bytes = DIED


def framed(content: Any) -> bytes:
    """Return a value as it is sent: its length, then its pickle."""
    data = pickle.dumps(content)
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


class _Values(pickle.Unpickler):
    """Unpickles what a child has sent: only our own classes and plain values."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        # A dot in the name would lead through our modules into others.
        if module.partition(".")[0] in _OWN_PACKAGES and "." not in name:
            found = super().find_class(module, name)
            # Only what the module itself defines: a module of ours imports much that is not.
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no value")


def unframed(data: bytes) -> Any:
    """Return the value that a child has sent.

    Raises:
        ValueError: It is not complete.
        pickle.UnpicklingError: It is more than values.
    """
    size = int.from_bytes(data[:_LENGTH_BYTES], "big")
    # A child that was killed while it wrote leaves a beginning, which could unpickle to something.
    if len(data) != _LENGTH_BYTES + size:
        raise ValueError("cut off")
    return _Values(io.BytesIO(data[_LENGTH_BYTES:])).load()


def main() -> None:
    """Serve on the socket that is the standard input, until it is closed.

    The caller has imported what the work needs.
    """
    # A copy of the descriptor: standard input itself is closed to the work in the children.
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    # What work prints goes to the log, and not to the output of whoever has started this.
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the process that started this
    warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
    gc.collect()
    gc.freeze()  # so that looking for garbage in a child does not copy our pages
    control.sendall(READY)
    _Server(control).serve()


class _Server:
    """Forks, watches and kills the children."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, _Child] = {}
        self._buffer = b""
        self._sockets: list[int] = []
        self._wakes, wake = socket.socketpair()
        self._wakes.setblocking(False)
        wake.setblocking(False)
        self._wake = wake
        # Any handler of Python's: without one the wake-up descriptor below is never written to.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._own_pages = _pages("self")

    def serve(self) -> None:
        """Serve until the control socket is closed."""
        try:
            while self._look():
                self._enforce()
                self._reap()
        finally:
            for child in self._children.values():
                os.kill(child.pid, signal.SIGKILL)

    def _look(self) -> bool:
        """Wait for an event, and take in new work; return False when the client is gone."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wakes, select.POLLIN)
        for child in self._children.values():
            poll.register(child.answers, 0)  # whether its client is gone
        happened = dict(poll.poll(_LOOK_EVERY_S * 1000 if self._children else None))
        if self._wakes.fileno() in happened:
            with suppress(BlockingIOError):
                self._wakes.recv(4096)
        for child in self._children.values():
            if happened.get(child.answers.fileno(), 0) & (select.POLLHUP | select.POLLERR):
                os.kill(child.pid, signal.SIGKILL)
        return self._control.fileno() not in happened or self._take_in()

    def _take_in(self) -> bool:
        received, sockets, _, _ = socket.recv_fds(self._control, 65536, 16)
        self._buffer += received
        self._sockets += sockets
        # Descriptors and bytes may arrive apart: a piece of work needs one of each.
        while b"\n" in self._buffer and self._sockets:
            line, _, self._buffer = self._buffer.partition(b"\n")
            self._start(socket.socket(fileno=self._sockets.pop(0)), json.loads(line))
        return bool(received)

    def _start(self, answers: socket.socket, limits: dict[str, float]) -> None:
        time_s, memory = limits["time_s"], int(limits["memory_bytes"])
        try:
            pid = os.fork()
        except OSError:
            traceback.print_exc()
            with answers:
                answers.sendall(DIED)
            return
        if pid == 0:
            status = 1
            try:
                self._leave(answers)
                _confine(time_s, memory)
                status = _work(answers)
            finally:
                # Not sys.exit: the child must run none of the server's own clean-up.
                os._exit(status)
        page = resource.getpagesize()
        self._children[pid] = _Child(
            pid, answers, time.monotonic() + time_s, self._own_pages + memory // page
        )

    def _leave(self, answers: socket.socket) -> None:
        """Make a child of the copy that a fork is."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if self._libc is not None:
            # If the server is killed it can enforce no limit any more: its children go with it.
            self._libc.prctl(_PARENT_DIED, signal.SIGKILL)
        for other in (
            self._control,
            self._wakes,
            self._wake,
            *(child.answers for child in self._children.values()),
        ):
            other.close()
        answers.setblocking(True)

    def _enforce(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            late, large = now > child.ends_at, _pages(str(child.pid)) > child.most_pages
            if late or large:
                child.why = LATE if late else LARGE
                os.kill(child.pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Send the reason to the clients of those children that are gone."""
        for child in list(self._children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self._children[pid]
                # The exit status first: a child that ended by itself a moment before it was killed
                # has its own reason.
                why = _WHY_BY_CODE.get(os.waitstatus_to_exitcode(status), child.why)
                child.answers.settimeout(1.0)  # a client reads what it has asked for, or it is gone
                with suppress(OSError), child.answers:
                    child.answers.sendall(why)


def _confine(time_s: float, memory_bytes: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # The second guard of time, where the server itself should be stuck.
    signal.setitimer(signal.ITIMER_REAL, _OWN_TIMER_TIMES * time_s)
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = _data_bytes() + memory_bytes
    with suppress(ValueError, OSError):  # a system that has no such limit: the server looks, too
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _work(answers: socket.socket) -> int:
    """Read a piece of work, do it, and write what it gives or raises; return the exit status."""
    head = _received(answers, _LENGTH_BYTES)
    work, given = pickle.loads(_received(answers, int.from_bytes(head, "big")))
    try:
        answer = framed((True, work(*given)))
    except MemoryError:
        return _OUT_OF_MEMORY
    except PromptrayError as problem:
        answer = framed((False, problem.with_traceback(None)))
    except BaseException as problem:  # noqa: BLE001 - sent to the client, and in the log
        traceback.print_exc()
        answer = framed((False, RuntimeError(type(problem).__name__)))
    answers.sendall(answer)
    return 0


def _received(answers: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = answers.recv(min(size - len(data), 2**20))
        if not part:
            os._exit(1)
        data += part
    return bytes(data)


def _pages(pid: str) -> int:
    """Return the pages of memory that a process has; 0 if the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _data_bytes() -> int:
    """Return how many bytes count as data of this process now; 0 if the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[5]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


Work = Callable[..., Any]
"""A function of a module, so that it can be pickled by its name."""
