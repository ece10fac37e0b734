"""The errors with which the service refuses a request.

Each message says in one sentence what is wrong and what to do about it.
"""

from optimizer.errors import PromptrayError


class NotFound(PromptrayError):
    """It does not exist, or the principal may not see it: 404."""


class Conflict(PromptrayError):
    """Its state does not allow the operation: 409."""


class Damaged(Conflict):
    """Its files on storage cannot be read, so nothing can be done with it: 409."""


class OverQuota(PromptrayError):
    """The owner's quota has no room: 429."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type["OverQuota"], tuple[str, float | None]]:
        return OverQuota, (str(self), self.retry_after_s)


class Busy(PromptrayError):
    """Too many requests of the owner are under way: 429."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type["Busy"], tuple[str, float]]:
        return Busy, (str(self), self.retry_after_s)


class Unavailable(PromptrayError):
    """A part of the service does not answer now: 503."""


class NoRoom(PromptrayError):
    """The owner stores as much as is allowed: 413."""
