"""AIMD: the number of concurrent calls that an endpoint can handle, learned from their ends.

Additive increase and multiplicative decrease (Chiu and Jain 1989, as in TCP): as many good calls as
the limit raise it by one, a call that is pushed back halves it, at most once in each cool-down.
Latency is a weaker sign: it narrows by a fifth, and only where recent calls take far longer than
those before them. Figures are [ours]. Pure arithmetic: knows no call, no clock and no Ray.
"""

from math import sqrt

COOL_DOWN_S = 1.0
"""Seconds in which calls that are pushed back together count as one sign."""
SLOW_COOL_DOWN_S = 10.0
"""Seconds after a step on latency: the calls in flight were sent before it, and are no evidence
on it.
"""
SLOW_FACTOR = 3.0
"""A call that takes so many times the usual effort is slow. Ordinary spread stays below: means
are compared.
"""
NARROWED_BY_LATENCY = 0.8
LEAST_SHARE_BY_LATENCY = 0.125
"""Latency alone never narrows below this share of the maximum: what is slow for another reason
would only get slower.
"""


class LatencyWatch:
    """Two running means of a call's effort: of about the last 32 calls, and of the last 512.

    A long answer takes longer, and is no sign of anything. So the effort is compared: seconds for
    each token, where a call counts as some tokens more than it wrote (see `effort`).
    """

    FAST, SLOW, ENOUGH = 32, 512, 64

    def __init__(self) -> None:
        self._fast = self._slow = 0.0
        self._calls = 0

    def add(self, effort: float, calls: int = 1) -> None:
        """Add `calls` calls with this mean effort."""
        self._calls += calls
        self._fast += (effort - self._fast) * min(1.0, calls / min(self._calls, self.FAST))
        self._slow += (effort - self._slow) * min(1.0, calls / min(self._calls, self.SLOW))

    @property
    def is_slow(self) -> bool:
        """Return whether recent calls take far longer than those before them."""
        return self._calls >= self.ENOUGH and self._fast > SLOW_FACTOR * self._slow

    def settle(self) -> None:
        """Forget the recent calls, so that the next sign comes from calls to come."""
        self._fast = self._slow


def effort(seconds: float, tokens: int) -> float:
    """Return the seconds that each token of an answer took.

    The 64 stand for the constant part of every call [ours].
    """
    return seconds / (64 + max(tokens, 0))


class AIMD:
    """The size of a concurrency limit, between 1 and `most`.

    It begins at `most`. `now` is in seconds, on any clock that does not go back.
    """

    def __init__(self, most: int, cool_down_s: float = COOL_DOWN_S) -> None:
        self._most = float(most)
        self._size = float(most)
        self._cool_down_s = cool_down_s
        self._shrunk_at = -max(cool_down_s, SLOW_COOL_DOWN_S)
        self._latency = LatencyWatch()

    @property
    def size(self) -> int:
        """Return the limit."""
        return int(self._size)

    def at_most(self, most: int) -> None:
        """Set another maximum; a limit at the old maximum moves to it at once."""
        if most != self._most:
            self._size = max(
                1.0, float(most) if self._size >= self._most else min(self._size, most)
            )
            self._most = float(most)

    def went_well(self, calls: int = 1) -> None:
        """Widen the limit by calls that were answered."""
        # Each call widens by 1 / size; the root is the sum of such steps.
        self._size = min(self._most, sqrt(self._size**2 + 2 * calls))

    def pushed_back(self, now: float) -> None:
        """Halve the limit, at most once in each cool-down."""
        # Calls sent before the last step are no evidence on the smaller limit.
        if now - self._shrunk_at >= self._cool_down_s:
            self._shrink(now, max(1.0, self._size / 2))

    def took(self, effort: float, calls: int, now: float) -> None:
        """Add the mean effort of some answered calls, and narrow the limit if it is high."""
        self._latency.add(effort, calls)
        if self._latency.is_slow and now - self._shrunk_at >= SLOW_COOL_DOWN_S:
            least = max(1.0, self._most * LEAST_SHARE_BY_LATENCY)
            self._shrink(now, max(min(self._size, least), self._size * NARROWED_BY_LATENCY))
            # Otherwise the same slow calls would narrow it again.
            self._latency.settle()

    def _shrink(self, now: float, size: float) -> None:
        self._size, self._shrunk_at = size, now
