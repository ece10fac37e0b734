"""One endpoint's window, or that of a model's replicas, shared by many callers: how large it is
now, and how many places each of them gets. Pure: knows no Ray, no call, and no clock but the one it
is given.

Max-min fair by demand (Bertsekas & Gallager 1992, "Data networks", 6.5.2): nobody gets more than it
asks for, and what one leaves goes to those who want more, in equal parts. Where places are fewer
than callers, or do not divide evenly, the odd ones go round. A place that a caller still holds is
nobody else's before it has said that it is free: so the sum never passes the window.

What is granted is a lease: it lapses LEASE_S after the report that it answers, by the caller's own
clock, and a caller that could not report sends nothing before it has reported again. Its places
stay taken while calls that it sent before may still be under way: for as long as a call may last,
or until somebody sees that its process has ended (`gone`).

Callers may stand in groups, such as the trials of a job of an owner: then it is fair between the
widest groups first, then between the groups in each, and last between the callers of one. A caller
without a group is a group of its own.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from serving.concurrency.aimd import AIMD

Group = tuple[str, ...]
"""The names of the groups that a caller stands in, the widest first."""

SILENT_S = 3.0
"""A caller that says nothing for so long wants nothing more, and may be gone [ours]; it reports ten
times in this.
"""
LEASE_S = 30.0
"""A grant lapses so long after the report that it answers [ours].

