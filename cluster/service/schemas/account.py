"""What is about no single job: estimates, the catalogue, who asks, who did what."""

from typing import Any, Literal

from cluster.service.schemas.base import Answer


class TaskOutlook(Answer):
    """The headroom and noise gate of one task."""

    task: str
    items: dict[str, int]
    """By split."""
    seed_accuracy: float | None
    noise: float | None
    ceiling: float | None
    can_pay: bool | None
    """None: not looked at."""
    sentence: str


class Estimate(Answer):
    """What a job may cost at most, and whether it can pay."""

    object: Literal["optimization.estimate"] = "optimization.estimate"
    trials: int
    target_calls: int | None
    optimizer_calls: int | None
    tokens: float | None
    money: float | None
    wall_s: float | None
    measured: bool
    """Were tokens and time measured by a probe? Else they are assumed."""
    sentence: str
    tasks: list[TaskOutlook]
    can_pay: bool | None


class OfferedModel(Answer):
    label: str
    stand_in: bool
    """A stand-in for a large model, such as the built-in optimizer."""
    priced: bool


class Catalogue(Answer):
    """What a job may name."""

    object: Literal["catalogue"] = "catalogue"
    targets: list[OfferedModel]
    optimizers: list[OfferedModel]
    strategies: dict[str, str]
    """Name -> one line on it."""
    selection_rules: dict[str, str]
    generated_tasks: dict[str, str]
    scorers: dict[str, str]
    defaults: dict[str, Any]
    """Of an OptimizationRequest."""


class Quota(Answer):
    """What a key may use, and has used today (UTC). None: no limit."""

    jobs_at_once: int | None
    jobs_now: int
    calls_a_day: int | None
    calls_today: int
    money_a_day: float | None
    money_today: float


class Me(Answer):
    """Who the key says you are."""

    object: Literal["me"] = "me"
    owner: str
    admin: bool
    quota: Quota


class AuditEntry(Answer):
    """Who did what."""

    id: str
    object: Literal["audit"] = "audit"
    created_at: int
    owner: str
    action: str
    subject: str
    outcome: str
