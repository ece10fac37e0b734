"""Single flight: the calls that are being paid for, and their owners.

A claim is a lease that its owner renews. When the owner releases it, or is killed and the lease
runs out, the key is free again. All of this is memory. When it was lost with its process, the
owners renew their claims, and until they have had the time for it nobody else gets a key. Knows
keys, owners and a clock; no answer, no file, no Ray.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

LEASE_S = 12.0
"""Maximum seconds that others wait for the answers of a caller that was killed [ours]."""
RENEWAL_S = 2.0
"""Seconds between two renewals of an owner's claims [ours]."""
GRACE_S = 5.0
"""Seconds after a restart without new claims [ours]. Renewals wait for the restarted process, so
that two of every owner's fall into this.
"""
_NOBODY = ""


@dataclass
class _Call:
    owner: str
    ends_at: float
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class SingleFlight:
    """Keys that are being paid for; for one event loop."""

    def __init__(
        self,
        lease_s: float = LEASE_S,
        grace_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without claims.

        `grace_s`: seconds from now in which no new claim is granted; 0 unless an earlier process
        has granted some.
        """
        self._lease_s = lease_s
        self._clock = clock
        self._closed_until = clock() + grace_s
        self._call_by_key: dict[bytes, _Call] = {}

    @property
    def count(self) -> int:
        """Return the number of claimed keys."""
        return sum(call.owner != _NOBODY for call in self._call_by_key.values())

    def claim(self, key: bytes, owner: str) -> bool:
        """Return whether the key is the owner's to pay for now.

        An owner that repeats the call, because the reply was lost, gets the same result.
        """
        now = self._clock()
        call = self._call_by_key.get(key)
        # A lease that has run out counts as none: its owner was killed, or cannot reach us.
        if call and call.ends_at > now:
            if call.owner == owner:
                call.ends_at = now + self._lease_s
            return call.owner == owner
        if now < self._closed_until:
            # An owner from before the restart may still renew its claim.
            self._call_by_key[key] = _Call(_NOBODY, self._closed_until)
            return False
        # Who waits for the lapsed owner wakes up, claims, and waits for the new one.
        self.land(key)
        self._call_by_key[key] = _Call(owner, now + self._lease_s)
        return True

    def renew(self, keys: Iterable[bytes], owner: str) -> None:
        """Renew an owner's claims; keys that are another's meanwhile stay the other's."""
        ends_at = self._clock() + self._lease_s
        for key in keys:
            # setdefault: after a restart the claims are unknown here, and their owners make them
            # known again.
            call = self._call_by_key.setdefault(key, _Call(owner, ends_at))
            # _NOBODY: the key was asked for during the grace, and belongs to the owner who now
            # reports.
            if call.owner in (owner, _NOBODY):
                call.owner, call.ends_at = owner, ends_at

    def release(self, keys: Iterable[bytes], owner: str) -> None:
        """Release an owner's claims."""
        for key in keys:
            if (call := self._call_by_key.get(key)) and call.owner == owner:
                self.land(key)

    def land(self, key: bytes) -> None:
        """End a call, whatever its result: nobody has to wait for it any more."""
        if call := self._call_by_key.pop(key, None):
            call.settled.set()

    async def wait(self, keys: Iterable[bytes]) -> None:
        """Return when none of the keys is in flight."""
        for key in keys:
            # One after another is enough: the whole wait ends with the last of them.
            while (call := self._call_by_key.get(key)) and (
                left_s := call.ends_at - self._clock()
            ) > 0:
                try:
                    # Not wait_for, in which a cancellation may be lost.
                    async with asyncio.timeout(left_s):
                        await call.settled.wait()
                except TimeoutError:
                    # It was renewed meanwhile, or is at its end: the loop checks again.
                    continue
