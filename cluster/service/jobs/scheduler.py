"""Decides which waiting job starts next. Pure: it knows owners and numbers, and not what a job is.

Max-min fair between owners: a free slot goes to an owner with the fewest running jobs, and among
those to the one whose last start is longest ago; what one owner leaves free, others use. An owner's
own jobs start in the order in which they were filed.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """A job in the queue."""

    job: str
    owner: str
    number: int
    """Its place in the owner's queue: lower is earlier."""


def turns(
    waiting: Iterable[Waiting],
    running: Iterable[str],
    last_turn: Mapping[str, int],
    barred: Collection[str] = (),
) -> Iterator[Waiting]:
    """Yield the waiting jobs in the order in which they would start if no running one ended.

    Args:
        waiting: The waiting jobs.
        running: The owner of each running job.
        last_turn: Owner -> when its last job was started, in counted starts.
        barred: Owners that may start nothing now, such as by their quota; they come after all
            others.
    """
    queue: defaultdict[str, deque[Waiting]] = defaultdict(deque)
    for one in sorted(waiting, key=lambda one: one.number):
        queue[one.owner].append(one)
    has = Counter(running)
    turn = dict(last_turn)
    now = max(turn.values(), default=0)
    while queue:
        owner = min(
            queue,
            key=lambda one: (one in barred, has[one], turn.get(one, -1), queue[one][0].number),
        )
        yield queue[owner].popleft()
        has[owner] += 1
        now += 1
        turn[owner] = now
        if not queue[owner]:
            del queue[owner]


def starts(
    waiting: Iterable[Waiting],
    running: Iterable[str],
    most_running: int,
    last_turn: Mapping[str, int],
    barred: Collection[str] = (),
) -> list[str]:
    """Return the jobs to start now, so that at most `most_running` run; none of barred owners."""
    owners = list(running)
    free = max(0, most_running - len(owners))
    may = [one for one in waiting if one.owner not in barred]
    return [one.job for one, _ in zip(turns(may, owners, last_turn), range(free), strict=False)]


def positions(
    waiting: Iterable[Waiting],
    running: Iterable[str],
    last_turn: Mapping[str, int],
    barred: Collection[str] = (),
) -> dict[str, int]:
    """Return job -> its position in the queue; 1 is the next to start."""
    return {
        one.job: place for place, one in enumerate(turns(waiting, running, last_turn, barred), 1)
    }
