"""The paired permutation test: how rare is such a sum of differences, if signs were chance.

Fisher 1935. If two prompts are equally good, an item's two scores could as well have come the other
way round, so that each difference could have the other sign. On scores of 0 and 1 it is the exact
McNemar test; on graded scores a small win counts less than a large one.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

EXACT_UP_TO = 16
"""Differing items up to which every pattern of signs is counted: 65,536 of them [ours]."""
DRAWS = 99_999
"""Random patterns of signs at most, where more items differ: the least p-value is 0.00001."""
FEW_DRAWS = 9_999
"""The same where more than `MANY_ITEMS` differ, so that 20,000 items take less than a second."""
MANY_ITEMS = 500
ENOUGH = 500
"""Draws ended early once so many of them were as extreme as what was seen (Besag & Clifford 1991):
the p-value is then at least 0.005, and its standard error 4.5% of it [ours].
"""
_FIRST_DRAWS = 1_000
_SIGNS_AT_ONCE = 1 << 20
_TOLERANCE = 1e-9
"""Sums that differ by rounding alone are equal."""

Floats = npt.NDArray[np.float64]


def permutation_test(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of the paired permutation test.

    Exact where at most EXACT_UP_TO items differ. Otherwise from random draws, and valid all the
    same: (b + 1) / (m + 1), with b of m draws as extreme as what was seen (Phipson & Smyth 2010).
    Deterministic: the draws are seeded by the differences, whatever their order and signs.

    Args:
        differences: The second score minus the first of each item.
    """
    return _p_value(_as_bytes(differences), abs(sum(differences)), True)


def permutation_test_one_sided(differences: Sequence[float]) -> float:
    """Return the p-value of the same test against gains alone.

    A p-value at or below alpha has a chance of at most alpha where the two are equally good.
    """
    return _p_value(_as_bytes(differences), sum(differences), False)


def _as_bytes(differences: Sequence[float]) -> bytes:
    sizes = np.abs(np.asarray(differences, dtype=np.float64))
    return np.sort(sizes[sizes > 0])[::-1].tobytes()


# A report asks for the same test several times; 128 tests of 20,000 items hold 20 MB.
@lru_cache(maxsize=128)
def _p_value(sizes_as_bytes: bytes, seen: float, two_sided: bool) -> float:
    sizes: Floats = np.frombuffer(sizes_as_bytes)
    if not len(sizes):
        return 1.0
    least = seen - _TOLERANCE
    if len(sizes) <= EXACT_UP_TO:
        return float(np.mean(_extreme(_all_sums(sizes), least, two_sided)))
    most = DRAWS if len(sizes) <= MANY_ITEMS else FEW_DRAWS
    done = extreme = 0
    for sums in _drawn_sums(sizes, most):
        places = np.flatnonzero(_extreme(sums, least, two_sided))
        if extreme + len(places) >= ENOUGH:
            # Ended at the very draw that made enough: only so is the p-value valid.
            return float(ENOUGH / (done + int(places[ENOUGH - extreme - 1]) + 1))
        done, extreme = done + len(sums), extreme + len(places)
    return float((extreme + 1) / (done + 1))


def _extreme(sums: Floats, least: float, two_sided: bool) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (np.abs(sums) if two_sided else sums) >= least
    return found


def _all_sums(sizes: Floats) -> Floats:
    sums: Floats = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums + size, sums - size])
    return sums


def _drawn_sums(sizes: Floats, draws: int) -> Iterator[Floats]:
    """Yield the sums of random patterns of signs, in blocks of growing size."""
    seed = int.from_bytes(blake2b(sizes.tobytes(), digest_size=16).digest())
    rng = np.random.default_rng(seed)
    most, rows, left = max(1, _SIGNS_AT_ONCE // len(sizes)), _FIRST_DRAWS, draws
    while left:
        rows = min(rows, most, left)
        bits = np.frombuffer(rng.bytes(-(-rows * len(sizes) // 8)), dtype=np.uint8)
        plus = np.unpackbits(bits, count=rows * len(sizes)).reshape(rows, len(sizes))
        yield 2 * (plus @ sizes) - sizes.sum()
        rows, left = rows * 4, left - rows
