"""What all routes of the service use: its parts, who asks, and the form of answers and errors.

Knows no single route.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from typing import Annotated, Any, NoReturn

from fastapi import Depends
from fastapi import Request as HttpRequest
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel

from cluster.service.core.backend import JobBackend, Principal
from cluster.service.core.errors import (
    Busy,
    Conflict,
    Damaged,
    NoRoom,
    NotFound,
    OverQuota,
    Unavailable,
)
from cluster.service.core.settings import QuotaSettings, ServiceSettings
from cluster.service.read_models.results import Results
from cluster.service.schemas import Error
from cluster.service.stores.audit_log import Audit
from cluster.service.stores.check_pool import CheckPool
from cluster.service.stores.data_files import FileStore
from cluster.service.stores.threads import ReadingThreads
from optimizer.errors import (
    AccessError,
    EndpointError,
    PromptrayError,
    QuotaExhausted,
    StorageError,
    UserError,
    shortened,
)
from serving.gateway.errors import Refused
from serving.gateway.response_bodies import JSONBody
from serving.runtime.supervision import LASTING
from serving.settings.validation import first_fault

HEARTBEAT_S = 15.0
"""Proxies close a connection that is silent for a minute."""
BUSY_RETRY_S = 5.0


@dataclass(frozen=True)
class Service:
    """The parts of one replica."""

    backend: JobBackend
    files: FileStore
    audit: Audit
    settings: ServiceSettings
    quota: Callable[[str], QuotaSettings]
    """Owner -> quota."""
    results: Results = field(default_factory=Results)
    page: Traversable = field(default_factory=lambda: package_files("cluster.service") / "web")
    """The folder of the page's files; it may not exist."""
    heartbeat_s: float = HEARTBEAT_S
    threads: ReadingThreads = field(default_factory=ReadingThreads)
    checks: CheckPool = field(default_factory=CheckPool)

    async def in_thread(self, principal: Principal, work: Callable[..., Any], *given: Any) -> Any:
        """Run work that reads files or calculates for long in one of the principal's threads.

        Returns:
            What the work returns.
        """
        return await self.threads.run(principal.owner, work, *given)

    async def faults(self) -> list[str]:
        """Return one sentence for each background task that has failed for a while; never raise."""
        return [*await self.backend.faults(), *self.audit.faults(LASTING)]


async def current_principal(http: HttpRequest) -> Principal:
    """Return who asks, as the gateway has found out; a key of the models' gateway is refused."""
    # Async, as is `current_admin`: the framework would run a plain function in threads that all
    # requests share.
    found = http.state.principal
    if not isinstance(found, Principal):
        raise Refused(
            403,
            "models_only",
            "This key opens the models alone: ask the service's admin for a key of the service.",
        )
    return found


async def current_admin(http: HttpRequest) -> Principal:
    """Return who asks; refuse anybody but an admin."""
    found = await current_principal(http)
    if not found.admin:
        raise Refused(403, "admins_only", "Only an admin's key may ask for this.")
    return found


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
CurrentAdmin = Annotated[Principal, Depends(current_admin)]


def sheet(
    answer: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer as JSON."""
    return JSONBody(answer.model_dump(mode="python"), status, dict(headers or {}))


async def refuse(http: HttpRequest, problem: Exception) -> NoReturn:
    """Turn one of our errors into the HTTP error that it is."""
    raise refusal_of(problem)


def refusal_of(problem: Exception) -> Refused:
    """Return the HTTP error for one of our errors."""
    message = shortened(str(problem), 2000)
    if isinstance(problem, OverQuota):
        return Refused(429, "quota_exceeded", message, retry_after_s=problem.retry_after_s or 60.0)
    if isinstance(problem, Busy):
        return Refused(429, "too_many_at_once", message, retry_after_s=problem.retry_after_s)
    if isinstance(problem, QuotaExhausted):
        return Refused(429, "quota_exceeded", message, retry_after_s=60.0)
    if isinstance(problem, EndpointError):
        return Refused(503, "model_failed", message, retry_after_s=BUSY_RETRY_S)
    for kind, status, code in _BY_KIND:
        if isinstance(problem, kind):
            return Refused(
                status, code, message, retry_after_s=BUSY_RETRY_S if status == 503 else None
            )
    return Refused(500, "internal_error", "The service failed; the reason is in its log.")


_BY_KIND: tuple[tuple[type[PromptrayError], int, str], ...] = (
    (NotFound, 404, "not_found"),
    (Damaged, 409, "damaged"),
    (Conflict, 409, "conflict"),
    (NoRoom, 413, "no_room"),
    (Unavailable, 503, "unavailable"),
    (StorageError, 503, "storage_failed"),
    (AccessError, 400, "model_refused"),
    (UserError, 400, "invalid_value"),
)


async def bad_request(http: HttpRequest, problem: Exception) -> NoReturn:
    """Describe the first fault of a request in one sentence, without repeating what was sent."""
    assert isinstance(problem, RequestValidationError)
    fault = first_fault(problem)
    place = [str(part) for part in fault.loc]
    path = ".".join(place[1:] if place[0] in ("body", "query", "path", "header") else place)[:200]
    if fault.kind == "json_invalid":
        raise Refused(400, "invalid_json", "The body is not JSON.")
    if fault.kind == "missing":
        raise Refused(
            400, "missing_value", f"{path or 'The body'} is missing: add it.", param=path or None
        )
    reason = shortened(fault.text, 1000).rstrip(".")
    raise Refused(400, "invalid_value", f"{path or 'The body'}: {reason}.", param=path or None)


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": description}
    for status, description in {
        400: "The request is not valid: the message says what is wrong with it.",
        401: "The key is missing or wrong.",
        403: "The key has no access to this, or the request comes from a page of another site or "
        "by a host name that is not the service's.",
        404: "It does not exist, or it is somebody else's.",
        408: "The body did not come in time.",
        409: "Its state does not allow the operation.",
        413: "The body is too large, or no more files may be stored.",
        415: "The body is not JSON, an upload is no form, or either is compressed.",
        429: "Too many requests, or the quota has no room: see Retry-After.",
        500: "The service failed.",
        503: "A model or the storage does not answer now: see Retry-After.",
    }.items()
}


async def page_by_page(fetch: Callable[[int], Any], size: int) -> AsyncIterator[Any]:
    """Yield what `fetch(after)` returns, page by page, until one is not full.

    Args:
        fetch: Returns the entries with ids above `after`.
        size: How many entries a full page has.
    """
    after = 0
    while True:
        found = await fetch(after)
        for one in found:
            yield one
        if len(found) < size:
            return
        after = found[-1].id
