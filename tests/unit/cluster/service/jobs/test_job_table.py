"""What stands in a controller's table: filed jobs, those set aside, and the line of the others."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.service.core.errors import Damaged, NotFound
from cluster.service.core.job_record import DamagedJob, Filed, State
from cluster.service.core.settings import QuotaSettings
from cluster.service.jobs.job_table import JobTable
from cluster.service.stores.job_store import Store
from optimizer.errors import DataError, StorageError
from tests.unit.cluster.service.running_controller import filed

DEFAULT = QuotaSettings(jobs_at_once=2)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[JobTable]:
    opened = JobTable(Store(str(tmp_path)), lambda: None, DEFAULT, 0.0)
    yield opened
    opened.held.release()


def put(table: JobTable, job: Filed, **state: object) -> None:
    table.file(job)
    table.add(job, State(**state), [])  # type: ignore[arg-type]


def numbered(table: JobTable, id: str, owner: str = "ann", key: str | None = None) -> Filed:
    return replace(filed(id, owner, key), number=table.next_number)


def test_a_storage_has_one_table(table: JobTable, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="in use or unusable"):
        JobTable(Store(str(tmp_path)), lambda: None, DEFAULT, 0.0)


def test_a_job_is_the_same_by_its_id_or_by_its_owners_key(table: JobTable) -> None:
    put(table, numbered(table, "opt-1", key="k"))
    machine = table.machine("opt-1")
    assert table.same_as(filed("opt-1")) is machine
    assert table.same_as(filed("opt-9", key="k")) is machine
    assert table.same_as(filed("opt-9", "bob", "k")) is None
    assert table.same_as(filed("opt-9")) is None


def test_jobs_are_counted_and_shown_with_the_newest_first(table: JobTable) -> None:
    for id in ("opt-b", "opt-a", "opt-c"):
        put(table, numbered(table, id))
    found = [one.filed.id for one in table.newest_first() if not isinstance(one, DamagedJob)]
    assert found == ["opt-c", "opt-a", "opt-b"]
    assert table.next_number == 4


def test_a_job_that_is_set_aside_is_shown_and_nothing_else_is_done_with_it(table: JobTable) -> None:
    put(table, numbered(table, "opt-1", key="k"))
    put(table, numbered(table, "opt-2"))
    table.mark_damaged("opt-1", DataError("Its state is torn."))
    aside = table.find("opt-1")
    assert isinstance(aside, DamagedJob)
    assert (aside.owner, "Its state is torn." in aside.reason) == ("ann", True)
    assert table.same_as(filed("opt-9", key="k")) == aside
    with pytest.raises(Damaged, match="are damaged"):
        table.machine("opt-1")
    with pytest.raises(NotFound, match="'opt-3'"):
        table.find("opt-3")
    assert list(table.positions()) == ["opt-2"]
    assert any("opt-1 of ann" in note for note in table.notes)


def test_the_line_leaves_out_who_runs_who_is_not_to_start_and_whose_quota_is_spent(
    table: JobTable,
) -> None:
    for id, owner in (("opt-1", "ann"), ("opt-2", "ann"), ("opt-3", "bob"), ("opt-4", "cid")):
        put(table, numbered(table, id, owner))
    assert table.to_start(4) == ["opt-1", "opt-3", "opt-4", "opt-2"]
    table.attended.add("opt-1")
    table.resuming.add("opt-3")
    table.limits["cid"] = QuotaSettings(calls_a_day=5)
    table.quotas.pay("cid", 5, 0.0)
    assert table.to_start(4) == ["opt-2"]
    assert "opt-1" not in table.positions()


def test_limits_and_use_are_the_owners_own(table: JobTable) -> None:
    put(table, numbered(table, "opt-1"))
    put(table, numbered(table, "opt-2"), status="succeeded")
    put(table, numbered(table, "opt-3", "bob"))
    table.limits["bob"] = QuotaSettings(jobs_at_once=9)
    assert (table.limits_of("bob").jobs_at_once, table.limits_of("ann")) == (9, DEFAULT)
    table.quotas.pay("ann", 7, 0.5)
    assert table.use_of("ann") == {"jobs_now": 1, "calls_today": 7, "money_today": 0.5}


def test_what_a_job_has_in_flight_is_unknown_until_somebody_has_told(table: JobTable) -> None:
    put(table, numbered(table, "opt-1"), status="running")
    put(table, numbered(table, "opt-2"), status="succeeded")
    running, over = (table.machine(id) for id in ("opt-1", "opt-2"))
    assert (table.answer(running).in_flight, table.answer(over).in_flight) == (None, 0)
    table.in_flight = {"opt-1": 3}
    assert table.answer(running).in_flight == 3
    table.in_flight = {}
    assert table.answer(running).in_flight is None


async def test_events_that_leave_a_gap_are_not_written(table: JobTable) -> None:
    """Whatever lost them, what would stand there is no whole course of the job."""
    job = numbered(table, "opt-1")
    table.file(job)
    machine = table.add(job, State(), [])
    machine.log_queued()
    await machine.log.durable()
    (first,) = (event.model_dump(mode="json") for event in machine.log.events)
    machine.log._write([first])  # stands there already
    with pytest.raises(DataError, match="has 1 events of the job opt-1, and event 3 is next"):
        machine.log._write([first | {"id": 3}])
    assert [event.id for event in table.store.events("opt-1")] == [1]
