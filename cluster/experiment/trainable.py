"""Run a trial in its Tune worker: build the models from settings, run, report to Tune.

It writes no file: the result travels to the driver as the last report (see
cluster/search/metric_names.py), so that nodes need no shared disk.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from ray import tune

from cluster.config.components import import_components
from cluster.config.experiment import ExperimentSettings
from cluster.config.grader import judge_model
from cluster.experiment.metrics import TrialMetrics
from cluster.experiment.planning import TrialSpec, plan_of
from cluster.own_code.code_files import CodeFiles
from cluster.results.items import as_text, items_table, packed
from cluster.search.metric_names import ITEMS, RESULT, SO_FAR
from cluster.trial.budget import Reserve, price_list_of
from cluster.trial.guards import with_ledger
from cluster.trial.plan import TrialContext, TrialPlan, without_result
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.budget.cost import Cost, PriceList, Role
from optimizer.budget.deadline import Timed
from optimizer.budget.paying import Paying
from optimizer.candidate import Round
from optimizer.errors import PromptrayError
from optimizer.tasks.task import Task
from serving.budget import BudgetClient, TrialBudgetClient
from serving.budget.combined import CombinedBudget
from serving.concurrency.circuit_breaker import pause_of
from serving.ledger.coordinator import LedgerClient
from serving.models import connect
from serving.runtime.session_functions import Functions, use_functions

REPORT_EVERY_S = 1.0


class OwnersBudget(Paying, Reserve, Protocol):
    """What an owner of many experiments may spend, as one trial sees it."""

    async def begin(self) -> None:
        """Register the trial; to be called when it starts, and when it starts again."""


class OwnersDay(Protocol):
    """An owner's budget of a day, which gives each trial its part. Picklable."""

    def of(self, trial: str) -> OwnersBudget:
        """Return the part of one trial."""


@dataclass(frozen=True)
class _Reserves:
    """All budgets that hold a reserve for a trial's test."""

    reserves: tuple[Reserve, ...]

    async def hold(self, cost: Cost) -> None:
        """Reserve the cost in all of them."""
        for reserve in self.reserves:
            await reserve.hold(cost)


@dataclass(frozen=True)
class Shared:
    """What all trials of an experiment share."""

    ledger: LedgerClient
    shared_budget: BudgetClient | None = None
    """None: neither the experiment as a whole nor the time of its trials has a limit."""
    wall_s: float | None = None
    """Seconds of the whole experiment; None: no limit."""
    group: tuple[str, ...] | None = None
    """Group of the trials in the fair share of the models' slots; None: they are alone."""
    owner: OwnersDay | None = None
    """Who pays beside the experiment's budget; None: nobody else."""
    code: CodeFiles = field(default_factory=CodeFiles)
    """What the settings list under that name."""
    functions: Functions = field(default_factory=dict)
    """Functions of the session that runs the experiment."""


class StoppedByTune(Exception):
    """Tune has ended this trial.

    It does so by a SystemExit out of a report, which an event loop does not carry safely.
    """


def run_in_worker(
    config: Mapping[str, Any],
    *,
    settings: ExperimentSettings,
    tasks: Mapping[tuple[str, int], Task],
    shared: Shared,
) -> None:
    """Run a trial: the Tune trainable.

    A trial that Tune stops ends in SystemExit, as Tune expects.

    Args:
        config: A TrialSpec as Tune carries it.
        settings: The experiment.
        tasks: Tasks by label and seed.
        shared: What all trials share.
    """
    use_functions(shared.functions)
    import_components(settings, tasks.values(), shared.code)
    trial_spec = TrialSpec.from_config(config)
    plan = plan_of(settings, trial_spec)
    try:
        asyncio.run(_run(plan, settings.name, tasks[trial_spec.comparison_group], shared))
    except StoppedByTune:
        raise SystemExit(0) from None


async def _run(plan: TrialPlan, experiment: str, task: Task, shared: Shared) -> None:
    reporter = _Reporter()
    shared_budget = shared.shared_budget.of(plan.id) if shared.shared_budget else None
    result = None
    try:
        trial = await _built(plan, task, shared, shared_budget)
        result = await _watched(
            trial, reporter, TrialMetrics(experiment, plan.task, plan.strategy_label)
        )
    except PromptrayError as problem:  # it could not even be built
        await reporter.report({RESULT: _as_text(without_result(plan, "failed", str(problem)))})
        return
    finally:
        # Also where it failed while it was built: others wait for the budget that it holds.
        if shared_budget:
            # A failed trial may be repeated: what its test lacks stays held for that.
            await shared_budget.close(done=result is not None and result.status != "failed")
    await reporter.report(asdict(trial.progress) | {RESULT: _as_text(result)} | _items(trial))


def late_test_in_worker(
    found: TrialResult,
    trial_spec: TrialSpec,
    settings: ExperimentSettings,
    task: Task,
    shared: Shared,
) -> tuple[TrialResult, bytes]:
    """Return `found`, whose search was cut, with its final test; runs as a task of Ray.

    Beside it stands the file of its items, b"" where it could not be tested.

    The plan is made here, and not sent: it may hold a strategy whose code comes with it.
    """

    async def tested() -> tuple[TrialResult, bytes]:
        trial = await _built(plan_of(settings, trial_spec), task, shared, None)
        result = await trial.test_found(found)
        return result, packed(items_table(result.trial, trial.tested)) if trial.tested else b""

    try:
        use_functions(shared.functions)
        import_components(settings, [task], shared.code)
        return asyncio.run(tested())
    except PromptrayError:  # it could not even be built
        return found, b""


