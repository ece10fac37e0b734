"""What a job may cost, and whether it can pay: the command line's estimate and check, for a
request.

What is read and reckoned for a request is done in a process that can be killed. A probe asks the
models, in a process of its own that ends with it. Its answers stay in a ledger under its digest: a
second probe of the like pays nothing, and a job of the like begins with them.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from cluster.experiment.preflight import Question, check_models, questions_of
from cluster.experiment.prepare import Experiment, prepare
from cluster.headroom.check import Check, run_check
from cluster.headroom.cost_estimate import ExperimentEstimate, cost_of_calls, estimated
from cluster.service.access.spenders import JobShare
from cluster.service.core.backend import Principal
from cluster.service.core.errors import Unavailable
from cluster.service.core.fair_slots import FairSlots
from cluster.service.core.settings import ServiceSettings
from cluster.service.jobs.request_mapping import checked, experiment_settings, probe_digest
from cluster.service.schemas import Estimate, OptimizationRequest, TaskOutlook
from cluster.service.stores.job_store import Store
from optimizer.errors import EndpointError, PromptrayError
from serving.storage import open_folder

REPEATS = 3
"""Runs of the baseline, for the noise; as `promptray check` has it."""
REACHED_WITHIN_S = 30.0
"""For the calls that show whether an endpoint answers, made at once [ours]."""
UNSEEN = "Nobody has looked yet whether optimization can pay; a probe asks the models."


def planned(
    request: OptimizationRequest, service: ServiceSettings, out: str, principal: Principal
) -> tuple[Question, ...]:
    """The questions to the models that the job would ask, when everything else was checked.

    Blocks; raises as `checked`.
    """
    return questions_of(checked(request, service, open_folder(out), principal).settings)


def unmeasured(
    request: OptimizationRequest, service: ServiceSettings, principal: Principal
) -> tuple[Estimate, tuple[Question, ...]]:
    """An estimate by what is known, and the questions to the models that the job would ask.

    Blocks; raises as `checked`.
    """
    out = Store(service.storage).estimate(probe_digest(request, service))
    experiment = checked(request, service, out, principal)
    cost = cost_of_calls(experiment.settings, experiment.tasks, out)
    told = _told(experiment, estimated(experiment.settings, experiment.trial_specs, cost), None)
    return told, questions_of(experiment.settings)


def probed(
    request: OptimizationRequest, service: ServiceSettings, share: JobShare | None = None
) -> Estimate:
    """An estimate by asking the models, in the folder of its digest; what it asks is paid from
    `share`. Blocks; on the Ray that is
    there.
    """
    from contextlib import nullcontext

    out = Store(service.storage).estimate(probe_digest(request, service))
    experiment = prepare(experiment_settings(request, service, out), repeated=True)
    check = run_check(
        experiment, REPEATS, lambda text: None, nullcontext, share.of("probe") if share else None
    )
    return _told(experiment, check.estimate, check)


async def reach_all(asked: Sequence[Question]) -> None:
    """Ask the questions of each model that is not ours to host.

    Raises AccessError or EndpointError, at the latest at the
    deadline.
    """
    try:
        async with asyncio.timeout(REACHED_WITHIN_S):
            await check_models(asked)
    except TimeoutError:
        raise EndpointError(
            f"A model's endpoint has not answered within {REACHED_WITHIN_S:g} s: come again in a "
            "moment."
        ) from None


class Probes:
    """The probes of one replica, bounded together and for each owner."""

    def __init__(self, service: ServiceSettings) -> None:
        work = service.work
        self._service = service
        self._slots = FairSlots(
            work.probes_at_once,
            work.probes_per_owner,
            work.waiting_per_owner,
            "probes",
            retry_after_s=30.0,
        )

    async def run(
        self, owner: str, request: OptimizationRequest, share: JobShare | None = None
    ) -> Estimate:
        """As `probed`, in a process of its own, which is gone when this returns or raises.

        Raises Busy where the owner has too many
        waiting, Unavailable at the deadline.
        """
        async with self._slots.one(owner):
            asked = _probe().remote(request, self._service, share)
            try:
                async with asyncio.timeout(self._service.work.probe_s):
                    told: Estimate = await asked
            except RayTaskError as problem:
                raise (
                    problem.cause if isinstance(problem.cause, PromptrayError) else problem
                ) from None
            except TimeoutError:
                raise Unavailable(
                    f"The probe has not ended within {self._service.work.probe_s:g} s and was "
                    "stopped; its answers are kept, so "
                    "that another goes on from there."
                ) from None
            except RayError as problem:
                raise Unavailable(
                    "The probe's process broke off; its answers are kept, so ask again."
                ) from problem
            finally:
                ray.cancel(asked, force=True)
            return told


def _probe() -> Any:
    """A worker process of Ray would stay for the next task: this one ends with its first."""
    return ray.remote(num_cpus=0, max_retries=1, max_calls=1)(probed)


def _told(experiment: Experiment, cost: ExperimentEstimate, check: Check | None) -> Estimate:
    total = cost.total
    return Estimate(
        trials=cost.trials,
        target_calls=cost.calls("target"),
        optimizer_calls=cost.calls("optimizer"),
        tokens=total.tokens,
        money=total.money,
        wall_s=total.wall_s,
        measured=cost.measured,
        sentence=cost.line,
        tasks=_task_estimates(experiment, check),
        can_pay=None if check is None or not (check.can_pay or check.known) else check.can_pay,
    )


def _task_estimates(experiment: Experiment, check: Check | None) -> list[TaskOutlook]:
    seed = experiment.settings.seeds[0]
    seen = {task.task: task for task in check.tasks} if check else {}
    task_estimates = []
    for setting in experiment.settings.tasks:
        task, found = experiment.tasks[setting.label, seed], seen.get(setting.label)
        items = {"train": len(task.train), "dev": len(task.dev), "test": len(task.test)}
        task_estimates.append(
            TaskOutlook(
                task=setting.label,
                items=items,
                seed_accuracy=found.seed_prompt.mean if found else None,
                noise=found.noise.flip_rate if found else None,
                ceiling=found.ceiling if found else None,
                can_pay=found.task_estimate.pays if found and found.task_estimate.known else None,
                sentence=" ".join((*found.warnings, found.task_estimate.sentence))
                if found
                else UNSEEN,
            )
        )
    return task_estimates
