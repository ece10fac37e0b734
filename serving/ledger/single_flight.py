"""Who is paying for what at this moment.

Knows keys, owners and a clock; no answer, no file, no Ray.

A claim is a lease that its owner renews. When the owner gives it up, or is killed and the lease
runs out, the key is free again. All of this is memory. When it was lost with its process, the
owners say again what they are paying for, and until they have had the time for it nobody else is
given a key.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

LEASE_S = 12.0
"""[ours] What others wait for the answers of a caller that was killed."""
RENEWAL_S = 2.0
"""[ours] How often an owner says that it lives, and for what."""
GRACE_S = 5.0
"""[ours] After a restart.

Renewals wait for the restarted process, so that two of every owner's fall into this.
"""
_NOBODY = ""


@dataclass
class _Call:
    owner: str
    ends_at: float
    landed: asyncio.Event = field(default_factory=asyncio.Event)


class SingleFlight:
    """Keys that are being paid for; for one event loop."""

    def __init__(
        self,
        lease_s: float = LEASE_S,
        grace_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`grace_s`: seconds from now in which no key is given out; 0 unless an earlier process has
        given some out.
        """
        self._lease_s = lease_s
        self._clock = clock
        self._closed_until = clock() + grace_s
        self._flight_by_key: dict[bytes, _Call] = {}

    @property
    def count(self) -> int:
        """Keys that an owner has."""
        return sum(flight.owner != _NOBODY for flight in self._flight_by_key.values())

    def claim(self, key: bytes, owner: str) -> bool:
        """Is the key the owner's to pay for now? One that asks again, because it never heard the
        answer, is told the same.
        """
        now = self._clock()
        flight = self._flight_by_key.get(key)
        if flight and flight.ends_at > now:
            if flight.owner == owner:
                flight.ends_at = now + self._lease_s
            return flight.owner == owner
        if now < self._closed_until:
            self._flight_by_key[key] = _Call(
                _NOBODY, self._closed_until
            )  # an owner may yet say that it is its
            return False
        self.land(key)
        self._flight_by_key[key] = _Call(owner, now + self._lease_s)
        return True

    def renew(self, keys: Iterable[bytes], owner: str) -> None:
        """The owner is alive, and paying for these.

        Keys that are another's meanwhile stay the other's.
        """
        ends_at = self._clock() + self._lease_s
        for key in keys:
            flight = self._flight_by_key.setdefault(key, _Call(owner, ends_at))
            if flight.owner in (owner, _NOBODY):
                flight.owner, flight.ends_at = owner, ends_at

    def release(self, keys: Iterable[bytes], owner: str) -> None:
        for key in keys:
            if (flight := self._flight_by_key.get(key)) and flight.owner == owner:
                self.land(key)

    def land(self, key: bytes) -> None:
        """Whatever became of it, nobody need wait for it any more."""
        if flight := self._flight_by_key.pop(key, None):
            flight.landed.set()

    async def wait(self, keys: Iterable[bytes]) -> None:
        """Returns when none of the keys is in flight."""
        for key in keys:
            while (flight := self._flight_by_key.get(key)) and (
                left_s := flight.ends_at - self._clock()
            ) > 0:
                try:
                    async with asyncio.timeout(
                        left_s
                    ):  # not wait_for, in which a cancellation may be lost
                        await flight.landed.wait()
                except TimeoutError:
                    continue  # renewed meanwhile, or at its end: the loop looks again
