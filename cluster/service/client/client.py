"""A small typed client of the service: its objects in, its objects out. Knows HTTP and no Ray.

    with ServiceClient("http://127.0.0.1:8000") as service:
        request = OptimizationRequest(tasks=[{"generated": "navigate"}], strategies=["apo"])
        job = service.create(request)
        for event in service.follow(job.id):
            print(event.message)
        print(service.best(job.id).text)

Every refusal of the service is a ServiceError with the service's own sentence. A stream of events
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

from cluster.service.client.responses import ServiceError, parsed, read, refusal, wait_of
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
from serving.clients.proxies import proxy_faults_told
from serving.settings.addresses import is_loopback, read_base_url
from serving.settings.api_key import key_in_environment, sendable
from serving.storage.regular_files import open_regular

A = TypeVar("A", bound=BaseModel)
B = TypeVar("B")
KEY_VARIABLE = "PROMPTRAY_API_KEY"
ADDRESS_VARIABLE = "PROMPTRAY_SERVICE"
DEFAULT_ADDRESS = "http://127.0.0.1:8000"
TIMEOUT_S = 60.0
SILENCE_S = 45.0
"""A stream of events that says nothing for longer, heartbeats included, is taken for cut."""
RETRY_S = 1.0
MOST_FAILURES = 120
"""In a row, without an event between: two minutes, in which a service can be started again."""
LONGEST_WAIT_S = 300.0
"""A service that wants one to wait longer is not waited for."""
PROBE_TIMEOUT_S = 3600.0
"""A probe asks the models, as `promptray check` does."""


class ServiceClient:
    """One service. Raises ServiceError for a refusal, EndpointError where it does not answer."""

    def __init__(
        self,
        address: str | None = None,
        key: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """What is not given comes from PROMPTRAY_SERVICE and PROMPTRAY_API_KEY.

        Raises SettingsError for what is no address.
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
        self._sleep = sleep
        with proxy_faults_told(self.address):
            self._http = httpx2.Client(
                base_url=self.address,
                headers=headers,
                timeout=TIMEOUT_S,
                transport=transport,
                follow_redirects=False,
                trust_env=not is_loopback(self.address),
            )  # a proxy is never asked for this machine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def me(self) -> Me:
        return self._get(Me, "/v1/me")

    def catalogue(self) -> Catalogue:
        return self._get(Catalogue, "/v1/catalogue")

    def upload(self, file: Path | str) -> StoredFile:
        """Raises StorageError where the file cannot be read."""
        path = expanded(file)
        try:
            content = open_regular(path)
        except OSError as problem:
            raise StorageError(f"{path} cannot be read ({problem.strerror}).") from problem
        with content:
            return read(
                StoredFile, self._ask("POST", "/v1/files", files={"file": (path.name, content)})
            )

    def files(self) -> Iterator[StoredFile]:
        """All of them, the newest first."""
        return self._pages(Page[StoredFile], "/v1/files", limit=100)

    def file(self, id: str) -> StoredFile:
        return self._get(StoredFile, f"/v1/files/{_part(id)}")

    def delete_file(self, id: str) -> None:
        self._ask("DELETE", f"/v1/files/{_part(id)}")

    def create(
        self, request: OptimizationRequest, idempotency_key: str | None = None
    ) -> Optimization:
        """Starts a job; sent twice with the same key, it is one job."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return read(
            Optimization,
            self._ask("POST", "/v1/optimizations", json=_body(request), headers=headers),
        )

    def estimate(self, request: OptimizationRequest, probe: bool = False) -> Estimate:
        """With `probe` the models are asked, and it takes as long as `promptray check`."""
        answer = self._ask(
            "POST",
            "/v1/optimizations/estimate",
            json=_body(request),
            params={"probe": probe},
            timeout=httpx2.Timeout(TIMEOUT_S, read=PROBE_TIMEOUT_S) if probe else TIMEOUT_S,
        )
        return read(Estimate, answer)

    def jobs(self, status: str | None = None, owner: str | None = None) -> Iterator[Optimization]:
        """All that the key may see, the newest first."""
        return self._pages(
            Page[Optimization], "/v1/optimizations", limit=100, status=status, owner=owner
        )

    def job(self, id: str) -> Optimization:
        return self._get(Optimization, f"/v1/optimizations/{_part(id)}")

    def cancel(self, id: str) -> Optimization:
        return read(Optimization, self._ask("POST", f"/v1/optimizations/{_part(id)}/cancel"))

    def resume(self, id: str) -> Optimization:
        return read(Optimization, self._ask("POST", f"/v1/optimizations/{_part(id)}/resume"))

    def events(self, id: str, after: int = 0) -> Iterator[Event]:
        """Those that there are, by id."""
        return self._pages(
            Page[Event], f"/v1/optimizations/{_part(id)}/events", after=after, limit=1000
        )

    def follow(self, id: str, after: int = 0) -> Iterator[Event]:
        """Those with ids above `after`, and all that come, until the job is over.

        A cut stream goes on where it was; a service that is too busy is asked again when it says
        so. Raises EndpointError where it stays away, ServiceError for another refusal.
        """
        job, failures = self._patiently(lambda: self.job(id)), 0
        while job.status not in TERMINAL or job.last_event > after:
            heard = after
            try:
                for event in self._stream(id, after):
                    after, failures = event.id, 0
                    yield event
                job = self._patiently(lambda: self.job(id))
            except (httpx2.TransportError, EndpointError, ServiceError) as problem:
                failures += 1
                self._sleep(self._pause(problem, failures))
            else:
                failures = 0
                if after == heard and job.status in TERMINAL:
                    yield from self.events(
                        id, after
                    )  # or the reason why the stream has none of them
                    return
                if after == heard:
                    self._sleep(
                        RETRY_S
                    )  # a stream that ends at once is not asked for without a pause

    def wait(self, id: str) -> Optimization:
        """The job when it is over."""
        for _ in self.follow(id):
            pass
        return self._patiently(lambda: self.job(id))

    def _patiently(self, ask: Callable[[], B]) -> B:
        """The answer of a service that may be too busy for a while. Raises as `follow`."""
        failures = 0
        while True:
            try:
                return ask()
            except ServiceError as problem:
                failures += 1
                self._sleep(self._pause(problem, failures))

    def _pause(self, problem: Exception, failures: int) -> float:
        """Seconds until the service may be asked again.

        Raises the problem where it is final, or has lasted too long.
        """
        pause_s = wait_of(problem, RETRY_S)
        if pause_s is None or pause_s > LONGEST_WAIT_S:
            raise problem
        if failures > MOST_FAILURES:
            raise EndpointError(
                f"The service {self.address} does not answer any more."
            ) from problem
        return pause_s

    def trials(self, id: str) -> list[Trial]:
        return self._get(Page[Trial], f"/v1/optimizations/{_part(id)}/trials").data

    def candidates(self, id: str, trial: str | None = None) -> Iterator[Candidate]:
        return self._pages(
            Page[Candidate], f"/v1/optimizations/{_part(id)}/candidates", limit=1000, trial=trial
        )

    def candidate(self, id: str, trial: str, candidate: str) -> CandidateDetail:
        return self._get(
            CandidateDetail,
            f"/v1/optimizations/{_part(id)}/candidates/{_part(candidate)}",
            trial=trial,
        )

    def compare(self, id: str, trial: str, left: str, right: str) -> Comparison:
        return self._get(
            Comparison,
            f"/v1/optimizations/{_part(id)}/comparison",
            trial=trial,
            left=left,
            right=right,
        )

    def best(self, id: str, trial: str | None = None) -> Best:
        return self._get(Best, f"/v1/optimizations/{_part(id)}/best", trial=trial)

    def best_by_task(self, id: str) -> list[Best]:
        """The best prompt of each task: accuracies of two tasks are not compared."""
        return self._get(Page[Best], f"/v1/optimizations/{_part(id)}/best/tasks").data

    def export(self, id: str, format: str, trial: str | None = None) -> bytes:
        """The best prompt as promptray, openai, dspy, mlflow or markdown."""
        return self._ask(
            "GET", f"/v1/optimizations/{_part(id)}/best", params=_given(format=format, trial=trial)
        ).content

    def download(self, id: str, name: str) -> bytes:
        """report.html, trials.parquet, candidates.parquet, costs.parquet, failures.parquet or
        settings.yaml.
        """
        path = "report" if name == "report.html" else f"files/{_part(name)}"
        return self._ask("GET", f"/v1/optimizations/{_part(id)}/{path}").content

    def audit(self) -> Iterator[AuditEntry]:
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
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield parsed(Event, line.removeprefix("data:"))

    def _get(self, kind: type[A], path: str, **params: Any) -> A:
        return read(kind, self._ask("GET", path, params=_given(**params)))

    def _pages(self, kind: type[Page[A]], path: str, **params: Any) -> Iterator[A]:
        while True:
            page = self._get(kind, path, **params)
            yield from page.data
            if not page.has_more or page.last_id is None:
                return
            params["after"] = page.last_id

    def _ask(self, method: str, path: str, **how: Any) -> httpx2.Response:
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
    """As one part of a path, whatever it says."""
    return quote(text, safe="")


def _given(**params: Any) -> Mapping[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
