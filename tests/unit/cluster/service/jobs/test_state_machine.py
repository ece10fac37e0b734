"""What each piece of news does to a job, and which of its moves are no moves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.service.core.job_record import Filed, Spent, State
from cluster.service.core.worker_pool import Outcome
from cluster.service.jobs.event_log import EventLog
from cluster.service.jobs.run_updates import Ended, Moved, Rounded, Sized, Started, Warned
from cluster.service.jobs.state_machine import JobStateMachine
from cluster.service.schemas import Event, OptimizationRequest
from tests.unit.cluster.service.requests import request

Paid = list[tuple[str, int, float]]


def machine(
    status: Any = "queued", *events: Event, paid: Paid | None = None, **state: Any
) -> JobStateMachine:
    filed = Filed("opt-1", 7, "ann", 1, OptimizationRequest.model_validate(request()))
    bills: Paid = [] if paid is None else paid
    return JobStateMachine(
        filed,
        State(status=status, **state),
        EventLog(events, lambda entries: None),
        lambda *bill: bills.append(bill),
    )


def event(id: int, kind: Any, message: str = "x.") -> Event:
    return Event(id=id, created_at=100 + id, kind=kind, trial=None, message=message, data={})


async def kinds(one: JobStateMachine) -> list[str]:
    await one.log.durable()
    return [event.kind for event in one.log.events]


@pytest.fixture(autouse=True)
async def _written() -> AsyncIterator[None]:
    """Let what the logs are writing come to its end with the test."""
    yield
    await asyncio.sleep(0)


async def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_when_its_run_has_stopped() -> (
    None
):
    waiting, running = machine(), machine("running")
    for one in (waiting, running):
        one.cancel()
    assert (waiting.state.status, running.state.status) == ("cancelled", "cancelling")
    assert (waiting.state.finished_at is None, running.state.finished_at) == (False, None)
    running.cancel()
    running.settle(Outcome("stopped"))
    assert running.state.status == "cancelled"
    assert await kinds(running) == ["job.cancelling", "job.cancelled"]


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled", "cancelling"])
async def test_what_is_over_or_being_cancelled_is_not_cancelled_again(status: str) -> None:
    one = machine(status)
    one.cancel()
    assert one.state.status == status
    assert await kinds(one) == []


async def test_a_start_counts_a_run_and_forgets_what_the_run_before_has_spent() -> None:
    one = machine(spent_by_trial={"t": Spent(5)}, status_by_trial={"t": "running"})
    one.exhaust_quota("All is spent.")
    one.start(3)
    state = one.state
    assert (state.status, state.runs, state.turn) == ("running", 1, 3)
    assert (state.spent_by_trial, state.status_by_trial, one.out_of_quota) == ({}, {}, "")
    began = state.started_at
    one.resume(9)
    one.start(4)
    assert (state.runs, state.started_at, one.place) == (2, began, 9)


async def test_a_start_leaves_a_job_that_is_being_cancelled_so() -> None:
    one = machine("cancelling")
    one.start(1)
    assert one.state.status == "cancelling"


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Outcome("ended"), "succeeded", None),
        (Outcome("stopped"), "cancelled", None),
        (Outcome("failed", code="DataError", message="It is gone."), "failed", "DataError"),
        (Outcome("ended", ("t",), message="t: it broke."), "failed", "TrialsFailed"),
    ],
)
async def test_the_end_of_a_run_is_the_end_of_the_job(
    outcome: Outcome, status: str, code: str | None
) -> None:
    one = machine("running")
    one.settle(outcome)
    assert one.state.status == status
    assert (one.state.fault or {}).get("code") == code
    assert one.state.finished_at


async def test_a_job_that_ends_on_its_owners_quota_says_why_once() -> None:
    one = machine("running")
    one.exhaust_quota("Your quota of 5 calls is used up.")
    one.exhaust_quota("Another.")
    one.settle(Outcome("ended"))
    assert await kinds(one) == ["budget.warning", "job.succeeded"]
    assert one.log.events[-1].message.endswith("Your quota of 5 calls is used up.")


async def test_news_are_paid_for_once_each_however_often_a_trial_says_what_it_has_spent() -> None:
    paid: Paid = []
    one = machine("running", paid=paid)
    one.apply(Moved("t", Spent(10, 0, money=0.5), ""))
    one.apply(Moved("t", Spent(10, 0, money=0.5), ""))
    one.apply(Moved("t", Spent(25, 5, money=0.75), ""))
    assert sum(calls for _, calls, _ in paid) == Spent(25, 5).paid
    assert sum(money for _, _, money in paid) == pytest.approx(0.75)
    assert {owner for owner, _, _ in paid} == {"ann"}


async def test_a_round_that_is_told_again_is_no_step_and_no_event() -> None:
    one = machine("running")
    data = {"round": 0, "dev_accuracy": 0.5, "best": "c0"}
    for better in (True, True):
        one.apply(Rounded("t", Spent(1), data, better, "easy"))
    steps = one.steps
    one.apply(Rounded("t", Spent(1), data | {"round": 1, "dev_accuracy": 0.25}, False, "easy"))
    assert one.steps == steps + 1
    assert await kinds(one) == ["trial.round", "trial.better", "trial.round"]
    assert (one.state.best_dev_accuracy, one.state.best_dev_accuracy_by_task) == (
        0.5,
        {"easy": 0.5},
    )


async def test_trials_are_told_of_by_how_they_end() -> None:
    one = machine("running")
    one.apply(Sized(3))
    one.apply(Started("a"))
    one.apply(Warned("a", "target_calls", 0.8, "80 of 100"))
    for trial, status, error in (
        ("a", "finished", None),
        ("b", "failed", "It broke."),
        ("c", "stopped", None),
    ):
        one.apply(Ended(trial, Spent(1), status, error or "", None))
    assert await kinds(one) == [
        "trial.started",
        "budget.warning",
        "trial.finished",
        "trial.failed",
    ]
    assert (one.state.trials, one.state.status_by_trial) == (
        3,
        {"a": "finished", "b": "failed", "c": "stopped"},
    )


@pytest.mark.parametrize(
    ("state", "events", "status", "added"),
    [
        ({}, [], "queued", ["job.queued"]),
        ({"status": "running"}, [event(1, "job.started")], "queued", []),
        (
            {"status": "cancelling"},
            [event(1, "job.cancelling")],
            "cancelled",
            ["job.cancelled"],
        ),
        ({"status": "running"}, [event(1, "job.succeeded")], "succeeded", []),
        ({"status": "running"}, [event(1, "job.failed", "It broke.")], "failed", []),
        (
            {"status": "queued", "last_event": 1},
            [event(1, "job.cancelled")],
            "queued",
            ["job.resumed"],
        ),
    ],
    ids=["new", "ran", "being cancelled", "had ended", "had failed", "was resumed"],
)
async def test_a_crash_between_state_and_events_is_mended(
    state: dict[str, Any], events: list[Event], status: str, added: list[str]
) -> None:
    one = machine(state.pop("status", "queued"), *events, **state)
    assert one.repair()
    assert one.state.status == status
    assert (await kinds(one))[len(events) :] == added
    if status == "failed":
        assert one.state.fault == {"code": "failed", "message": "It broke."}


async def test_a_job_that_is_over_leaves_its_events_to_the_storage() -> None:
    one = machine("succeeded", event(1, "job.succeeded"), last_event=1)
    assert not one.repair()
    assert one.log.events == []
    assert one.log.last_id == 1


async def test_a_fault_of_the_service_ends_a_job_in_every_state() -> None:
    one = machine("running")
    one.start(1)
    one.break_off("The service broke.")
    assert one.state.status == "failed"
    assert one.state.fault == {"code": "InternalError", "message": "The service broke."}
    assert one.running_s == 0.0
