"""The fault behind a rejected request: the request's own, or that of its whole form.

Where a request is rejected, and none of its form was answered yet, or STREAK in a row were not, a
harmless one of the same form is sent: if that is rejected too, no request of the form can be
answered, which ends the run with the endpoint's own words and a way to fix it; else it is that
request's own. Knows no HTTP.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from optimizer.errors import PromptrayError
from optimizer.types import Failed, Outcome, Request
from serving.clients.openai_errors import Faults
from serving.clients.openai_repairs import fix_for
from serving.clients.probe import question_like
from serving.concurrency.retrying import Transient
from serving.contracts.refusals import Rejected
from serving.settings import OpenAISettings

STREAK = 10
"""Rejected requests in a row, after which a harmless one is sent [ours]: a prompt that trips a
filter costs one more request in so many, and an endpoint that has begun to refuse all is
found out soon.
"""
_MOST_FORMS = 1000
_MOST_FIXES = 4
"""Rejections of one harmless request that are examined, one setting each."""

Attempt = Callable[[Request, OpenAISettings | None], Awaitable[Outcome]]
"""Makes one attempt, possibly with other settings than the endpoint's own."""


def is_lost(outcome: Outcome) -> bool:
    """Return whether a request has no answer for another reason than its content."""
    return isinstance(outcome, Failed) and outcome.kind == "infrastructure"


class Rejections:
    """The rejections of one endpoint; for one event loop."""

    def __init__(self, settings: OpenAISettings, faults: Faults, attempt: Attempt) -> None:
        self._settings = settings
        self._faults = faults
        self._attempt = attempt
        self._answered_forms: set[Request] = set()
        """Harmless requests (see question_like) of whose form one was answered."""
        self._in_a_row = 0
        self._examining = asyncio.Lock()

    def answered(self, request: Request) -> None:
        """Record that a request of this form was answered."""
        self._in_a_row = 0
        if len(self._answered_forms) >= _MOST_FORMS:
            # Callers of a gateway may use any number of forms.
            self._answered_forms.clear()
        self._answered_forms.add(question_like(request))

    async def examined(self, request: Request, outcome: Outcome) -> Outcome:
        """Return the outcome, where it is this request's own.

        Raises:
            AccessError: If no request of its form is answered, for the key.
            EndpointError: If no request of its form is answered, for another reason.
        """
        if not is_lost(outcome):
            return outcome
        form = question_like(request)
        self._in_a_row += 1
        # One harmless request serves all calls that are in doubt.
        async with self._examining:
            if form in self._answered_forms and self._in_a_row < STREAK:
                return outcome
            try:
                answer = await self._attempt(form, None)
            except Transient:
                # The doubt stays: the harmless request was not answered either.
                return outcome
            if isinstance(answer, Rejected) and answer.concerns_all:
                raise await self.explained(form, answer)
        return outcome

    async def explained(self, question: Request, rejected: Rejected) -> PromptrayError:
        """Return the error of a rejected harmless request, with a fix.

        Fixes are tried out, as some endpoints name one setting after another.
        """
        changes: dict[str, Any] = {}
        last: Outcome = rejected
        try:
            while isinstance(last, Rejected) and last.concerns_all and len(changes) < _MOST_FIXES:
                settings = self._settings.model_copy(update=changes)
                if not (change := fix_for(settings, last)):
                    return self._faults.concerning_all(rejected, changes, last)
                changes |= change
                last = await self._attempt(question, settings.model_copy(update=change))
        except (Transient, PromptrayError):
            # The last advice was not refused, so it stands.
            pass
        return self._faults.concerning_all(rejected, changes)
