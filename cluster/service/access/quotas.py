"""Counts what owners have used, by UTC day, and says whether there is room for more.

Knows jobs only by their owners.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cluster.service.core.errors import OverQuota
from cluster.service.core.settings import QuotaSettings


def day_of(seconds: float) -> str:
    """Return the UTC day of a time in Unix seconds, as YYYY-MM-DD."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def used_up(limits: QuotaSettings) -> str:
    """Say that a quota is used up, or all of it but what is reserved for final tests."""
    limits_in_words = [
        *([f"{limits.calls_a_day} calls"] if limits.calls_a_day is not None else []),
        *([f"{limits.money_a_day:g} in money"] if limits.money_a_day is not None else []),
    ]
    return (
        f"Your quota of {' and '.join(limits_in_words)} a day is used up; it is reset at midnight "
        "UTC."
    )


class Quotas:
    """The use of the current day, by owner."""

    def __init__(
        self,
        read: Callable[[str], dict[str, dict[str, float]]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read the use of today.

        Args:
            read: Returns what is known of a day: owner -> calls and money.
            clock: Returns Unix seconds.
        """
        self._read = read
        self._clock = clock
        self.day = day_of(clock())
        self.used = read(self.day)
        """Owner -> what its jobs have reported."""
        self._metered: dict[str, tuple[int, float]] = {}
        self.dirty = False

    @property
    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self._clock()

    def pay(self, owner: str, calls: int, money: float) -> None:
        """Add calls and money to an owner's use."""
        self.turn_day()
        own = self.used.setdefault(owner, {"calls": 0, "money": 0.0})
        own["calls"] += calls
        own["money"] += money
        self.dirty = True

    def metered(self, owner: str, calls: int, money: float) -> None:
        """Set how much the owner's budget has given out today; see owner_budgets.

        The use is the larger of this and of what jobs have reported.
        """
        self.turn_day()
        self._metered[owner] = calls, money

    def of(self, owner: str) -> tuple[int, float]:
        """Return the calls and the money that an owner has used today."""
        self.turn_day()
        own, (calls, money) = self.used.get(owner, {}), self._metered.get(owner, (0, 0.0))
        return max(calls, int(own.get("calls", 0))), max(money, float(own.get("money", 0.0)))

    def turn_day(self) -> str:
        """Start with no use if a new day has begun, and return the day."""
        today = day_of(self._clock())
        if today != self.day:
            self.day, self.used, self.dirty, self._metered = today, self._read(today), False, {}
        return self.day

    def spent_out(self, owner: str, limits: QuotaSettings) -> str:
        """Say why this owner may start nothing more today; empty if it may."""
        calls, money = self.of(owner)
        if limits.calls_a_day is not None and calls >= limits.calls_a_day:
            return used_up(QuotaSettings(calls_a_day=limits.calls_a_day))
        if limits.money_a_day is not None and money >= limits.money_a_day:
            return used_up(QuotaSettings(money_a_day=limits.money_a_day))
        return ""

    def expect_room(self, owner: str, limits: QuotaSettings, jobs_now: int) -> None:
        """Refuse one more job beyond the quota.

        Args:
            owner: The owner.
            limits: Its quota.
            jobs_now: Its jobs that are not over.

        Raises:
            OverQuota: The quota has no room; with the seconds until it has, if that is known.
        """
        if limits.jobs_at_once is not None and jobs_now >= limits.jobs_at_once:
            raise OverQuota(
                f"{jobs_now} of the {limits.jobs_at_once} jobs that your quota allows are queued "
                "or running; wait for one to end."
            )
        if reason := self.spent_out(owner, limits):
            now = datetime.fromtimestamp(self._clock(), UTC)
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            raise OverQuota(reason, (midnight - now).total_seconds())
