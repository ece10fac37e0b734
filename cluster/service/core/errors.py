"""The service's own refusals. Each says in one sentence what is wrong and how to mend it."""

from optimizer.errors import PromptrayError


class NotFound(PromptrayError):
    """There is no such thing, or the caller may not see it: 404."""


class Conflict(PromptrayError):
    """The thing is not in a state for that: 409."""


class Damaged(Conflict):
    """What stands of the thing on storage cannot be read, so nothing can be done with it: 409."""


class OverQuota(PromptrayError):
    """The caller's quota has no room: 429."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type["OverQuota"], tuple[str, float | None]]:
        return OverQuota, (str(self), self.retry_after_s)


class Busy(PromptrayError):
    """Too much of the caller's is under way: 429."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type["Busy"], tuple[str, float]]:
        return Busy, (str(self), self.retry_after_s)


class Unavailable(PromptrayError):
    """A part of the service does not answer now: 503."""


class NoRoom(PromptrayError):
    """The caller keeps as much as they may: 413."""
