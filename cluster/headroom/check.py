"""Measure the headroom and noise of an experiment's tasks, and estimate the cost of the search.

A check runs where `promptray run` would: the same models on Ray Serve, the same ledger, so that a
run into the same folder does not pay again for the check's calls. It uses the first of several
seeds.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace

from cluster.config.experiment import ExperimentSettings
from cluster.config.grader import judge_model
from cluster.experiment.outage_notices import reporting_outages
from cluster.experiment.planning import judges, optimizers
from cluster.experiment.prepare import Experiment, write_settings
from cluster.headroom.cost_estimate import (
    CHECK_FILE,
    CallCost,
    ExperimentEstimate,
    cost_of_calls,
    cost_to_json,
    estimated,
)
from cluster.headroom.detectable import least_gain, measured_run
from cluster.headroom.metered_model import MeteredModel
from cluster.ray_runtime.session import ray_session
from cluster.text.formatting import share
from cluster.trial.guards import grader_with, with_ledger
from optimizer.budget.cost import ROLES, Role
from optimizer.budget.paying import Paying
from optimizer.errors import EndpointError
from optimizer.evaluation.answer_forms import NotRight, Reading
from optimizer.evaluation.headroom_probe import Probed, Probing, probe
from optimizer.graders.judging.agreement import Agreement, agreement_with_people
from optimizer.outcome_counts import Failure
from optimizer.selection import Racing
from optimizer.statistics import (
    Estimate,
    Headroom,
    Noise,
    estimate,
    headroom,
    mean_score,
    noise_floor,
)
from optimizer.strategies.abo import ABO
from optimizer.tasks.task import Task
from serving.ledger.coordinator import LedgerClient
from serving.models import connect
from serving.settings import ModelSettings


@dataclass(frozen=True)
class TaskCheck:
    """One task: what the baseline does, how steadily, and what seems within reach."""

    task: str
    seed_prompt: Estimate
    """Accuracy of the baseline in its first run over the items."""
    noise: Noise
    best_other: str
    """Description of the best other prompt; "" where none was measured."""
    best_other_accuracy: float | None
    ever_right: float
    """Share of the items that were right in at least one try; a share of chance_of_any is expected
    by guessing.
    """
    chance_of_any: float
    ceiling: float
    test_items: int
    detectable: float | None
    """Minimum gain that the final test of one trial detects with a power of 80%; None where it
    detects none.
    """
    task_estimate: Headroom
    not_right: NotRight | None = None
    """An answer to look at, where none was right in any try: a person sees whether it was parsed
    correctly.
    """
    reading: Reading | None = None
    """How the baseline's answers were parsed; None where none came."""
    agreement: Agreement | None = None
    """Of a judge with people, where the data have answers that people rated."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what a person should know first: how answers were parsed, and unknown noise."""
        read = (self.reading.sentence if self.reading else "") or (
            self.not_right.sentence if self.not_right else ""
        )
        noise = ""
        if self.noise.unknown and self.seed_prompt.items:
            quiet = (
                ""
                if self.detectable is None
                else f" The detectable gain of {share(self.detectable)} is as if there were none."
            )
            noise = f"{self.noise.unknown[:1].upper()}{self.noise.unknown[1:]}.{quiet}"
        return tuple(line for line in (read, noise) if line)

    @property
    def headroom(self) -> float | None:
        """Return the estimated ceiling minus the baseline's accuracy."""
        return None if self.seed_prompt.mean is None else self.ceiling - self.seed_prompt.mean


@dataclass(frozen=True)
class Check:
    """The check of an experiment."""

    tasks: tuple[TaskCheck, ...]
    cost_by_model: dict[str, CallCost]
    estimate: ExperimentEstimate
    failures: tuple[Failure, ...] = ()
    """Calls without a usable answer, by reason."""

    @property
    def can_pay(self) -> bool:
        """Return whether any task has measurable headroom."""
        return any(task.task_estimate.pays for task in self.tasks)

    @property
    def known(self) -> bool:
        """Return whether the headroom of every task is known."""
        return all(task.task_estimate.known for task in self.tasks)


def run_check(
    experiment: Experiment,
    repeats: int,
    notify: Callable[[str], None],
    session: Callable[[], AbstractContextManager[None]] = ray_session,
    shared_budget: Paying | None = None,
) -> Check:
    """Probe every task, and write OUT/check.json.

    Args:
        experiment: The prepared experiment.
        repeats: Runs of the baseline over the items.
        notify: Called with a line at each step.
        session: Provides Ray while the check runs.
        shared_budget: Pays for the calls, where there is one.

    Raises:
        UserError: The settings, a file or Ray's set-up is at fault.
        EndpointError: A model or Ray does not answer.
        BudgetExhausted: The budget is too small.
    """
    from cluster.ray_runtime.hosting import host_models
    from serving.ledger.actor import open_ledger

    settings = experiment.settings
    models = (settings.target_model, optimizers(settings)[0], *judges(settings))
    notify("Starting Ray …")
    with session():
        host_models(models, lambda text: notify(f"{text} …"))
        logging.getLogger("ray.serve").setLevel(
            logging.ERROR
        )  # hosting has set its own; here the handles are this process's
        with open_ledger(experiment.out / "ledger") as ledger:
            write_settings(experiment.settings, experiment.out)
            for damage in ledger.damage:
                notify(damage)
            check = asyncio.run(_check(experiment, repeats, notify, models, ledger, shared_budget))
    experiment.out.write(CHECK_FILE, (json.dumps(check_to_json(check), indent=2) + "\n").encode())
    return check


