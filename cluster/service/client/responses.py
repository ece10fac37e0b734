"""Turns the service's answers into schemas, or into errors with one sentence. Knows no route."""

import json
from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from cluster.service.schemas import STORED
from optimizer.errors import EndpointError, UserError, shortened

A = TypeVar("A", bound=BaseModel)


class ServiceError(UserError):
    """The service refused a request, with its own message."""

    def __init__(
        self, message: str, status: int = 0, code: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after_s = status, code, retry_after_s

    def __reduce__(self) -> tuple[type["ServiceError"], tuple[str, int, str, float | None]]:
        return ServiceError, (str(self), self.status, self.code, self.retry_after_s)


class ServiceAway(EndpointError):
    """The service, or what it depends on, does not answer now."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type["ServiceAway"], tuple[str, float | None]]:
        return ServiceAway, (str(self), self.retry_after_s)


def wait_of(problem: Exception, default_s: float) -> float | None:
    """Return the seconds to wait before a request is repeated; None if repeating is useless."""
    if isinstance(problem, ServiceError):
        return (
            max(default_s, problem.retry_after_s or 0.0) if problem.status in (408, 429) else None
        )
    return max(default_s, getattr(problem, "retry_after_s", None) or 0.0)


def refusal(answer: httpx2.Response) -> ServiceError | EndpointError:
    """Return the error that an unsuccessful answer stands for."""
    try:
        error = answer.json()["error"]
        message, code = str(error["message"]), str(error["code"])
    except (ValueError, KeyError, TypeError):
        return EndpointError(
            f"What answers at {answer.request.url} is no promptray service (status "
            f"{answer.status_code})."
        )
    if answer.status_code >= 500:
        return ServiceAway(shortened(message, 2000), _retry_after_s(answer))
    return ServiceError(shortened(message, 2000), answer.status_code, code, _retry_after_s(answer))


def _retry_after_s(answer: httpx2.Response) -> float | None:
    value = answer.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdecimal() and len(value) < 10 else None


def read(kind: type[A], answer: httpx2.Response) -> A:
    """Return the body of an answer as a schema.

    Raises:
        EndpointError: The body is something else.
    """
    return parsed(kind, answer.text)


def parsed(kind: type[A], text: str) -> A:
    """Return a text as a schema.

    Raises:
        EndpointError: The text is something else.
    """
    try:
        return kind.model_validate(json.loads(text), context=STORED)
    except (ValidationError, ValueError) as problem:
        raise EndpointError(
            f"The service's answer is no {kind.__name__}; is it of another version?"
        ) from problem