Long, as a caller on a busy machine is to go on, and whoever is gone is seen sooner.
"""
CALL_S = 120.0
"""How long a call may last, where the caller does not say [ours]: OpenAISettings.timeout_s."""
TURN_S = 1.0
"""How long odd places stay where they are, at least [ours]."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a caller says of itself: how it stands, and what became of its calls since its last
    report.
    """

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
    group: Group = ()
    lasts_s: float = CALL_S
    """How long one of its calls may be under way."""


def fair_shares(
    places: int, demand_by_caller: Mapping[str, int], order: Sequence[str] = ()
) -> dict[str, int]:
    """Places by caller: at most `places` in all and at most its demand for each.

    Those first in `order` get the odd ones; callers
    that it does not name come last.
    """
    share = dict.fromkeys(demand_by_caller, 0)
    rank = {caller: place for place, caller in enumerate(order)}
    wanting = sorted(
        (one for one, demand in demand_by_caller.items() if demand > 0),
        key=lambda one: rank.get(one, len(rank)),
    )
    left = places
    while left > 0 and wanting:
        each = max(1, left // len(wanting))
        for caller in wanting[:left]:
            given = min(each, demand_by_caller[caller] - share[caller])
            share[caller] += given
            left -= given
        wanting = (
            [caller for caller in wanting if share[caller] < demand_by_caller[caller]]
            if left
            else []
        )
    return share


def grouped_shares(
    places: int, demand_by_path: Mapping[Group, int], order: Sequence[Group] = ()
) -> dict[Group, int]:
    """As `fair_shares`, group by group.

    A path has the caller's groups and its own name last; `order` ranks paths and groups.
    """
    return _shares_below((), places, demand_by_path, order)


def _shares_below(
    above: Group, places: int, demand_by_path: Mapping[Group, int], order: Sequence[Group]
) -> dict[Group, int]:
    depth = len(above) + 1
    members: dict[Group, dict[Group, int]] = {}
    for path, demand in demand_by_path.items():
        members.setdefault(path[:depth], {})[path] = demand
    rank = {node: place for place, node in enumerate(order)}
    ranked = sorted(members, key=lambda node: rank.get(node, len(rank)))
    given = fair_shares(places, {"\0".join(node): sum(members[node].values()) for node in ranked})
    share: dict[Group, int] = {}
    for node in ranked:
        own = given["\0".join(node)]
        share |= (
            {node: own}
            if list(members[node]) == [node]
            else _shares_below(node, own, members[node], order)
        )
    return share


@dataclass(frozen=True)
class Use:
    """How a window is used, as its callers have last told."""

    size: int
    in_flight_by_group: Mapping[Group, int] = field(default_factory=dict)
    demand_by_group: Mapping[Group, int] = field(default_factory=dict)
    """Calls in flight or waiting for a place."""

    @property
    def in_flight(self) -> int:
        return sum(self.in_flight_by_group.values())

    @property
    def demand(self) -> int:
        return sum(self.demand_by_group.values())


@dataclass
class _Caller:
    report: Report
    heard_at: float
    granted: int = 0

    @property
    def held(self) -> int:
        """Places that nobody else may have: it may use what it was granted, and calls sent under an
        older grant still run.
        """
        return max(self.granted, self.report.in_flight)

    def path(self, name: str) -> Group:
        return (*self.report.group, name)

    def silent(self, now: float) -> bool:
        """Is there reason to think that it is gone?"""
        return now - self.heard_at > SILENT_S

    def over(self, now: float) -> bool:
        """Has the last call ended that it can have sent before its grant lapsed?"""
        return now - self.heard_at > LEASE_S + self.report.lasts_s

    def wanted(self, now: float) -> int:
        """One that is silent wants nothing more than it may have in use."""
        return self.held if self.silent(now) else self.report.demand


class FairShare:
    """The state of an endpoint. `report` is what its callers call."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, grace_s: float = 0.0) -> None:
        """`grace_s`: seconds from now in which callers keep what they have and get no more, as
        others may have calls under way that
        nothing is known of; 0 unless an earlier process has granted places.
        """
        self._clock = clock
        self._closed_until = clock() + grace_s
        self._caller_by_name: dict[str, _Caller] = {}
        self._order: list[Group] = []
        """Who gets the odd places first: the paths of groups and callers."""
        self._turned_at = clock()
        self._most = 1
        """The largest limit that was reported.

        It stays when that model is done: what was learned of the endpoint counts on.
        """
        self._congestion: AIMD | None = None

    @property
    def size(self) -> int:
        return self._congestion.size if self._congestion else 0

    def report(self, name: str, report: Report) -> int:
        """The calls that this caller may have in flight until it reports again.

        With no demand it is gone, and gets 0.
        """
        now = self._clock()
        self._forget_over(now)
        before = self._caller_by_name.pop(name, None)
        self._learn(report, now)
        if report.demand <= 0:
            return 0
        self._caller_by_name[name] = _Caller(report, now, before.granted if before else 0)
        self._take_turns(now)
        return self.grant(name)

    def grant(self, name: str) -> int:
        """What is this caller's now, by its last report."""
        caller = self._caller_by_name.get(name)
        if caller is None:
            return 0
        now = self._clock()
        self._forget_over(now)
        if now < self._closed_until:
            caller.granted = caller.report.in_flight
        else:
            caller.granted = max(0, min(self._shares(now)[caller.path(name)], self._free(name)))
        return caller.granted

    def silent(self) -> list[str]:
        """Callers that hold places and do not report: whoever can, may look whether they live."""
        now = self._clock()
        return [name for name, caller in self._caller_by_name.items() if caller.silent(now)]

    def gone(self, name: str) -> None:
        """This caller has no call under way any more: its places are free."""
        self._caller_by_name.pop(name, None)

    def use(self) -> Use:
        """As of now."""
        now = self._clock()
        self._forget_over(now)
        in_flight: dict[Group, int] = {}
        demand: dict[Group, int] = {}
        for caller in self._caller_by_name.values():
            group = caller.report.group
            in_flight[group] = in_flight.get(group, 0) + caller.report.in_flight
            demand[group] = demand.get(group, 0) + caller.wanted(now)
        return Use(self.size, in_flight, demand)

    def _learn(self, report: Report, now: float) -> None:
        self._most = max(self._most, report.most)
        self._congestion = self._congestion or AIMD(self._most)
        self._congestion.at_most(self._most)
        if report.good:
            self._congestion.went_well(report.good)
        if report.measured:
            self._congestion.took(report.effort, report.measured, now)
        if report.pushed_back:
            self._congestion.pushed_back(now)

    def _forget_over(self, now: float) -> None:
        self._caller_by_name = {
            name: caller for name, caller in self._caller_by_name.items() if not caller.over(now)
        }

    def _shares(self, now: float) -> dict[Group, int]:
        """Fair within each model's own limit first, then within the window."""
        capped: dict[Group, int] = {}
        for model in {caller.report.model for caller in self._caller_by_name.values()}:
            capped |= grouped_shares(*self._demands_of(model, now), self._order)
        return grouped_shares(self.size, capped, self._order)

    def _demands_of(self, model: str, now: float) -> tuple[int, dict[Group, int]]:
        own = {
            caller.path(name): caller
            for name, caller in self._caller_by_name.items()
            if caller.report.model == model
        }
        return min(caller.report.most for caller in own.values()), {
            path: caller.wanted(now) for path, caller in own.items()
        }

    def _free(self, name: str) -> int:
        """Places that no other caller holds, of the window and of the model's own limit."""
        own = self._caller_by_name[name].report
        others = [caller for other, caller in self._caller_by_name.items() if other != name]
        same = [caller for caller in others if caller.report.model == own.model]
        most = min([own.most, *(caller.report.most for caller in same)])
        return min(
            self.size - sum(one.held for one in others), most - sum(one.held for one in same)
        )

    def _take_turns(self, now: float) -> None:
        """Moves those that have had more than others beside them, who want it too, behind them."""
        nodes = self._nodes(now)
        known = set(self._order)
        self._order = [node for node in self._order if node in nodes] + [
            node for node in nodes if node not in known
        ]
        if now - self._turned_at < TURN_S:
            return
        self._turned_at = now
        short: dict[Group, int] = {}
        for node, (granted, demand) in nodes.items():
            if granted < demand:
                short[node[:-1]] = min(granted, short.get(node[:-1], granted))
        had = {
            node
            for node, (granted, _) in nodes.items()
            if node[:-1] in short and granted > short[node[:-1]]
        }
        self._order = [node for node in self._order if node not in had] + [
            node for node in self._order if node in had
        ]

    def _nodes(self, now: float) -> dict[Group, tuple[int, int]]:
        """What each caller and each group has been granted, and what it wants."""
        nodes: dict[Group, tuple[int, int]] = {}
        for name, caller in self._caller_by_name.items():
            path = caller.path(name)
            for depth in range(1, len(path) + 1):
                granted, demand = nodes.get(path[:depth], (0, 0))
                nodes[path[:depth]] = granted + caller.granted, demand + caller.wanted(now)
        return nodes
