"""The budget of one trial: calls for each of its models, and tokens and money for both together.

The cost of the final test is reserved from the start, in the trial's own budget and in the
experiment's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from cluster.config.budget import Allowed
from optimizer.budget.call_budget import Budget, Usage
from optimizer.budget.cost import Cost, Limits, PriceList, Role
from optimizer.budget.shared_budget import SharedBudget
from optimizer.errors import SettingsError
from optimizer.evaluation.grading_limit import requests_at_most
from optimizer.graders.judging.judge import judges_in, shown_bytes
from optimizer.prompt import Prompt
from optimizer.tasks.task import Task
from optimizer.types import Purpose, Request, Sampling
from serving.settings import ModelSettings

CONTROL_SHARE = 0.1
"""Share of what a final test leaves of a trial's budget that its control arm may take from the
search [ours].
"""


class Reserve(Protocol):
    """The experiment's budget, as far as it holds a reserve for a trial's final test."""

    async def hold(self, cost: Cost) -> None:
        """Reserve this amount, in place of what was reserved for the trial before."""


@dataclass(frozen=True)
class FinalTest:
    """The size of a trial's final test, which runs two prompts on the same items."""

    items: int
    """Items of the test split."""
    longest_input_bytes: int
    """Length of the longest input, in bytes of UTF-8."""
    sampling: Sampling
    grading: tuple[Request, ...] = ()
    """Requests that cost the most that the grading of one answer can; none where the grader calls
    no model. A reply that has to be asked for again is paid from what is left.
    """

    @classmethod
    def of(
        cls, task: Task, sampling: Sampling, target: ModelSettings, items: int | None = None
    ) -> "FinalTest":
        """Return the test of a task; `items` replaces the size of its split."""
        answer_bytes = shown_bytes(target.own_max_tokens or sampling.max_tokens)
        grading = requests_at_most(
            judges_in(task.grader.build()), task.test.longest_example_bytes, answer_bytes
        )
        size = len(task.test) if items is None else items
        return cls(size, task.test.longest_input_bytes, sampling, tuple(grading))

    def cost(self, prompt: Prompt, price_list_by_role: Mapping[Role, PriceList]) -> Cost:
        """Return the most that one of the two prompts can cost on all items."""
        answer = price_list_by_role["target"].at_most(
            Request(prompt.render("x" * self.longest_input_bytes), self.sampling)
        )
        graded = Cost.of_all(
            price_list_by_role["grader"].at_most(request) for request in self.grading
        )
        return (answer + graded) * self.items


