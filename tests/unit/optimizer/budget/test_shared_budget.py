"""The budget: no limit is ever passed, whatever calls turn out to cost and however many callers
there are.
"""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.budget.call_budget import Budget, Budgeted
from optimizer.budget.cost import MESSAGE_TOKENS, TEMPLATE_TOKENS, Cost, Limits, PriceList
from optimizer.budget.shared_budget import SharedBudget
from optimizer.errors import BudgetExhausted, EndpointError
from optimizer.types import Completion, Failed, Message, Outcome, Purpose, Request, Sampling
from tests.contracts.examples import examples

PRICED = PriceList("target", prompt_price=1e-6, completion_price=4e-6)


def batch(
    count: int, purpose: Purpose = "learn", max_tokens: int = 40, text: str = "ä"
) -> list[Request]:
    return [
        Request((Message("user", text),), Sampling(max_tokens=max_tokens), number, purpose)
        for number in range(count)
    ]


class Endpoint:
    """Answers after some turns of the event loop, as long as it likes within what is allowed, and
    counts all that it gives out.
    """

    name = "endpoint"

    def __init__(self, seed: int = 0, fails: float = 0.0) -> None:
        self._rng = Random(seed)
        self._fails = fails
        self.calls = self.tokens = 0
        self.money = 0.0

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        self.calls += len(requests)
        for _ in range(self._rng.randrange(6)):
            await asyncio.sleep(0)
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Outcome:
        if self._rng.random() < self._fails:
            return Failed("infrastructure", "lost")
        read = self._rng.randint(1, len(request.messages[0].content.encode()))
        written = self._rng.randint(0, request.sampling.max_tokens)
        self.tokens += read + written
        self.money += PRICED.prompt_price * read + PRICED.completion_price * written
        return Completion("ok", False, read, written)


def test_the_most_that_a_call_can_cost() -> None:
    (request,) = batch(1)
    read = 2 + MESSAGE_TOKENS + TEMPLATE_TOKENS
    assert PRICED.at_most(request) == Cost(1, 0, read + 40, read * 1e-6 + 40 * 4e-6)
    assert PriceList("optimizer", max_tokens=7).at_most(request) == Cost(0, 1, read + 7)
    assert (
        PriceList().at_most(batch(1, text="\ud800")[0]).tokens
        == 3 + MESSAGE_TOKENS + TEMPLATE_TOKENS + 40
    )
    assert PRICED.of(Failed("refused", "no"), request) == Cost(1)
    assert PRICED.of(Completion("ok", False, 3, 2), request) == Cost(1, 0, 5, 3e-6 + 2 * 4e-6)


@pytest.mark.parametrize("tokens", [(None, 2), (3, None), (None, None)])
def test_tokens_that_nobody_has_counted_cost_the_most_that_they_can(
    tokens: tuple[int | None, int | None],
) -> None:
    (request,) = batch(1)
    answer = Completion("ok", False, *tokens)
    assert (
        PRICED.of(answer, request)
        == PRICED.recalled(answer, PRICED.at_most(request))
        == PRICED.at_most(request)
    )


async def test_near_its_end_a_batch_goes_out_in_parts_and_the_parts_are_booked() -> None:
    endpoint, budget = Endpoint(), Budget(100)
    most = PriceList().at_most(batch(1)[0]).tokens
    shared_budget = SharedBudget(Limits(tokens=3 * most))
    with pytest.raises(BudgetExhausted, match=r"raise budget\.tokens"):
        await Budgeted(endpoint, budget, shared_budget).complete(batch(50))
    assert 3 <= budget.usage.calls == endpoint.calls < 50
    assert endpoint.tokens == shared_budget.spent.tokens <= 3 * most
    assert 3 * most - shared_budget.spent.tokens < most, (
        "what is left is less than one call may cost"
    )
    assert budget.available("learn") == 100 - endpoint.calls


