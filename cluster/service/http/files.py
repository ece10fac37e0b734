"""/v1/files: upload a data set, list, look into it, take it back, delete it."""

import os
from collections.abc import AsyncIterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, File, Form, Path, Query, UploadFile
from fastapi.responses import Response, StreamingResponse

from cluster.service.core.backend import Principal
from cluster.service.http.deps import ERRORS, Asking, Service, sheet
from cluster.service.http.downloads import saved_as
from cluster.service.schemas import FileDeleted, Page, Row, StoredFile
from cluster.service.stores.data_files import Incoming, look_into, rows_of
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
    """Uploaded data sets."""

    def __init__(self, service: Service) -> None:
        self._files = service.files
        self._aside = service.aside
        self._checks = service.checks
        self._limits = service.settings.read_limits
        self._audit = service.audit
        self._most_bytes = service.settings.upload_bytes

    def router(self) -> APIRouter:
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
        asking: Asking,
        file: Annotated[
            UploadFile, File(description="A .jsonl, .csv, .parquet or BIG-bench .json file.")
        ],
        purpose: Annotated[
            str, Form(description="Only optimize.", pattern="^optimize$")
        ] = "optimize",
    ) -> Response:
        """Read as a job would read it: the first faulty rows are named, and nothing is kept of a
        file that has any.
        """
        if file.size is not None and file.size > self._most_bytes:
            raise too_large(self._most_bytes)
        async with self._audit.noted(asking, "file.upload") as note:
            incoming: Incoming = await self._aside(
                asking, self._files.receive, asking, file.filename or "", file.file
            )
            try:
                look = await self._checks.run(
                    asking.owner, look_into, incoming.path, incoming.name, self._limits
                )
                stored: StoredFile = await self._aside(
                    asking, self._files.keep, asking, incoming, look
                )
            finally:
                await self._aside(asking, incoming.discard)
            note.subject = stored.id
        return sheet(stored)

    async def page(
        self,
        asking: Asking,
        after: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        """The newest first: your own, and everybody's for an admin."""
        return sheet(await self._aside(asking, self._files.page, asking, after, limit))

    async def get(self, asking: Asking, id: FileId) -> Response:
        return sheet(await self._aside(asking, self._files.get, asking, id))

    async def delete(self, asking: Asking, id: FileId) -> Response:
        async with self._audit.noted(asking, "file.delete", id):
            return sheet(await self._aside(asking, self._files.delete, asking, id))

    async def rows(
        self,
        asking: Asking,
        id: FileId,
        after: Annotated[int, Query(ge=0, le=2**53, description="Rows to pass over.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    ) -> Response:
        """Ask for what follows with `after` = `last_id`, a row's number."""
        name, path = await self._aside(asking, self._files.place, asking, id)
        rows, more = await self._checks.run(
            asking.owner, rows_of, path, name, self._limits, after, limit
        )
        return sheet(
            Page[Row](
                data=rows,
                first_id=str(after + 1) if rows else None,
                last_id=str(after + len(rows)) if rows else None,
                has_more=more,
            )
        )

    async def content(self, asking: Asking, id: FileId) -> Response:
        """A download of no type that a browser would show.

        Read as it is sent: whoever takes their time takes little memory.
        """
        name, path = await self._aside(asking, self._files.place, asking, id)
        file: BinaryIO = await self._aside(asking, open, path, "rb")
        size = await self._aside(asking, os.path.getsize, path)
        answer = StreamingResponse(
            self._pieces(asking, file),
            media_type="application/octet-stream",
            headers=saved_as(name),
        )
        answer.headers["Content-Length"] = str(size)
        return answer

    async def _pieces(self, asking: Principal, file: BinaryIO) -> AsyncIterator[bytes]:
        with file:
            while piece := await self._aside(asking, file.read, PIECE_BYTES):
                yield piece
