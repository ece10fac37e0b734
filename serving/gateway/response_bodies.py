"""Bodies of the gateway's answers: whole answers and the chunks of a stream, as OpenAI writes them.

One class for each of the two calls; both can write a whole answer, a piece of one, its end, and the
tokens. Knows no model.
"""

import json
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fastapi.sse import format_sse_event
from starlette.responses import Response

from optimizer.types import Completion
from serving.contracts.refusals import Answer, Declined

DONE = format_sse_event(data_str="[DONE]")
"""The last event of a stream that came to its end."""


class Reply(ABC):
    """The answer to one call, under one id, as it grows."""

    prefix: ClassVar[str]
    whole_kind: ClassVar[str]
    chunk_kind: ClassVar[str]

    def __init__(self, model: str) -> None:
        self._model = model
        self._id = f"{self.prefix}-{uuid.uuid4().hex}"
        self._created = int(time.time())

    @abstractmethod
    def choice(self, index: int, answer: Answer) -> dict[str, Any]:
        """Return a whole answer."""

    @abstractmethod
    def opening(self, index: int) -> dict[str, Any] | None:
        """Return what comes before the first piece of an answer, if anything."""

    @abstractmethod
    def piece(self, index: int, text: str) -> dict[str, Any]:
        """Return a piece of an answer's text."""

    @abstractmethod
    def ending(self, index: int, answer: Answer) -> dict[str, Any]:
        """Return the end of an answer, and its reason."""

    def whole(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """Return all answers, one choice each, in order."""
        choices = [self.choice(index, answer) for index, answer in enumerate(answers)]
        return self._envelope(self.whole_kind, choices) | {
            "usage": usage(answers),
            # What the engine reports about itself: the same for all answers of one model.
            "metadata": {
                key: value for answer in _given(answers) for key, value in answer.metadata.items()
            },
        }

    def chunk(self, choice: dict[str, Any], wants_usage: bool = False) -> dict[str, Any]:
        """Return one choice's part of a stream.

        Where the tokens come at the end, all other chunks have an empty usage.
        """
        return self._envelope(self.chunk_kind, [choice]) | ({"usage": None} if wants_usage else {})

    def usage_chunk(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """Return the tokens of a stream, after all of its choices."""
        return self._envelope(self.chunk_kind, []) | {"usage": usage(answers)}

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


class ChatReply(Reply):
    """The answer to a chat completion."""

    prefix = "chatcmpl"
    whole_kind = "chat.completion"
    chunk_kind = "chat.completion.chunk"

    def choice(self, index: int, answer: Answer) -> dict[str, Any]:
        """Return a whole answer."""
        refusal = _refusal(answer)
        message = {
            "role": "assistant",
            "content": None if refusal else _text(answer),
            "refusal": refusal,
        }
        return {
            "index": index,
            "message": message,
            "logprobs": None,
            "finish_reason": why_it_ended(answer),
        }

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return the role."""
        return self._delta(index, {"role": "assistant", "content": ""})

    def piece(self, index: int, text: str) -> dict[str, Any]:
        """Return a piece of the text."""
        return self._delta(index, {"content": text})

    def ending(self, index: int, answer: Answer) -> dict[str, Any]:
        """Return the end, and its reason."""
        refusal = _refusal(answer)
        return self._delta(index, {"refusal": refusal} if refusal else {}, why_it_ended(answer))

    def _delta(self, index: int, delta: dict[str, Any], why: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": why}


class CompletionReply(Reply):
    """The answer to a completion.

    Its form has no field for a refusal in words: each is marked as a filter's.
    """

    prefix = "cmpl"
    whole_kind = "text_completion"
    chunk_kind = "text_completion"

    def choice(self, index: int, answer: Answer) -> dict[str, Any]:
        """Return a whole answer."""
        return self._text(index, _text(answer), self._why(answer))

    def opening(self, index: int) -> dict[str, Any] | None:
        """Return None: nothing comes before the text."""
        return None

    def piece(self, index: int, text: str) -> dict[str, Any]:
        """Return a piece of the text."""
        return self._text(index, text)

    def ending(self, index: int, answer: Answer) -> dict[str, Any]:
        """Return the end, and its reason."""
        return self._text(index, "", self._why(answer))

    def _text(self, index: int, text: str, why: str | None = None) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": why}

    def _why(self, answer: Answer) -> str:
        return "content_filter" if isinstance(answer, Declined) else why_it_ended(answer)


class JSONBody(Response):
    """A JSON body in ASCII.

    A model's text may hold unpaired surrogates, which UTF-8 cannot carry.
    """

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the content as JSON."""
        # NaN is no JSON, and many clients refuse it.
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def event(content: Mapping[str, Any]) -> bytes:
    """Return one server-sent event.

    It is JSON on one line and in ASCII, so that one data line holds any text of a model.
    """
    return format_sse_event(data_str=json.dumps(content, separators=(",", ":")))


def usage(answers: Sequence[Answer]) -> dict[str, Any] | None:
    """Return the tokens of all answers; None where they are not known.

    Those from the prefix cache are there only where the engine reports them.
    """
    given = _given(answers)
    read, written = [one.prompt_tokens for one in given], [one.completion_tokens for one in given]
    # A sum with an unknown part would be wrong; unknown is never zero.
    if None in read or None in written:
        return None
    prompt, completion = sum(filter(None, read)), sum(filter(None, written))
    cached = [one.cached_tokens for one in given if one.cached_tokens is not None]
    counts: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    return counts | ({"prompt_tokens_details": {"cached_tokens": sum(cached)}} if cached else {})


def model_card(label: str) -> dict[str, Any]:
    """Return the card of a model."""
    return {"id": label, "object": "model", "created": 0, "owned_by": "promptray"}


def why_it_ended(answer: Answer) -> str:
    """Return the finish_reason of a chat."""
    if isinstance(answer, Declined):
        return "content_filter" if answer.mark == "filter" else "stop"
    return "length" if answer.truncated else "stop"


def _given(answers: Sequence[Answer]) -> list[Completion]:
    """Return the answers that are no refusals, whose tokens no engine reports."""
    return [answer for answer in answers if isinstance(answer, Completion)]


def _text(answer: Answer) -> str:
    return answer.text if isinstance(answer, Completion) else ""


def _refusal(answer: Answer) -> str | None:
    """Return the model's refusal in place of an answer."""
    return answer.reason if isinstance(answer, Declined) and answer.mark == "message" else None
