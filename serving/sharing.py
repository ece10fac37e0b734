"""One endpoint's window, shared by many callers: how large it is now, and how many places each of them gets. Pure: knows no Ray,
no call, and no clock but the one it is given.

Max-min fair by demand (Bertsekas & Gallager 1992, "Data networks", 6.5.2): nobody gets more than it asks for, and what one leaves
goes to those who want more, in equal parts. Where places are fewer than callers, or do not divide evenly, the odd ones go round.
A place that a caller still holds is nobody else's before it has said that it is free: so the sum never passes the window.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from serving.congestion import Congestion

SILENT_S = 3.0
"""A caller that says nothing for so long is gone, and its places are free [ours]; it reports ten times in this."""
TURN_S = 1.0
"""How long odd places stay where they are, at least [ours]."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a caller says of itself: how it stands, and what became of its calls since its last report."""

    model: str
    most: int
    """Calls at once that this model's settings allow, of all callers together."""
    demand: int
    """Calls that are in flight or wait for a place."""
    in_flight: int
    good: int = 0
    pushed_back: bool = False
    effort: float = 0.0
    """Mean of the good calls that it is known of; see congestion.effort."""
    measured: int = 0
    """Calls in that mean."""


def fair_shares(places: int, demand_by_caller: Mapping[str, int], order: Sequence[str] = ()) -> dict[str, int]:
    """Places by caller: at most `places` in all and at most its demand for each. Those first in `order` get the odd ones; callers
    that it does not name come last."""
    share = dict.fromkeys(demand_by_caller, 0)
    rank = {caller: place for place, caller in enumerate(order)}
    wanting = sorted((one for one, demand in demand_by_caller.items() if demand > 0), key=lambda one: rank.get(one, len(rank)))
    left = places
    while left > 0 and wanting:
        each = max(1, left // len(wanting))
        for caller in wanting[:left]:
            given = min(each, demand_by_caller[caller] - share[caller])
            share[caller] += given
            left -= given
        wanting = [caller for caller in wanting if share[caller] < demand_by_caller[caller]] if left else []
    return share


@dataclass
class _Caller:
    report: Report
    heard_at: float
    granted: int = 0

    @property
    def held(self) -> int:
        """Places that nobody else may have: it may use what it was granted, and calls sent under an older grant still run."""
        return max(self.granted, self.report.in_flight)


class SharedWindow:
    """The state of an endpoint. `report` is all there is to call."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._caller_by_name: dict[str, _Caller] = {}
        self._order: list[str] = []
        """Who gets the odd places first."""
        self._turned_at = clock()
        self._most = 1
        """The largest limit that was reported. It stays when that model is done: what was learned of the endpoint counts on."""
        self._congestion: Congestion | None = None

    @property
    def size(self) -> int:
        return self._congestion.size if self._congestion else 0

    def report(self, name: str, report: Report) -> int:
        """The calls that this caller may have in flight until it reports again. With no demand it is gone, and gets 0."""
        now = self._clock()
        self._caller_by_name = {
            name: caller for name, caller in self._caller_by_name.items() if now - caller.heard_at <= SILENT_S}
        before = self._caller_by_name.pop(name, None)
        self._learn(report, now)
        if report.demand <= 0:
            return 0
        caller = self._caller_by_name[name] = _Caller(report, now, before.granted if before else 0)
        self._take_turns(now)
        share = self._shares()[name]
        caller.granted = max(0, min(share, self._free(name)))
        return caller.granted

    def _learn(self, report: Report, now: float) -> None:
        self._most = max(self._most, report.most)
        self._congestion = self._congestion or Congestion(self._most)
        self._congestion.at_most(self._most)
        if report.good:
            self._congestion.went_well(report.good)
        if report.measured:
            self._congestion.took(report.effort, report.measured, now)
        if report.pushed_back:
            self._congestion.pushed_back(now)

    def _shares(self) -> dict[str, int]:
        """Fair within each model's own limit first, then within the window."""
        capped: dict[str, int] = {}
        for model in {caller.report.model for caller in self._caller_by_name.values()}:
            capped |= fair_shares(*self._demands_of(model), self._order)
        return fair_shares(self.size, capped, self._order)

    def _demands_of(self, model: str) -> tuple[int, dict[str, int]]:
        own = {name: caller.report for name, caller in self._caller_by_name.items() if caller.report.model == model}
        return min(report.most for report in own.values()), {name: report.demand for name, report in own.items()}

    def _free(self, name: str) -> int:
        """Places that no other caller holds, of the window and of the model's own limit."""
        own = self._caller_by_name[name].report
        others = [caller for other, caller in self._caller_by_name.items() if other != name]
        same = [caller for caller in others if caller.report.model == own.model]
        most = min([own.most, *(caller.report.most for caller in same)])
        return min(self.size - sum(one.held for one in others), most - sum(one.held for one in same))

    def _take_turns(self, now: float) -> None:
        """Moves those that have had more than others, who want it too, behind them."""
        self._order = [name for name in self._order if name in self._caller_by_name]
        self._order += [name for name in self._caller_by_name if name not in self._order]
        if now - self._turned_at < TURN_S:
            return
        self._turned_at = now
        short = [one.granted for one in self._caller_by_name.values() if one.granted < one.report.demand]
        least = min(short, default=0)
        had = {name for name, one in self._caller_by_name.items() if short and one.granted > least}
        self._order = [name for name in self._order if name not in had] + [name for name in self._order if name in had]
