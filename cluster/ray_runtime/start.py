"""Start or join Ray within time limits, and watch the Ray that was started.

Without this Ray waits for minutes in silence: for a cluster that is gone, or for a process of its
own that has died. Errors are one sentence.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.job_config import JobConfig

from optimizer.errors import EndpointError, PromptrayError, SettingsError, StorageError

VARIABLE = "RAY_ADDRESS"
PROBE_S = 10.0
"""Time for a cluster's address to answer at all [ours]."""
SLOW_S = 15.0
"""A start that takes longer is reported, and waited for [ours]: three times as long as on two busy
cores.
"""
START_S = 120.0
"""A start that takes longer has failed [ours]."""
LOOK_EVERY_S = 0.5
LEAVE_S = 10.0
"""Time for the main thread to report an error, before the process is ended without it [ours]: it
may be inside Ray's own code.
"""
_ROOT = Path(__file__).parents[2]
_log = logging.getLogger("promptray")


def cluster_address() -> str | None:
    """Return the cluster that RAY_ADDRESS names; None where a Ray of our own is to be started.

    Raises:
        SettingsError: The variable does not hold a cluster's address.
    """
    address = os.environ.get(VARIABLE, "").strip()
    if address in ("", "local"):
        return None
    if address.startswith(("http://", "https://")):
        raise SettingsError(
            f"{VARIABLE} is {address}, the address of a dashboard, which `promptray submit` takes; "
            "here it must be the cluster's "
            "own, such as 10.0.0.1:6379, or unset for a Ray on this machine."
        )
    if address != "auto":
        _host_and_port(address)
    return address


def join(address: str, **options: Any) -> None:
    """Connect to a cluster, with `ray.init`'s options.

    Raises:
        EndpointError: The cluster does not answer within PROBE_S, or cannot be joined.
    """
    remedy = (
        f"start it, name another with {VARIABLE}, or unset {VARIABLE} for a Ray on this machine."
    )
    if address != "auto":
        try:
            socket.create_connection(_host_and_port(address), timeout=PROBE_S).close()
        except OSError as problem:
            raise EndpointError(
                f"No Ray cluster answers at {address}, which {VARIABLE} names "
                f"({problem.strerror or problem}): {remedy}"
            ) from None
        if "://" not in address and not _is_ray(address):
            raise EndpointError(
                f"What answers at {address}, which {VARIABLE} names, is no Ray cluster: {remedy}"
            )
    with _in_one_sentence(
        f"The Ray cluster at {address}, which {VARIABLE} names, cannot be joined", remedy
    ):
        ray.init(address=address, job_config=_OurCode(), **options)


def start(**options: Any) -> None:
    """Start a Ray on this machine, with `ray.init`'s options.

    Raises:
        StorageError: Ray cannot use a file or folder.
        EndpointError: Ray cannot be started.
    """
    with _in_one_sentence(
        "Ray cannot be started on this machine",
        "check that its processes may run here, with enough memory.",
    ):
        ray.init(job_config=_OurCode(), **options)


