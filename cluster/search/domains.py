"""The values that one setting may take: a list, or a range of whole or real numbers.

[16, 32]                      one of these; the same as {choice: [16, 32]}
{int: [2, 8]}                 a whole number, both ends included; log: true spreads it evenly
                              over magnitudes
{float: [0.1, 0.9]}           a real number between the two; log: true as above
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from optimizer.errors import SettingsError
from serving.settings.validation import refuse_unknown

Value = str | int | float | bool | None
_KINDS = ("choice", "int", "float")
MOST = 2**63
"""Largest absolute value of a range's ends: Python's integers have no limit, and floats have."""


@dataclass(frozen=True)
class OneOf:
    """Any of a list of values."""

    values: tuple[Value, ...]

    def sample(self, rng: Random) -> Value:
        """Return a random value."""
        return rng.choice(self.values)

    def all(self) -> Sequence[Value]:
        """Return every value."""
        return self.values

    @property
    def size(self) -> int:
        """Return the number of values."""
        return len(self.values)

    @property
    def probes(self) -> tuple[Value, ...]:
        """Return the values that are tried when settings are read: if these work, all do."""
        return self.values


@dataclass(frozen=True)
class IntRange:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False

    def sample(self, rng: Random) -> int:
        """Return a random value."""
        if not self.log:
            return rng.randint(self.low, self.high)
        # Half a step beyond both ends, so that rounding gives the ends their share.
        sampled = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(self.high, max(self.low, round(sampled)))

    def all(self) -> Sequence[int]:
        """Return every value, as a range: there may be more of them than memory holds."""
        return range(self.low, self.high + 1)

    @property
    def size(self) -> int:
        """Return the number of values."""
        return self.high - self.low + 1

    @property
    def probes(self) -> tuple[int, ...]:
        """Return both ends: if these work, all values do."""
        return (self.low, self.high)


@dataclass(frozen=True)
class FloatRange:
    """A real number from `low` to `high`."""

    low: float
    high: float
    log: bool = False

    def sample(self, rng: Random) -> float:
        """Return a random value."""
        if not self.log:
            return rng.uniform(self.low, self.high)
        sampled = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(self.high, max(self.low, sampled))

    def all(self) -> None:
        """Return None: a range of real numbers has no list of values."""
        return

    @property
    def size(self) -> None:
        """Return None: a range of real numbers has no number of values."""
        return

    @property
    def probes(self) -> tuple[float, ...]:
        """Return both ends: if these work, all values do."""
        return (self.low, self.high)


Domain = OneOf | IntRange | FloatRange


def parse_domain(data: Any) -> Domain:
    """Return the domain that a YAML value describes.

    Raises:
        SettingsError: The value describes none; the message leaves out the setting's name.
    """
    given = {"choice": data} if isinstance(data, list | tuple) else data
    if not isinstance(given, dict):
        raise SettingsError(
            f"It must be a list of values, {{int: [LOW, HIGH]}} or {{float: [LOW, HIGH]}}, not "
            f"{data!r}."
        )
    kinds = [kind for kind in _KINDS if kind in given]
    if len(kinds) != 1:
        raise SettingsError("It needs exactly one of: choice, int, float.")
    (kind,) = kinds
    refuse_unknown(given, [kind] if kind == "choice" else [kind, "log"])
    return (
        _one_of(given[kind])
        if kind == "choice"
        else _range(kind, given[kind], given.get("log", False))
    )


def _one_of(values: Any) -> OneOf:
    if not isinstance(values, list | tuple) or not values:
        raise SettingsError(f"A choice needs a list of one value or more, not {values!r}.")
    for value in values:
        if not isinstance(value, str | int | float | bool | None):
            raise SettingsError(
                f"A choice is among texts, numbers, true, false and null, and {value!r} is none of "
                "these."
            )
    for place, value in enumerate(values):
        if value in values[:place]:  # to Python 1, 1.0 and true are equal, too
            raise SettingsError(f"The value {value!r} stands twice in the choice; remove one.")
    return OneOf(tuple(values))


def _range(kind: str, ends: Any, log: Any) -> IntRange | FloatRange:
    number = int if kind == "int" else int | float
    if (
        not isinstance(ends, list | tuple)
        or len(ends) != 2
        or any(
            isinstance(end, bool) or not isinstance(end, number) or not abs(end) <= MOST
            for end in ends
        )
    ):
        raise SettingsError(
            f"A range of kind {kind} is two such numbers, [LOW, HIGH], not {ends!r}."
        )
    if not isinstance(log, bool):
        raise SettingsError(f"log is true or false, not {log!r}.")
    low, high = ends
    if low >= high:
        raise SettingsError(
            f"The range [{low}, {high}] is empty: its second number must be the larger."
        )
    if log and low <= 0:
        raise SettingsError(f"A range with log must begin above 0, not at {low}.")
    return IntRange(low, high, log) if kind == "int" else FloatRange(float(low), float(high), log)
