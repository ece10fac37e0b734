"""Readers of an OpenAI-compatible endpoint's replies.

They trust nothing: the package passes on whatever came, even a web page.
"""

from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.completion import Completion as TextCompletion

from optimizer.types import Completion, Outcome
from serving.contracts.refusals import declined

_TOOL = "The model called a tool in place of an answer."
_FILTERED = "The endpoint's content filter stopped the answer."
_BROKEN = frozenset({"error", "abort", "cancelled"})
"""Finish reasons that some gateways and engines give where something broke behind them."""
_CUT = frozenset(
    {
        "length",
        "max_tokens",
        "model_length",
        "max_length",
        "max_output_tokens",
        "token_limit",
        "max_new_tokens",
    }
)
_FILTERS = frozenset(
    {
        "content_filter",
        "content_filtered",
        "safety",
        "recitation",
        "prohibited_content",
        "blocklist",
        "spii",
    }
)
"""Spellings of `length` and `content_filter` of other gateways and engines, in any case [ours,
from their references].
"""
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message in which some endpoints put what a model thinks, and sometimes its whole
reply.
"""
_MOST_TOKENS = 2**27
"""A larger count is invalid [ours]: ten times the longest context that anybody sells."""


def read(reply: Any) -> Outcome | None:
    """Return the outcome in a whole reply.

    It is None where the reply breaks the protocol, or broke off. See also says_its_end.
    """
    choice = _first_choice(reply) if isinstance(reply, ChatCompletion | TextCompletion) else None
    message = getattr(choice, "message", None) if isinstance(reply, ChatCompletion) else choice
    text = getattr(message, "content" if isinstance(reply, ChatCompletion) else "text", None)
    if choice is None or message is None or not (text is None or isinstance(text, str)):
        return None
    refusal, finish = getattr(message, "refusal", None), choice.finish_reason
    if not (refusal or _ended(finish) or (not finish and text)):
        return None
    return _outcome(text or "", finish, refusal, reply.usage, message)


def says_its_end(reply: Any) -> bool:
    """Return whether a reply has a finish reason.

    Where others of the endpoint have one, a reply without it broke off.
    """
    return bool(getattr(_first_choice(reply), "finish_reason", None))


def error_in(reply: Any) -> Any:
    """Return the error that stands in an answer's place; None where there is none."""
    return getattr(reply, "error", None) or getattr(_first_choice(reply), "error", None)


class GrowingReply:
    """A reply that comes in events: `add` each, then read the `outcome`."""

    def __init__(self) -> None:
        self._text = ""
        self._refusal = ""
        self._finish_reason: str | None = None
        self._usage: Any = None

    def add(self, event: Any) -> str:
        """Add an event, and return its text, which may be empty."""
        if not isinstance(event, ChatCompletionChunk | TextCompletion):
            return ""
        self._usage = getattr(event, "usage", None) or self._usage
        choice = _first_choice(event)
        message = (
            getattr(choice, "delta", None) if isinstance(event, ChatCompletionChunk) else choice
        )
        self._finish_reason = getattr(choice, "finish_reason", None) or self._finish_reason
        self._refusal += getattr(message, "refusal", None) or ""
        text = getattr(
            message, "content" if isinstance(event, ChatCompletionChunk) else "text", None
        )
        new = text if isinstance(text, str) else ""
        self._text += new
        return new

    @property
    def outcome(self) -> Outcome | None:
        """Return the outcome; None where the reply broke off, or never was one.

        A whole reply has a finish reason.
        """
        if not _ended(self._finish_reason):
            return None
        return _outcome(self._text, self._finish_reason, self._refusal, self._usage)


def _first_choice(reply: Any) -> Any:
    choices = getattr(reply, "choices", None)
    return choices[0] if isinstance(choices, list) and choices else None


def _outcome(
    text: str, finish_reason: str | None, refusal: Any, usage: Any, message: Any = None
) -> Outcome:
    finish, (read, written) = (finish_reason or "").casefold(), tokens_of(usage)
    if refusal:
        return declined(str(refusal), tokens=(read, written))
    if not text and finish in ("tool_calls", "function_call"):
        return declined(_TOOL, tokens=(read, written))
    # The text before the filter's stop is no answer.
    if finish in _FILTERS:
        return declined(_FILTERED, "filter", tokens=(read, written))
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
    metadata = {}
    # Some endpoints put all of an answer into a field for hidden reasoning.
    if not text and (field := next((one for one in _THOUGHTS if getattr(message, one, None)), "")):
        metadata = {"empty": f"the content has no text, all of it is in {field}"}
    return Completion(
        text,
        finish in _CUT,
        read,
        written,
        metadata=metadata,
        cached_tokens=cached if _is_count(cached) else None,
    )


def tokens_of(usage: Any) -> tuple[int | None, int | None]:
    """Return the tokens read and written, as an endpoint bills them.

    A number is None where it is missing or invalid. Some (xAI among them) count hidden reasoning in
    the total alone: what is in the total and in neither part was written.
    """
    counts = (
        getattr(usage, name, None)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    read, written, total = (count if _is_count(count) else None for count in counts)
    if total is None or read is None:
        return read, written
    # The difference, since hidden reasoning may be in the total alone.
    return read, max(total - read, written or 0) if total >= read else written


def _ended(finish_reason: Any) -> bool:
    return isinstance(finish_reason, str) and bool(finish_reason) and finish_reason not in _BROKEN


def _is_count(found: Any) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= _MOST_TOKENS
