"""What an OpenAI-compatible endpoint's reply says. Trusts nothing: the package hands through whatever came, even a web page."""

from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.completion import Completion as TextCompletion

from optimizer.types import Completion, Outcome
from serving.refusals import declined

_FILTERED = "The endpoint's content filter stopped the answer."


def read(reply: Any) -> Outcome | None:
    """The outcome in a whole reply; None where it is no reply of this protocol."""
    choice = _first_choice(reply) if isinstance(reply, ChatCompletion | TextCompletion) else None
    said = getattr(choice, "message", None) if isinstance(reply, ChatCompletion) else choice
    text = getattr(said, "content" if isinstance(reply, ChatCompletion) else "text", None)
    if choice is None or said is None or not (text is None or isinstance(text, str)):
        return None
    return _outcome(text or "", choice.finish_reason, getattr(said, "refusal", None), reply.usage)


class GrowingReply:
    """A reply that comes in events: `add` each, then read the `outcome`."""

    def __init__(self) -> None:
        self._text = ""
        self._refusal = ""
        self._finish_reason: str | None = None
        self._usage: Any = None

    def add(self, event: Any) -> str:
        """The event's text, which may be empty."""
        if not isinstance(event, ChatCompletionChunk | TextCompletion):
            return ""
        self._usage = getattr(event, "usage", None) or self._usage
        choice = _first_choice(event)
        said = getattr(choice, "delta", None) if isinstance(event, ChatCompletionChunk) else choice
        self._finish_reason = getattr(choice, "finish_reason", None) or self._finish_reason
        self._refusal += getattr(said, "refusal", None) or ""
        text = getattr(said, "content" if isinstance(event, ChatCompletionChunk) else "text", None)
        new = text if isinstance(text, str) else ""
        self._text += new
        return new

    @property
    def outcome(self) -> Outcome | None:
        """None where the reply broke off, or never was one: what ends rightly says why it ends."""
        if not self._finish_reason:
            return None
        return _outcome(self._text, self._finish_reason, self._refusal, self._usage)


def _first_choice(reply: Any) -> Any:
    choices = getattr(reply, "choices", None)
    return choices[0] if isinstance(choices, list) and choices else None


def _outcome(text: str, finish_reason: str | None, refusal: Any, usage: Any) -> Outcome:
    if refusal:
        return declined(str(refusal))
    if finish_reason == "content_filter":  # what came before the filter's stop is no answer
        return declined(_FILTERED, "filter")
    details = getattr(usage, "prompt_tokens_details", None)
    cached = getattr(details, "cached_tokens", None)
    return Completion(
        text, finish_reason == "length", getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0,
        cached_tokens=cached if isinstance(cached, int) else None)
