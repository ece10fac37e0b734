"""What became of a call that an OpenAI-compatible endpoint did not answer in order: three fates, by what the package raises.

AccessError where the key or the model is wrong: no call will be answered. Transient where another attempt may be: nothing was
heard, or what was heard is no whole reply, or the endpoint is busy or broken for now. Failed where the request itself is at fault.
"""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import openai

from optimizer.errors import AccessError
from optimizer.types import Failed
from serving.clients.bounded_replies import ReplyRefused
from serving.limiter import Transient
from serving.settings import OpenAISettings

UNREADABLE = (ValueError, RecursionError)
"""What reading a reply raises beside the package's own errors: no JSON, no UTF-8, a number or a nesting without end."""
REFUSAL_CODES = frozenset({"content_filter", "content_policy_violation", "context_length_exceeded", "request_refused"})
_OVERLOAD_STATUSES = frozenset({408, 429, 503, 529})
_DEEPEST = 5
"""Of faults that come from one another."""
_UNREACHED = frozenset({"ConnectError", "ConnectTimeout"})
"""By name: the package works with either of two HTTP libraries."""


class Faults:
    """Reads the faults of one endpoint. Its sentences never show the key, should the endpoint repeat it."""

    def __init__(self, settings: OpenAISettings, api_key: str) -> None:
        self._settings = settings
        self._key = api_key

    def fate(self, problem: Exception) -> Failed:
        """The call's own fate. Raises Transient and AccessError."""
        if refused := _refused_reply(problem):  # it would be as large again
            return Failed("infrastructure", f"{self._settings.base_url} {refused}.")
        if isinstance(problem, openai.APIStatusError):
            return self._refusal(problem)
        if isinstance(problem, openai.APITimeoutError):
            raise self.too_late(unreached=_is_unreached(problem)) from problem
        if isinstance(problem, openai.APIConnectionError):
            reason = self.clean(str(problem.__cause__ or problem) or type(problem.__cause__).__name__)
            said = f"{self._settings.base_url} cannot be reached ({reason})."
            raise Transient(said, unreached=_is_unreached(problem)) from problem
        raise self.garbled() from problem

    def garbled(self) -> Transient:
        return Transient(f"{self._settings.base_url} answers with something that is no chat completion.")

    def broke_off(self, problem: Exception) -> Transient:
        if refused := _refused_reply(problem):
            return Transient(f"{self._settings.base_url} {refused}.")
        return Transient(f"{self._settings.base_url} broke off its answer ({self.clean(str(problem))}).")

    def too_late(self, *, unreached: bool = False) -> Transient:
        """Without a connection it says nothing of the load."""
        return Transient(
            f"{self._settings.base_url} did not answer within {self._settings.timeout_s:g} s.", not unreached, unreached=unreached)

    def clean(self, text: str) -> str:
        """One short line, without the key."""
        return " ".join(text.replace(self._key, "[key]").split())[:300].rstrip(".")

    def _refusal(self, problem: openai.APIStatusError) -> Failed:
        status, reason = problem.status_code, self.clean(problem.message)
        said = f"{self._settings.base_url} answered {status}: {reason}."
        if status in (401, 403, 404) or problem.code == "insufficient_quota":
            self._no_access(status, reason)
        if status in _OVERLOAD_STATUSES or status == 409 or status >= 500:
            raise Transient(said, status in _OVERLOAD_STATUSES, asked_wait_s(problem.response.headers))
        return Failed("refused", reason) if problem.code in REFUSAL_CODES else Failed("infrastructure", said)

    def _no_access(self, status: int, reason: str) -> NoReturn:
        settings = self._settings
        if status == 404:
            raise AccessError(f"{settings.base_url} does not know the model {settings.model!r} (404: {reason}).")
        raise AccessError(f"{settings.base_url} refused the key in {settings.key_place} ({status}: {reason}).")


def _refused_reply(problem: BaseException | None) -> ReplyRefused | None:
    """The refusal that a fault of the package comes from."""
    for _ in range(_DEEPEST):
        if problem is None or isinstance(problem, ReplyRefused):
            return problem
        problem = problem.__cause__ or problem.__context__
    return None


def asked_wait_s(headers: Any) -> float | None:
    """The seconds that a Retry-After header asks for, given as a number or as a date (RFC 9110, 10.2.3); None where there is none.

    A date is set against the reply's own Date, so that the two clocks need not agree.
    """
    asked = headers.get("retry-after", "")
    try:
        seconds = float(asked)
    except ValueError:
        until = _moment(asked)
        seconds = (until - (_moment(headers.get("date", "")) or datetime.now(UTC))).total_seconds() if until else math.nan
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _is_unreached(problem: Exception) -> bool:
    return type(problem.__cause__).__name__ in _UNREACHED
