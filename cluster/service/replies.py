"""What the service's answers are to its client: objects, or errors of one sentence. Knows no route."""

import json
from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from cluster.service.objects import KEPT
from optimizer.errors import EndpointError, UserError, shortened

A = TypeVar("A", bound=BaseModel)


class ServiceError(UserError):
    """The service refused: its own sentence."""

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def __reduce__(self) -> tuple[type["ServiceError"], tuple[str, int, str]]:
        return ServiceError, (str(self), self.status, self.code)


def refusal(answer: httpx2.Response) -> ServiceError | EndpointError:
    """Of an answer that is none."""
    try:
        said = answer.json()["error"]
        message, code = str(said["message"]), str(said["code"])
    except (ValueError, KeyError, TypeError):
        return EndpointError(f"What answers at {answer.request.url} is no promptray service (status {answer.status_code}).")
    if answer.status_code >= 500:
        return EndpointError(shortened(message, 2000))
    return ServiceError(shortened(message, 2000), answer.status_code, code)


def read(kind: type[A], answer: httpx2.Response) -> A:
    """Raises EndpointError where the body is something else."""
    return parsed(kind, answer.text)


def parsed(kind: type[A], text: str) -> A:
    """Raises EndpointError where the text is something else."""
    try:
        return kind.model_validate(json.loads(text), context=KEPT)
    except (ValidationError, ValueError) as problem:
        raise EndpointError(f"The service's answer is no {kind.__name__}; is it of another version?") from problem
