"""/v1/files: upload a data set, list, read, download and delete it."""

import os
from collections.abc import AsyncIterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, File, Form, Path, Query, UploadFile
from fastapi.responses import Response, StreamingResponse

from cluster.service.core.backend import Principal
from cluster.service.http.deps import ERRORS, CurrentPrincipal, Service, sheet
from cluster.service.http.downloads import saved_as
from cluster.service.schemas import FileDeleted, Page, Row, StoredFile
from cluster.service.stores.data_files import Incoming
from cluster.service.stores.file_inspection import inspect_file, rows_of
from serving.gateway.limits import too_large

PIECE_BYTES = 2**20
FileId = Annotated[
    str,
    Path(
        description="Id of an uploaded file.",
        examples=["file-019d2f1c8e0a5b7c9d1e3f"],
        max_length=100,
    ),
]


class Files:
    """Routes to uploaded data sets."""

    def __init__(self, service: Service) -> None:
        """Serve from the parts of a replica."""
        self._files = service.files
        self._in_thread = service.in_thread
        self._checks = service.checks
        self._limits = service.settings.read_limits
        self._audit = service.audit
        self._most_bytes = service.settings.upload_bytes

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/v1/files", tags=["files"], responses=ERRORS)
        router.add_api_route(
            "",
            self.upload,
            methods=["POST"],
            response_model=StoredFile,
            summary="Upload a data set",
        )
        router.add_api_route(
            "",
            self.page,
            methods=["GET"],
            response_model=Page[StoredFile],
            summary="List uploaded data sets",
        )
        router.add_api_route(
            "/{id}", self.get, methods=["GET"], response_model=StoredFile, summary="One data set"
        )
        router.add_api_route(
            "/{id}",
            self.delete,
            methods=["DELETE"],
            response_model=FileDeleted,
            summary="Delete it",
        )
        router.add_api_route(
            "/{id}/rows",
            self.rows,
            methods=["GET"],
            response_model=Page[Row],
            summary="Its rows, as a job reads them",
        )
        router.add_api_route(
            "/{id}/content",
            self.content,
            methods=["GET"],
            summary="Its bytes",
            response_class=Response,
            responses={
                200: {
                    "description": "As it was uploaded.",
                    "content": {
                        "application/octet-stream": {
                            "schema": {"type": "string", "format": "binary"}
                        }
                    },
                }
            },
        )
        return router

    async def upload(
        self,
        principal: CurrentPrincipal,
        file: Annotated[
            UploadFile, File(description="A .jsonl, .csv, .parquet or BIG-bench .json file.")
        ],
        purpose: Annotated[
            str, Form(description="Only optimize.", pattern="^optimize$")
        ] = "optimize",
    ) -> Response:
        """Read the file as a job would read it, and store it.

        If any rows are faulty, the error names the first ones and nothing is stored.
        """
        if file.size is not None and file.size > self._most_bytes:
            raise too_large(self._most_bytes)
        async with self._audit.recorded(principal, "file.upload") as note:
            incoming: Incoming = await self._in_thread(
                principal, self._files.receive, principal, file.filename or "", file.file
            )
            try:
                summary = await self._checks.run(
                    principal.owner, inspect_file, incoming.path, incoming.name, self._limits
                )
                stored: StoredFile = await self._in_thread(
                    principal, self._files.save, principal, incoming, summary
                )
            finally:
                await self._in_thread(principal, incoming.discard)
            note.subject = stored.id
        return sheet(stored)

    async def page(
        self,
        principal: CurrentPrincipal,
        after: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        """List the newest first: your own, and everybody's for an admin."""
        return sheet(await self._in_thread(principal, self._files.page, principal, after, limit))

    async def get(self, principal: CurrentPrincipal, id: FileId) -> Response:
        """Return one data set, with a preview of its rows."""
        return sheet(await self._in_thread(principal, self._files.get, principal, id))

    async def delete(self, principal: CurrentPrincipal, id: FileId) -> Response:
        """Delete a data set; jobs that were started with it keep their results."""
        async with self._audit.recorded(principal, "file.delete", id):
            return sheet(await self._in_thread(principal, self._files.delete, principal, id))

    async def rows(
        self,
        principal: CurrentPrincipal,
        id: FileId,
        after: Annotated[int, Query(ge=0, le=2**53, description="Rows to skip.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    ) -> Response:
        """Return some rows; the next ones come with `after` = `last_id`, a row's number."""
        name, path = await self._in_thread(principal, self._files.place, principal, id)
        rows, more = await self._checks.run(
            principal.owner, rows_of, path, name, self._limits, after, limit
        )
        return sheet(
            Page[Row](
                data=rows,
                first_id=str(after + 1) if rows else None,
                last_id=str(after + len(rows)) if rows else None,
                has_more=more,
            )
        )

    async def content(self, principal: CurrentPrincipal, id: FileId) -> Response:
        """Return the bytes as they were uploaded, as a type that no browser shows."""
        name, path = await self._in_thread(principal, self._files.place, principal, id)
        # Sent while it is read, so that a slow client takes little memory.
        file: BinaryIO = await self._in_thread(principal, open, path, "rb")
        size = await self._in_thread(principal, os.path.getsize, path)
        answer = StreamingResponse(
            self._pieces(principal, file),
            media_type="application/octet-stream",
            headers=saved_as(name),
        )
        answer.headers["Content-Length"] = str(size)
        return answer

    async def _pieces(self, principal: Principal, file: BinaryIO) -> AsyncIterator[bytes]:
        with file:
            while piece := await self._in_thread(principal, file.read, PIECE_BYTES):
                yield piece
