"""The `budget` section of an experiment: what one trial, and all of them, may spend."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from optimizer.budget.cost import Limits
from serving.settings.validation import Strict


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """The most that a trial, or all trials together, may spend of each resource.

    None stands for no limit. Money is in the currency of the prices, time in seconds.
    """

    target_calls: int | None = None
    optimizer_calls: int | None = None
    grader_calls: int | None = None
    tokens: int | None = None
    money: float | None = None
    wall_s: float | None = None


def _is_none(value: object) -> bool:
    """Return whether a limit is none: then it is not in the identity of an experiment."""
    return value is None


class CallSettings(Strict):
    """Maximum numbers of calls, cached ones included; null means no limit.

    The defaults are [ours].
    """

    target_calls: Annotated[int, Field(ge=1)] | None = 10_000
    """The final test's calls are reserved from them."""
    optimizer_calls: Annotated[int, Field(ge=1)] | None = 1_000
    grader_calls: Annotated[int, Field(ge=1)] | None = Field(None, exclude_if=_is_none)
    """Calls of a judge; null: as many as the answers of the target need."""


class TotalSettings(Strict):
    """What all trials together may cost; null means no limit.

    Only paid calls count, as cached ones are free. The limits hold for the results folder: an
    experiment that is continued has what is left. Calls in flight when a process was killed count
    as made, at their maximum cost; all attempts of a call count once. A trial that a limit stops is
    still tested.
    """

    target_calls: Annotated[int, Field(ge=1)] | None = None
    optimizer_calls: Annotated[int, Field(ge=1)] | None = None
    grader_calls: Annotated[int, Field(ge=1)] | None = Field(None, exclude_if=_is_none)
    tokens: Annotated[int, Field(ge=1)] | None = None
    money: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    wall_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds of all its runs together; after that, only final tests are paid for."""

    def of_all_trials(self) -> Allowed:
        """Return the limits of all trials together."""
        return Allowed(**self.model_dump())

    def limits(self) -> Limits:
        """Return the limits that a budget enforces: all but time."""
        return Limits(**self.model_dump(exclude={"wall_s"}))


class BudgetSettings(CallSettings):
    """What one trial may spend.

    All but time counts what the search requested, cached or not: so a run that is repeated or
    continued takes the same course. The search ends before it would pass a limit; the final test is
    reserved.
    """

    tokens: Annotated[int, Field(ge=1)] | None = None
    """Read and written tokens, of both models."""
    money: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """In the currency of the models' `prices`, which both need."""
    wall_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds of all its runs together.

    After that only the final test is paid for; cached requests are still answered, so that a run
    which is repeated takes the same course.
    """
    total: TotalSettings = TotalSettings()
    """Limits of the whole experiment."""

    def of_a_trial(self) -> Allowed:
        """Return the limits of one trial."""
        return Allowed(**self.model_dump(exclude={"total"}))
