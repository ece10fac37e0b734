"""Error responses in the form of OpenAI's API; independent of their reasons."""

from collections.abc import Mapping
from math import ceil
from typing import Any


class Refused(Exception):
    """An HTTP error response: one sentence for the caller, a code for programs and metrics."""

    def __init__(
        self,
        status: int,
        code: str,
        reason: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, code, reason)
        self.status, self.code, self.reason = status, code, reason
        self.param = param
        """The field of the request that is wrong."""
        self._retry_after_s = retry_after_s
        self._headers = headers or {}

    def content(self) -> dict[str, Any]:
        """Return the error as OpenAI writes it, in a body or in a stream."""
        return {
            "error": {
                "message": self.reason,
                "type": _kind(self.status),
                "param": self.param,
                "code": self.code,
            }
        }

    def headers(self) -> dict[str, str]:
        """Return the headers of the response.

        Retry-After is in whole seconds (RFC 9110, section 10.2.3), so it is rounded up.
        """
        wait = (
            {}
            if self._retry_after_s is None
            else {"Retry-After": str(max(1, ceil(self._retry_after_s)))}
        )
        return {**self._headers, **wait}


def _kind(status: int) -> str:
    if status >= 500:
        return "server_error"
    return {401: "authentication_error", 429: "rate_limit_error"}.get(
        status, "invalid_request_error"
    )
