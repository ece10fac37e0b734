"""A part of a list of jobs, as every backend gives it."""

from collections.abc import Sequence

from cluster.service.core.errors import NotFound
from cluster.service.schemas import Optimization, Page


def page_of(
    jobs: Sequence[Optimization], after: str | None, limit: int, status: str | None = None
) -> Page[Optimization]:
    """Those of the status that follow `after`, which may have another one by now.

    Raises NotFound where it is not among the
    jobs.
    """
    ids = [job.id for job in jobs]
    if after is not None and after not in ids:
        raise unknown_job(after)
    start = ids.index(after) + 1 if after is not None else 0
    found = [job for job in jobs[start:] if status in (None, job.status)]
    part = found[:limit]
    return Page[Optimization](
        data=part,
        first_id=part[0].id if part else None,
        last_id=part[-1].id if part else None,
        has_more=len(found) > limit,
    )


def unknown_job(id: str) -> NotFound:
    return NotFound(f"There is no optimization {id[:100]!r}.")
