"""What a job may cost, and whether it can pay: the command line's estimate and check, for a request.

A probe asks the models, in a process of its own. Its answers stay in a ledger under its digest: a second probe of the like pays
nothing, and a job of the like begins with them.
"""

import asyncio
from typing import Any

import ray
from ray.exceptions import RayTaskError

from cluster.checking import Check, run_check
from cluster.estimate import ExperimentEstimate, cost_of_calls, estimated
from cluster.preparation import Experiment, prepare
from cluster.service.experiments import checked, experiment_settings, probe_digest
from cluster.service.objects import Estimate, OptimizationRequest, TaskOutlook
from cluster.service.office import Caller
from cluster.service.settings import ServiceSettings
from cluster.service.store import Store
from optimizer.errors import PromptrayError

REPEATS = 3
"""Runs of the seed prompt, for the noise; as `promptray check` has it."""
UNSEEN = "Nobody has looked yet whether optimization can pay; a probe asks the models."


async def estimate_of(caller: Caller, request: OptimizationRequest, service: ServiceSettings, probe: bool) -> Estimate:
    """Raises as Office.estimate."""
    store = Store(service.storage)
    out = store.estimate(probe_digest(request, service))
    experiment = await asyncio.to_thread(checked, request, service, out, caller)
    if not probe:
        cost = await asyncio.to_thread(cost_of_calls, experiment.settings, experiment.tasks, out)
        return _told(experiment, estimated(experiment.settings, experiment.assignments, cost), None)
    try:
        check: Check = await _probe().remote(request, service)
    except RayTaskError as problem:
        raise problem.cause if isinstance(problem.cause, PromptrayError) else problem from None
    return _told(experiment, check.estimate, check)


def probed(request: OptimizationRequest, service: ServiceSettings) -> Check:
    """The check of the experiment, in the folder of its digest. Blocks; on the Ray that is there."""
    from contextlib import nullcontext

    out = Store(service.storage).estimate(probe_digest(request, service))
    experiment = prepare(experiment_settings(request, service, out))
    return run_check(experiment, REPEATS, lambda text: None, nullcontext)


def _probe() -> Any:
    return ray.remote(probed).options(num_cpus=0, max_retries=1)


def _told(experiment: Experiment, cost: ExperimentEstimate, check: Check | None) -> Estimate:
    total = cost.total
    return Estimate(
        trials=cost.trials, target_calls=cost.calls("target"), optimizer_calls=cost.calls("optimizer"), tokens=total.tokens,
        money=total.money, wall_s=total.wall_s, measured=cost.measured, sentence=cost.line, tasks=_outlooks(experiment, check),
        can_pay=check.can_pay if check else None)


def _outlooks(experiment: Experiment, check: Check | None) -> list[TaskOutlook]:
    seed = experiment.settings.seeds[0]
    seen = {task.task: task for task in check.tasks} if check else {}
    outlooks = []
    for setting in experiment.settings.tasks:
        task, found = experiment.tasks[setting.label, seed], seen.get(setting.label)
        items = {"train": len(task.train), "dev": len(task.dev), "test": len(task.test)}
        outlooks.append(TaskOutlook(
            task=setting.label, items=items, seed_accuracy=found.seed_prompt.mean if found else None,
            noise=found.noise.flip_rate if found else None, ceiling=found.ceiling if found else None,
            can_pay=found.outlook.pays if found else None, sentence=found.outlook.sentence if found else UNSEEN))
    return outlooks
