"""Which tests are fast, and what holds them to it.

A test is fast unless a marker of SLOWER says that it starts a Ray, a process, a browser or a
service, or takes long; the fixtures of MARKER_BY_FIXTURE bring theirs with them. `make test-fast`
runs the fast ones alone. Every run watches them: a fast test that starts a process, as each Ray and
browser does, or that computes for longer than LONGEST_CPU_S, fails and says which marker it lacks.
"""

import multiprocessing.process
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

SLOWER = ("ray", "process", "service", "slow")
MARKER_BY_FIXTURE = {
    "local_ray": "ray",
    "on_local_ray": "ray",
    "driver": "process",
    "open_service": "service",
}
LONGEST_CPU_S = 30.0
"""Of this process, and far more than any takes that is alone: a busy machine makes that longer too,
and the clock far more so.
"""
STARTS_A_PROCESS = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
)
"""Audit events."""
HARMLESS = ("uname",)
"""What Python's own `platform` starts, once a process, for whoever asks it for the machine."""


class NotFast(Exception):
    """A fast test did what a fast test does not do."""


def mark(items: list[pytest.Item]) -> None:
    """Give each test the markers that its fixtures stand for."""
    for item in items:
        for name in set(getattr(item, "fixturenames", ())) & MARKER_BY_FIXTURE.keys():
            item.add_marker(MARKER_BY_FIXTURE[name])


def is_fast(item: pytest.Item) -> bool:
    """Return whether no marker says otherwise."""
    return not any(item.get_closest_marker(name) for name in SLOWER)


class Guard:
    """Refuses processes to fast tests, from its making until this process ends: audit hooks stay."""

    def __init__(self) -> None:
        self._running = self._refused = ""
        sys.addaudithook(self._heard)
        start = multiprocessing.process.BaseProcess.start

        def refused_or_started(process: Any) -> None:
            """A process of a fork server or a spawned one causes no audit event."""
            self._refuse("multiprocessing")
            start(process)

        multiprocessing.process.BaseProcess.start = refused_or_started  # type: ignore[method-assign]

    @contextmanager
    def watching(self, item: pytest.Item) -> Iterator[None]:
        """Raises NotFast where the test starts a process, and again afterwards, in case the test
        has caught that; and where it has
        computed for too long."""
        if not is_fast(item):
            yield
            return
        self._running, self._refused, began = item.nodeid, "", time.process_time()
        try:
            yield
        finally:
            self._running = ""
        if self._refused:
            raise NotFast(self._refused)
        if (took := time.process_time() - began) > LONGEST_CPU_S:
            raise NotFast(f"{item.nodeid} computed for {took:.0f} s: it needs the marker slow.")

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if (
            self._running
            and event in STARTS_A_PROCESS
            and not (event == "subprocess.Popen" and arguments[0] in HARMLESS)
        ):
            self._refuse(f"{event} {arguments[0]}" if arguments else event)

    def _refuse(self, how: str) -> None:
        if self._running:
            self._refused = (
                f"{self._running} starts a process ({how}): it needs the marker process, or ray "
                "where that is a Ray."
            )
            raise NotFast(self._refused)


GUARD = Guard()