async def test_what_is_kept_for_the_test_is_for_the_test() -> None:
    shared_budget, price_list = SharedBudget(Limits(tokens=1000)), PriceList()
    test = batch(4, "test")
    shared_budget.hold(Cost.of_all(map(price_list.at_most, test)))
    endpoint = Endpoint()
    with pytest.raises(BudgetExhausted, match="are reserved for final tests"):
        await Budgeted(endpoint, Budget(), shared_budget).complete(batch(50))
    assert len(await Budgeted(endpoint, Budget(), shared_budget).complete(test)) == 4


async def test_a_holder_whose_search_was_refused_is_not_let_in_again() -> None:
    shared_budget = SharedBudget(Limits(target_calls=5))
    one = PriceList().at_most(batch(1)[0])
    with pytest.raises(
        BudgetExhausted,
        match="may take 6 target calls, but of the budget of 5 target calls only 5 are left",
    ):
        await shared_budget.reserve([one] * 6, "a")
    with pytest.raises(BudgetExhausted, match="spent"):
        await shared_budget.reserve([one], "a")
    assert await shared_budget.reserve([one] * 5, "b") == 5
    shared_budget.settle(
        one * 5, one * 5, "b"
    )  # while it is in flight it may come free again, for which a test waits
    with pytest.raises(BudgetExhausted):
        await shared_budget.reserve([one], "a", test=True)


async def test_calls_that_break_are_free_or_charged_as_is_asked() -> None:
    class Broken:
        name = "broken"

        async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
            raise EndpointError("gone")

    shared_budget = SharedBudget(Limits(tokens=10_000))
    with pytest.raises(EndpointError):
        await Budgeted(Broken(), Budget(), shared_budget).complete(batch(3))
    assert shared_budget.spent == Cost()


@settings(max_examples=examples(150), deadline=None)
@given(
    limit=st.integers(0, 9000),
    money=st.none() | st.floats(0, 0.02),
    calls=st.none() | st.integers(0, 80),
    holders=st.integers(1, 5),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    tests=st.integers(0, 6),
    seed=st.integers(0, 99),
    fails=st.sampled_from([0, 0.3]),
)
async def test_no_limit_is_ever_passed_and_little_is_left(
    limit: int,
    money: float | None,
    calls: int | None,
    holders: int,
    sizes: list[int],
    tests: int,
    seed: int,
    fails: float,
) -> None:
    endpoint, shared_budget = Endpoint(seed, fails), SharedBudget(Limits(calls, None, limit, money))
    one = PRICED.at_most(batch(1)[0])
    for holder in range(holders):
        shared_budget.hold(one * tests, str(holder))
    room = shared_budget.limits.passed_by(one * tests * holders) is None

    async def trial(holder: str) -> None:
        guarded = Budgeted(endpoint, Budget(), _Share(shared_budget, holder), PRICED)
        turn = 0
        try:
            while True:
                await guarded.complete(batch(sizes[turn % len(sizes)]))
                turn += 1
        except BudgetExhausted:
            pass
        if room:
            assert len(await guarded.complete(batch(tests, "test"))) == tests
        shared_budget.close(holder)

    await asyncio.wait_for(asyncio.gather(*(trial(str(holder)) for holder in range(holders))), 20)
    assert endpoint.tokens == shared_budget.spent.tokens <= limit or not room
    assert endpoint.calls == shared_budget.spent.target_calls
    assert calls is None or endpoint.calls <= calls
    assert money is None or endpoint.money <= money + 1e-9
    if room and not tests:
        left = Cost(
            (calls if calls is not None else 10**6) - endpoint.calls,
            0,
            limit - shared_budget.spent.tokens,
            (money if money is not None else 10.0) - shared_budget.spent.money,
        )
        batch_cost = one * max(sizes)
        assert any(
            mine <= its for mine, its in zip(left.amounts, batch_cost.amounts, strict=True) if its
        )


class _Share:
    """One holder's view of a budget, as serving.budget has it across processes."""

    def __init__(self, shared_budget: SharedBudget, holder: str) -> None:
        self._shared_budget, self._holder = shared_budget, holder
        self.bounded = True

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        return await self._shared_budget.reserve(costs, self._holder, test=test)

    def settle(self, most: Cost, cost: Cost) -> None:
        self._shared_budget.settle(most, cost, self._holder)
