"""The fate of a call that an OpenAI-compatible endpoint did not answer in order.

AccessError where the key or its balance is refused: no call will be answered. Transient where
another attempt may succeed: nothing came, or no whole reply, or the endpoint is busy or broken for
now. Rejected where something is wrong with the request, by itself or as one of a kind: a single
reply cannot show which, and the client finds out (openai_rejections).

The rule [ours], as endpoints do not agree on statuses:

    401, 402, or a code for a missing balance           the key's: AccessError at once
    408, 409, 425, 429, 5xx                             for the moment: Transient
    any other, with words of moderation                 the item's: a refusal, which counts as not
                                                        right
    any other, about the length of the request          the item's: a refusal; of harmless words,
                                                        the settings'
    any other (400, 403, 404, 422 ...)                  the item's, if harmless words in the same
                                                        form are answered; else the endpoint's, and
                                                        the end of the run

The same holds for an error in the place of a reply with status 200, where it has such a status as
its code.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import openai

from optimizer.errors import AccessError, EndpointError, PromptrayError
from serving.clients.bounded_bodies import ReplyRefused
from serving.clients.openai_error_text import quotable, subject_of, words_in
from serving.clients.openai_repairs import advice, as_settings
from serving.concurrency.retrying import Transient
from serving.contracts.refusals import Rejected
from serving.settings import OpenAISettings

UNREADABLE = (ValueError, RecursionError)
"""Errors of reading a reply beside the package's own: no JSON, no UTF-8, a number or a nesting
without end.
"""
_OVERLOAD_STATUSES = frozenset({408, 425, 429, 503, 529})
_DEEPEST = 5
"""Maximum depth of errors that come from one another."""
_UNREACHED = frozenset({"ConnectError", "ConnectTimeout"})
"""Names of errors, since the package works with either of two HTTP libraries."""


class Faults:
    """Reads the errors of one endpoint.

    Its sentences never show the key, should the endpoint repeat it.
    """

    def __init__(self, settings: OpenAISettings, api_key: str) -> None:
        self._settings = settings
        self._key = api_key

    def fate(self, problem: Exception) -> Rejected:
        """Return the call's own fate.

        Raises:
            Transient: If another attempt may succeed.
            AccessError: If the key is refused.
        """
        # Never retried: the next reply would be as large again.
        if refused := _refused_reply(problem):
            return Rejected(
                "infrastructure", f"{self._settings.base_url} {refused}.", words=str(refused)
            )
        if isinstance(problem, openai.APIStatusError):
            sent = problem.body if problem.body not in (None, "") else problem.message
            return self._refusal(
                problem.status_code, sent, requested_wait_s(problem.response.headers)
            )
        if isinstance(problem, openai.APITimeoutError):
            raise self.too_late(unreached=_is_unreached(problem)) from problem
        if isinstance(problem, openai.APIConnectionError):
            reason = self.clean(
                str(problem.__cause__ or problem) or type(problem.__cause__).__name__
            )
            statement = f"{self._settings.base_url} cannot be reached ({reason})."
            raise Transient(statement, unreached=_is_unreached(problem)) from problem
        raise self.garbled() from problem

    def garbled(self) -> Transient:
        """Return the error for a reply that is no chat completion."""
        return Transient(
            f"{self._settings.base_url} answers with something that is no chat completion."
        )

    def in_place(self, error: object) -> Rejected:
        """Return the fate of a call whose reply has an error in an answer's place.

        The reply is in order by its status.

        Raises:
            Transient: As `fate`.
            AccessError: As `fate`.
        """
        status = error.get("code") if isinstance(error, Mapping) else None
        if isinstance(status, str) and status.isdecimal() and len(status) == 3:
            status = int(status)
        if isinstance(status, int) and 400 <= status < 600:
            return self._refusal(status, error, None)
        raise Transient(f"{self._settings.base_url} answers with an error: {self._quoted(error)}.")

    def broke_off(self, problem: Exception) -> Transient:
        """Return the error for a reply that broke off."""
        if refused := _refused_reply(problem):
            return Transient(f"{self._settings.base_url} {refused}.")
        return Transient(
            f"{self._settings.base_url} broke off its answer ({self.clean(str(problem))})."
        )

    def too_late(self, *, unreached: bool = False) -> Transient:
        """Return the error for a late reply; without a connection it is no sign of load."""
        return Transient(
            f"{self._settings.base_url} did not answer within {self._settings.timeout_s:g} s.",
            not unreached,
            unreached=unreached,
        )

    def clean(self, text: str) -> str:
        """Return one short line, without the key."""
        return quotable(text, self._key)

    def concerning_all(
        self,
        rejected: Rejected,
        changes: Mapping[str, Any] | None = None,
        still: Rejected | None = None,
    ) -> PromptrayError:
        """Return the error of an endpoint that rejects harmless words too.

        Args:
            rejected: The first rejection.
            changes: Settings with which it does not reject them, or rejects them in other words.
            still: The rejection in other words.
        """
        settings, statement = self._settings, f"{rejected.status}: {rejected.words}"
        if rejected.status == 403:
            return AccessError(
                f"{settings.base_url} refused the key in {settings.key_place} ({statement})."
            )
        if rejected.status == 404:
            return AccessError(
                f"{settings.base_url} does not know the model {settings.model!r}, or has no chat "
                f"completions there ({statement})."
            )
        how = (
            advice(still or rejected)
            or f"Check that base_url {settings.base_url} and the model's settings are right."
        )
        if changes:
            written = f"To fix it, write the model as {as_settings(settings, changes)}"
            how = (
                f"{written}; then it still answers {still.status}: {still.words}. {how}"
                if still
                else f"{written}."
            )
        return EndpointError(
            f"{rejected.reason if rejected.kind == 'infrastructure' else self._answered(rejected)} "
            f"{how}"
        )

    def _refusal(self, status: int, sent: object, wait_s: float | None) -> Rejected:
        words, fields = self._quoted(sent), sent if isinstance(sent, Mapping) else {}
        subject = subject_of(status, (fields.get("code"), fields.get("type")), words)
        settings = self._settings
        # A redirect is never followed: the key would go wherever it leads.
        if 300 <= status < 400:
            # It may pass: a gateway sends its callers elsewhere while it is down. Where it leads is
            # not reported, let alone followed.
            raise Transient(
                f"{settings.base_url} answered {status}, a redirect, which no call follows."
            )
        if subject == "balance":
            raise AccessError(
                f"There is no balance for the key in {settings.key_place} at {settings.base_url} "
                f"({status}: {words}): "
                "once there is, the same command continues where this one ended."
            )
        if status == 401:
            raise AccessError(
                f"{settings.base_url} refused the key in {settings.key_place} ({status}: {words})."
            )
        field = fields.get("param")
        rejected = Rejected(
            "refused" if subject else "infrastructure",
            words,
            status,
            words,
            field if isinstance(field, str) else "",
            of_size=subject == "context",
        )
        statement = self._answered(rejected)
        if status in _OVERLOAD_STATUSES or status == 409 or status >= 500:
            raise Transient(statement, status in _OVERLOAD_STATUSES, wait_s)
        return rejected if subject else replace(rejected, reason=statement)

    def _answered(self, rejected: Rejected) -> str:
        return f"{self._settings.base_url} answered {rejected.status}: {rejected.words}."

    def _quoted(self, sent: object) -> str:
        return self.clean(words_in(sent)) or "it gave no reason"


def _refused_reply(problem: BaseException | None) -> ReplyRefused | None:
    """Return the ReplyRefused behind an error of the package, if there is one."""
    for _ in range(_DEEPEST):
        if problem is None or isinstance(problem, ReplyRefused):
            return problem
        problem = problem.__cause__ or problem.__context__
    return None


def requested_wait_s(headers: Any) -> float | None:
    """Return the seconds that a Retry-After header requests; None where there is none.

    It is given as a number or as a date (RFC 9110, 10.2.3). A date is compared with the reply's own
    Date, so that the two clocks need not agree.
    """
    requested = headers.get("retry-after", "")
    try:
        seconds = float(requested)
    except ValueError:
        until = _moment(requested)
        seconds = (
            (until - (_moment(headers.get("date", "")) or datetime.now(UTC))).total_seconds()
            if until
            else math.nan
        )
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _is_unreached(problem: Exception) -> bool:
    return type(problem.__cause__).__name__ in _UNREACHED
