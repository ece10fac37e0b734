"""Run a prepared diagnosis on Ray: models on Serve, one ledger, all tasks at once.

Every task has its own budgets. The guards around a model are those of a trial without its memory
(cluster/trial/guards.py). As with an experiment the state of a run is its ledger: the same settings
into the same folder again pay only for what is missing.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from cluster.config.grader import judge_model
from cluster.diagnosis.causes import procedure_of
from cluster.diagnosis.preparation import Prepared
from cluster.diagnosis.result import TaskDiagnosis
from cluster.experiment.outage_notices import reporting_outages
from cluster.ray_runtime.hosting import host_models
from cluster.ray_runtime.session import ray_session
from cluster.trial.guards import grader_with, with_ledger
from optimizer.budget.call_budget import Budget, Budgeted
from optimizer.budget.cost import ROLES
from optimizer.counted_model import CountedModel
from optimizer.diagnostics import Subject, diagnose
from optimizer.errors import PromptrayError
from optimizer.evaluation.evaluator import Evaluation
from optimizer.outcome_counts import OutcomeCounts
from optimizer.protocols import LanguageModel
from optimizer.selection import Racing
from serving.ledger.actor import open_ledger
from serving.ledger.coordinator import LedgerClient
from serving.models import connect

Notify = Callable[[str], None]


def run_diagnosis(prepared: Prepared, notify: Notify) -> tuple[TaskDiagnosis, ...]:
    """Diagnose all tasks at once, and return one result for each, in their order.

    A task that fails has a result with its error.

    Raises:
        EndpointError: A model cannot be hosted.
    """
    notify("Starting Ray")
    with ray_session():
        host_models(prepared.models, notify)
        with open_ledger(prepared.out / "ledger") as ledger:
            for damage in ledger.damage:
                notify(damage)
            return asyncio.run(_all(prepared, ledger, notify))


async def _all(
    prepared: Prepared, ledger: LedgerClient, notify: Notify
) -> tuple[TaskDiagnosis, ...]:
    models = (prepared.settings.target_model, prepared.settings.optimizer_model)
    clients = [connect(model) for model in models]
    target, optimizer = (
        with_ledger(client, model, role, ledger)
        for client, model, role in zip(clients, models, ROLES, strict=True)
    )
    judge_by_model: dict[str, LanguageModel] = {}
    for setting in prepared.settings.tasks:
        judging = judge_model(setting.grader, prepared.settings.optimizer_model)
        if judging and judging.identity not in judge_by_model:
            clients.append(connect(judging))
            judge_by_model[judging.identity] = with_ledger(clients[-1], judging, "grader", ledger)
    async with reporting_outages(notify, *clients):
        return tuple(
            await asyncio.gather(
                *(
                    diagnose_task(
                        prepared,
                        label,
                        target,
                        optimizer,
                        lambda text, label=label: notify(f"{label}: {text}"),  # type: ignore[misc]
                        judge_by_model,
                    )
                    for label in prepared.tasks
                )
            )
        )


async def diagnose_task(
    prepared: Prepared,
    label: str,
    target: LanguageModel,
    optimizer: LanguageModel,
    notify: Notify,
    judge_by_model: Mapping[str, LanguageModel] = MappingProxyType({}),
) -> TaskDiagnosis:
    """Take all measures of one task; an error of ours is recorded in the result.

    Args:
        prepared: The diagnosis.
        label: The task's.
        target: The target model.
        optimizer: The optimizer model.
        notify: Hears of each measure.
        judge_by_model: The models that grade, by their identities; they have no budget of their
            own, as each answer is graded once.
    """
    settings, task = prepared.settings, prepared.tasks[label]
    budgets = (
        Budget(settings.budget.target_calls, "target"),
        Budget(settings.budget.optimizer_calls, "optimizer"),
    )
    outcome_counts = OutcomeCounts()
    judging = judge_model(task.grader, settings.optimizer_model)
    grader = grader_with(
        task.grader,
        judge_by_model[judging.identity] if judging else None,
        settings.target_model.own_max_tokens or settings.sampling.max_tokens,
    )
    evaluation = Evaluation(
        Budgeted(target, budgets[0]),
        grader,
        task.dev,
        Racing(),
        settings.sampling.build(),
        outcome_counts,
        row_of=task.visible_row if settings.target_model.sees_examples else None,
    )
    subject = Subject(
        task.problem(grader), task.dev, task.test.single_reading().read(), procedure_of(task.train)
    )
    started, found, error = time.monotonic(), None, ""
    try:
        found = await diagnose(
            subject,
            CountedModel(Budgeted(optimizer, budgets[1]), outcome_counts),
            evaluation,
            settings.depth(),
            settings.seed,
            notify,
        )
        error = _nothing_came(budgets, outcome_counts)
        found = None if error else found
    except PromptrayError as problem:
        error = str(problem)
    return TaskDiagnosis(
        task=label,
        target=settings.target_model.label,
        optimizer=settings.optimizer_model.label,
        seed=settings.seed,
        seed_prompt=subject.problem.seed,
        data_hash=task.data_hash,
        stand_in=settings.optimizer_model.stand_in,
        found=found,
        error=error,
        failures=outcome_counts.failures,
        calls_by_model={budget.model: budget.usage.calls for budget in budgets},
        ledger_hits=sum(budget.usage.ledger_hits for budget in budgets),
        wall_s=time.monotonic() - started,
    )


def _nothing_came(budgets: Sequence[Budget], outcome_counts: OutcomeCounts) -> str:
    """Return why nothing could be measured, where one of the two models gave no answer; else ""."""
    for budget in budgets:
        failed = [
            failure
            for failure in outcome_counts.failures
            if (failure.model, failure.kind) == (budget.model, "infrastructure")
        ]
        calls = sum(failure.calls for failure in failed)
        if calls and calls >= budget.usage.calls:
            reason = max(failed, key=lambda failure: failure.calls).reason.rstrip(".")
            return (
                f"Nothing could be measured: none of the {calls} answers of the {budget.model} "
                f"model came ({reason}); once "
                "they do, the same command continues where this one ended."
            )
    return ""
