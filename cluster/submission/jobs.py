"""Submit experiments as jobs of a Ray cluster, find them by name, follow and stop them.

This speaks to the job server of the cluster's dashboard, through Ray's own client. A job's id is
made from the experiment's name; everything that a run needs to continue is in its results folder,
so a job that ended is submitted again under the same id, and continues.
"""

import logging
import os
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from cluster.config.experiment import ExperimentSettings
from cluster.config.labels import slug
from cluster.experiment.prepare import SETTINGS_FILE
from cluster.ray_runtime.session import ENVIRONMENT
from cluster.submission.packaging import Shipment, pack
from cluster.submission.runtime_env import with_variables
from optimizer.errors import AccessError, EndpointError, JobError

PREFIX = "promptray-"
DEFAULT_ADDRESS = "http://127.0.0.1:8265"
_ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_TALKATIVE = ("ray", "ray.dashboard.modules.job.sdk")
"""Ray's loggers that would report every request on standard error."""
STOP_WITHIN_S = 30
"""Between SIGTERM and SIGKILL: time to write the results. Ray's own default is 3."""


@dataclass(frozen=True)
class Job:
    """The state of a submitted experiment."""

    name: str
    """Name of the experiment."""
    status: str
    """PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""
    metadata: Mapping[str, str]
    """See Shipment.metadata."""
    message: str
    entrypoint: str
    started: datetime | None
    ended: datetime | None

    @property
    def over(self) -> bool:
        """Return whether the job has ended."""
        return self.status in ("STOPPED", "SUCCEEDED", "FAILED")


class Jobs:
    """The experiments on one cluster.

    Without an `address` it is the cluster that Ray's variables name, else this machine's.

    Raises:
        EndpointError: No cluster answers.
        AccessError: The cluster refuses the token.
        JobError: Anything else that the cluster refuses.
    """

    def __init__(self, address: str | None = None) -> None:
        given = address or next(
            filter(None, map(os.environ.get, _ADDRESS_VARIABLES)), DEFAULT_ADDRESS
        )
        self.address = given
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        with self._in_one_sentence(), _without_address():
            try:
                self._client = JobSubmissionClient(given)
            except (RuntimeError, KeyError) as problem:
                # What answers is no Ray, or a very old one.
                raise ConnectionError from problem

    def submit(
        self, settings: ExperimentSettings, runtime_env: Mapping[str, Any]
    ) -> Shipment | None:
        """Send the experiment.

        Returns:
            What was sent; None where the job is waiting or running already, and was left alone.
        """
        id = id_of(settings.name)
        before = self._find(settings.name)
        if before and not before.over:
            return None
        with TemporaryDirectory() as folder:
            shipment = pack(settings, Path(folder))
            with self._in_one_sentence():
                if before:
                    # Only the job's record: an id is free again when its job is forgotten.
                    self._client.delete_job(id)
                # The command's end tells the runs apart in the log, which Ray continues from one to
                # the next; the head runs it with its own Python.
                run = uuid.uuid4().hex[:8]
                self._client.submit_job(
                    entrypoint=f"exec python -m cluster.cli run {SETTINGS_FILE} # run {run}",
                    submission_id=id,
                    metadata=dict(shipment.metadata),
                    runtime_env={
                        **with_variables(
                            runtime_env,
                            ENVIRONMENT | {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WITHIN_S)},
                        ),
                        "working_dir": folder,
                    },
                )
        return shipment

    def all(self) -> list[Job]:
        """Return all jobs, the newest first."""
        with self._in_one_sentence():
            details = self._client.list_jobs()
        jobs = [_job(one) for one in details if (one.submission_id or "").startswith(PREFIX)]
        return sorted(
            jobs, key=lambda job: job.started.timestamp() if job.started else 0.0, reverse=True
        )

    def find(self, name: str) -> Job:
        """Return the job of an experiment.

        Raises:
            JobError: There is none.
        """
        job = self._find(name)
        if job is None:
            raise JobError(
                f"There is no job called {name!r} on the cluster at {self.address}; `promptray "
                "status` lists them."
            )
        return job

    def logs(self, name: str) -> str:
        """Return what the last run has printed."""
        job = self.find(name)
        with self._in_one_sentence():
            return _of_last_run(self._client.get_job_logs(id_of(name)), job)

    async def follow(self, name: str) -> AsyncIterator[str]:
        """Yield what the last run has printed and prints until it ends, in pieces of any length."""
        job, earlier = self.find(name), ""
        begun = False
        with self._in_one_sentence():
            async with aclosing(self._client.tail_job_logs(id_of(name))) as pieces:  # type: ignore[type-var]  # a generator
                async for piece in pieces:
                    if not begun:
                        earlier += piece
                        begun = job.entrypoint in earlier
                        piece = _of_last_run(earlier, job) if begun else ""
                    if piece:
                        yield piece

    def stop(self, name: str) -> bool:
        """Ask a job to end, and return whether it was running."""
        self.find(name)
        with self._in_one_sentence():
            return self._client.stop_job(id_of(name))

    def _find(self, name: str) -> Job | None:
        return next((job for job in self.all() if id_of(job.name) == id_of(name)), None)

    @contextmanager
    def _in_one_sentence(self) -> Iterator[None]:
        """Raise in one sentence what Ray's client raises at length."""
        try:
            yield
        except AuthenticationError as problem:
            raise AccessError(
                f"The cluster at {self.address} refuses the Ray token, or requires one: set "
                "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) to the cluster's."
            ) from problem
        except (ConnectionError, requests.RequestException, aiohttp.ClientError) as problem:
            raise EndpointError(
                f"No Ray cluster answers at {self.address}; name its dashboard with --address."
            ) from problem
        except RuntimeError as problem:
            raise JobError(
                f"The cluster at {self.address} refuses: {_first_line(str(problem))}."
            ) from problem


def id_of(name: str) -> str:
    """Return the job's id for an experiment's name, or for an id itself."""
    return PREFIX + slug(name.removeprefix(PREFIX))


@contextmanager
def _without_address() -> Iterator[None]:
    """Hide the variables, which Ray's client prefers to the address that it is given."""
    hidden = {name: os.environ.pop(name) for name in _ADDRESS_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _job(details: JobDetails) -> Job:
    metadata = details.metadata or {}
    message, _, _ = _first_line(details.message or "").partition(", last available logs")
    return Job(
        name=metadata.get("name", str(details.submission_id).removeprefix(PREFIX)),
        status=str(details.status.value),
        metadata=metadata,
        message=message,
        entrypoint=details.entrypoint,
        started=_moment(details.start_time),
        ended=_moment(details.end_time),
    )


def _moment(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000).astimezone() if milliseconds else None


def _of_last_run(log: str, job: Job) -> str:
    """Return the log behind the line that Ray writes before a run; all of it if there is none."""
    return log.rpartition(f"{job.entrypoint}\n")[2]


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "").rstrip(".:")[:300]
