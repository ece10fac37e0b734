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

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2

from cluster.service.client.connection import TIMEOUT_S, body, given, job_path, part
from cluster.service.client.evaluations import EvaluationCalls
from cluster.service.client.responses import ServiceError, parsed, read, refusal
from cluster.service.schemas import (
    TERMINAL,
    AuditEntry,
    Best,
    Candidate,
    CandidateDetail,
    Catalogue,
    Comparison,
    Estimate,
    Evaluation,
    Event,
    Job,
    Me,
    Optimization,
    OptimizationRequest,
    Page,
    StoredFile,
    Trial,
    kind_of,
)
from optimizer.errors import EndpointError, StorageError
from optimizer.paths import expanded
from serving.storage.regular_files import open_regular

SILENCE_S = 45.0
"""A stream of events that is silent for longer, heartbeats included, counts as cut."""
PROBE_TIMEOUT_S = 3600.0
"""A probe calls the models, as `promptray check` does."""


class ServiceClient(EvaluationCalls):
    """A client of one service.

    Its methods raise ServiceError if the service refuses a request, and EndpointError if it does
    not answer.
    """

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
        return self._get(StoredFile, f"/v1/files/{part(id)}")

    def delete_file(self, id: str) -> None:
        """Delete an uploaded data set."""
        self._request("DELETE", f"/v1/files/{part(id)}")

    def create(
        self, request: OptimizationRequest, idempotency_key: str | None = None
    ) -> Optimization:
        """Start a job; a request that is sent twice with the same key makes one job."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return read(
            Optimization,
            self._request("POST", "/v1/optimizations", json=body(request), headers=headers),
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
            json=body(request),
            params={"probe": probe},
            timeout=httpx2.Timeout(TIMEOUT_S, read=PROBE_TIMEOUT_S) if probe else TIMEOUT_S,
        )
        return read(Estimate, answer)

    def jobs(self, status: str | None = None, owner: str | None = None) -> Iterator[Optimization]:
        """Yield all optimizations that the key may see, the newest first; see `all_jobs`."""
        return self._pages(
            Page[Optimization], "/v1/optimizations", limit=100, status=status, owner=owner
        )

    def job(self, id: str) -> Job:
        """Return a job of any kind."""
        return self._get(_schema(id), job_path(id))

    def cancel(self, id: str) -> Job:
        """Cancel a job."""
        return read(_schema(id), self._request("POST", f"{job_path(id)}/cancel"))

    def resume(self, id: str) -> Job:
        """Queue a failed or cancelled job again."""
        return read(_schema(id), self._request("POST", f"{job_path(id)}/resume"))

    def events(self, id: str, after: int = 0) -> Iterator[Event]:
        """Yield the events of a job so far with ids above `after`."""
        return self._pages(Page[Event], f"{job_path(id)}/events", after=after, limit=1000)

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

    def wait(self, id: str) -> Job:
        """Wait until a job is over, and return it."""
        for _ in self.follow(id):
            pass
        return self._retrying.call(lambda: self.job(id))

    def trials(self, id: str) -> list[Trial]:
        """Return the trials of a job with their learning curves."""
        return self._get(Page[Trial], f"{job_path(id)}/trials").data

    def candidates(self, id: str, trial: str | None = None) -> Iterator[Candidate]:
        """Yield the candidates of a job, or of one of its trials."""
        return self._pages(Page[Candidate], f"{job_path(id)}/candidates", limit=1000, trial=trial)

    def candidate(self, id: str, trial: str, candidate: str) -> CandidateDetail:
        """Return a candidate with its prompt."""
        return self._get(
            CandidateDetail,
            f"{job_path(id)}/candidates/{part(candidate)}",
            trial=trial,
        )

    def compare(self, id: str, trial: str, left: str, right: str) -> Comparison:
        """Compare two candidates of a trial item by item."""
        return self._get(
            Comparison,
            f"{job_path(id)}/comparison",
            trial=trial,
            left=left,
            right=right,
        )

    def best(self, id: str, trial: str | None = None) -> Best:
        """Return the best prompt of a job, or of one of its trials."""
        return self._get(Best, f"{job_path(id)}/best", trial=trial)

    def best_by_task(self, id: str) -> list[Best]:
        """Return the best prompt of each task; accuracies of two tasks are not compared."""
        return self._get(Page[Best], f"{job_path(id)}/best/tasks").data

    def export(self, id: str, format: str, trial: str | None = None) -> bytes:
        """Return the best prompt as promptray, openai, dspy, mlflow or markdown."""
        return self._request(
            "GET", f"{job_path(id)}/best", params=given(format=format, trial=trial)
        ).content

    def download(self, id: str, name: str) -> bytes:
        """Return one of a job's files.

        Args:
            id: The job.
            name: report.html, trials.parquet, candidates.parquet, costs.parquet, failures.parquet,
                settings.yaml, or, where targets are classes, classes.parquet and confusion.parquet;
                of an evaluation items.parquet and summary.json.
        """
        path = "report" if name == "report.html" else f"files/{part(name)}"
        return self._request("GET", f"{job_path(id)}/{path}").content

    def audit(self) -> Iterator[AuditEntry]:
        """Yield the entries of the audit log, the newest first; for admins."""
        return self._pages(Page[AuditEntry], "/v1/audit", limit=1000)

    def _stream(self, id: str, after: int) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        timeout = httpx2.Timeout(TIMEOUT_S, read=SILENCE_S)
        with self._http.stream(
            "GET", f"{job_path(id)}/events", headers=headers, timeout=timeout
        ) as answer:
            if answer.status_code == 204:
                return
            if answer.status_code != 200:
                answer.read()
                raise refusal(answer)
            for sent in httpx2.EventSource(answer):
                if sent.data:  # else it only says how soon to connect again
                    yield parsed(Event, sent.data)


def _schema(id: str) -> type[Optimization | Evaluation]:
    return Evaluation if kind_of(id) == "evaluation" else Optimization
