"""Compose the guards around a trial's models: the only place that knows their order.

Each is a LanguageModel that wraps the next one. From the search to the endpoint:

    CountedModel    counts what the optimizer model's replies were good for
    Remembering     answers repeats of the trial itself, which cost nothing
    Budgeted        the trial's budget: counts every other request, cached or not
    Noting          records which model has failed for good
    PaidModel       the experiment's and the owner's budget: pays for what the ledger lacks
    CachedModel     the ledger: each request is paid for once
    (client)        gate, retries and circuit breaker are inside of it (serving/models.py)
"""

from dataclasses import dataclass

from cluster.trial.budget import TrialBudget, price_list_of
from optimizer.budget.answer_memory import Remembering
from optimizer.budget.call_budget import Budgeted
from optimizer.budget.cost import Role
from optimizer.budget.paying import Paying
from optimizer.evaluation.grading_limit import GradingLimit
from optimizer.grader import Grader
from optimizer.graders.graders import GraderSpec
from optimizer.graders.judging.judge import Judging, judges_in, shown_bytes
from optimizer.protocols import LanguageModel
from serving.budget.paid_model import Endings, PaidModel
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerClient
from serving.ledger.schema import key_of
from serving.settings import ModelSettings


def with_ledger(
    client: LanguageModel,
    model: ModelSettings,
    role: Role,
    ledger: LedgerClient,
    shared_budget: Paying | None = None,
    endings: Endings | None = None,
) -> LanguageModel:
    """Return a client behind the ledger and, where there is one, the budget that pays.

    Args:
        client: What calls the model.
        model: Its settings.
        role: What it is used for.
        ledger: Where its answers are recorded.
        shared_budget: The budget of all trials together; None where there is no limit.
        endings: Where searches that the budget refused have ended.
    """
    cached = CachedModel(client, ledger, model.chunk)
    if shared_budget is None:
        return cached
    return PaidModel(cached, shared_budget, price_list_of(model, role), endings)


@dataclass(frozen=True)
class BoundGraders:
    """A task's grader, bound to the model that it calls, where it calls one."""

    search: Grader
    """Grades the answers of the search."""
    test: Grader
    """Grades those of the final test, whose cost is reserved."""
    limit: GradingLimit | None = None
    """What the budget covers; None where it calls no model."""


def grader_with(spec: GraderSpec, judge: LanguageModel | None, answer_tokens: int) -> Grader:
    """Return a task's grader outside of a trial.

    Args:
        spec: The grader.
        judge: The model that it calls; None where it calls none.
        answer_tokens: The most tokens of an answer.
    """
    if judge is None:
        return spec.build()
    return spec.build(Judging(judge, "grade", shown_bytes(answer_tokens)))


def bound_graders(spec: GraderSpec, judge: Remembering | None, answer_tokens: int) -> BoundGraders:
    """Return a task's grader, ready to grade.

    Args:
        spec: The grader.
        judge: The model that it calls, behind the trial's budget; None where it calls none.
        answer_tokens: The most tokens of an answer.
    """
    unbound = spec.build()
    if judge is None:
        return BoundGraders(unbound, unbound)
    shown = shown_bytes(answer_tokens)
    return BoundGraders(
        spec.build(Judging(judge, "grade", shown)),
        spec.build(Judging(judge, "grade_test", shown)),
        GradingLimit(judges_in(unbound), judge, shown),
    )


def with_trial_budget(model: LanguageModel, role: Role, trial_budget: TrialBudget) -> Remembering:
    """Return a model inside a trial's limits, which answers the trial's own repeats for free."""
    budget = trial_budget.budgets[role]
    return Remembering(
        Budgeted(model, budget, trial_budget.shared_budget, trial_budget.price_list_by_role[role]),
        budget,
        key_of,
    )
