"""One limit for many: shares are fair and never above it, odd places go round, and what one leaves
goes to the others.
"""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.concurrency.fair_share import (
    CALL_S,
    LEASE_S,
    SILENT_S,
    FairShare,
    Report,
    fair_shares,
    grouped_shares,
)
from tests.contracts.examples import examples

DEMANDS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2), st.integers(0, 100), max_size=12
)


@given(places=st.integers(0, 200), demand_by_caller=DEMANDS, shuffle=st.integers())
def test_shares_are_max_min_fair_and_use_all_that_is_wanted(
    places: int, demand_by_caller: dict[str, int], shuffle: int
) -> None:
    order = sorted(demand_by_caller)[: len(demand_by_caller) // 2]
    Random(shuffle).shuffle(order)
    share = fair_shares(places, demand_by_caller, order)
    assert sum(share.values()) == min(places, sum(demand_by_caller.values()))
    for caller, own in share.items():
        assert 0 <= own <= demand_by_caller[caller]
        if own < demand_by_caller[caller]:
            assert max(share.values()) <= own + 1, "whoever has more has one odd place at most"


@given(places=st.integers(0, 10), callers=st.integers(1, 12))
def test_the_odd_places_go_to_those_named_first(places: int, callers: int) -> None:
    order = [str(number) for number in range(callers)][::-1]
    share = fair_shares(places, dict.fromkeys(sorted(order), 100), order)
    assert [share[caller] for caller in order] == sorted(share.values(), reverse=True)


class Caller:
    """A caller that sends as many calls as it may and reports like a real one. Time is the world's."""

    def __init__(
        self,
        name: str,
        slot_server: FairShare,
        work: int,
        seconds: Callable[[], float],
        model: str = "m",
        most: int = 8,
        group: tuple[str, ...] = (),
        lasts_s: float = CALL_S,
    ) -> None:
        self.group, self.lasts_s = group, lasts_s
        self.name, self.slot_server, self.work, self.seconds, self.model, self.most = (
            name,
            slot_server,
            work,
            seconds,
            model,
            most,
        )
        self.ends_at: list[float] = []
        self.allowed = self.done = self.good = 0
        self.waited_since = 0.0
        self.longest_wait_s = 0.0

    def live(self, now: float, reports: bool) -> None:
        ended = [end for end in self.ends_at if end <= now]
        self.ends_at = [end for end in self.ends_at if end > now]
        self.done += len(ended)
        self.good += len(ended)
        if reports:
            demand = self.work + len(self.ends_at)
            self.allowed = self.slot_server.report(
                self.name,
                Report(
                    model=self.model,
                    most=self.most,
                    demand=demand,
                    in_flight=len(self.ends_at),
                    good=self.good,
                    group=self.group,
                    lasts_s=self.lasts_s,
                ),
            )
            self.good = 0
        while self.work and len(self.ends_at) < self.allowed:
            self.work -= 1
            self.ends_at.append(now + self.seconds())
        if self.ends_at or not self.work:
            self.waited_since = now
        self.longest_wait_s = max(self.longest_wait_s, now - self.waited_since)


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.slot_server = FairShare(lambda: self.now)
        self.callers: list[Caller] = []
        self.peak = 0

    def run(self, until_s: float, step_s: float = 0.05) -> None:
        while self.now < until_s:
            self.now += step_s
            tick = round(self.now / step_s)
            for number, caller in enumerate(self.callers):
                caller.live(self.now, reports=(tick + number) % 5 == 0)
            self.peak = max(self.peak, sum(len(caller.ends_at) for caller in self.callers))


@settings(deadline=None, max_examples=examples(40))
@given(most=st.integers(1, 12), callers=st.integers(1, 9), seed=st.integers(0, 999))
def test_no_more_is_in_flight_than_the_limit_and_nobody_starves(
    most: int, callers: int, seed: int
) -> None:
    draw, world = Random(seed), World()
    longest_s = draw.choice([0.1, 0.7, 2.0])
    world.callers = [
        Caller(
            str(number),
            world.slot_server,
            draw.choice([3, 10_000]),
            lambda: draw.uniform(0.05, longest_s),
            most=most,
        )
        for number in range(callers)
    ]
    world.run(60.0)
    assert world.peak <= most
    for caller in world.callers:
        assert caller.work > 100 or caller.done == 3
        # A turn for each of the callers, and for each turn the calls that are still out.
        assert caller.longest_wait_s <= 1.0 + callers * (1.5 + longest_s)


def test_callers_with_much_to_do_get_about_the_same() -> None:
    world = World()
    world.callers = [
        Caller(str(number), world.slot_server, 10**6, lambda: 0.2, most=8) for number in range(5)
    ]
    world.run(120.0)
    done = [caller.done for caller in world.callers]
    assert min(done) >= 0.8 * max(done)
    assert sum(done) >= 0.75 * 8 * 120 / 0.2, "the limit is well used"


def test_what_one_caller_leaves_goes_to_another_who_wants_it() -> None:
    world = World()
    world.callers = [
        Caller("busy", world.slot_server, 10**6, lambda: 0.2),
        Caller("brief", world.slot_server, 20, lambda: 0.2),
    ]
    world.run(20.0)
    assert len(world.callers[0].ends_at) == 8


@pytest.mark.parametrize("seen", ["its calls must have ended", "it was seen to be gone"])
def test_a_silent_caller_holds_its_slots_while_its_calls_may_last(
    seen: str,
) -> None:
    world = World()
    silent, busy = (
        Caller(name, world.slot_server, 10**6, lambda: 0.2, lasts_s=10.0)
        for name in ("silent", "busy")
    )
    world.callers = [silent, busy]
    world.run(5.0)
    assert (silent.allowed, busy.allowed) == (4, 4)
    world.callers = [busy]
    world.run(5.0 + LEASE_S + 9.0)
    assert (world.slot_server.silent(), busy.allowed) == (["silent"], 4)
    if seen == "it was seen to be gone":
        world.slot_server.gone("silent")
        world.run(5.0 + LEASE_S + 9.5)
        assert busy.allowed == 8
    world.run(5.0 + LEASE_S + 11.0)
    assert busy.allowed == 8


def test_a_silent_holder_of_all_slots_gets_its_share_when_it_is_back() -> None:
    world = World()
    silent = Caller("silent", world.slot_server, 10**6, lambda: 4.0, lasts_s=100.0)
    late = Caller("late", world.slot_server, 10**6, lambda: 0.2)
    world.callers = [silent]
    world.run(1.0)
    world.callers = [late]
    world.run(10.0)
    assert (late.done, world.slot_server.use().demand_by_group[()]) == (0, 8 + late.work)
    world.callers = [silent, late]
    world.run(30.0)
    assert (silent.allowed, late.allowed, world.peak) == (4, 4, 8)


def test_after_a_restart_nothing_new_is_granted_during_the_grace() -> None:
    now = 100.0
    slot_server = FairShare(lambda: now, grace_s=SILENT_S)
    assert slot_server.report("one", Report(model="m", most=8, demand=20, in_flight=0)) == 0
    assert slot_server.report("two", Report(model="m", most=8, demand=20, in_flight=5)) == 5
    now += SILENT_S
    assert slot_server.report("one", Report(model="m", most=8, demand=20, in_flight=0)) == 3


def test_a_place_that_is_still_in_use_is_not_given_away() -> None:
    world = World()
    slow = Caller("slow", world.slot_server, 8, lambda: 30.0)
    late = Caller("late", world.slot_server, 100, lambda: 0.2)
    world.callers = [slow]
    world.run(1.0)
    world.callers.append(late)
    world.run(29.0)
    assert (len(slow.ends_at), late.done) == (8, 0)
    world.run(40.0)
    assert late.done > 0


@given(seed=st.integers(0, 99))
@settings(deadline=None, max_examples=examples(10))
def test_each_model_keeps_to_its_own_limit(seed: int) -> None:
    draw, world = Random(seed), World()
    small = [
        Caller(f"s{n}", world.slot_server, 10**6, lambda: draw.uniform(0.05, 0.5), "small", 3)
        for n in range(3)
    ]
    large = [
        Caller(f"l{n}", world.slot_server, 10**6, lambda: draw.uniform(0.05, 0.5), "large", 16)
        for n in range(2)
    ]
    world.callers = [*small, *large]
    for second in range(1, 30):
        world.run(float(second))
        assert sum(len(caller.ends_at) for caller in small) <= 3
    assert world.peak <= 16
    assert world.peak >= 14
    assert all(caller.done for caller in world.callers)


@pytest.mark.parametrize("news", ["pushed back", "slow"])
def test_the_limit_narrows_by_what_any_caller_reports(news: str) -> None:
    now = 100.0
    slot_server = FairShare(lambda: now)

    def report(**known: object) -> int:
        return slot_server.report("a", Report(model="m", most=64, demand=100, in_flight=0, **known))  # type: ignore[arg-type]

    assert report() == 64
    for _ in range(100):
        report(good=10, measured=10, effort=0.01)
    now += 60
    if news == "pushed back":
        assert report(pushed_back=True) == 32
        assert report(pushed_back=True) == 32, "of one burst"
    else:
        for _ in range(5):
            report(good=10, measured=10, effort=0.2)
        assert 40 < report() < 64
    for _ in range(300):
        report(good=20)
    assert report() == 64


PATHS = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2", "3"]), st.sampled_from("xyz")),
    st.integers(0, 40),
    max_size=12,
)