def check_to_json(check: Check) -> dict[str, object]:
    """Return the content of OUT/check.json."""
    return {
        "tasks": [_task_to_json(task) for task in check.tasks],
        "calls": cost_to_json(check.cost_by_model),
        "can_pay": check.can_pay,
        "known": check.known,
        "failures": [asdict(failure) for failure in check.failures],
        "estimate": asdict(check.estimate)
        | {"trial": asdict(check.estimate.trial), "total": asdict(check.estimate.total)},
    }


def _task_to_json(task: TaskCheck) -> dict[str, object]:
    read = task.reading
    return asdict(task) | {
        "headroom": task.headroom,
        "sentence": task.task_estimate.sentence,
        "reading": None
        if read is None
        else asdict(read) | {"sentence": read.sentence, "spoils": read.spoils},
    }


def judged(label: str, task: Task, probed: Probed) -> TaskCheck:
    """Evaluate the tries of one task.

    Args:
        label: The task's label.
        task: The task.
        probed: Scores of the baseline's repeats and of the other prompts.
    """
    first = measured_run(probed)
    seed, noise, other = estimate(first), noise_floor(probed.repeats), probed.best_other
    accuracy = mean_score(other[1]) if other else None
    detectable = least_gain(probed, len(task.test))
    known_by = (
        other[0] if other and accuracy == probed.ceiling else "best of several tries, minus chance"
    )
    task_estimate = headroom(seed.mean, probed.ceiling, known_by, detectable, len(task.test))
    if probed.reading and probed.reading.spoils:
        task_estimate = Headroom(
            False, "too many of its answers may have been parsed wrongly.", known=False
        )
    return TaskCheck(
        label,
        seed,
        noise,
        other[0] if other else "",
        accuracy,
        probed.ever_right,
        probed.chance_of_any,
        probed.ceiling,
        len(task.test),
        detectable,
        task_estimate,
        probed.not_right,
        probed.reading,
    )


async def _check(
    experiment: Experiment,
    repeats: int,
    notify: Callable[[str], None],
    models: Sequence[ModelSettings],
    ledger: LedgerClient,
    shared_budget: Paying | None = None,
) -> Check:
    settings = experiment.settings
    clients = [connect(model) for model in models]
    roles: list[Role] = [*ROLES, *("grader" for _ in models[len(ROLES) :])]  # type: ignore[list-item]
    metered = [
        MeteredModel(with_ledger(client, model, role, ledger, shared_budget), role)
        for role, model, client in zip(roles, models, clients, strict=True)
    ]
    target, optimizer, *found = metered
    judge_by_model = {
        model.identity: judge for model, judge in zip(models[len(ROLES) :], found, strict=True)
    }
    answer_tokens = settings.target_model.own_max_tokens or settings.sampling.max_tokens
    checks = []
    async with reporting_outages(notify, *clients):
        for setting in settings.tasks:
            task = experiment.tasks[setting.label, settings.seeds[0]]
            notify(f"Probing {setting.label} …")
            judging = judge_model(setting.grader, settings.optimizer_model)
            judge = judge_by_model[judging.identity] if judging else None
            grader = grader_with(task.grader, judge, answer_tokens)
            probing = _probing(experiment, setting.label, repeats)
            probed = await probe(task, target, optimizer, probing, grader)
            # Ratings of the test split stay locked with it.
            agreed = await agreement_with_people(
                task.grader.build(), grader, (*task.dev, *task.train)
            )
            checks.append(replace(judged(setting.label, task, probed), agreement=agreed))
    failures = tuple(failure for model in metered for failure in model.failures)
    if all(check.seed_prompt.items == 0 for check in checks):
        most = max(target.failures, key=lambda failure: failure.calls, default=None)
        why = f" ({most.reason.rstrip('.')})" if most else ""
        raise EndpointError(
            "Nothing could be measured: no answer of the target model "
            f"{settings.target_model.label} came{why}."
        )
    known = cost_of_calls(settings, experiment.tasks, experiment.out)
    cost = {"target": target.cost(known["target"]), "optimizer": optimizer.cost(known["optimizer"])}
    if found:
        cost["grader"] = found[0].cost(known["grader"])
    return Check(tuple(checks), cost, estimated(settings, experiment.trial_specs, cost), failures)


def _probing(experiment: Experiment, label: str, repeats: int) -> Probing:
    """Choose the prompts to probe: those of the first round of the experiment's own ABO trial.

    A run then finds all its answers in the ledger. Worked steps show best what a target model can
    do (Ma et al. 2024, arXiv 2402.02101), so without such a trial it is ABO with its defaults.
    """
    settings: ExperimentSettings = experiment.settings
    with_rows = settings.target_model.sees_examples
    for plan in experiment.plans:
        if plan.task == label and plan.seed == settings.seeds[0] and isinstance(plan.strategy, ABO):
            return Probing(
                plan.strategy, plan.selection, plan.sampling, plan.seed, repeats, with_rows
            )
    return Probing(
        ABO(), Racing(), settings.sampling.build(), settings.seeds[0], repeats, with_rows
    )
