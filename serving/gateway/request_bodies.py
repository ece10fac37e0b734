"""Bodies of OpenAI's two completion calls, strictly read, and the requests that they mean.

Strict, because an ignored field would change the answer in silence: a field that is not supported
is refused, unless it has the value that changes nothing. Knows no model and no HTTP framework.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from optimizer.types import Message, Request, Sampling
from serving.gateway.errors import Refused
from serving.settings.validation import first_fault

MAX_CHARACTERS = 1_000_000
"""Maximum number of characters of one prompt [ours], far above what any hosted model reads."""
MAX_PROMPTS = 2048
"""Maximum number of prompts of one batch; as many as OpenAI's own service accepts."""
_NO_MATTER = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "priority",
        "prompt_cache_key",
        "prompt_cache_retention",
        "request_id",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    }
)
"""Fields that change no answer of these models, whatever they hold."""
_NEUTRAL_BY_FIELD: dict[str, tuple[Any, ...]] = {
    "audio": (None,),
    "best_of": (None, 1),
    "echo": (None, False),
    "frequency_penalty": (None, 0),
    "function_call": (None, "none"),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "modalities": (None, ["text"]),
    "n": (None, 1),
    "prediction": (None,),
    "presence_penalty": (None, 0),
    "reasoning_effort": (None, "none"),
    "repetition_penalty": (None, 1),
    "response_format": (None, {"type": "text"}),
    "stop": (None, [], ""),
    "suffix": (None, ""),
    "tool_choice": (None, "none", "auto"),
    "tools": (None, []),
    "top_logprobs": (None, 0),
    "top_p": (None, 1),
}
"""Unsupported fields, with the values that change nothing."""
B = TypeVar("B", bound="Body")
Prompt = Annotated[str, Field(min_length=1)]


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool | None = False


class Body(BaseModel, ABC):
    """The common part of both calls."""

    model_config = ConfigDict(extra="allow")
    default_max_tokens: ClassVar[int] = Sampling().max_tokens
    model: str
    temperature: Annotated[
        float, BeforeValidator(lambda value: 0.0 if value is None else value)
    ] = Field(0.0, ge=0, le=2, allow_inf_nan=False)
    max_tokens: int | None = Field(None, ge=1, le=100_000)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Parse the body.

        Raises:
            Refused: 400, with the first fault.
        """
        try:
            body = cls.model_validate_json(raw)
        except ValidationError as problem:
            # The first fault alone, and without quoting the body.
            fault = first_fault(problem)
            path = fault.path[:200]
            raise Refused(
                400, "invalid_value", f"{path or 'The body'}: {fault.text}.", param=path or None
            ) from None
        # After parsing, since the check needs all fields.
        body.check()
        return body

    @property
    def wants_usage(self) -> bool:
        """Return whether a stream must end with the token counts."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @abstractmethod
    def requests(self) -> list[Request]:
        """Return the requests, in order."""

    def check(self) -> None:
        """Check that everything in it is supported.

        Raises:
            Refused: 400, if not.
        """
        extra = {
            key: value for key, value in (self.model_extra or {}).items() if key not in _NO_MATTER
        }
        refused = sorted(key for key, value in extra.items() if not _asks_for_nothing(key, value))
        if refused:
            names = ", ".join(key[:100] for key in refused[:10])
            raise Refused(
                400,
                "unsupported_value",
                f"This model does not support {names}: leave it out.",
                param=refused[0][:100],
            )
        if self.stream_options is not None and not self.stream:
            raise Refused(
                400,
                "invalid_value",
                "stream_options goes only with stream: true.",
                param="stream_options",
            )

    def _sampling(self, limit: int | None) -> Sampling:
        return Sampling(self.temperature, limit or self.default_max_tokens)


class Part(BaseModel):
    """A text part of a message."""

    type: Literal["text"]
    text: str


class Turn(BaseModel):
    """One message; `name` is accepted: no known template writes it."""

    model_config = ConfigDict(extra="allow")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]

    def message(self) -> Message:
        """Return the message, with its parts joined."""
        text = (
            self.content
            if isinstance(self.content, str)
            else "".join(part.text for part in self.content)
        )
        return Message("system" if self.role == "developer" else self.role, text)

    @model_validator(mode="after")
    def _says_nothing_more(self) -> Self:
        """Check the other fields: clients send answers back as they came, with empty fields."""
        if more := sorted(
            key[:100] for key, value in (self.model_extra or {}).items() if value and key != "name"
        ):
            raise ValueError(f"a message's {', '.join(more[:10])} is not supported: leave it out")
        return self


class ChatBody(Body):
    """The body of a chat completion."""

    messages: list[Turn] = Field(min_length=1, max_length=1000)
    max_completion_tokens: int | None = Field(None, ge=1, le=100_000)

    def requests(self) -> list[Request]:
        """Return the one request."""
        sampling = self._sampling(self.max_completion_tokens or self.max_tokens)
        return [
            Request(
                tuple(turn.message() for turn in self.messages), sampling, sample=self.seed or 0
            )
        ]

    def check(self) -> None:
        """Check that everything in it is supported."""
        super().check()
        _check_length([sum(len(turn.message().content) for turn in self.messages)], "messages")


class CompletionBody(Body):
    """The body of a completion: a text or several.

    Each is continued as it stands, without the model's chat template.
    """

    default_max_tokens: ClassVar[int] = 16
    """The default in OpenAI's reference of this call."""
    prompt: Prompt | Annotated[list[Prompt], Field(min_length=1, max_length=MAX_PROMPTS)]

    @property
    def prompts(self) -> list[str]:
        """Return the texts."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    def requests(self) -> list[Request]:
        """Return one request for each text."""
        sampling = self._sampling(self.max_tokens)
        return [
            Request((Message("user", prompt),), sampling, sample=self.seed or 0, raw=True)
            for prompt in self.prompts
        ]

    def check(self) -> None:
        """Check that everything in it is supported."""
        super().check()
        _check_length([len(prompt) for prompt in self.prompts], "prompt")


def _asks_for_nothing(key: str, value: Any) -> bool:
    # bool is an int to Python: logprobs: 0 asks for log probabilities, logprobs: false does not.
    neutral = _NEUTRAL_BY_FIELD.get(key, ())
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in neutral)


def _check_length(lengths: Sequence[int], field: str) -> None:
    if max(lengths) > MAX_CHARACTERS:
        raise Refused(
            400,
            "context_length_exceeded",
            f"The {field} is too long: more than {MAX_CHARACTERS} characters.",
            param=field,
        )
