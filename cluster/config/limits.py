"""Limits of a budget as settings give them: one for each resource."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """The most that a trial, or all trials together, may spend of each resource.

    None stands for no limit. Money is in the currency of the prices, time in seconds.
    """

    target_calls: int | None = None
    optimizer_calls: int | None = None
    grader_calls: int | None = None
    tokens: int | None = None
    money: float | None = None
    wall_s: float | None = None