@given(places=st.integers(0, 100), demand_by_path=PATHS)
def test_grouped_shares_are_fair_between_owners_then_jobs_then_trials(
    places: int, demand_by_path: dict[tuple[str, ...], int]
) -> None:
    share = grouped_shares(places, demand_by_path)
    assert share.keys() == demand_by_path.keys()
    assert sum(share.values()) == min(places, sum(demand_by_path.values()))
    assert all(0 <= share[path] <= demand_by_path[path] for path in share)
    for depth in (1, 2, 3):
        by_node: dict[tuple[str, ...], list[int]] = {}
        for path, own in share.items():
            total = by_node.setdefault(path[:depth], [0, 0])
            total[0] += own
            total[1] += demand_by_path[path]
        for node, (own, demand) in by_node.items():
            if own < demand:
                beside = [other for name, (other, _) in by_node.items() if name[:-1] == node[:-1]]
                assert max(beside) <= own + 1, "no group beside it has more than one odd place more"


def test_owners_share_equally_whatever_their_number_of_callers() -> None:
    world = World()
    many = [
        Caller(f"m{number}", world.slot_server, 10**6, lambda: 0.2, group=("many", str(number % 3)))
        for number in range(9)
    ]
    single = Caller("single", world.slot_server, 10**6, lambda: 0.2, group=("single", "1"))
    world.callers = [*many, single]
    world.run(60.0)
    assert single.done == pytest.approx(sum(caller.done for caller in many), rel=0.25)
    assert min(caller.done for caller in many) >= 0.6 * max(caller.done for caller in many), (
        "odd places go round in a group, too"
    )
    use = world.slot_server.use()
    assert (use.size, use.demand_by_group["single", "1"]) == (8, single.work + len(single.ends_at))
    assert single.allowed <= use.in_flight <= 8, (
        "as was reported: calls that were begun since are not in it"
    )
    assert use.in_flight_by_group["single", "1"] == single.allowed == 4


def test_groups_that_outnumber_the_places_take_turns() -> None:
    world = World()
    world.callers = [
        Caller(
            str(number), world.slot_server, 10**6, lambda: 0.2, most=2, group=(f"owner {number}",)
        )
        for number in range(5)
    ]
    world.run(60.0)
    assert all(caller.longest_wait_s <= 10 for caller in world.callers)
