"""One page of a list, as every list of the service gives it."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from cluster.service.core.errors import NotFound
from cluster.service.schemas import Job, JobKind, Page

S = TypeVar("S")
T = TypeVar("T")


def paginate(
    entries: Iterable[tuple[str, S]],
    after: str | None,
    limit: int,
    missing: Callable[[str], NotFound],
    show: Callable[[str, S], T],
    wanted: Callable[[S], bool] = lambda _: True,
) -> Page[T]:
    """Return the entries that follow `after`.

    Args:
        entries: The entries with their cursors, in order; no more are read than are needed.
        after: The cursor of the entry before the page; None: from the first on.
        limit: The most entries on the page.
        missing: Makes the error for a cursor that is not in the list.
        show: Makes what the page has of an entry.
        wanted: Which entries the page has; `after` need not be one of them by now.

    Raises:
        NotFound: `after` is not among the entries.
    """
    rest = iter(entries)
    if after is not None and not any(cursor == after for cursor, _ in rest):
        raise missing(after)
    part = list(islice((entry for entry in rest if wanted(entry[1])), limit + 1))
    shown = part[:limit]
    return Page(
        data=[show(cursor, one) for cursor, one in shown],
        first_id=shown[0][0] if shown else None,
        last_id=shown[-1][0] if shown else None,
        has_more=len(part) > limit,
    )


def page_of(
    jobs: Sequence[Job],
    after: str | None,
    limit: int,
    status: str | None = None,
    kind: JobKind | None = None,
) -> Page[Job]:
    """Return the jobs of a kind with a status that follow the job `after`.

    Args:
        jobs: All jobs, in their order.
        after: The id of the job before the page, which may have another status by now; None: from
            the first on.
        limit: The most jobs on the page.
        status: Only jobs with this status.
        kind: Only jobs of this kind; None: of any.

    Raises:
        NotFound: `after` is not among the jobs.
    """
    return paginate(
        ((job.id, job) for job in jobs),
        after,
        limit,
        unknown_job,
        lambda _, job: job,
        lambda job: status in (None, job.status) and kind in (None, job.object),
    )


def unknown_job(id: str) -> NotFound:
    """Return the error for a job that does not exist."""
    return NotFound(f"Job {id[:100]!r} not found, or you have no access.")
