"""What owners have used, by UTC day, and whether there is room for more.

Knows no job but by its owner.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cluster.service.core.errors import OverQuota
from cluster.service.core.settings import QuotaSettings


def day_of(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def used_up(limits: QuotaSettings) -> str:
    """The sentence for an owner of whose day nothing is left, or nothing but what is kept for final
    tests.
    """
    of = [
        *([f"{limits.calls_a_day} calls"] if limits.calls_a_day is not None else []),
        *([f"{limits.money_a_day:g} in money"] if limits.money_a_day is not None else []),
    ]
    return f"Your quota of {' and '.join(of)} a day is used up; it begins anew at midnight UTC."


class Quotas:
    """Use of one day. `clock` gives Unix seconds; `read` what is known of a day."""

    def __init__(
        self,
        read: Callable[[str], dict[str, dict[str, float]]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._read = read
        self._clock = clock
        self.day = day_of(clock())
        self.used = read(self.day)
        """What jobs have told of."""
        self._metered: dict[str, tuple[int, float]] = {}
        self.dirty = False

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self._clock()

    def pay(self, owner: str, calls: int, money: float) -> None:
        self.turn_day()
        own = self.used.setdefault(owner, {"calls": 0, "money": 0.0})
        own["calls"] += calls
        own["money"] += money
        self.dirty = True

    def metered(self, owner: str, calls: int, money: float) -> None:
        """So much was given out to the owner today (see owner_budgets), which is no less than what
        jobs have told of.
        """
        self.turn_day()
        self._metered[owner] = calls, money

    def of(self, owner: str) -> tuple[int, float]:
        """Calls and money of today."""
        self.turn_day()
        own, (calls, money) = self.used.get(owner, {}), self._metered.get(owner, (0, 0.0))
        return max(calls, int(own.get("calls", 0))), max(money, float(own.get("money", 0.0)))

    def turn_day(self) -> str:
        """A new day begins with nothing. Returns the day."""
        today = day_of(self._clock())
        if today != self.day:
            self.day, self.used, self.dirty, self._metered = today, self._read(today), False, {}
        return self.day

    def spent_out(self, owner: str, limits: QuotaSettings) -> str:
        """Why this owner may start nothing more today; "" where it may."""
        calls, money = self.of(owner)
        if limits.calls_a_day is not None and calls >= limits.calls_a_day:
            return used_up(QuotaSettings(calls_a_day=limits.calls_a_day))
        if limits.money_a_day is not None and money >= limits.money_a_day:
            return used_up(QuotaSettings(money_a_day=limits.money_a_day))
        return ""

    def expect_room(self, owner: str, limits: QuotaSettings, jobs_now: int) -> None:
        """For one more job. Raises OverQuota."""
        if limits.jobs_at_once is not None and jobs_now >= limits.jobs_at_once:
            raise OverQuota(
                f"You have {jobs_now} jobs queued or running, and your quota is "
                f"{limits.jobs_at_once}; wait for one to end."
            )
        if said := self.spent_out(owner, limits):
            now = datetime.fromtimestamp(self._clock(), UTC)
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            raise OverQuota(said, (midnight - now).total_seconds())
