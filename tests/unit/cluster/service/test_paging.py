"""Pages of jobs: every job once, also while jobs change their status between two pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.service.core.errors import NotFound
from cluster.service.core.pagination import page_of
from cluster.service.schemas import Optimization, OptimizationRequest
from tests.unit.cluster.service.requests import request

REQUEST = OptimizationRequest.model_validate(request())
STATUSES = st.sampled_from(["queued", "running", "succeeded"])


def jobs(statuses: list[str]) -> list[Optimization]:
    return [
        Optimization.model_validate(
            {
                "id": f"opt-{place}",
                "name": "one",
                "owner": "ann",
                "created_at": 0,
                "status": status,
                "request": REQUEST,
            }
        )
        for place, status in enumerate(statuses)
    ]


@given(st.lists(STATUSES, max_size=12), st.integers(1, 5), st.none() | STATUSES)
def test_pages_hold_every_job_of_the_status_once_and_in_order(
    statuses: list[str], limit: int, status: str | None
) -> None:
    every, found, after = jobs(statuses), list[str](), None
    while True:
        page = page_of(every, after, limit, status)
        found += [job.id for job in page.data]
        assert len(page.data) <= limit
        if not page.has_more:
            break
        after = page.last_id
    assert found == [job.id for job in every if status in (None, job.status)]


def test_a_page_goes_on_behind_a_job_that_has_another_status_by_now() -> None:
    first = page_of(jobs(["running", "running"]), None, 1, "running")
    assert [
        job.id for job in page_of(jobs(["succeeded", "running"]), first.last_id, 1, "running").data
    ] == ["opt-1"]


def test_a_cursor_that_there_is_not_is_told() -> None:
    with pytest.raises(NotFound, match="opt-9"):
        page_of(jobs(["queued"]), "opt-9", 1)
