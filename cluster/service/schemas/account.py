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
    """True if there is measurable headroom; null if not checked."""
    sentence: str


class Estimate(Answer):
    """The most that a job may cost, and its headroom."""

    object: Literal["optimization.estimate"] = "optimization.estimate"
    trials: int
    target_calls: int | None
    optimizer_calls: int | None
    tokens: float | None
    money: float | None
    wall_s: float | None
    measured: bool
    """True if tokens and time were measured by a probe; else they are assumed."""
    sentence: str
    tasks: list[TaskOutlook]
    can_pay: bool | None
    """True if any task has measurable headroom; null if not checked."""


class OfferedModel(Answer):
    """A model that a request may name."""

    label: str
    stand_in: bool
    """True if it is a stand-in for a large model, such as the built-in optimizer."""
    priced: bool
    """True if its prices are known, so that calls count as money."""


class Catalogue(Answer):
    """The names that a request for a job may use."""

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
    """The quota of an owner, and its use today (UTC); null: unlimited."""

    jobs_at_once: int | None
    jobs_now: int
    calls_a_day: int | None
    calls_today: int
    money_a_day: float | None
    money_today: float


class Me(Answer):
    """The owner of the key."""

    object: Literal["me"] = "me"
    owner: str
    admin: bool
    quota: Quota


class AuditEntry(Answer):
    """An act: its owner, its subject and its outcome."""

    id: str
    object: Literal["audit"] = "audit"
    created_at: int
    owner: str
    action: str
    subject: str
    outcome: str
