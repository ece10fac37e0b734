"""A typed client of the service: its schemas in, its schemas out. Knows HTTP and no Ray.

    with ServiceClient("http://127.0.0.1:8000") as service:
        request = OptimizationRequest(tasks=[{"generated": "navigate"}], strategies=["apo"])
        job = service.create(request)
        for event in service.follow(job.id):
            print(event.message)
        print(service.best(job.id).text)

Every refusal of the service is a ServiceError with the service's own message. A stream of events
that is cut is connected again and goes on where it was.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel

from cluster.service.client.responses import ServiceError, parsed, read, refusal
from cluster.service.client.retrying import Retrying
from cluster.service.schemas import (
    TERMINAL,
    AuditEntry,
    Best,
    Candidate,
    CandidateDetail,
    Catalogue,
    Comparison,
    Estimate,
    Event,
    Me,
    Optimization,
    OptimizationRequest,
    Page,
    StoredFile,
    Trial,
)
from optimizer.errors import EndpointError, SettingsError, StorageError, shortened
from optimizer.paths import expanded
from serving.clients.proxies import proxy_errors
from serving.settings.addresses import is_loopback, read_base_url
from serving.settings.api_key import key_in_environment, sendable
from serving.storage.regular_files import open_regular

A = TypeVar("A", bound=BaseModel)
KEY_VARIABLE = "PROMPTRAY_API_KEY"
ADDRESS_VARIABLE = "PROMPTRAY_SERVICE"
DEFAULT_ADDRESS = "http://127.0.0.1:8000"
TIMEOUT_S = 60.0
SILENCE_S = 45.0
"""A stream of events that is silent for longer, heartbeats included, counts as cut."""
PROBE_TIMEOUT_S = 3600.0
"""A probe calls the models, as `promptray check` does."""


class ServiceClient:
    """A client of one service.

    Its methods raise ServiceError if the service refuses a request, and EndpointError if it does
    not answer.
    """

    def __init__(
        self,
        address: str | None = None,
        key: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connect to no service yet.

        Args:
            address: The service's address; None: that of PROMPTRAY_SERVICE, or this machine's.
            key: The API key; None: that of PROMPTRAY_API_KEY, or none.
            transport: Sends the requests; None: over HTTP.
            sleep: Waits for so many seconds.

        Raises:
            SettingsError: The address is none, or the key cannot be sent.
        """
        given = address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
        try:
            self.address = read_base_url(given).removesuffix("/v1")
        except ValueError:
            raise SettingsError(
                f"{shortened(given)} is no address of a service; it looks like {DEFAULT_ADDRESS}."
            ) from None
        key = sendable(key, "the call") if key else key_in_environment(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._retrying = Retrying(self.address, sleep)
        with proxy_errors(self.address):
            self._http = httpx2.Client(
                base_url=self.address,
                headers=headers,
                timeout=TIMEOUT_S,
                transport=transport,
                follow_redirects=False,
                trust_env=not is_loopback(self.address),
            )  # this machine is never reached by way of a proxy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def me(self) -> Me:
        """Return who the key belongs to, and its owner's quota."""
        return self._get(Me, "/v1/me")

    def catalogue(self) -> Catalogue:
        """Return what a request may name."""
        return self._get(Catalogue, "/v1/catalogue")

    def upload(self, file: Path | str) -> StoredFile:
        """Upload a data set.

        Raises:
            StorageError: The file cannot be read.
        """
        path = expanded(file)
        try:
            content = open_regular(path)
        except OSError as problem:
            raise StorageError(f"{path} cannot be read ({problem.strerror}).") from problem
        with content:
            return read(
                StoredFile, self._request("POST", "/v1/files", files={"file": (path.name, content)})
            )

    def files(self) -> Iterator[StoredFile]:
        """Yield all uploaded data sets, the newest first."""
        return self._pages(Page[StoredFile], "/v1/files", limit=100)

    def file(self, id: str) -> StoredFile:
        """Return one uploaded data set."""
        return self._get(StoredFile, f"/v1/files/{_part(id)}")

    def delete_file(self, id: str) -> None:
        """Delete an uploaded data set."""
        self._request("DELETE", f"/v1/files/{_part(id)}")

    def create(
        self, request: OptimizationRequest, idempotency_key: str | None = None
    ) -> Optimization:
        """Start a job; a request that is sent twice with the same key makes one job."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return read(
            Optimization,
            self._request("POST", "/v1/optimizations", json=_body(request), headers=headers),
        )

    def estimate(self, request: OptimizationRequest, probe: bool = False) -> Estimate:
        """Estimate what a job may cost.

        Args:
            request: What would be run.
            probe: Whether to call the models, which takes as long as `promptray check`.
        """
        answer = self._request(
            "POST",
            "/v1/optimizations/estimate",
            json=_body(request),
            params={"probe": probe},
            timeout=httpx2.Timeout(TIMEOUT_S, read=PROBE_TIMEOUT_S) if probe else TIMEOUT_S,
        )
        return read(Estimate, answer)

    def jobs(self, status: str | None = None, owner: str | None = None) -> Iterator[Optimization]:
        """Yield all jobs that the key may see, the newest first."""
        return self._pages(
            Page[Optimization], "/v1/optimizations", limit=100, status=status, owner=owner
        )

    def job(self, id: str) -> Optimization:
        """Return a job."""
        return self._get(Optimization, f"/v1/optimizations/{_part(id)}")

    def cancel(self, id: str) -> Optimization:
        """Cancel a job."""
        return read(Optimization, self._request("POST", f"/v1/optimizations/{_part(id)}/cancel"))

    def resume(self, id: str) -> Optimization:
        """Queue a failed or cancelled job again."""
        return read(Optimization, self._request("POST", f"/v1/optimizations/{_part(id)}/resume"))

    def events(self, id: str, after: int = 0) -> Iterator[Event]:
        """Yield the events of a job so far with ids above `after`."""
        return self._pages(
            Page[Event], f"/v1/optimizations/{_part(id)}/events", after=after, limit=1000
        )

    def follow(self, id: str, after: int = 0) -> Iterator[Event]:
        """Yield the events with ids above `after`, and all to come, until the job is over.

        A cut stream goes on where it was, and a service that is too busy is called again after its
        Retry-After.

        Raises:
            EndpointError: The service does not answer any more.
            ServiceError: The service refuses for another reason.
        """
        job, failures = self._retrying.call(lambda: self.job(id)), 0
        while job.status not in TERMINAL or job.last_event > after:
            start = after
            try:
                for event in self._stream(id, after):
                    after, failures = event.id, 0
                    yield event
                job = self._retrying.call(lambda: self.job(id))
            except (httpx2.TransportError, EndpointError, ServiceError) as problem:
                failures += 1
                self._retrying.wait(problem, failures)
            else:
                failures = 0
                if after == start and job.status in TERMINAL:
                    # The events that the stream lacks, or the error for which it lacks them.
                    yield from self.events(id, after)
                    return
                if after == start:  # a stream that ends at once is not requested in a loop
                    self._retrying.pause()

    def wait(self, id: str) -> Optimization:
        """Wait until a job is over, and return it."""
        for _ in self.follow(id):
            pass
        return self._retrying.call(lambda: self.job(id))

    def trials(self, id: str) -> list[Trial]:
        """Return the trials of a job with their learning curves."""
        return self._get(Page[Trial], f"/v1/optimizations/{_part(id)}/trials").data

    def candidates(self, id: str, trial: str | None = None) -> Iterator[Candidate]:
        """Yield the candidates of a job, or of one of its trials."""
        return self._pages(
            Page[Candidate], f"/v1/optimizations/{_part(id)}/candidates", limit=1000, trial=trial
        )

    def candidate(self, id: str, trial: str, candidate: str) -> CandidateDetail:
        """Return a candidate with its prompt."""
        return self._get(
            CandidateDetail,
            f"/v1/optimizations/{_part(id)}/candidates/{_part(candidate)}",
            trial=trial,
        )

    def compare(self, id: str, trial: str, left: str, right: str) -> Comparison:
        """Compare two candidates of a trial item by item."""
        return self._get(
            Comparison,
            f"/v1/optimizations/{_part(id)}/comparison",
            trial=trial,
            left=left,
            right=right,
        )

    def best(self, id: str, trial: str | None = None) -> Best:
        """Return the best prompt of a job, or of one of its trials."""
        return self._get(Best, f"/v1/optimizations/{_part(id)}/best", trial=trial)

    def best_by_task(self, id: str) -> list[Best]:
        """Return the best prompt of each task; accuracies of two tasks are not compared."""
        return self._get(Page[Best], f"/v1/optimizations/{_part(id)}/best/tasks").data

    def export(self, id: str, format: str, trial: str | None = None) -> bytes:
        """Return the best prompt as promptray, openai, dspy, mlflow or markdown."""
        return self._request(
            "GET", f"/v1/optimizations/{_part(id)}/best", params=_given(format=format, trial=trial)
        ).content

    def download(self, id: str, name: str) -> bytes:
        """Return one of a job's files.

        Args:
            id: The job.
            name: report.html, trials.parquet, candidates.parquet, costs.parquet, failures.parquet,
                settings.yaml, or, where targets are classes, classes.parquet and confusion.parquet.
        """
        path = "report" if name == "report.html" else f"files/{_part(name)}"
        return self._request("GET", f"/v1/optimizations/{_part(id)}/{path}").content

    def audit(self) -> Iterator[AuditEntry]:
        """Yield the entries of the audit log, the newest first; for admins."""
        return self._pages(Page[AuditEntry], "/v1/audit", limit=1000)

    def _stream(self, id: str, after: int) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        timeout = httpx2.Timeout(TIMEOUT_S, read=SILENCE_S)
        with self._http.stream(
            "GET", f"/v1/optimizations/{_part(id)}/events", headers=headers, timeout=timeout
        ) as answer:
            if answer.status_code == 204:
                return
            if answer.status_code != 200:
                answer.read()
                raise refusal(answer)
            for sent in httpx2.EventSource(answer):
                if sent.data:  # else it only says how soon to connect again
                    yield parsed(Event, sent.data)

    def _get(self, kind: type[A], path: str, **params: Any) -> A:
        return read(kind, self._request("GET", path, params=_given(**params)))

    def _pages(self, kind: type[Page[A]], path: str, **params: Any) -> Iterator[A]:
        while True:
            page = self._get(kind, path, **params)
            yield from page.data
            if not page.has_more or page.last_id is None:
                return
            params["after"] = page.last_id

    def _request(self, method: str, path: str, **how: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **how)
        except httpx2.TransportError as problem:
            raise EndpointError(
                f"The service {self.address} does not answer ({type(problem).__name__}: {problem})."
            ) from problem
        if answer.status_code >= 300:
            raise refusal(answer)
        return answer


def _body(request: OptimizationRequest) -> dict[str, Any]:
    return request.model_dump(mode="json")


def _part(text: str) -> str:
    """Quote a text as one part of a path, whatever it contains."""
    return quote(text, safe="")


def _given(**params: Any) -> Mapping[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
