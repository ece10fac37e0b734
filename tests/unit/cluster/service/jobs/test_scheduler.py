"""The queue: a place that is free goes to the owner who has least, no owner waits behind another's
line, and nothing stays free.
"""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cluster.service.jobs.scheduler import Waiting, positions, starts, turns

OWNERS = st.sampled_from("abc")


@st.composite
def queues(draw: st.DrawFn) -> tuple[list[Waiting], list[str], dict[str, int]]:
    owners = draw(st.lists(OWNERS, max_size=20))
    numbers = draw(st.permutations(range(len(owners))))
    waiting = [
        Waiting(f"job-{number}", owner, number)
        for owner, number in zip(owners, numbers, strict=True)
    ]
    return (
        waiting,
        draw(st.lists(OWNERS, max_size=6)),
        draw(st.dictionaries(OWNERS, st.integers(1, 50))),
    )


@given(queue=queues(), places=st.integers(0, 12))
def test_no_place_stays_free_while_somebody_waits_and_none_is_given_twice(
    queue: tuple[list[Waiting], list[str], dict[str, int]], places: int
) -> None:
    waiting, running, last_turn = queue
    started = starts(waiting, running, places, last_turn)
    assert len(started) == len(set(started)) == min(len(waiting), max(0, places - len(running)))


@given(queue=queues(), places=st.integers(0, 12))
def test_running_jobs_are_max_min_fair_between_owners(
    queue: tuple[list[Waiting], list[str], dict[str, int]], places: int
) -> None:
    waiting, running, last_turn = queue
    owner_by_job = {one.job: one.owner for one in waiting}
    started = starts(waiting, running, places, last_turn)
    has, before = Counter(running), Counter(running)
    has.update(owner_by_job[job] for job in started)
    still_waiting = {one.owner for one in waiting if one.job not in started}
    for owner in still_waiting:
        for other in has:
            assert has[other] <= max(has[owner] + 1, before[other]), (
                "nobody was given more than one above an owner who still waits"
            )


@given(queue=queues())
def test_of_one_owner_the_first_that_came_starts_first(
    queue: tuple[list[Waiting], list[str], dict[str, int]],
) -> None:
    waiting, running, last_turn = queue
    order = list(turns(waiting, running, last_turn))
    assert sorted(order, key=lambda one: one.job) == sorted(waiting, key=lambda one: one.job)
    for owner in "abc":
        numbers = [one.number for one in order if one.owner == owner]
        assert numbers == sorted(numbers)


@given(queue=queues(), barred=st.sets(OWNERS))
def test_owners_that_are_barred_start_nothing_and_stand_last(
    queue: tuple[list[Waiting], list[str], dict[str, int]], barred: set[str]
) -> None:
    waiting, running, last_turn = queue
    owner_by_job = {one.job: one.owner for one in waiting}
    started = starts(waiting, running, 100, last_turn, barred)
    assert {owner_by_job[job] for job in started}.isdisjoint(barred)
    place = positions(waiting, running, last_turn, barred)
    assert sorted(place.values()) == list(range(1, len(waiting) + 1))
    assert started == sorted(
        (job for job in place if owner_by_job[job] not in barred), key=place.__getitem__
    )


def test_with_a_single_place_owners_take_turns_however_long_a_line_is() -> None:
    waiting = [Waiting(f"a{number}", "a", number) for number in range(5)] + [
        Waiting("b5", "b", 5),
        Waiting("c6", "c", 6),
    ]
    last_turn, order = dict[str, int](), list[str]()
    for turn in range(1, 8):
        (job,) = starts(waiting, [], 1, last_turn)
        order.append(job)
        last_turn[job[0]] = turn
        waiting = [one for one in waiting if one.job != job]
    assert order == ["a0", "b5", "c6", "a1", "a2", "a3", "a4"]


def test_positions_are_the_order_of_the_starts_to_come() -> None:
    waiting = [Waiting("a1", "a", 1), Waiting("a2", "a", 2), Waiting("b3", "b", 3)]
    assert positions(waiting, ["a"], {"a": 1}) == {"b3": 1, "a1": 2, "a2": 3}
