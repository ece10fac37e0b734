"""Estimates what a job may cost, and its headroom: the command line's estimate and check.

What is read and calculated for a request is done in a process that can be killed. A probe calls the
models, in a process of its own that ends with it. Its answers are stored in a ledger under the
probe's digest: a second probe of an equal request pays nothing, and a job of one starts with them.
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
"""The deadline of the calls that show whether all endpoints answer [ours]."""
UNMEASURED = "Headroom not checked yet; a probe calls the models."


def planned(
    request: OptimizationRequest, service: ServiceSettings, out: str, principal: Principal
) -> tuple[Question, ...]:
    """Check a request for a job, and return the questions to its models that are asked first.

    Blocks.

    Raises:
        NotFound: See request_mapping.checked.
        UserError: See request_mapping.checked.
    """
    return questions_of(checked(request, service, open_folder(out), principal).settings)


def unmeasured(
    request: OptimizationRequest, service: ServiceSettings, principal: Principal
) -> tuple[Estimate, tuple[Question, ...]]:
    """Estimate without calling a model; also return the questions that are asked first.

    Blocks.

    Raises:
        NotFound: See request_mapping.checked.
        UserError: See request_mapping.checked.
    """
    out = Store(service.storage).estimate(probe_digest(request, service))
    experiment = checked(request, service, out, principal)
    cost = cost_of_calls(experiment.settings, experiment.tasks, out)
    estimate = _estimate(
        experiment, estimated(experiment.settings, experiment.trial_specs, cost), None
    )
    return estimate, questions_of(experiment.settings)


def probed(
    request: OptimizationRequest, service: ServiceSettings, share: JobShare | None = None
) -> Estimate:
    """Estimate by calling the models, on the Ray that runs. Blocks.

    Args:
        request: The request.
        service: The service's settings.
        share: Whose budget the calls are paid from; None: nobody's.
    """
    from contextlib import nullcontext

    out = Store(service.storage).estimate(probe_digest(request, service))
    experiment = prepare(experiment_settings(request, service, out), repeated=True)
    check = run_check(
        experiment, REPEATS, lambda text: None, nullcontext, share.of("probe") if share else None
    )
    return _estimate(experiment, check.estimate, check)


async def reach_all(questions: Sequence[Question]) -> None:
    """Ask the first questions of each model that is not ours to host.

    Raises:
        AccessError: A model refuses the key.
        EndpointError: A model does not answer, at the latest at the deadline.
    """
    try:
        async with asyncio.timeout(REACHED_WITHIN_S):
            await check_models(questions)
    except TimeoutError:
        raise EndpointError(
            f"A model's endpoint has not answered within {REACHED_WITHIN_S:g} s: try again in a "
            "moment."
        ) from None


class Probes:
    """The probes of one replica, limited in total and for each owner."""

    def __init__(self, service: ServiceSettings) -> None:
        """Take the limits from the service's settings."""
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
        """Run `probed` in a process of its own, which is gone when this returns or raises.

        Raises:
            Busy: The owner has too many probes waiting.
            Unavailable: The probe has not ended at the deadline, or its process broke.
        """
        async with self._slots.one(owner):
            # max_calls: a worker process of Ray would otherwise stay for the next task.
            probe: Any = ray.remote(num_cpus=0, max_retries=1, max_calls=1)(probed)
            answer = probe.remote(request, self._service, share)
            try:
                async with asyncio.timeout(self._service.work.probe_s):
                    estimate: Estimate = await answer
            except RayTaskError as problem:
                raise (
                    problem.cause if isinstance(problem.cause, PromptrayError) else problem
                ) from None
            except TimeoutError:
                raise Unavailable(
                    f"The probe has not ended within {self._service.work.probe_s:g} s and was "
                    "stopped; its answers are recorded, and another probe goes on from there."
                ) from None
            except RayError as problem:
                raise Unavailable(
                    "The probe's process broke; its answers are recorded, so try again."
                ) from problem
            finally:
                ray.cancel(answer, force=True)
            return estimate


def _estimate(experiment: Experiment, cost: ExperimentEstimate, check: Check | None) -> Estimate:
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
                else UNMEASURED,
            )
        )
    return task_estimates
