""".../best, .../report and .../files of a job: prompts, tables and the report to download.

None is ever shown as a page but the report, which runs in a sandbox under its own policy.
"""

import html
import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import quote

import yaml
from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from cluster.experiment.prepare import SETTINGS_FILE
from cluster.results.folder import REPORT_FILE
from cluster.service.core.errors import Conflict
from cluster.service.http.deps import ERRORS, CurrentPrincipal, sheet
from cluster.service.http.job_results import ResultsReader
from cluster.service.http.optimizations import JobId
from cluster.service.read_models.exports import as_dspy, as_mlflow, as_openai, as_promptray
from cluster.service.read_models.results import TrialHistory
from cluster.service.read_models.settings import shown_settings
from cluster.service.read_models.trials import best_by_task, best_page, best_view
from cluster.service.schemas import Best, Page
from serving.storage import Folder

Format = Literal["promptray", "openai", "dspy", "mlflow", "markdown"]
Download = Literal[
    "trials.parquet",
    "candidates.parquet",
    "costs.parquet",
    "failures.parquet",
    "classes.parquet",
    "confusion.parquet",
    "settings.yaml",
]
_EXPORTS: dict[str, Callable[[TrialHistory, Best], dict[str, Any]]] = {
    "promptray": as_promptray,
    "openai": as_openai,
    "dspy": as_dspy,
    "mlflow": as_mlflow,
}
_POLICY = re.compile(rb'<meta http-equiv="Content-Security-Policy" content="([^"]{1,2000})">')
_SANDBOX = "sandbox allow-scripts; frame-ancestors 'none'"
_TYPE_BY_ENDING = {"parquet": "application/vnd.apache.parquet", "yaml": "text/plain; charset=utf-8"}


class Downloads:
    """Routes to download prompts, tables and the report."""

    def __init__(self, reader: ResultsReader) -> None:
        """Serve the results that `reader` reads."""
        self._reader = reader
        self._in_thread = reader.service.in_thread
        self._audit = reader.service.audit

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/v1/optimizations/{id}", tags=["results"], responses=ERRORS)
        form = Best | dict[str, Any]
        router.add_api_route(
            "/best",
            self.best,
            methods=["GET"],
            response_model=form,
            summary="Its best prompt",
            responses={
                200: {
                    "description": "The best prompt; with `format` a download in that form.",
                    "content": {"text/markdown": {"schema": {"type": "string"}}},
                }
            },
        )
        router.add_api_route(
            "/best/tasks",
            self.best_by_task,
            methods=["GET"],
            response_model=Page[Best],
            summary="The best prompt of each task",
        )
        router.add_api_route(
            "/report",
            self.report,
            methods=["GET"],
            summary="Its report, a page that works offline",
            response_class=Response,
            responses={
                200: {
                    "description": "HTML",
                    "content": {"text/html": {"schema": {"type": "string"}}},
                }
            },
        )
        router.add_api_route(
            "/files/{name}",
            self.file,
            methods=["GET"],
            summary="Its tables and settings",
            response_class=Response,
            responses={
                200: {
                    "description": "The file.",
                    "content": {
                        "application/vnd.apache.parquet": {
                            "schema": {"type": "string", "format": "binary"}
                        },
                        "text/plain": {"schema": {"type": "string"}},
                    },
                }
            },
        )
        return router

    async def best(
        self,
        principal: CurrentPrincipal,
        id: JobId,
        trial: Annotated[str | None, Query(max_length=300)] = None,
        format: Annotated[
            Format | None,
            Query(
                description=(
                    "promptray: as `promptray apply` reads it; openai: chat messages; dspy: the "
                    "state of a dspy.Predict; mlflow: a "
                    "prompt of its registry; markdown: for reading."
                )
            ),
        ] = None,
    ) -> Response:
        """Return the best prompt of the trial, or of the trial that is best on its dev split.

        Accuracies of several tasks cannot be compared: for a job with several, name the trial, or
        ask /best/tasks for that of each task.
        """
        opened = await self._reader.open(principal, id, None if trial is None else [trial])
        tasks = {name: trial_spec.task for name, trial_spec in opened.trial_specs.items()}
        history, best = await self._in_thread(
            principal,
            best_view,
            self._reader.service.results,
            list(opened.histories.values()),
            trial,
            tasks,
        )
        if format is None:
            return sheet(best)
        async with self._audit.recorded(
            principal, "best.download", f"{id}/{best.trial} as {format}"
        ):
            if format == "markdown":
                page: str = await self._in_thread(principal, best_page, history)
                return download(page.encode(), f"{best.trial}.md", "text/markdown; charset=utf-8")
            content = json.dumps(_EXPORTS[format](history, best), indent=2) + "\n"
            return download(content.encode(), f"{best.trial}.{format}.json", "application/json")

    async def best_by_task(self, principal: CurrentPrincipal, id: JobId) -> Response:
        """Return for each task the best prompt of the trial that is best on its dev split.

        Of equal ones it is the one measured on more dev items, then the one that started first. A
        task of which no round is done yet is left out.
        """
        opened = await self._reader.open(principal, id)
        found = await self._in_thread(
            principal,
            best_by_task,
            self._reader.service.results,
            list(opened.histories.values()),
            opened.trial_specs,
        )
        return sheet(
            Page[Best](
                data=found,
                first_id=found[0].task if found else None,
                last_id=found[-1].task if found else None,
            )
        )

    async def report(self, principal: CurrentPrincipal, id: JobId) -> Response:
        """Return the report; it exists once the job has ended."""
        opened = await self._reader.open(principal, id, [])
        data: bytes = await self._in_thread(principal, _made, opened.folder, REPORT_FILE)
        found = _POLICY.search(data[:20_000])
        own = html.unescape(found[1].decode("ascii", "replace")) if found else "default-src 'none'"
        return Response(
            data,
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": f"{own}; {_SANDBOX}"},
        )

    async def file(
        self, principal: CurrentPrincipal, id: JobId, name: Annotated[Download, Path()]
    ) -> Response:
        """Return one of the job's tables, or its settings."""
        opened = await self._reader.open(principal, id, [])
        data: bytes = await self._in_thread(principal, _made, opened.folder, name)
        if name == SETTINGS_FILE:
            data = yaml.safe_dump(
                shown_settings(opened.settings), sort_keys=False, allow_unicode=True
            ).encode()
        return download(data, f"{opened.job.name}-{name}", _TYPE_BY_ENDING[name.rpartition(".")[2]])


def download(data: bytes, name: str, media_type: str) -> Response:
    """Return an answer that browsers save instead of showing it."""
    return Response(data, media_type=media_type, headers=saved_as(name))


def saved_as(name: str) -> dict[str, str]:
    """Return the header that makes browsers save the body, with both name forms of RFC 6266."""
    ascii_name = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    disposition = (
        f'attachment; filename="{ascii_name}"; '
        f"filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    )
    return {"Content-Disposition": disposition}


def _made(folder: Folder, name: str) -> bytes:
    if not folder.exists(name):
        raise Conflict(f"{name} does not exist yet: it is made when the job has ended.")
    return folder.read(name)
