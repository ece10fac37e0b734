"""Fair shares of a concurrency limit: that of an endpoint, or of a model's replicas.

Max-min fair by demand (Bertsekas & Gallager 1992, "Data networks", 6.5.2): no caller gets more
slots than it requests, and what one leaves goes to those who want more, in equal parts. Where slots
are fewer than callers, or do not divide evenly, the odd ones rotate. A slot that a caller still
holds is free for others only after the caller has reported so: so the sum never exceeds the limit.

A grant is a lease: it lapses LEASE_S after the report that it answers, by the caller's own clock,
and a caller that could not report sends nothing before it has reported again. Its slots stay
reserved while calls that it sent before may still be in flight: for as long as a call may last, or
until its process is found to have ended (`gone`).

Callers may have groups, such as the trials of a job of an owner: then it is fair between the widest
groups first, then between the groups in each, and last between the callers of one. A caller without
a group is a group of its own. Pure: knows no Ray, no call, and no clock but the one passed in.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from serving.concurrency.aimd import AIMD

Group = tuple[str, ...]
"""Names of a caller's groups, the widest first."""

SILENT_S = 3.0
"""Seconds after which a silent caller wants nothing more, and may be gone [ours]; it reports ten
times in this.
"""
LEASE_S = 30.0
"""Seconds after its report until a grant lapses [ours]. Long, since a caller on a busy machine
should go on, and one that is gone is found sooner.
"""
CALL_S = 120.0
"""Maximum duration of a call, where the caller does not report one [ours]:
OpenAISettings.timeout_s.
"""
TURN_S = 1.0
"""Minimum seconds until odd slots rotate [ours]."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The state of a caller, and the ends of its calls since its last report."""

    model: str
    most: int
    """Maximum of concurrent calls in this model's settings, of all callers together."""
    demand: int
    """Calls that are in flight or wait for a slot."""
    in_flight: int
    good: int = 0
    pushed_back: bool = False
    effort: float = 0.0
    """Mean effort of the good calls where it is known; see aimd.effort."""
    measured: int = 0
    """Number of calls in that mean."""
    group: Group = ()
    lasts_s: float = CALL_S
    """Seconds that one of its calls may be in flight."""


def fair_shares(
    slots: int, demand_by_caller: Mapping[str, int], order: Sequence[str] = ()
) -> dict[str, int]:
    """Return the slots of each caller.

    They are at most `slots` in all and at most its demand for each. Those first in `order` get the
    odd ones; callers that it does not name come last.
    """
    share = dict.fromkeys(demand_by_caller, 0)
    rank = {caller: place for place, caller in enumerate(order)}
    wanting = sorted(
        (one for one, demand in demand_by_caller.items() if demand > 0),
        key=lambda one: rank.get(one, len(rank)),
    )
    left = slots
    while left > 0 and wanting:
        # At least one each, to the first in order: where slots are fewer than callers those are the
        # odd ones.
        each = max(1, left // len(wanting))
        # A slice of the first `left`: with one slot each no more can be served.
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
    slots: int, demand_by_path: Mapping[Group, int], order: Sequence[Group] = ()
) -> dict[Group, int]:
    """Return the slots of each path as `fair_shares` does, group by group.

    A path has the caller's groups and its own name last; `order` ranks paths and groups.
    """
    return _shares_below((), slots, demand_by_path, order)


def _shares_below(
    above: Group, slots: int, demand_by_path: Mapping[Group, int], order: Sequence[Group]
) -> dict[Group, int]:
    depth = len(above) + 1
    members: dict[Group, dict[Group, int]] = {}
    for path, demand in demand_by_path.items():
        members.setdefault(path[:depth], {})[path] = demand
    rank = {node: place for place, node in enumerate(order)}
    ranked = sorted(members, key=lambda node: rank.get(node, len(rank)))
    # Joined by a character that no name has: the same arithmetic serves callers and groups.
    given = fair_shares(slots, {"\0".join(node): sum(members[node].values()) for node in ranked})
    share: dict[Group, int] = {}
    for node in ranked:
        own = given["\0".join(node)]
        share |= (
            {node: own}
            # The path ends here: this is a caller, and not a group.
            if list(members[node]) == [node]
            else _shares_below(node, own, members[node], order)
        )
    return share


@dataclass(frozen=True)
class Use:
    """The use of a concurrency limit, by its callers' last reports."""

    size: int
    in_flight_by_group: Mapping[Group, int] = field(default_factory=dict)
    demand_by_group: Mapping[Group, int] = field(default_factory=dict)
    """Calls in flight or waiting for a slot."""

    @property
    def in_flight(self) -> int:
        """Return the calls in flight of all groups."""
        return sum(self.in_flight_by_group.values())

    @property
    def demand(self) -> int:
        """Return the calls in flight or waiting of all groups."""
        return sum(self.demand_by_group.values())


