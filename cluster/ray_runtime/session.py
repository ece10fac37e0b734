"""Ray for as long as a command needs it: the cluster of RAY_ADDRESS, or a small local one."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import ray

from cluster.ray_runtime.local import bound_to_loopback, require_token
from cluster.ray_runtime.start import Watch, cluster_address, join, start

OBJECT_STORE_BYTES = 200 * 2**20
"""Prompts and answers are small; Ray's default of 30% of memory would not be."""
ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's newer output prints even at verbose=0
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths in settings keep their meaning
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the results folder is our record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune would wait for its trials; we stop within seconds
}
"""Variables for every process of ours; what the user has set takes precedence.

A job carries them to the cluster's workers.
"""


@contextmanager
def ray_session() -> Iterator[None]:
    """Run a block with Ray.

    A local Ray ends afterwards, with all its processes; a cluster that was found stays, and so do
    the models that were hosted there, for the next experiment. What the user has set in the
    environment takes precedence.

    Raises:
        UserError: Ray cannot be started or joined with these settings.
        EndpointError: Ray does not answer, or has died.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if ray.is_initialized():  # the session of a person who has started Ray; it stays theirs
        yield
        return
    before = _handlers()
    watch = Watch()
    try:
        with watch.watching() if before else nullcontext():
            _start()
            watch.started()
            if signal.SIGTERM in before:  # Ray has put its own there
                signal.signal(signal.SIGTERM, before[signal.SIGTERM])
            for name in ("ray", "ray.serve"):
                logging.getLogger(name).setLevel(logging.ERROR)
            yield
    finally:
        # A second Ctrl-C must not leave Ray's processes behind.
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        ray.shutdown()
        watch.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _handlers() -> dict[int, Any]:
    """Return what handles the signals that end a run; nothing where only another thread may."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {
        number: signal.getsignal(number) or signal.SIG_DFL
        for number in (signal.SIGINT, signal.SIGTERM)
    }


def _start() -> None:
    if address := cluster_address():
        join(address, log_to_driver=False, logging_level=logging.ERROR)
        return
    require_token()
    with bound_to_loopback() as address:
        start(
            address="local",
            num_cpus=max(2, os.cpu_count() or 2),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address=address,
        )
