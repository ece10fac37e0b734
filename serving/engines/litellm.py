"""Calls of the litellm package, which knows the vendors' own interfaces.

The package is asked for one answer at a time and repeats nothing itself: limits and repetitions are
those of FunctionEngine. Knows no prompt.
"""

import os
import re
from collections.abc import Awaitable, Callable
from typing import Any

from optimizer.errors import AccessError, SettingsError, shortened
from optimizer.types import Completion, Failed, Outcome, Request
from serving.concurrency.retrying import Transient
from serving.contracts.refusals import declined
from serving.settings.litellm import LiteLLMSettings

# Without it the package fetches a list of prices from the internet when it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SHORTEST_SECRET = 6
"""Characters of a value from which it counts as a secret: shorter ones stand in any text."""


def ask_litellm(settings: LiteLLMSettings) -> Callable[[Request], Awaitable[Outcome]]:
    """Return the call of one request.

    Raises:
        SettingsError: The package is not installed.
    """
    try:
        import litellm
    except ImportError as problem:
        raise SettingsError(
            f"The model {settings.label} needs the package litellm, which is not installed here: "
            "pip install 'promptray[litellm]'."
        ) from problem
    # It prints hints of its own to the output of the replica at each error.
    litellm.suppress_debug_info = True
    return _Asking(settings, litellm)


class _Asking:
    """One call of the package for each request."""

    is_async = True

    def __init__(self, settings: LiteLLMSettings, package: Any) -> None:
        self._settings = settings
        self._package = package

    async def __call__(self, request: Request) -> Outcome:
        """Return the outcome of one call.

        Raises:
            Transient: Another attempt may succeed.
            AccessError: The key is missing or refused, or the model unknown.
        """
        errors = self._package.exceptions
        no_access = (errors.AuthenticationError, errors.PermissionDeniedError, errors.NotFoundError)
        refused = (errors.ContentPolicyViolationError, errors.ContextWindowExceededError)
        try:
            return _read(await self._package.acompletion(**self._arguments(request)))
        except no_access as problem:
            raise AccessError(self._sentence("gives no access", problem)) from problem
        except refused as problem:
            return Failed("refused", self._sentence("refused a request", problem))
        except errors.RateLimitError as problem:
            reason = self._sentence("asks for fewer calls", problem)
            raise Transient(reason, overloaded=True) from problem
        except errors.BadRequestError as problem:
            return Failed("infrastructure", self._sentence("rejected a request", problem))
        except errors.OpenAIError as problem:  # the base of all that the package raises of vendors
            raise Transient(self._sentence("failed", problem)) from problem

    def _arguments(self, request: Request) -> dict[str, Any]:
        sampling = self._settings.heard(request.sampling)
        found: dict[str, Any] = {
            "model": self._settings.model,
            "messages": [{"role": one.role, "content": one.content} for one in request.messages],
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "timeout": self._settings.timeout_s,
            "num_retries": 0,
            # A vendor that takes no temperature or seed answers all the same.
            "drop_params": True,
        }
        if request.sample:
            found["seed"] = request.sample
        if self._settings.api_base:
            found["api_base"] = self._settings.api_base
        return found

    def _sentence(self, what: str, problem: Exception) -> str:
        return f"{self._settings.label} {what}: {_without_secrets(str(problem)).rstrip('.')}."


def _without_secrets(text: str) -> str:
    """Return a vendor's message, shortened, without any key that stands in the environment."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET.search(name):
            text = text.replace(value, "***")
    return shortened(text)


def _read(reply: Any) -> Outcome:
    """Return a reply as an outcome; what it does not say of tokens is unknown."""
    choice, usage = reply.choices[0], getattr(reply, "usage", None)
    counts = (getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None))
    if choice.finish_reason == "content_filter":
        return declined("A content filter stopped the answer.", "filter", counts)
    text = choice.message.content or ""
    return Completion(text, choice.finish_reason == "length", *counts)
