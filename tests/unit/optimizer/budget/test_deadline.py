"""Time that runs out: what is refused then, and what is not."""

import pytest

from optimizer.budget.cost import Cost, Limits
from optimizer.budget.deadline import Timed
from optimizer.budget.shared_budget import SharedBudget
from optimizer.errors import BudgetExhausted
from tests.contracts.paying import Share

ONE = Cost(1)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_after_its_time_only_tests_are_paid() -> None:
    clock = Clock()
    shared_budget = Timed(Share(SharedBudget()), {"budget": 10.0}, clock)
    assert await shared_budget.reserve([ONE] * 3) == 3
    clock.now = 10.0
    with pytest.raises(
        BudgetExhausted, match=r"The time of the budget is over; raise budget\.wall_s"
    ):
        await shared_budget.reserve([ONE])
    assert await shared_budget.reserve([ONE], test=True) == 1


async def test_the_first_time_that_is_over_counts() -> None:
    clock = Clock()
    shared_budget = Timed(Share(SharedBudget()), {"budget": 10.0, "budget.total": 5.0}, clock)
    clock.now = 5.0
    with pytest.raises(BudgetExhausted, match=r"raise budget\.total\.wall_s"):
        await shared_budget.reserve([ONE])


async def test_what_is_in_the_shared_budget_bounds_it_too() -> None:
    inner = SharedBudget(Limits(target_calls=2))
    shared_budget = Timed(Share(inner), {})
    assert await shared_budget.reserve([ONE] * 2) == 2
    await shared_budget.send({b"a": ONE})
    shared_budget.settle({b"a": ONE}, answered=True)
    shared_budget.release(ONE)
    assert await shared_budget.reserve([ONE]) == 1
    with pytest.raises(BudgetExhausted, match="only 0 are left"):
        await shared_budget.reserve([ONE])
    assert inner.spent == ONE * 2
