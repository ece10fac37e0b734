"""Schemas that are about no single job: estimates, the catalogue, the key's owner, the audit."""

from typing import Any, Literal

from cluster.service.schemas.base import Answer


class TaskOutlook(Answer):
    """The headroom check of one task."""

    task: str
    items: dict[str, int]
    """Split -> number of examples."""
    seed_accuracy: float | None
    """The accuracy of the baseline; null if not measured."""
    noise: float | None
    """The share of answers that change when a call is repeated; null if not measured."""
    ceiling: float | None
    """The estimated highest accuracy that a prompt can reach; null if not measured."""
    can_pay: bool | None
    """Whether there is measurable headroom; null if not checked."""
    sentence: str


class Estimate(Answer):
    """What a job may cost at most, and whether there is headroom."""

    object: Literal["optimization.estimate"] = "optimization.estimate"
    trials: int
    target_calls: int | None
    optimizer_calls: int | None
    tokens: float | None
    money: float | None
    wall_s: float | None
    measured: bool
    """Whether tokens and time were measured by a probe; else they are assumed."""
    sentence: str
    tasks: list[TaskOutlook]
    can_pay: bool | None
    """Whether any task has measurable headroom; null if not checked."""


class OfferedModel(Answer):
    """A model that a request may name."""

    label: str
    stand_in: bool
    """Whether it is a stand-in for a large model, such as the built-in optimizer."""
    priced: bool
    """Whether its prices are known, so that calls count as money."""


class Catalogue(Answer):
    """What a request for a job may name."""

    object: Literal["catalogue"] = "catalogue"
    targets: list[OfferedModel]
    optimizers: list[OfferedModel]
    strategies: dict[str, str]
    """Name -> a description in one line."""
    selection_rules: dict[str, str]
    generated_tasks: dict[str, str]
    scorers: dict[str, str]
    defaults: dict[str, Any]
    """The defaults of an OptimizationRequest."""


class Quota(Answer):
    """What an owner may use, and has used today (UTC); null: unlimited."""

    jobs_at_once: int | None
    jobs_now: int
    calls_a_day: int | None
    calls_today: int
    money_a_day: float | None
    money_today: float


class Me(Answer):
    """Who the key belongs to."""

    object: Literal["me"] = "me"
    owner: str
    admin: bool
    quota: Quota


class AuditEntry(Answer):
    """Who did what, and how it ended."""

    id: str
    object: Literal["audit"] = "audit"
    created_at: int
    owner: str
    action: str
    subject: str
    outcome: str