@dataclass
class _Caller:
    report: Report
    reported_at: float
    granted: int = 0

    @property
    def held(self) -> int:
        """Return the slots that nobody else may have.

        The caller may use what it was granted, and calls sent under an older grant still run.
        """
        return max(self.granted, self.report.in_flight)

    def path(self, name: str) -> Group:
        """Return the caller's groups and its name."""
        return (*self.report.group, name)

    def silent(self, now: float) -> bool:
        """Return whether the caller may be gone."""
        return now - self.reported_at > SILENT_S

    def over(self, now: float) -> bool:
        """Return whether the last call has ended that it can have sent before its grant lapsed."""
        return now - self.reported_at > LEASE_S + self.report.lasts_s

    def wanted(self, now: float) -> int:
        """Return the caller's demand; a silent one wants no more than it may have in use."""
        return self.held if self.silent(now) else self.report.demand


class FairShare:
    """The state of one limit; its callers call `report`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, grace_s: float = 0.0) -> None:
        """Start without callers.

        Args:
            clock: Seconds on a clock that does not go back.
            grace_s: Seconds from now in which callers hold what they have and get no more, as
                others may have calls in flight that are not known; 0 unless an earlier process has
                granted slots.
        """
        self._clock = clock
        self._closed_until = clock() + grace_s
        self._caller_by_name: dict[str, _Caller] = {}
        self._order: list[Group] = []
        """Paths of groups and callers, in the order in which they get the odd slots."""
        self._turned_at = clock()
        self._most = 1
        """The largest maximum that was reported. It stays when that model is done: what was
        learned of the endpoint still counts.
        """
        self._aimd: AIMD | None = None

    @property
    def size(self) -> int:
        """Return the concurrency limit."""
        return self._aimd.size if self._aimd else 0

    def report(self, name: str, report: Report) -> int:
        """Return the calls that this caller may have in flight until it reports again.

        A caller without demand is gone, and gets 0.
        """
        now = self._clock()
        self._forget_over(now)
        # It stays removed without demand: such a caller is gone.
        before = self._caller_by_name.pop(name, None)
        self._learn(report, now)
        if report.demand <= 0:
            return 0
        self._caller_by_name[name] = _Caller(report, now, before.granted if before else 0)
        self._take_turns(now)
        return self.grant(name)

    def grant(self, name: str) -> int:
        """Return what this caller may have now, by its last report."""
        caller = self._caller_by_name.get(name)
        if caller is None:
            return 0
        now = self._clock()
        self._forget_over(now)
        # After a restart: others may have calls in flight that are not reported yet.
        if now < self._closed_until:
            caller.granted = caller.report.in_flight
        else:
            # The share is what it should have; the free slots are what others have really given
            # back so far.
            caller.granted = max(0, min(self._shares(now)[caller.path(name)], self._free(name)))
        return caller.granted

    def silent(self) -> list[str]:
        """Return callers that hold slots and are silent, so that they can be checked."""
        now = self._clock()
        return [name for name, caller in self._caller_by_name.items() if caller.silent(now)]

    def gone(self, name: str) -> None:
        """Free the slots of a caller that has no call in flight any more."""
        self._caller_by_name.pop(name, None)

    def use(self) -> Use:
        """Return the use as of now."""
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
        self._aimd = self._aimd or AIMD(self._most)
        self._aimd.at_most(self._most)
        if report.good:
            self._aimd.went_well(report.good)
        if report.measured:
            self._aimd.took(report.effort, report.measured, now)
        if report.pushed_back:
            # Last, so that the good calls of the same report do not widen what was just halved.
            self._aimd.pushed_back(now)

    def _forget_over(self, now: float) -> None:
        self._caller_by_name = {
            name: caller for name, caller in self._caller_by_name.items() if not caller.over(now)
        }

    def _shares(self, now: float) -> dict[Group, int]:
        """Return fair shares within each model's own maximum first, then within the limit."""
        # Two steps, as a model may allow fewer calls than its endpoint: what it leaves goes to
        # other models.
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
        """Return the slots that no other caller holds, of the limit and the model's maximum."""
        own = self._caller_by_name[name].report
        others = [caller for other, caller in self._caller_by_name.items() if other != name]
        same = [caller for caller in others if caller.report.model == own.model]
        most = min([own.most, *(caller.report.most for caller in same)])
        return min(
            self.size - sum(one.held for one in others), most - sum(one.held for one in same)
        )

    def _take_turns(self, now: float) -> None:
        """Move callers that had more than others beside them, who want it too, behind them."""
        nodes = self._nodes(now)
        known = set(self._order)
        self._order = [node for node in self._order if node in nodes] + [
            node for node in nodes if node not in known
        ]
        # Rotating with each report would take a slot away before a call on it has ended.
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
        """Return what each caller and each group was granted, and its demand."""
        nodes: dict[Group, tuple[int, int]] = {}
        for name, caller in self._caller_by_name.items():
            path = caller.path(name)
            for depth in range(1, len(path) + 1):
                granted, demand = nodes.get(path[:depth], (0, 0))
                nodes[path[:depth]] = granted + caller.granted, demand + caller.wanted(now)
        return nodes
