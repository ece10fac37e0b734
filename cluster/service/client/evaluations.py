"""The calls of a client that are about evaluations."""

import uuid
from collections.abc import Iterator

from cluster.service.client.connection import Connection, body, job_path
from cluster.service.client.responses import read
from cluster.service.schemas import (
    Evaluation,
    EvaluationRequest,
    EvaluationSummary,
    Job,
    Page,
)


class EvaluationCalls(Connection):
    """Evaluations of a service, and its jobs of any kind."""

    def evaluate(
        self, request: EvaluationRequest, idempotency_key: str | None = None
    ) -> Evaluation:
        """Start an evaluation; a request that is sent twice with the same key makes one job.

        It is followed, waited for, cancelled and resumed as an optimization is.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return read(
            Evaluation,
            self._request("POST", "/v1/evaluations", json=body(request), headers=headers),
        )

    def evaluations(
        self, status: str | None = None, owner: str | None = None
    ) -> Iterator[Evaluation]:
        """Yield all evaluations that the key may see, the newest first."""
        return self._pages(
            Page[Evaluation], "/v1/evaluations", limit=100, status=status, owner=owner
        )

    def all_jobs(self, status: str | None = None, owner: str | None = None) -> Iterator[Job]:
        """Yield all jobs of any kind that the key may see, the newest first."""
        return self._pages(Page[Job], "/v1/jobs", limit=100, status=status, owner=owner)

    def summary(self, id: str) -> EvaluationSummary:
        """Return what an evaluation has found: scores with intervals, and comparisons."""
        return self._get(EvaluationSummary, f"{job_path(id)}/summary")
