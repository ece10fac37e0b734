"""What the service's answers are to its client: objects, or errors of one sentence.

Knows no route.
"""

import json
from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from cluster.service.schemas import KEPT
from optimizer.errors import EndpointError, UserError, shortened

A = TypeVar("A", bound=BaseModel)


class ServiceError(UserError):
    """The service refused: its own sentence."""

    def __init__(
        self, message: str, status: int = 0, code: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after_s = status, code, retry_after_s

    def __reduce__(self) -> tuple[type["ServiceError"], tuple[str, int, str, float | None]]:
        return ServiceError, (str(self), self.status, self.code, self.retry_after_s)


class ServiceAway(EndpointError):
    """The service, or what it stands on, does not answer now."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type["ServiceAway"], tuple[str, float | None]]:
        return ServiceAway, (str(self), self.retry_after_s)


def wait_of(problem: Exception, default_s: float) -> float | None:
    """How many seconds to wait before the same is asked again; None where that would be answered
    alike.
    """
    if isinstance(problem, ServiceError):
        return (
            max(default_s, problem.retry_after_s or 0.0) if problem.status in (408, 429) else None
        )
    return max(default_s, getattr(problem, "retry_after_s", None) or 0.0)


def refusal(answer: httpx2.Response) -> ServiceError | EndpointError:
    """Of an answer that is none."""
    try:
        said = answer.json()["error"]
        message, code = str(said["message"]), str(said["code"])
    except (ValueError, KeyError, TypeError):
        return EndpointError(
            f"What answers at {answer.request.url} is no promptray service (status "
            f"{answer.status_code})."
        )
    if answer.status_code >= 500:
        return ServiceAway(shortened(message, 2000), _retry_after_s(answer))
    return ServiceError(shortened(message, 2000), answer.status_code, code, _retry_after_s(answer))


def _retry_after_s(answer: httpx2.Response) -> float | None:
    said = answer.headers.get("retry-after", "")
    return float(said) if said.isascii() and said.isdecimal() and len(said) < 10 else None


def read(kind: type[A], answer: httpx2.Response) -> A:
    """Raises EndpointError where the body is something else."""
    return parsed(kind, answer.text)


def parsed(kind: type[A], text: str) -> A:
    """Raises EndpointError where the text is something else."""
    try:
        return kind.model_validate(json.loads(text), context=KEPT)
    except (ValidationError, ValueError) as problem:
        raise EndpointError(
            f"The service's answer is no {kind.__name__}; is it of another version?"
        ) from problem
