"""Pauses of the product that tests would sit through, made short.

Each pause is a constant of the product that only says how long to wait, and nothing that decides: what
is tested is the same, in less time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.service.jobs import controller, job_runner
from serving.clients import openai_model
from serving.concurrency import circuit_breaker


@contextmanager
def hurried_probes() -> Iterator[None]:
    """Ask an endpoint that failed again after milliseconds, here and before a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_model, "_PROBE_PAUSE_S", 0.002)
        patch.setattr(openai_model, "_CHECK_WAIT_S", 0.01)
        yield


@contextmanager
def hurried_outages() -> Iterator[None]:
    """Look every few milliseconds whether an endpoint that is down is there again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(circuit_breaker, "FIRST_PAUSE_S", 0.02)
        patch.setattr(circuit_breaker, "LONGEST_PAUSE_S", 0.1)
        yield


@contextmanager
def hurried_controller() -> Iterator[None]:
    """Let a controller save, and go on with what it has lost, at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controller, "SAVE_EVERY_S", 0.02)
        patch.setattr(job_runner, "AGAIN_S", 0.01)
        yield
