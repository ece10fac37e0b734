"""Ticks of a chart's axis: round values, with labels that all differ.

The page's parts/scale.js follows the same rule.

Charts format the ticks that they choose themselves to a fixed number of digits, and show 0.5, 0.5,
0.6 where they have chosen a finer step. Here the step decides the digits.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

MOST = 6
"""Ticks of an axis on a narrow card [ours]."""
_LONGEST_EXPONENT = 9
"""Labels of finer steps, or of larger values, are written in powers of ten."""


@dataclass(frozen=True)
class Ticks:
    """The ticks of an axis, ascending, and their labels."""

    values: tuple[float, ...]
    labels: tuple[str, ...]


def ticks(
    low: float, high: float, most: int = MOST, *, whole: bool = False, signed: bool = False
) -> Ticks:
    """Return at most `most` ticks at multiples of 1, 2 or 5 times a power of ten.

    There are at least two where the axis has room for them.

    Args:
        low: The axis's low end. With an end that is not finite, or reversed ends, there are no
            ticks.
        high: The high end; if equal to `low` there is one tick, at that value.
        most: At least 2.
        whole: Integers only, as for rounds and calls.
        signed: Write a plus before values above zero.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        return Ticks((), ())
    ends = (
        Fraction(repr(float(low))),
        Fraction(repr(float(high))),
    )  # 0.6 as it is written, and not the float below it
    if low == high:
        return _one(ends[0], whole, signed)
    step, exponent = _step(*ends, max(2, most), whole)
    first, last = math.ceil(ends[0] / step), math.floor(ends[1] / step)
    found: dict[float, str] = {}
    for place in range(first, last + 1):
        exact = place * step
        found.setdefault(float(exact), _label(_decimal(exact, exponent), max(0, -exponent), signed))
    return Ticks(tuple(found), tuple(found.values()))


def axis(low: float, high: float, room: float = 0.0, **how: Any) -> dict[str, Any]:
    """Return the range and the ticks of a Plotly axis.

    Args:
        low: The axis's low end.
        high: The axis's high end.
        room: Free space at either end, without ticks of its own.
        **how: Options of `ticks`.
    """
    made = ticks(low, high, **how)
    return {
        "range": [low - room, high + room],
        "tickmode": "array",
        "tickvals": list(made.values),
        "ticktext": list(made.labels),
    }


def _one(exact: Fraction, whole: bool, signed: bool) -> Ticks:
    """Return the only tick of an axis whose ends are equal."""
    if whole and exact.denominator != 1:
        return Ticks((), ())
    value = Decimal(repr(float(exact)))
    digits = 0 if exact.denominator == 1 else -int(value.normalize().as_tuple().exponent)
    return Ticks((float(exact),), (_label(value, digits, signed),))


def _step(low: Fraction, high: Fraction, most: int, whole: bool) -> tuple[Fraction, int]:
    """Return the finest step with at most `most` ticks, and its power of ten."""
    span = high - low
    exponent = (
        len(str(span.numerator)) - len(str(span.denominator)) - 4
    )  # well below what it comes to
    if whole:
        exponent = max(0, exponent)
    while True:
        for times in (1, 2, 5):
            step = times * Fraction(10) ** exponent
            if math.floor(high / step) - math.ceil(low / step) + 1 <= most:
                return step, exponent
        exponent += 1


def _decimal(exact: Fraction, exponent: int) -> Decimal:
    """Write a multiple of a power of ten out exactly."""
    return Decimal(f"{int(exact / Fraction(10) ** exponent)}E{exponent}")


def _label(value: Decimal, digits: int, signed: bool) -> str:
    sign = "+" if signed and value > 0 else ""
    if digits > _LONGEST_EXPONENT or abs(value) >= 10**15:
        text = str(value.normalize()) if value else "0"
    else:
        text = f"{value:,.{digits}f}"
    return sign + (text.replace("-", "") if not value else text)
