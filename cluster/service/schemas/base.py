"""What all answers have in common, pages of a list, and errors in OpenAI's form."""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class Answer(BaseModel):
    """An answer of the service."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(Answer, Generic[T]):
    """One page of a list; the next one comes with `after` = `last_id`."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


class ErrorBody(Answer):
    """The error: its code and its message."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Error(Answer):
    """An error, in OpenAI's form."""

    error: ErrorBody
