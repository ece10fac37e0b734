"""What runs in the worker of a Tune trial: builds the models from their settings, runs the trial, reports to Tune.

Knows Tune and the ledger's client. Writes no file: the result travels to the driver as the last report, so that nodes need no
shared disk.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ray import tune

from cluster.result import TrialResult
from cluster.trial import Trial, TrialPlan, without_result
from optimizer.errors import PromptrayError
from optimizer.protocols import LanguageModel
from optimizer.tasks.task import Task
from serving.settings import ModelSettings
from serving.single_flight import LedgerClient, Ledgered

REPORT_EVERY_S = 1.0
RESULT_KEY = "trial_result"
"""Metric of the last report: the TrialResult as JSON text, which Tune carries without looking into it."""


def run_in_worker(
    config: Mapping[str, Any], *, plans: Mapping[str, TrialPlan], tasks: Mapping[tuple[str, int], Task], ledger: LedgerClient
) -> None:
    """The Tune trainable. `config["trial"]` is the id of a plan. A Tune stop leaves it as SystemExit, out of a report."""
    plan = plans[config["trial"]]
    asyncio.run(_run(plan, tasks[plan.task, plan.seed], ledger))


async def _run(plan: TrialPlan, task: Task, ledger: LedgerClient) -> None:
    try:
        trial = Trial(plan, task, _model(plan.target, ledger), _model(plan.optimizer, ledger))
    except PromptrayError as problem:
        await _report({RESULT_KEY: _as_text(without_result(plan, "failed", str(problem)))})
        return
    over = asyncio.Event()
    reporting = asyncio.create_task(_report_progress(trial, over))
    try:
        result = await trial.run()
    finally:
        over.set()
        await reporting  # two reports at once would upset Tune's session
    await _report(asdict(trial.progress) | {RESULT_KEY: _as_text(result)})


def _model(settings: ModelSettings, ledger: LedgerClient) -> LanguageModel:
    return Ledgered(settings.build(), ledger)


async def _report_progress(trial: Trial, over: asyncio.Event) -> None:
    """Tells Tune how far the trial is, about once a second and only where something changed."""
    told = None
    while not over.is_set():
        if trial.progress != told:
            told = trial.progress
            await _report(asdict(told))
        try:
            await asyncio.wait_for(over.wait(), REPORT_EVERY_S)
        except TimeoutError:
            continue


async def _report(metrics: dict[str, Any]) -> None:
    # tune.report blocks until the driver has taken it: in a thread, so that calls in flight go on.
    await asyncio.to_thread(tune.report, metrics)


def _as_text(result: TrialResult) -> str:
    return json.dumps(result.to_json())
