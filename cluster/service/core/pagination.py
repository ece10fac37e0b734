"""A part of a list, as every list of the service is given."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from cluster.service.core.errors import NotFound
from cluster.service.schemas import Optimization, Page

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
        entries: Each with its cursor, in the order of the list; no more are read than are needed.
        after: The cursor of the last entry of the page before; None begins the list.
        limit: So many at most.
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
    jobs: Sequence[Optimization], after: str | None, limit: int, status: str | None = None
) -> Page[Optimization]:
    """Return those jobs of the status that follow `after`, which may have another one by now.

    Raises:
        NotFound: It is not among the jobs.
    """
    return paginate(
        ((job.id, job) for job in jobs),
        after,
        limit,
        unknown_job,
        lambda _, job: job,
        lambda job: status in (None, job.status),
    )


def unknown_job(id: str) -> NotFound:
    return NotFound(f"There is no optimization {id[:100]!r}.")
