"""Group commit: while one group is being committed the next one gathers.

All callers of a group go on together. Knows no ledger.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")


class Groups(Generic[K, V, R]):
    """Groups of values that are committed together; for one event loop.

    `commit` returns what stands for each key. What could not be committed is retried with the next
    group: it was paid for.
    """

    def __init__(self, commit: Callable[[Mapping[K, V]], Awaitable[Mapping[K, R]]]) -> None:
        self._commit = commit
        self._pending: dict[K, V] = {}
        self._written: asyncio.Future[Mapping[K, R]] | None = None
        """Done when the pending values are committed; None where nobody waits for that."""
        self._committing: asyncio.Task[None] | None = None

    async def committed(self, value_by_key: Mapping[K, V]) -> list[R]:
        """Return what stands for these keys, in order, when all of it is committed.

        Of two values of one key in a group the first stands. Errors of `commit` pass through.
        """
        for key, value in value_by_key.items():
            # setdefault: of two answers to one key the first stands.
            self._pending.setdefault(key, value)
        # One future for the group: whoever comes while it gathers waits for the same commit.
        written = self._written = self._written or asyncio.get_running_loop().create_future()
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all())
        # Shielded, since the others of the group wait for it too.
        standing = await asyncio.shield(written)
        return [standing[key] for key in value_by_key]

    async def _commit_all(self) -> None:
        while self._written:
            written, group = self._written, self._pending
            # Taken out before the commit: what arrives meanwhile is of the next group.
            self._written, self._pending = None, {}
            try:
                standing = await self._commit(group)
            except Exception as problem:  # noqa: BLE001 - it is its callers'
                # Retried with the next group, and before it: the answers were paid for.
                self._pending = {**group, **self._pending}
                written.set_exception(problem)
                # Marked as retrieved: all callers may have gone.
                written.exception()
            else:
                written.set_result(standing)
