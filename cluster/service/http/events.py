""".../events of a job: a list, and a stream of server-sent events that can be continued.

However many listen to a job, the backend reads its events once.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import EventSourceResponse, Response
from fastapi.sse import format_sse_event

from cluster.service.core.backend import Principal
from cluster.service.core.pagination import paginate, unknown_job
from cluster.service.http.deps import ERRORS, CurrentPrincipal, Service, sheet
from cluster.service.schemas import TERMINAL, Event, JobKind, Page, kind_of
from serving.gateway.errors import Refused
from serving.runtime.supervision import Supervisor

HEARTBEAT = format_sse_event(comment="still here")
RETRY = format_sse_event(retry=2000)
_STREAM = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_DESCRIPTION = (
    "A page of events. With `stream=true`, or `Accept: text/event-stream`, server-sent events: "
    "`id` counts from 1, `event` is the "
    "kind, `data` the event as JSON on one line; a comment comes now and then while nothing "
    "happens. The stream ends after the "
    "job's last event. Send `Last-Event-ID` to go on where a stream was cut; 204 says that nothing "
    "more will come."
)

_SENT = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "Of the event; send it as Last-Event-ID."},
        "event": {"type": "string", "description": "Its kind, such as trial.round."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/Event"},
        },
    },
    "example": {"id": "7", "event": "trial.round", "data": '{"id":7,"kind":"trial.round", ...}'},
}
"""The schema of one event of the stream."""


class Events:
    """Routes to what has happened to a job, and what happens."""

    def __init__(self, service: Service, kind: JobKind = "optimization") -> None:
        """Serve the events of jobs of one kind from the parts of a replica."""
        self._kind = kind
        self._backend = service.backend
        self._heartbeat_s = service.heartbeat_s
        self._tasks = Supervisor("the streams of events")

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(
            prefix=f"/v1/{self._kind}s/{{id}}", tags=[f"{self._kind}s"], responses=ERRORS
        )
        router.add_api_route(
            "/events",
            self.events,
            methods=["GET"],
            response_model=Page[Event],
            summary="Its events",
            responses={
                200: {
                    "description": _DESCRIPTION,
                    "content": {"text/event-stream": {"schema": _SENT}},
                },
                204: {
                    "description": "The job is over and its last event was given: do not connect "
                    "again."
                },
            },
        )
        return router

    async def events(
        self,
        principal: CurrentPrincipal,
        id: Annotated[str, Path(description="Id of the job.")],
        after: Annotated[
            int | None, Query(ge=0, le=2**53, description="Only events after this id.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        stream: bool = False,
        accept: Annotated[str, Header()] = "",
        last_event_id: Annotated[str, Header(max_length=20)] = "",
    ) -> Response:
        """List the job's events, or stream them as they happen."""
        if kind_of(id) != self._kind:
            raise unknown_job(id)
        if not stream and "text/event-stream" not in accept:
            return await self._list(principal, id, after or 0, limit)
        start = _start(after, last_event_id)
        job = await self._backend.get(principal, id)
        # 204 ends the reconnecting of an EventSource; an empty stream would be opened again for
        # ever.
        if job.status in TERMINAL and start >= job.last_event:
            return Response(status_code=204)
        # An error that reading would give is raised here, before the stream has begun.
        if job.status in TERMINAL:
            await self._backend.events(principal, id, start, job.last_event)
        return EventSourceResponse(self._stream(principal, id, start), headers=_STREAM)

    async def _list(self, principal: Principal, id: str, after: int, limit: int) -> Response:
        found = await self._backend.events(principal, id, after, limit + 1)
        return sheet(
            paginate(
                ((str(event.id), event) for event in found),
                None,
                limit,
                unknown_job,
                lambda _, event: event,
            )
        )

    async def _stream(self, principal: Principal, id: str, after: int) -> AsyncIterator[bytes]:
        """Send events with ids above `after`, and heartbeats while there are none.

        The stream ends when the job is over, or cannot be followed.
        """
        # Sent at once: it opens the stream through proxies, and says how soon to come back after a
        # cut.
        yield RETRY
        events = self._backend.follow(principal, id, after)
        coming: asyncio.Future[Event | None] | None = None
        try:
            while True:
                # The same future over several heartbeats: a second anext on a running generator
                # would fail.
                coming = coming or asyncio.ensure_future(anext(events, None))
                # Not asyncio.timeout, which would cancel the following at the first heartbeat.
                await asyncio.wait([coming], timeout=self._heartbeat_s)
                if not coming.done():
                    yield HEARTBEAT
                # None stands for the end of the generator, which is the end of the job.
                elif event := coming.result():
                    coming = None
                    yield written(event)
                else:
                    return
        except Exception as problem:  # noqa: BLE001 - the client connects again, and gets the reason
            self._tasks.report(f"following {id}", problem)
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.wait([coming])
            # Only a generator that is closed gives its listener back; it may be in the middle of a
            # wait.
            await events.aclose()  # type: ignore[attr-defined]  # an async generator, by the protocol's contract


def written(event: Event) -> bytes:
    """Return an event as it is sent: JSON on one line and in ASCII, whatever the event says."""
    data = json.dumps(event.model_dump(mode="json"), separators=(",", ":"))
    return format_sse_event(data_str=data, event=event.kind, id=str(event.id))


def _start(after: int | None, last_event_id: str) -> int:
    # The header comes from the browser at a reconnect, and is newer than the address it was opened
    # with.
    if last_event_id:
        if not (last_event_id.isascii() and last_event_id.isdecimal()):
            raise Refused(
                400,
                "invalid_value",
                "Last-Event-ID is no number of an event.",
                param="Last-Event-ID",
            )
        return int(last_event_id)
    return after or 0
