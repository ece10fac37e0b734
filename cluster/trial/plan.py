"""What is known of a trial before and while it runs: plan, context, progress, empty result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cluster.config.budget import Allowed
from cluster.trial.budget import Reserve
from cluster.trial.result import Status, TrialResult
from optimizer.budget.cost import Role
from optimizer.protocols import SelectionRule, Strategy
from optimizer.types import Sampling
from serving.settings import ModelSettings


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """Everything that defines a trial except its data.

    Small and picklable: it is sent to a worker.
    """

    id: str
    task: str
    """The label in the experiment."""
    strategy: Strategy
    strategy_label: str
    selection: SelectionRule
    selection_label: str
    seed: int
    target: ModelSettings
    optimizer: ModelSettings
    sampling: Sampling
    grader: ModelSettings | None = None
    """The model of the task's judges; None where its grader calls none."""
    allowed: Allowed = field(default_factory=Allowed)
    form_control: bool = True
    """Measure the baseline with the answer line alone beside the two prompts, where form may
    explain a gain.
    """
    settings: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    """The point of the search space, where there is a search; the other fields contain it already.
    """

    @property
    def models(self) -> dict[Role, ModelSettings]:
        """Return the models of the trial by their roles."""
        models: dict[Role, ModelSettings] = {"target": self.target, "optimizer": self.optimizer}
        return models | ({"grader": self.grader} if self.grader else {})


@dataclass(frozen=True)
class Progress:
    """How far a trial is."""

    round: int | None = None
    """The last finished round; None before the first."""
    dev_accuracy: float | None = None
    """Dev accuracy of the best candidate of that round."""
    target_calls: int = 0
    optimizer_calls: int = 0
    ledger_hits: int = 0
    prefix_hit_rate: float | None = None
    """Prefix cache hit rate of the target; None where its engine does not report one."""
    repeats: int = 0
    """Requests that the trial could answer itself; they do not count as calls."""
    paused: str = ""
    """One sentence while an endpoint is down and waited for; "" while all answer."""
    grader_calls: int = 0


@dataclass(frozen=True, kw_only=True)
class TrialContext:
    """What a trial sees of its experiment."""

    reserve: Reserve | None = None
    """Where the experiment as a whole has limits: the reserve for the trial's final test."""
    pause: Callable[[], str] = lambda: ""
    """What the trial's models wait for, as in Progress.paused."""


def without_result(plan: TrialPlan, status: Status, error: str = "") -> TrialResult:
    """Return the result of a trial that has not reported any: its plan, status and error."""
    return TrialResult(
        trial=plan.id,
        task=plan.task,
        strategy=plan.strategy_label,
        selection=plan.selection_label,
        seed=plan.seed,
        target=plan.target.label,
        optimizer=plan.optimizer.label,
        stand_in=plan.optimizer.stand_in,
        status=status,
        error=error,
        settings=plan.settings,
        max_tokens=plan.target.own_max_tokens or plan.sampling.max_tokens,
    )