class Watch:
    """Watches the Ray of this process, and ends the work where Ray is too late or has died.

    The main thread gets an EndpointError wherever it is in Python code; if it is inside Ray's own,
    the process is ended.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, leave: Callable[[int], Any] = os._exit
    ) -> None:
        self._clock = clock
        self._leave = leave
        self._began = clock()
        self._started = False
        self._inside = False
        self._lock = threading.Lock()
        """Guards `_inside`: a thread that has left the block is not interrupted any more."""
        self._over = threading.Event()
        self.fault = ""
        """One sentence once the watch has ended the work."""

    def started(self) -> None:
        """Note that Ray has started; from now on it must stay."""
        self._started = True

    def look(self, dead: Callable[[], list[str]]) -> str:
        """Return what is wrong now, in one sentence, or "".

        Args:
            dead: Names the processes of Ray that have ended.
        """
        if names := dead():
            return (
                f"Ray has ended on this machine: its process {' and '.join(names)} has died, "
                "perhaps for lack of memory. Every finished call is recorded; the same command "
                "continues."
            )
        if not self._started and self._clock() - self._began > START_S:
            return (
                f"Ray has not started within {START_S:g} s; start the same command again when this "
                "machine has less to do."
            )
        return ""

    def _run(self) -> None:
        warned = False
        while not self._over.wait(LOOK_EVERY_S):
            if not (self._started or warned) and self._clock() - self._began > SLOW_S:
                warned = True
                _log.warning(
                    "Ray takes long to start on this machine; waiting for it, at most %g s.",
                    START_S,
                )
            with self._lock:
                if not self.fault and self._inside and (fault := self.look(dead_processes)):
                    self.fault = fault
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
            if self.fault:
                if not self._over.wait(LEAVE_S):
                    os.write(2, f"{self.fault}\n".encode())
                    self._leave(1)
                return

    @contextmanager
    def watching(self) -> Iterator["Watch"]:
        """Watch for as long as the block lasts; to be called in the main thread.

        An exception that the block raises after Ray has died is replaced by that explanation. The
        caller closes the watch in the end.
        """
        before = signal.signal(signal.SIGALRM, self._interrupt)
        self._inside = True
        threading.Thread(target=self._run, name="ray-watch", daemon=True).start()
        try:
            yield self
        except PromptrayError:
            raise
        except Exception as problem:
            if fault := self.fault or (self._started and self.look(_dead_soon)):
                self.fault = fault
                raise EndpointError(fault) from problem
            raise
        finally:
            with self._lock:
                self._inside = False
            signal.signal(signal.SIGALRM, before)

    def close(self) -> None:
        """End the watch.

        Where Ray has died, what is done before this has a time limit too: leaving a dead Ray may
        take forever.
        """
        self._over.set()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        raise EndpointError(self.fault)


def dead_processes() -> list[str]:
    """Return the kinds of Ray's processes that this one has started and that have ended."""
    node = ray._private.worker._global_node
    return (
        []
        if node is None
        else sorted({kind for kind, _ in node.dead_processes()} & {"raylet", "gcs_server"})
    )


def _dead_soon() -> list[str]:
    """Return dead_processes, after waiting a moment for a process that is just dying.

    Its callers notice it first.
    """
    ends_at = time.monotonic() + 2 * LOOK_EVERY_S
    while not (dead := dead_processes()) and time.monotonic() < ends_at:
        time.sleep(LOOK_EVERY_S / 10)
    return dead


class _OurCode(JobConfig):
    """Lets workers find our packages first, and nothing in the folder where a command was started.

    Ray puts that folder in front of all others in every worker's path: a user's file cluster.py
    would shadow ours.
    """

    def _serialize(self) -> str:
        found_anyhow = (
            _ROOT.name in ("site-packages", "dist-packages") or self._runtime_env_has_working_dir()  # type: ignore[no-untyped-call]
        )
        self._py_driver_sys_path = [] if found_anyhow else [str(_ROOT)]
        return super()._serialize()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition("://")[2].partition("?")[0].rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SettingsError(
            f"{VARIABLE} is {address}, which is no cluster's address; it looks like 10.0.0.1:6379."
        )
    return host.strip("[]"), int(port)


def _is_ray(address: str) -> bool:
    """Return whether a Ray answers there.

    The request runs in a thread: Ray's client would wait forever for another kind of server.
    """
    answered: list[bool] = []

    def ask() -> None:
        try:
            GcsClient(address=address)
        except Exception as problem:  # noqa: BLE001
            # A refusal is an answer, which ray.init will get too.
            _log.debug("%s: %s", address, problem)
        answered.append(True)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE_S)
    return bool(answered)


@contextmanager
def _in_one_sentence(what: str, remedy: str) -> Iterator[None]:
    """Raise in one sentence what Ray raises at a start."""
    try:
        yield
    except PromptrayError:
        raise
    except Exception as problem:
        message = " ".join(str(problem).split())
        if "AF_UNIX" in message:
            place = (
                os.environ.get("RAY_TMPDIR")
                or os.environ.get("TMPDIR")
                or "the folder for temporary files"
            )
            raise StorageError(
                f"Ray cannot put its sockets under {place}, whose path is too long for them: set "
                "RAY_TMPDIR to a short folder, "
                "such as /tmp."
            ) from problem
        if "timed out during startup" in message:  # after 30 s, which Ray has no setting for
            raise EndpointError(
                "Ray has not started on this machine, which may be overloaded or short of memory: "
                "start the same command again "
                "when it has less to do."
            ) from problem
        if isinstance(problem, OSError) and problem.filename:
            raise StorageError(
                f"{what}: {problem.filename} cannot be used ({problem.strerror})."
            ) from problem
        raise EndpointError(
            f"{what} ({type(problem).__name__}: {message[:300].rstrip('.')}): {remedy}"
        ) from problem
