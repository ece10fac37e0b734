"""/v1/evaluations: create, list, get, cancel, resume, summary, files; and /v1/jobs of any kind.

Knows the backend, and of an optimization only its best prompts.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import ValidationError

from cluster.evaluation.settings import SUMMARY_FILE
from cluster.service.core.backend import JobBackend, Principal
from cluster.service.core.errors import Conflict, Damaged
from cluster.service.core.pagination import unknown_job
from cluster.service.http.deps import ERRORS, CurrentPrincipal, sheet
from cluster.service.http.downloads import download
from cluster.service.http.job_results import ResultsReader
from cluster.service.http.optimizations import After, Key, Limit, Owner, Status
from cluster.service.read_models.trials import best_by_task, best_view
from cluster.service.schemas import (
    Best,
    Evaluation,
    EvaluationRequest,
    EvaluationSummary,
    Job,
    JobKind,
    Page,
    PromptRequest,
    kind_of,
)
from optimizer.errors import SettingsError
from serving.storage import Folder
from serving.storage.text import storable

EvaluationId = Annotated[
    str, Path(description="Id of the evaluation.", examples=["eval-3f2a9c0b1d4e5f60"])
]
File = Literal["items.parquet", "summary.json"]
_TYPE_BY_FILE: dict[File, str] = {
    "items.parquet": "application/vnd.apache.parquet",
    "summary.json": "application/json",
}


class Evaluations:
    """Routes to the jobs that evaluate prompts, and to the list of all jobs."""

    def __init__(self, reader: ResultsReader) -> None:
        """Serve jobs; `reader` reads the results of those whose prompts are evaluated."""
        self._reader = reader
        self._backend: JobBackend = reader.service.backend
        self._audit = reader.service.audit

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/v1", tags=["evaluations"], responses=ERRORS)
        add = router.add_api_route
        add("/jobs", self.jobs, methods=["GET"], response_model=Page[Job], summary="List all jobs")
        add(
            "/evaluations",
            self.create,
            methods=["POST"],
            response_model=Evaluation,
            summary="Start an evaluation",
        )
        add(
            "/evaluations",
            self.page,
            methods=["GET"],
            response_model=Page[Evaluation],
            summary="List evaluations",
        )
        one = "/evaluations/{id}"
        add(one, self.get, methods=["GET"], response_model=Evaluation, summary="One evaluation")
        for verb, handler, summary in (
            ("cancel", self.cancel, "Cancel it"),
            ("resume", self.resume, "Go on with it"),
        ):
            add(
                f"{one}/{verb}",
                handler,
                methods=["POST"],
                response_model=Evaluation,
                summary=summary,
            )
        add(
            f"{one}/summary",
            self.summary,
            methods=["GET"],
            response_model=EvaluationSummary,
            summary="What it has found",
        )
        add(
            f"{one}/files/{{name}}",
            self.file,
            methods=["GET"],
            summary="Its items and its summary",
            response_class=Response,
            responses={
                200: {
                    "description": "The file.",
                    "content": {
                        kind: {"schema": {"type": "string", "format": "binary"}}
                        for kind in _TYPE_BY_FILE.values()
                    },
                }
            },
        )
        return router

    async def jobs(
        self,
        principal: CurrentPrincipal,
        after: After = None,
        limit: Limit = 20,
        status: Status = None,
        owner: Owner = None,
        kind: Annotated[JobKind | None, Query()] = None,
    ) -> Response:
        """List jobs of any kind, the newest first: your own, and everybody's for an admin."""
        return sheet(await self._backend.page(principal, after, limit, status, owner, kind))

    async def create(
        self, principal: CurrentPrincipal, request: EvaluationRequest, key: Key = None
    ) -> Response:
        """Check the request as `promptray evaluate` does, and queue it."""
        async with self._audit.recorded(principal, "evaluation.create") as note:
            prompts = [await self._with_text(principal, prompt) for prompt in request.prompts]
            request = request.model_copy(update={"prompts": tuple(prompts)})
            job = await self._backend.create(principal, request, key)
            note.subject = job.id
        return sheet(job)

    async def page(
        self,
        principal: CurrentPrincipal,
        after: After = None,
        limit: Limit = 20,
        status: Status = None,
        owner: Owner = None,
    ) -> Response:
        """List the newest first: your own, and everybody's for an admin."""
        return sheet(await self._backend.page(principal, after, limit, status, owner, "evaluation"))

    async def get(self, principal: CurrentPrincipal, id: EvaluationId) -> Response:
        """Return one evaluation, with its scores once it has ended."""
        return sheet(await self._backend.get(principal, _evaluation(id)))

    async def cancel(self, principal: CurrentPrincipal, id: EvaluationId) -> Response:
        """Cancel it; every finished call is recorded, so it can be resumed."""
        async with self._audit.recorded(principal, "evaluation.cancel", id):
            return sheet(await self._backend.cancel(principal, _evaluation(id)))

    async def resume(self, principal: CurrentPrincipal, id: EvaluationId) -> Response:
        """Queue a failed or cancelled one again; what was paid for is not paid for again."""
        async with self._audit.recorded(principal, "evaluation.resume", id):
            return sheet(await self._backend.resume(principal, _evaluation(id)))

    async def summary(self, principal: CurrentPrincipal, id: EvaluationId) -> Response:
        """Return scores with intervals, and the comparisons of the prompts."""
        data = await self._file(principal, id, SUMMARY_FILE)
        try:
            return sheet(EvaluationSummary.model_validate(_storable(json.loads(data))))
        except (ValidationError, ValueError, RecursionError) as problem:
            raise Damaged(
                f"{SUMMARY_FILE} of this job is none of our files; bring it back from a copy."
            ) from problem

    async def file(
        self, principal: CurrentPrincipal, id: EvaluationId, name: Annotated[File, Path()]
    ) -> Response:
        """Return every answer with its score, or the summary."""
        data = await self._file(principal, id, name)
        return download(data, f"{id}-{name}", _TYPE_BY_FILE[name])

    async def _file(self, principal: Principal, id: str, name: str) -> bytes:
        job = await self._backend.get(principal, _evaluation(id))
        folder = await self._backend.results(principal, job.id)
        data: bytes = await self._reader.service.in_thread(principal, _read, folder, name)
        return data

    async def _with_text(self, principal: Principal, given: PromptRequest) -> PromptRequest:
        """Return a prompt with that of the job that it names in its place.

        Raises:
            NotFound: There is no such job or trial, or the principal may not see it.
            Conflict: It has found no prompt yet.
            SettingsError: It has several tasks, and the request names none of them.
        """
        if given.job is None:
            return given
        best = await self._best(principal, given.job, given.trial, given.task)
        return PromptRequest(label=given.label or best.trial[-80:], prompt=best.prompt)

    async def _best(
        self, principal: Principal, job: str, trial: str | None, task: str | None
    ) -> Best:
        opened = await self._reader.open(principal, job, None if trial is None else [trial])
        results, histories = self._reader.service.results, list(opened.histories.values())
        in_thread = self._reader.service.in_thread
        if trial is not None:
            tasks = {name: spec.task for name, spec in opened.trial_specs.items()}
            _, best = await in_thread(principal, best_view, results, histories, trial, tasks)
            return best  # type: ignore[no-any-return]
        found: Sequence[Best] = await in_thread(
            principal, best_by_task, results, histories, opened.trial_specs
        )
        fitting = [best for best in found if task in (None, best.task)]
        if len(fitting) == 1:
            return fitting[0]
        if not found:
            raise Conflict(f"The job {job} has found no prompt yet.")
        known = ", ".join(best.task for best in found)
        raise SettingsError(f"Name a task of the job {job}; it has prompts for: {known}.")


def _evaluation(id: str) -> str:
    """Return the id of an evaluation.

    Raises:
        NotFound: It is that of another job.
    """
    if kind_of(id) != "evaluation":
        raise unknown_job(id)
    return id


def _read(folder: Folder, name: str) -> bytes:
    if not folder.exists(name):
        raise Conflict(f"{name} does not exist yet: it is made when the job has ended.")
    return folder.read(name)


def _storable(value: Any) -> Any:
    """Return JSON with texts that can be sent as UTF-8."""
    match value:
        case str():
            return storable(value)
        case list():
            return [_storable(one) for one in value]
        case dict():
            return {key: _storable(one) for key, one in value.items()}
    return value
