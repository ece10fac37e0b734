"""An owner's day: whatever spends for the owner, and whatever is killed, no quota is passed and
nothing is forgotten.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cluster.service.access.owner_budgets import OwnerBudgetClient, OwnerBudgets
from cluster.service.access.quotas import Quotas
from cluster.service.access.spenders import GatewayMeter
from cluster.service.core.backend import Principal
from cluster.service.core.settings import QuotaSettings
from cluster.service.core.worker_pool import Outcome, Work
from optimizer.budget.cost import Cost, PriceList
from optimizer.errors import BudgetExhausted, EndpointError, QuotaExhausted
from optimizer.types import Completion, Message, Request, Sampling
from optimizer.types import Outcome as Reply
from serving.budget.paid_model import PaidModel
from serving.contracts.streaming import pieces
from serving.gateway.errors import Refused
from serving.ledger import Ledger
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from serving.settings import parse_model
from serving.storage import open_folder
from tests.unit.cluster.service.running_controller import filed, over, running_controller

CALLS, MONEY = 50, 0.5
QUOTA = QuotaSettings(calls_a_day=CALLS, money_a_day=MONEY)
PRICE_LIST = PriceList("optimizer", 1e-4, 1e-4)
DAY_S = 86_400.0


class Service:
    """The budgets of a controller, without the controller; another one comes after a crash."""

    def __init__(self, place: Path, limits: QuotaSettings = QUOTA) -> None:
        self.now = 10 * DAY_S
        self.limits = limits
        self.refused: dict[str, str] = {}
        self._place = place
        self.restart()

    def restart(self) -> None:
        self.quotas = Quotas(lambda day: {}, lambda: self.now)
        self.budgets = OwnerBudgets(
            open_folder(self._place),
            self.quotas,
            lambda owner: self.limits,
            self.refused.__setitem__,
        )
        self.told: list[asyncio.Task[Any]] = []

    async def ask(self, act: str, *given: Any) -> Any:
        return await getattr(self.budgets, act)(*given)

    def tell(self, act: str, *given: Any) -> None:
        self.told.append(asyncio.create_task(self.ask(act, *given)))

    def shared_budget(self, holder: str, owner: str = "ann") -> OwnerBudgetClient:
        return OwnerBudgetClient(self.ask, self.tell, owner, holder)


class Endpoint:
    """Counts what it was asked, and what that costs."""

    name = "endpoint@1"

    def __init__(self, seed: int = 0) -> None:
        self._rng = Random(seed)
        self.calls, self.money = 0, 0.0

    async def complete(self, requests: Sequence[Request]) -> list[Reply]:
        self.calls += len(requests)
        for _ in range(self._rng.randrange(4)):
            await asyncio.sleep(0)
        answers = [
            Completion("ok", False, self._rng.randint(1, 9), self._rng.randint(0, 20))
            for _ in requests
        ]
        self.money += sum(
            PRICE_LIST.of(answer, request).money
            for answer, request in zip(answers, requests, strict=True)
        )
        return list(answers)


def batch(of: str, count: int, purpose: Any = "learn") -> list[Request]:
    return [
        Request((Message("user", f"{of} {at}"),), Sampling(max_tokens=20), purpose=purpose)
        for at in range(count)
    ]


@pytest.mark.parametrize("seed", range(6))
async def test_jobs_of_one_owner_never_pass_its_quota_together_and_all_are_tested(
    tmp_path: Path, seed: int
) -> None:
    service, endpoint, rng = Service(tmp_path / "usage"), Endpoint(seed), Random(seed)
    with Ledger(tmp_path / "ledger") as record:
        ledger = LedgerCoordinator(record)

        async def search(model: PaidModel, name: str) -> None:
            for turn in range(100):
                await model.complete(batch(f"{name} {turn}", rng.randint(1, 5)))

        async def job(name: str) -> None:
            shared_budget = service.shared_budget(f"{name}/trial")
            test = batch(f"test {name}", 3, "test")
            await service.budgets.hold_tests(
                "ann",
                {
                    f"{name}/trial": Cost.of_all(
                        Cost(1, money=PRICE_LIST.at_most(request).money) for request in test
                    )
                },
            )
            await shared_budget.begin()
            model = PaidModel(CachedModel(endpoint, ledger, 1), shared_budget, PRICE_LIST)
            with pytest.raises(
                QuotaExhausted, match=r"Your quota of 50 calls and 0\.5 in money a day is used up"
            ):
                await search(model, name)
            assert all(isinstance(answer, Completion) for answer in await model.complete(test))
            await service.budgets.close("ann", name)

        await asyncio.gather(*(job(f"job{number}") for number in range(4)))
        await asyncio.gather(*service.told)
    assert endpoint.calls <= CALLS
    assert endpoint.money <= MONEY + 1e-9
    assert service.quotas.of("ann") == (endpoint.calls, pytest.approx(endpoint.money))
    assert set(service.refused) == {f"job{number}" for number in range(4)}
    assert CALLS - endpoint.calls < 5 or MONEY - endpoint.money < 5 * 0.013


async def test_a_new_controller_forgets_nothing_whatever_was_under_way(tmp_path: Path) -> None:
    service = Service(tmp_path)
    shared_budget = service.shared_budget("job/trial")
    assert await shared_budget.reserve([Cost(1)] * 20) == 20
    await shared_budget.send({b"%d" % at: Cost(1, money=0.01) for at in range(12)})
    service.restart()  # the old one is killed: 8 calls were never sent
    again = service.shared_budget("job/trial")
    await again.begin()
    assert service.quotas.of("ann") == (12, pytest.approx(0.12))
    with pytest.raises(QuotaExhausted):
        await again.reserve([Cost(1)] * 39)
    assert await service.shared_budget("other/trial").reserve([Cost(1)] * 38) == 38


async def test_what_is_kept_for_tests_is_kept_until_the_run_is_over(tmp_path: Path) -> None:
    service = Service(tmp_path)
    await service.budgets.hold_tests("ann", {"one/a": Cost(20), "one/b": Cost(20)})
    with pytest.raises(
        QuotaExhausted,
        match=r"may take 11 calls and 0 in money, and of your quota of today only 10 calls",
    ):
        await service.budgets.hold_tests("ann", {"two/a": Cost(11)})
    with pytest.raises(QuotaExhausted):
        await service.shared_budget("two/a").reserve([Cost(1)] * 11)
    lost = service.shared_budget("one/a")
    await lost.reserve([Cost(1)] * 20, test=True)
    await lost.send({b"%d" % at: Cost(1) for at in range(12)}, test=True)
    lost.settle({b"%d" % at: Cost(1) for at in range(9)}, answered=True)
    await asyncio.gather(*service.told)
    await lost.begin()  # its process was lost with 3 calls under way, which are lacking again
    await service.budgets.hold_tests("ann", {"one/a": Cost(20), "one/b": Cost(20)})
    with pytest.raises(QuotaExhausted):
        await service.shared_budget("two/a").reserve([Cost(1)] * 8)
    assert await lost.reserve([Cost(1)] * 11, test=True) == 11
    await service.budgets.close("ann", "one")
    service.restart()
    assert service.quotas.of("ann")[0] == 0, "not read yet"
    assert await service.budgets.open("ann")
    assert service.quotas.of("ann")[0] == 12
    assert await service.shared_budget("three/a").reserve([Cost(1)] * 38) == 38


async def test_a_day_begins_with_nothing_but_what_is_kept(tmp_path: Path) -> None:
    service = Service(tmp_path)
    await service.budgets.hold_tests("ann", {"one/a": Cost(10)})
    shared_budget = service.shared_budget("one/a")
    await shared_budget.reserve([Cost(1)] * 40)
    await shared_budget.send({b"%d" % at: Cost(1) for at in range(40)})
    service.now += DAY_S
    shared_budget.settle({b"%d" % at: Cost(1) for at in range(40)}, answered=True)  # of yesterday
    await asyncio.gather(*service.told)
    assert service.quotas.of("ann") == (0, 0.0)
    with pytest.raises(QuotaExhausted):
        await shared_budget.reserve([Cost(1)] * 41)
    assert await service.shared_budget("one/b").reserve([Cost(1)] * 40) == 40


async def test_another_quota_holds_at_once_and_a_damaged_record_starts_from_what_jobs_have_told(
    tmp_path: Path,
) -> None:
    service = Service(tmp_path)
    shared_budget = service.shared_budget("one/a")
    with pytest.raises(QuotaExhausted):
        await shared_budget.reserve([Cost(1)] * 51)
    service.limits = QuotaSettings(calls_a_day=60)
    assert await shared_budget.reserve([Cost(1)] * 51) == 51
    await shared_budget.send({b"%d" % at: Cost(1) for at in range(51)})
    (record,) = tmp_path.glob("*/owner-ann/spent.json")
    record.write_text("torn")
    service.restart()
    service.quotas.pay("ann", 45, 0.0)
    with pytest.raises(QuotaExhausted):
        await service.shared_budget("one/a").reserve([Cost(1)] * 16)
    assert await service.shared_budget("two/a").reserve([Cost(1)] * 15) == 15


class Answering:
    name = "m"

    def __init__(self, broken: bool = False) -> None:
        self._broken = broken

    async def complete(self, requests: Sequence[Request]) -> list[Reply]:
        if self._broken:
            raise EndpointError("gone")
        return [Completion("ok", False, 5, 5) for _ in requests]


async def test_what_is_asked_at_the_gateway_counts_and_is_refused_where_nothing_is_left(
    tmp_path: Path,
) -> None:
    model = parse_model(
        {
            "kind": "openai",
            "model": "m",
            "base_url": "http://127.0.0.1:1/v1",
            "prices": {"prompt_per_million": 1000, "completion_per_million": 1000},
        }
    )
    service = Service(tmp_path, QuotaSettings(calls_a_day=6))
    meter = GatewayMeter(service.ask, [model])
    own = meter(Principal("ann"), model.label, Answering())
    await own.complete(batch("a", 2))
    assert [piece async for piece in pieces(own, batch("b", 1)[0])][-1] == Completion(
        "ok", False, 5, 5
    )
    assert service.quotas.of("ann") == (3, pytest.approx(0.03))
    with pytest.raises(EndpointError):
        await meter(Principal("ann"), model.label, Answering(broken=True)).complete(batch("c", 1))
    assert service.quotas.of("ann")[0] == 4, "nobody knows what it cost: it counts at the most"
    with pytest.raises(Refused) as refusal:
        await own.complete(batch("d", 3))
    assert (refusal.value.status, refusal.value.code) == (429, "quota_exceeded")
    assert "Your quota of 6 calls a day is used up" in refusal.value.reason
    await own.complete(batch("e", 2))
    other = meter(Principal("bob"), model.label, Answering())
    await other.complete(batch("f", 2))
    assert service.quotas.of("bob")[0] == 2
    assert meter(7, model.label, answering := Answering()) is answering, (
        "a key of the gateway's own is no owner's"
    )
    service.limits = QuotaSettings()
    free = GatewayMeter(service.ask, [model])(Principal("eve"), model.label, Answering())
    await free.complete(batch("g", 9))
    assert service.quotas.of("eve") == (9, pytest.approx(0.09)), "who has no limit is metered, too"


async def test_a_job_that_ends_on_its_owners_quota_says_so_and_a_new_controller_knows_the_quota(
    tmp_path: Path,
) -> None:
    async def play(worker_pool: Any, work: Work) -> Outcome:
        with pytest.raises(BudgetExhausted):
            await worker_pool.controller.budgets.reserve(
                "ann", f"{work.filed.id}/t", [Cost(1)] * 7, False
            )
        await worker_pool.controller.budgets.send(
            "ann", f"{work.filed.id}/t", {b"a": Cost(1)}, False
        )
        return Outcome("ended")

    async with running_controller(tmp_path, play) as (controller, worker_pool):
        worker_pool.controller = controller
        await controller.create(filed("opt-1"), QuotaSettings(calls_a_day=6))
        await over(controller, "opt-1")
        said = [event.message for event in controller.job_table.machine("opt-1").log.events]
        why = "Your quota of 6 calls a day is used up; it is reset at midnight UTC."
        assert said[-1].endswith(f"Their searches ended early: {why}")
        assert sum("quota of the job's owner is exhausted" in message for message in said) == 1
    async with running_controller(tmp_path, play) as (controller, worker_pool):
        assert controller.job_table.limits_of("ann") == QuotaSettings(calls_a_day=6)
        await controller.budgets.open("ann")
        assert controller.use("ann")["calls_today"] == 1
