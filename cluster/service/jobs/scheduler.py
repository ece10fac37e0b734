"""Which waiting job is next. Pure: knows owners, numbers and nothing of what a job is.

Max-min fair between owners: a free place goes to an owner with the fewest running jobs, and among
those to the one whose last turn is longest ago; what one owner leaves free, others use. Of an
owner's own jobs the first that came is the first to start.
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
    """When it came: lower is earlier."""


def turns(
    waiting: Iterable[Waiting],
    running: Iterable[str],
    last_turn: Mapping[str, int],
    barred: Collection[str] = (),
) -> Iterator[Waiting]:
    """The waiting jobs in the order in which they would start if no running one ended.

    `running` has the owner of each running job; `last_turn` says of an owner when its last job was
    started, in counted starts. Owners that are `barred`, such as by their quota, come behind all
    others.
    """
    line: defaultdict[str, deque[Waiting]] = defaultdict(deque)
    for one in sorted(waiting, key=lambda one: one.number):
        line[one.owner].append(one)
    has = Counter(running)
    turn = dict(last_turn)
    now = max(turn.values(), default=0)
    while line:
        owner = min(
            line, key=lambda one: (one in barred, has[one], turn.get(one, -1), line[one][0].number)
        )
        yield line[owner].popleft()
        has[owner] += 1
        now += 1
        turn[owner] = now
        if not line[owner]:
            del line[owner]


def starts(
    waiting: Iterable[Waiting],
    running: Iterable[str],
    places: int,
    last_turn: Mapping[str, int],
    barred: Collection[str] = (),
) -> list[str]:
    """The jobs to start now, so that at most `places` run; none of owners that are barred."""
    owners = list(running)
    free = max(0, places - len(owners))
    may = [one for one in waiting if one.owner not in barred]
    return [one.job for one, _ in zip(turns(may, owners, last_turn), range(free), strict=False)]


def positions(
    waiting: Iterable[Waiting],
    running: Iterable[str],
    last_turn: Mapping[str, int],
    barred: Collection[str] = (),
) -> dict[str, int]:
    """Job -> its place in the queue; 1 is the next to start."""
    return {
        one.job: place for place, one in enumerate(turns(waiting, running, last_turn, barred), 1)
    }
