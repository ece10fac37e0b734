"""Estimate what an experiment may cost: calls bounded by its budgets, then tokens, money, time.

Budgets bound every strategy alike, so no strategy has to predict its calls. The cost of a call is
measured by a check, or assumed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TypeVar

from cluster.config.budget import Allowed
from cluster.config.experiment import ExperimentSettings
from cluster.config.grader import judge_votes
from cluster.experiment.planning import TrialSpec, judges
from cluster.text.formatting import count, duration, plural
from optimizer.budget.cost import Role
from optimizer.errors import PromptrayError
from optimizer.tasks.task import Task
from optimizer.types import Example
from serving.settings import ModelSettings
from serving.storage import Folder

N = TypeVar("N", int, float)
CHECK_FILE = "check.json"
"""What `promptray check` leaves in the results folder."""
CHARACTERS_PER_TOKEN = 4.0
"""For English text, where nothing was measured [ours]."""
GROWTH = 4.0
"""Length of an optimized prompt, with steps and demonstrations, relative to the baseline's, where
nothing was measured [ours].
"""
OPTIMIZER_TOKENS = (1000.0, 400.0)
"""Tokens read and written by a call of the optimizer model, where nothing was measured [ours]."""

GRADER_TOKENS = (600.0, 100.0)
"""The same of a judge [ours]."""


@dataclass(frozen=True)
class CallCost:
    """The average cost of one call of a model."""

    prompt_tokens: float
    completion_tokens: float
    calls_per_s: float | None = None
    """None where it was not measured."""
    measured: bool = True


@dataclass(frozen=True)
class Bound:
    """The most that may be spent on one model, or on both.

    None stands for no limit, or for one that is not known.
    """

    calls: int | None
    tokens: float | None
    money: float | None
    wall_s: float | None

    def __mul__(self, times: int) -> "Bound":
        return Bound(
            *(  # type: ignore[arg-type]
                None if value is None else value * times
                for value in (self.calls, self.tokens, self.money, self.wall_s)
            )
        )

    def __add__(self, other: "Bound") -> "Bound":
        pairs = zip(
            (self.calls, self.tokens, self.money, self.wall_s),
            (other.calls, other.tokens, other.money, other.wall_s),
            strict=True,
        )
        return Bound(*(None if None in pair else pair[0] + pair[1] for pair in pairs))  # type: ignore[arg-type, operator]


@dataclass(frozen=True)
class ExperimentEstimate:
    """Upper bounds of an experiment's cost.

    The time assumes that the models answer as fast as in the check, however many trials run.
    """

    trials: int
    target: Bound
    """Bound of one trial, as is `optimizer`."""
    optimizer: Bound
    measured: bool
    """Tokens and time were measured; otherwise tokens are assumed, and time is not known."""
    own: Allowed
    """What one trial may spend."""
    together: Allowed
    """What all trials together may cost."""
    grader: Bound | None = None
    """Bound of one trial's judge; None where no grader calls a model."""

    @property
    def trial(self) -> Bound:
        """Return the bound of one trial."""
        models = self.target + self.optimizer
        return _within(models + self.grader if self.grader else models, self.own)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Return the roles of the models that are called."""
        return ("target", "optimizer", "grader") if self.grader else ("target", "optimizer")

    @property
    def total(self) -> Bound:
        """Return the bound of all trials together."""
        calls = [self.calls(role) for role in self.roles]
        known = [call for call in calls if call is not None]
        most = _within(self.trial * self.trials, self.together)
        return Bound(
            sum(known) if len(known) == len(calls) else None, most.tokens, most.money, most.wall_s
        )

    def calls(self, role: Role) -> int | None:
        """Return the most calls of all trials to one of the models; None without a limit."""
        bound_by_role = {
            "target": self.target,
            "optimizer": self.optimizer,
            "grader": self.grader or Bound(0, 0.0, 0.0, 0.0),
        }
        limit: int | None = getattr(self.together, f"{role}_calls")
        return _least((bound_by_role[role] * self.trials).calls, limit)

    @property
    def line(self) -> str:
        """Return one line for whoever starts the experiment."""
        calls = [
            f"any number of {role}"
            if (number := self.calls(role)) is None
            else f"{count(number)} {role}"
            for role in self.roles
        ]
        listed = f"{', '.join(calls[:-1])} and {calls[-1]}"
        most = f"At most {listed} calls in {plural(self.trials, 'trial')}"
        if self.total.tokens is None:
            return f"{most}: tokens and money have no limit."
        money = "" if self.total.money is None else f", {format_money(self.total.money)} in money"
        time = "" if self.total.wall_s is None else f", {duration(self.total.wall_s)}"
        source = (
            "as measured by the check"
            if self.measured
            else "rough estimate; run `promptray check` to measure"
        )
        return f"{most}: about {format_tokens(self.total.tokens)}{money}{time} ({source})."


def estimated(
    settings: ExperimentSettings, trials: Sequence[TrialSpec], cost_by_model: Mapping[str, CallCost]
) -> ExperimentEstimate:
    """Return the estimate of an experiment.

    Args:
        settings: The experiment.
        trials: Its planned trials.
        cost_by_model: Cost of a call by "target" and "optimizer".
    """
    budget = settings.budget
    target = _bound(budget.target_calls, cost_by_model["target"], settings.target_model)
    optimizer = _bound(budget.optimizer_calls, cost_by_model["optimizer"], settings.optimizer_model)
    return ExperimentEstimate(
        len(trials),
        target,
        optimizer,
        all(cost.measured for cost in cost_by_model.values()),
        budget.of_a_trial(),
        budget.total.of_all_trials(),
        _grader_bound(settings, cost_by_model.get("grader")),
    )


def _grader_bound(settings: ExperimentSettings, cost: CallCost | None) -> Bound | None:
    """Return the bound of a trial's judge; None where there is none.

    It grades each answer of the target once a vote, and asks again where a reply is unreadable.
    """
    models = judges(settings)
    if not models:
        return None
    votes = max(judge_votes(task.grader) for task in settings.tasks if task.grader)
    target, own = settings.budget.target_calls, settings.budget.grader_calls
    calls = _least(own, None if target is None else 2 * votes * target)
    return _bound(calls, cost or CallCost(*GRADER_TOKENS, measured=False), models[0])


def cost_of_calls(
    settings: ExperimentSettings, tasks: Mapping[tuple[str, int], Task], out: Folder
) -> dict[str, CallCost]:
    """Return the cost of a call as the check in the results folder measured it, or else assumed."""
    return _assumed(settings, list(tasks.values())) | (_measured(out) or {})


def cost_to_json(cost_by_model: Mapping[str, CallCost]) -> dict[str, object]:
    """Return plain dicts and numbers."""
    return {model: asdict(cost) for model, cost in cost_by_model.items()}


def format_tokens(tokens: float | None) -> str:
    """Format a number of tokens: 1234567 -> "1.2 million tokens"."""
    if tokens is None:
        return "no bound"
    return f"{tokens / 1e6:.1f} million tokens" if tokens >= 1e6 else f"{tokens:,.0f} tokens"


def format_money(money: float | None) -> str:
    """Format an amount of money; None, for a model without prices, -> "not known"."""
    return "not known" if money is None else f"{money:,.2f}"


def _within(bound: Bound, allowed: Allowed) -> Bound:
    return Bound(
        bound.calls,
        _least(bound.tokens, allowed.tokens),
        _least(bound.money, allowed.money),
        _least(bound.wall_s, allowed.wall_s),
    )


def _least(*bounds: N | None) -> N | None:
    """Return the least of the bounds that are not None."""
    return min((bound for bound in bounds if bound is not None), default=None)


def _bound(calls: int | None, cost: CallCost, model: ModelSettings) -> Bound:
    if calls is None:
        return Bound(None, None, None, None)
    read, written = calls * cost.prompt_tokens, calls * cost.completion_tokens
    return Bound(
        calls,
        read + written,
        model.prices.money(read, written) if model.prices else None,
        calls / cost.calls_per_s if cost.calls_per_s else None,
    )


def _measured(out: Folder) -> dict[str, CallCost] | None:
    if not out.exists(CHECK_FILE):
        return None
    try:
        found = json.loads(out.read(CHECK_FILE))["calls"]
        roles = ("target", "optimizer", *(("grader",) if "grader" in found else ()))
        return {role: CallCost(**found[role]) for role in roles}
    except (PromptrayError, ValueError, KeyError, TypeError):
        return None  # a file of another version, or a torn one: the estimate must not stop a run


def _assumed(settings: ExperimentSettings, tasks: Sequence[Task]) -> dict[str, CallCost]:
    """Assume the cost of calls; the target writes as much as it may, an upper bound."""
    lengths = [len(task.seed_instruction) + fmean(map(_characters, task.dev)) for task in tasks]
    read = GROWTH * max(lengths) / CHARACTERS_PER_TOKEN
    return {
        "target": CallCost(read, settings.sampling.max_tokens, measured=False),
        "optimizer": CallCost(*OPTIMIZER_TOKENS, measured=False),
        **({"grader": CallCost(*GRADER_TOKENS, measured=False)} if judges(settings) else {}),
    }


def _characters(example: Example) -> int:
    """Return the length of an input with the turns before it."""
    return len(example.input) + sum(len(turn.content) for turn in example.history)
