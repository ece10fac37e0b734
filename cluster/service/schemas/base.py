"""What all answers have in common, lists, and errors in OpenAI's form."""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class Answer(BaseModel):
    """What the service says."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(Answer, Generic[T]):
    """A part of a list. Ask for what follows with `after` = `last_id`."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


class ErrorBody(Answer):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Error(Answer):
    """Every error, in OpenAI's form."""

    error: ErrorBody