async def _built(
    plan: TrialPlan, task: Task, shared: Shared, shared_budget: TrialBudgetClient | None
) -> Trial:
    paying: Paying | None = await _timed(shared_budget, plan, shared) if shared_budget else None
    owner = shared.owner.of(plan.id) if shared.owner else None
    if owner:
        await owner.begin()
        # Both must permit a call: the experiment's limits, and the day of its owner.
        paying = CombinedBudget(paying, owner) if paying else owner
    reserves = tuple(reserve for reserve in (shared_budget, owner) if reserve)
    target, optimizer = connect(plan.target, shared.group), connect(plan.optimizer, shared.group)
    # A task that is code may have a judge that the settings do not name.
    plan = replace(plan, grader=plan.grader or judge_model(task.grader, plan.optimizer))
    judging = plan.grader
    judge = connect(judging, shared.group) if judging else None
    return Trial(
        plan,
        task,
        with_ledger(target, plan.target, "target", shared.ledger, paying, shared_budget),
        with_ledger(optimizer, plan.optimizer, "optimizer", shared.ledger, paying, shared_budget),
        TrialContext(
            reserve=_Reserves(reserves) if reserves else None,
            pause=partial(pause_of, target, optimizer, *([judge] if judge else [])),
        ),
        with_ledger(judge, judging, "grader", shared.ledger, paying, shared_budget)
        if judge and judging
        else None,
    )


async def _watched(trial: Trial, reporter: "_Reporter", metrics: TrialMetrics) -> TrialResult:
    """Run the trial while it reports its progress; raise StoppedByTune where Tune ends it."""

    async def end_round(_: Round) -> None:
        await reporter.report(asdict(trial.progress) | {SO_FAR: _as_text(trial.so_far)})

    over = asyncio.Event()
    running = asyncio.create_task(trial.run(end_round))
    ticking = asyncio.create_task(_tick(trial, reporter, metrics, over, running))
    try:
        return await running
    except asyncio.CancelledError:
        # Cancelled from outside, as by the end of the event loop, and not by Tune.
        if not reporter.stopped:
            raise
        raise StoppedByTune from None
    finally:
        over.set()
        # Waited for: a report after the last one would find Tune's session closed.
        await ticking
        metrics.update(trial.usage)


async def _timed(shared_budget: TrialBudgetClient, plan: TrialPlan, shared: Shared) -> Paying:
    """Return the trial's part of the experiment's budget, limited by both time limits."""
    price_list_by_role: dict[Role, PriceList] = {
        role: price_list_of(model, role) for role, model in plan.models.items()
    }
    elapsed = await shared_budget.begin(shared.ledger, price_list_by_role)
    # After `begin`, which may wait: its seconds must not shorten the trial's own.
    now = time.monotonic()
    limits = {
        "budget": (plan.allowed.wall_s, elapsed.trial_s),
        "budget.total": (shared.wall_s, elapsed.whole_s),
    }
    return Timed(
        shared_budget,
        {name: now + limit - spent for name, (limit, spent) in limits.items() if limit is not None},
    )


class _Reporter:
    """Reports to Tune, one report at a time: two at once would break its session."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self.stopped = False

    async def report(self, metrics: dict[str, Any]) -> None:
        """Report, and return when the driver has taken the report.

        Raises:
            StoppedByTune: Tune has ended the trial; raised by every later report too.
        """
        async with self._turn:
            if not self.stopped:
                # tune.report blocks until the driver has taken it: in a thread, so that calls in
                # flight go on.
                self.stopped = not await asyncio.to_thread(_report, metrics)
            if self.stopped:
                raise StoppedByTune


def _report(metrics: dict[str, Any]) -> bool:
    """Report to Tune, and return whether the trial is to continue."""
    try:
        tune.report(metrics)
    except SystemExit:
        return False
    return True


async def _tick(
    trial: Trial,
    reporter: _Reporter,
    metrics: TrialMetrics,
    over: asyncio.Event,
    running: "asyncio.Task[TrialResult]",
) -> None:
    """Report the trial's progress about once a second, where something changed.

    Where Tune ends the trial, it is cancelled in the middle of its round.
    """
    reported = None
    while not over.is_set():
        if trial.progress != reported:
            reported = trial.progress
            metrics.update(trial.usage)
            try:
                await reporter.report(asdict(reported))
            except StoppedByTune:
                running.cancel()
                return
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), REPORT_EVERY_S)


def _items(trial: Trial) -> dict[str, str]:
    """Return the file of a tested trial's items, as a report carries it."""
    if trial.tested is None:
        return {}
    return {ITEMS: as_text(packed(items_table(trial.plan.id, trial.tested)))}


def _as_text(result: TrialResult) -> str:
    return json.dumps(result.to_json())
