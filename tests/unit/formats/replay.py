"""Runs the trials of an experiment over a ledger without Ray, with models that may not be asked."""

from collections.abc import Sequence
from pathlib import Path

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import plan_of
from cluster.experiment.prepare import SETTINGS_FILE, check
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.types import Outcome, Request
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from serving.ledger.store import Ledger


class Unpayable:
    """A model with an identity, whose every call is a fault: the ledger was to answer it."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        raise AssertionError(
            f"{len(requests)} calls of {self.name} would be paid for anew, such as: {requests[0]}"
        )


async def replayed(out: Path) -> list[TrialResult]:
    """The results of the experiment in `out`, all of whose calls its ledger must answer.

    Raises AssertionError for the first one
    that it does not."""
    settings = ExperimentSettings.read(out / SETTINGS_FILE, {"out": str(out)})
    trial_specs, tasks, _ = check(settings)
    results = []
    with Ledger(out / "ledger") as record:
        ledger = LedgerCoordinator(record)
        for trial_spec in trial_specs:
            plan = plan_of(settings, trial_spec)
            models = [
                CachedModel(Unpayable(model.identity), ledger)
                for model in (plan.target, plan.optimizer)
            ]
            results.append(await Trial(plan, tasks[plan.task, plan.seed], *models).run())
    return results
