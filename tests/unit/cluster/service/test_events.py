"""A job's events: numbered without gaps, durable before they are seen, said once; and many
listeners for one question.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from cluster.service.backends.broadcast import EventBroadcaster
from cluster.service.core.errors import Damaged, NotFound
from cluster.service.jobs.event_log import EventLog, PublishedEvents
from cluster.service.schemas import Event, EventKind
from optimizer.errors import StorageError
from serving.runtime.supervision import Backoff


class Disk:
    """Where a log puts its entries; it is full for a while where it is told to be."""

    def __init__(self, fails: int = 0) -> None:
        self.groups: list[list[dict[str, Any]]] = []
        self.fails = fails

    def put(self, entries: list[dict[str, Any]]) -> None:
        if self.fails:
            self.fails -= 1
            raise StorageError("The disk is full.")
        self.groups.append(entries)

    @property
    def ids(self) -> list[int]:
        return [entry["id"] for group in self.groups for entry in group]


def event(id: int, kind: EventKind = "job.phase", **data: Any) -> Event:
    return Event(id=id, created_at=0, kind=kind, message=f"{id}", data=data)


async def test_events_are_on_storage_before_anyone_sees_them_and_come_in_groups() -> None:
    disk, told = Disk(), 0

    def tell() -> None:
        nonlocal told
        told += 1
        assert disk.ids == [one.id for one in log.events]

    log = EventLog([], disk.put, tell)
    for number in range(50):
        assert log.add("trial.round", "round", "t", {"round": number})
        assert len(log.events) <= len(disk.ids)
    assert log.last_id == 0, "nothing is there before it is durable"
    await log.durable()
    assert disk.ids == [one.id for one in log.events] == list(range(1, 51))
    assert told == len(disk.groups) < 10


async def test_a_storage_that_is_away_for_a_while_loses_no_event() -> None:
    disk = Disk(fails=1)
    log = EventLog([event(1)], disk.put)
    log.add("trial.paused", "it waits", "t")
    log.add("trial.resumed", "it goes on", "t")
    await log.durable()
    assert disk.ids == [2, 3]


SAYINGS: list[tuple[EventKind, str | None, dict[str, Any]]] = [
    ("job.queued", None, {}),
    ("job.started", None, {}),
    ("job.phase", None, {}),
    ("trial.started", "t", {}),
    ("trial.round", "t", {"round": 0}),
    ("trial.round", "t", {"round": 1}),
    ("trial.better", "t", {"round": 1}),
    ("budget.warning", "t", {"limit": "target_calls", "share": 0.8}),
    ("trial.finished", "t", {}),
    ("trial.failed", "u", {}),
]


async def test_a_repeated_run_adds_no_second_event_also_after_the_log_was_read_again() -> None:
    disk = Disk()
    log = EventLog([], disk.put)
    for kind, trial, data in SAYINGS:
        assert log.add(kind, "said", trial, data)
    await log.durable()
    for again in (log, EventLog(log.events, disk.put)):
        assert not any(again.add(kind, "said", trial, data) for kind, trial, data in SAYINGS)
    assert log.add("trial.round", "said", "t", {"round": 2})
    await log.durable()
    assert disk.ids == list(range(1, 12))


def test_after_a_resume_the_job_starts_anew_and_a_trial_may_fail_anew_but_rounds_stay() -> None:
    said = PublishedEvents()
    for kind, trial, data in [*SAYINGS, ("job.resumed", None, {})]:
        assert said.add(kind, trial, "said", data)
    new = [kind for kind, trial, data in SAYINGS if said.add(kind, trial, "said", data)]
    assert new == ["job.started", "job.phase", "trial.failed"]


class ControllerActor:
    """Answers as the controller does, and counts how often it is asked."""

    def __init__(self) -> None:
        self.events: dict[str, list[Event]] = {"a": [], "b": []}
        self.questions = self.at_once = self.most_at_once = 0
        self.changed = asyncio.Event()
        self.fault: Exception | None = None
        self.hangs = False
        self.skips = 0
        """Events that it leaves out of its answer, the first ones."""

    def add(self, job: str, kind: EventKind = "job.phase") -> None:
        self.events[job].append(event(len(self.events[job]) + 1, kind))
        self.changed.set()
        self.changed = asyncio.Event()

    async def events_since(
        self, after: Mapping[str, int], timeout_s: float
    ) -> dict[str, list[Event]]:
        self.questions += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            while True:
                if self.hangs:
                    await asyncio.Event().wait()
                if self.fault:
                    raise self.fault
                if found := {
                    job: self.events[job][known:]
                    for job, known in after.items()
                    if len(self.events[job]) > known
                }:
                    return {job: events[self.skips :] for job, events in found.items()}
                await self.changed.wait()
        finally:
            self.at_once -= 1

    async def known(self, job: str) -> list[Event]:
        return list(self.events[job])


async def heard(follower: EventBroadcaster, job: str, after: int = 0) -> list[int]:
    return [one.id async for one in follower.follow(job, after)]


async def test_a_thousand_listeners_hear_all_in_order_for_a_few_questions() -> None:
    controller = ControllerActor()
    follower = EventBroadcaster(controller.events_since, controller.known)
    controller.add("a")
    listeners = [
        asyncio.create_task(heard(follower, "ab"[number % 2], number % 3)) for number in range(1000)
    ]
    for number in range(20):
        await asyncio.sleep(0.005)
        controller.add("ab"[number % 2])
    controller.add("a", "job.succeeded")
    controller.add("b", "job.failed")
    lists = await asyncio.wait_for(asyncio.gather(*listeners), 20)
    for number, ids in enumerate(lists):
        assert ids == list(range(number % 3 + 1, len(controller.events["ab"[number % 2]]) + 1))
    assert controller.questions < 60
    assert controller.most_at_once <= 2, "the one that is given up, and the next"


async def test_a_listener_may_come_late_and_a_job_that_was_resumed_is_not_over() -> None:
    controller = ControllerActor()
    follower = EventBroadcaster(controller.events_since, controller.known)
    for kind in ("job.queued", "job.cancelled", "job.resumed"):
        controller.add("a", kind)  # type: ignore[arg-type]
    listening = asyncio.create_task(heard(follower, "a", 1))
    await asyncio.sleep(0.01)
    assert not listening.done()
    controller.add("a", "job.succeeded")
    assert await asyncio.wait_for(listening, 5) == [2, 3, 4]
    assert await asyncio.wait_for(heard(follower, "a", 4), 5) == []


async def test_what_the_controller_cannot_say_is_raised_to_all_who_listen() -> None:
    controller = ControllerActor()
    follower = EventBroadcaster(controller.events_since, controller.known)
    listeners = [asyncio.create_task(heard(follower, "a")) for _ in range(3)]
    await asyncio.sleep(0.01)
    controller.fault = NotFound("There is no such job.")
    controller.add("a")
    for listener in listeners:
        with pytest.raises(NotFound):
            await asyncio.wait_for(listener, 5)


async def test_while_the_controller_is_broken_events_come_from_storage_and_then_an_end() -> None:
    controller = ControllerActor()
    follower = EventBroadcaster(controller.events_since, controller.known, Backoff(0.01, 0.01))
    controller.fault = RuntimeError("a fault of ours")
    controller.add("a")
    listening = asyncio.create_task(heard(follower, "a"))
    await asyncio.sleep(0)
    controller.add("a")
    with pytest.raises(StorageError, match="ask for them again"):
        await asyncio.wait_for(listening, 5)
    assert "RuntimeError: a fault of ours" in follower.faults()[0]
    controller.fault = None
    again = asyncio.create_task(heard(follower, "a", 1))
    await asyncio.sleep(0.01)
    controller.add("a", "job.succeeded")
    assert await asyncio.wait_for(again, 5) == [2, 3]


async def test_one_fault_of_the_controller_costs_a_listener_nothing() -> None:
    controller = ControllerActor()
    follower = EventBroadcaster(controller.events_since, controller.known, Backoff(0.01, 0.01))
    listening = asyncio.create_task(heard(follower, "a"))
    await asyncio.sleep(0.01)
    controller.fault = RuntimeError("a fault of ours")
    controller.add("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    controller.fault = None
    controller.add("a", "job.succeeded")
    assert await asyncio.wait_for(listening, 5) == [1, 2]


async def test_a_controller_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.service.backends.broadcast.POLL_S", 0.01)
    controller = ControllerActor()
    controller.hangs = True
    follower = EventBroadcaster(
        controller.events_since, controller.known, Backoff(0.01, 0.01), late_s=0.01
    )
    controller.add("a")
    with pytest.raises(StorageError, match="ask for them again"):
        await asyncio.wait_for(heard(follower, "a"), 5)


async def test_events_that_the_controller_leaves_out_are_read_from_storage() -> None:
    controller = ControllerActor()
    follower = EventBroadcaster(controller.events_since, controller.known)
    listening = asyncio.create_task(heard(follower, "a"))
    await asyncio.sleep(0.01)
    controller.skips = 1
    controller.events["a"].append(event(1))
    controller.add("a", "job.succeeded")
    assert await asyncio.wait_for(listening, 5) == [1, 2]


async def test_a_job_that_cannot_be_followed_ends_its_own_listeners_alone() -> None:
    controller = ControllerActor()

    async def events_since(after: Mapping[str, int], timeout_s: float) -> Any:
        found: dict[str, Any] = await controller.events_since({"b": after.get("b", 0)}, timeout_s)
        return found | ({"a": Damaged("Its events are damaged.")} if "a" in after else {})

    follower = EventBroadcaster(events_since, controller.known)
    damaged, sound = (
        asyncio.create_task(heard(follower, "a")),
        asyncio.create_task(heard(follower, "b")),
    )
    await asyncio.sleep(0.01)
    controller.add("b")
    with pytest.raises(Damaged):
        await asyncio.wait_for(damaged, 5)
    controller.add("b", "job.succeeded")
    assert await asyncio.wait_for(sound, 5) == [1, 2]