class TrialBudget:
    """Everything that a trial has spent and may spend, except time."""

    def __init__(
        self,
        allowed: Allowed,
        models: Mapping[Role, ModelSettings],
        test: FinalTest,
        experiment: Reserve | None = None,
    ) -> None:
        self._models = models
        self._test = test
        self._experiment = experiment
        self.budgets: dict[Role, Budget] = {
            "target": Budget(allowed.target_calls, "target"),
            "optimizer": Budget(allowed.optimizer_calls, "optimizer"),
        }
        if "grader" in models:
            self.budgets["grader"] = Budget(allowed.grader_calls, "grader")
        self.shared_budget = SharedBudget(Limits(tokens=allowed.tokens, money=allowed.money))
        self.price_list_by_role: dict[Role, PriceList] = {
            role: price_list_of(model, role) for role, model in models.items()
        }
        self._seed_half = self._half = self._control = Cost()
        """The most that the test of the baseline (`_seed_half`), that of any prompt that may become
        the best (`_half`), and the control arm can cost.
        """

    async def open(self, seed: Prompt) -> None:
        """Reserve the final test.

        Args:
            seed: The baseline.

        Raises:
            SettingsError: The limits are too small for the final test.
        """
        self.budgets["target"].reserve_for_test(2 * self._test.items)
        if "grader" in self.budgets:
            calls = 2 * self._test.items * len(self._test.grading)
            self.budgets["grader"].reserve_for_test(calls)
        self._seed_half = self._test.cost(seed, self.price_list_by_role)
        await self.may_be_best([seed])
        if name := self.shared_budget.limits.passed_by(self.shared_budget.held_by_holder[""]):
            needed = getattr(self.shared_budget.held_by_holder[""], name)
            raise SettingsError(
                f"The final test may cost {needed:,.6g} {name}, more than budget.{name} leaves; "
                "raise it, or reduce sizes.test or sampling.max_tokens."
            )

    async def may_be_best(self, prompts: Iterable[Prompt]) -> None:
        """Reserve enough for a test of any of these prompts, before they are compared on dev."""
        half = Cost.of_all([])
        for prompt in prompts:
            half = half.at_least(self._test.cost(prompt, self.price_list_by_role))
        if half.at_least(self._half) == self._half:
            return
        self._half = self._half.at_least(half)
        self.shared_budget.hold(self._seed_half + self._half + self._control)
        if self._experiment:
            await self._experiment.hold(self._seed_half + self._half)

    def reserve_for_control(self, prompt: Prompt) -> None:
        """Reserve the control arm of the test too, where the budget has room for it.

        It may take no more than CONTROL_SHARE of what the test leaves: the search comes first, and
        a control without room is not measured.
        """
        budget, items = self.budgets["target"], self._test.items
        left = budget.available("test")
        if (
            budget.max_calls is None
            or left is None
            or (items <= CONTROL_SHARE * (budget.max_calls - 2 * items) and 3 * items <= left)
        ):
            budget.reserve_for_test(3 * items)
        reserved, control = (
            self._seed_half + self._half,
            self._test.cost(prompt, self.price_list_by_role),
        )
        may_take = self.shared_budget.limits.left_by(reserved, CONTROL_SHARE)
        bounded = (
            ("tokens", self.shared_budget.limits.tokens),
            ("money", self.shared_budget.limits.money),
        )
        if all(
            limit is None or getattr(control, name) <= getattr(may_take, name)
            for name, limit in bounded
        ):
            self._control = control
            self.shared_budget.hold(reserved + control)

    @property
    def usage(self) -> dict[str, Mapping[Purpose, Usage]]:
        """Return what was spent on each model, by role and purpose."""
        return {role: budget.usage_by_purpose for role, budget in self.budgets.items()}

    @property
    def calls_by_purpose(self) -> dict[str, int]:
        """Return the calls to both models by purpose; the purposes of the two differ."""
        return {
            purpose: calls
            for budget in self.budgets.values()
            for purpose, calls in budget.calls_by_purpose.items()
        }

    @property
    def money(self) -> float | None:
        """Return the cost of the fresh calls, in the currency of the prices.

        None where a model has no prices, or does not report the tokens of its answers.
        """
        spent = [self._money(role, model) for role, model in self._models.items()]
        known = [money for money in spent if money is not None]
        return sum(known) if len(known) == len(spent) else None

    def _money(self, role: Role, model: ModelSettings) -> float | None:
        usage, prices = self.budgets[role].usage, model.prices
        if prices is None or (usage.unmeasured and not prices.free):
            return None
        return prices.money(usage.prompt_tokens, usage.completion_tokens)

    @property
    def unmeasured_by_model(self) -> dict[str, int]:
        """Return the fresh calls without reported tokens, by the model's label."""
        found: dict[str, int] = {}
        for role, model in self._models.items():
            if calls := self.budgets[role].usage.unmeasured:
                found[model.label] = found.get(model.label, 0) + calls
        return found


def price_list_of(model: ModelSettings, role: Role) -> PriceList:
    """Return the prices of a model's calls.

    An endpoint's own limit of tokens replaces the experiment's.
    """
    prices = (
        (model.prices.prompt_per_million / 1e6, model.prices.completion_per_million / 1e6)
        if model.prices
        else (0.0, 0.0)
    )
    return PriceList(role, *prices, max_tokens=model.own_max_tokens)
