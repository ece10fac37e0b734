"""Repeats calls of a service that is too busy, or does not answer for a while."""

from collections.abc import Callable
from typing import TypeVar

from cluster.service.client.responses import ServiceError, wait_of
from optimizer.errors import EndpointError

T = TypeVar("T")
RETRY_S = 1.0
MOST_FAILURES = 120
"""Failures in a row before a call is given up: two minutes, in which a service can be restarted."""
LONGEST_WAIT_S = 300.0
"""The longest Retry-After that is waited for."""


class Retrying:
    """The retries of a client, and the time that it waits for one service."""

    def __init__(self, address: str, sleep: Callable[[float], None]) -> None:
        """Wait by `sleep`; `address` is that of the service, for error messages."""
        self._address = address
        self._sleep = sleep

    def call(self, send: Callable[[], T]) -> T:
        """Return what `send` returns, and repeat it while the service is too busy.

        Args:
            send: Makes the request.

        Raises:
            EndpointError: The service does not answer any more.
            ServiceError: The service refuses for another reason.
        """
        failures = 0
        while True:
            try:
                return send()
            except ServiceError as problem:
                failures += 1
                self.wait(problem, failures)

    def wait(self, problem: Exception, failures: int = 0) -> None:
        """Wait until a request may be repeated.

        Args:
            problem: Why it failed; it is raised again if it is final.
            failures: How often it has failed in a row.

        Raises:
            EndpointError: It has failed too often.
        """
        pause_s = wait_of(problem, RETRY_S)
        if pause_s is None or pause_s > LONGEST_WAIT_S:
            raise problem
        if failures > MOST_FAILURES:
            raise EndpointError(
                f"The service {self._address} does not answer any more."
            ) from problem
        self._sleep(pause_s)

    def pause(self) -> None:
        """Wait for the shortest pause between two requests."""
        self._sleep(RETRY_S)
