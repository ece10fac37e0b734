"""The experiment's budget: what is given out is on record first, and a run that comes after it goes
on with what is left.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from optimizer.budget.cost import Cost, Limits, PriceList
from optimizer.errors import BudgetExhausted, DataError, SettingsError, StorageError
from optimizer.types import Completion, Message, Outcome, Request
from serving.budget import FILE, BudgetStore, open_budget
from serving.budget.paid_model import PaidModel
from serving.budget.store import RECORD_EVERY_S
from serving.ledger import Ledger
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from serving.storage import open_folder


class Echo:
    name = "echo"

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        return [Completion(request.messages[0].content) for request in requests]


TESTS = {"a": Cost(10), "b": Cost(10)}


def shared_budget(place: str | Path, limits: Limits, tests: dict[str, Cost] = TESTS) -> BudgetStore:
    return BudgetStore(open_folder(place), limits, tests)


ONE = Cost(1)


def calls(of: str, count: int, most: Cost = ONE) -> dict[bytes, Cost]:
    return {f"{of} {number}".encode(): most for number in range(count)}


async def pay(shared_budget: BudgetStore, trial: str, count: int, test: bool = False) -> None:
    assert await shared_budget.reserve(trial, [Cost(1)] * count, test) == count
    sent = calls(f"{trial} {shared_budget.spent.target_calls}", count)
    await shared_budget.send(trial, sent, test)
    shared_budget.settle(trial, sent, answered=True)


async def test_what_was_sent_is_spent_for_whoever_comes_after_a_crash_and_what_was_reserved_is_not(
    any_place: str,
) -> None:
    first = shared_budget(any_place, Limits(target_calls=100))
    await pay(first, "a", 30)
    assert (
        await first.reserve("b", [Cost(1)] * 40, test=False) == 40
    )  # half of it is sent, nothing settled: its process dies
    await first.send("b", calls("b", 20), test=False)
    assert first.spent == Cost(50)
    second = shared_budget(any_place, Limits(target_calls=100))
    assert (second.spent, second.held) == (Cost(50), Cost(20))
    with pytest.raises(
        BudgetExhausted,
        match=r"31 target calls, but of the budget\.total of 100 target calls only 30",
    ):
        await second.reserve("a", [Cost(1)] * 31, test=False)


async def test_tokens_of_calls_that_a_crash_cut_count_at_their_most(tmp_path: Path) -> None:
    first = shared_budget(tmp_path, Limits(tokens=1000), {})
    most = Cost(1, 0, 400)
    for key in (b"one", b"two"):
        await first.reserve("a", [most], test=False)
        await first.send("a", {key: most}, test=False)
        if key == b"one":
            first.settle("a", {key: Cost(1, 0, 30)}, answered=True)
    assert shared_budget(tmp_path, Limits(tokens=1000), {}).spent.tokens == 430


async def test_a_trial_that_is_done_keeps_nothing_and_a_refused_one_stays_refused(
    tmp_path: Path,
) -> None:
    limits = Limits(target_calls=60)
    first = shared_budget(tmp_path, limits)
    await pay(first, "a", 30)
    with pytest.raises(BudgetExhausted):
        await first.reserve("b", [Cost(1)] * 11, test=False)
    await pay(first, "a", 10, test=True)
    await first.close("a", done=True)
    again = shared_budget(tmp_path, limits)
    assert (again.spent, again.held) == (Cost(40), Cost(10))
    with pytest.raises(BudgetExhausted):
        await again.reserve("b", [Cost(1)], test=False)
    raised = shared_budget(tmp_path, Limits(target_calls=80))
    assert (raised.spent, raised.held) == (Cost(40), Cost(20))
    assert await raised.reserve("b", [Cost(1)] * 5, test=False) == 5


async def test_a_trial_that_failed_may_come_again_and_what_its_test_lacks_stays_kept(
    tmp_path: Path,
) -> None:
    limits = Limits(target_calls=60)
    first = shared_budget(tmp_path, limits)
    await pay(first, "a", 4, test=True)
    await first.close("a", done=False)
    assert first.held == Cost(16)
    again = shared_budget(tmp_path, limits)
    assert again.held == Cost(16)
    await again.hold("a", Cost(10))  # as it says when it begins
    assert again.held == Cost(16)
    assert shared_budget(tmp_path, Limits(target_calls=61)).held == Cost(20), (
        "with another budget it may test another prompt"
    )


async def test_a_holder_that_died_is_not_waited_for(tmp_path: Path) -> None:
    only = shared_budget(tmp_path, Limits(tokens=100), {})
    await only.reserve("dead", [Cost(1, 0, 60)], test=False)
    await only.send("dead", calls("dead", 1, Cost(1, 0, 60)), test=False)
    waiting = asyncio.create_task(only.reserve("alive", [Cost(1, 0, 60)], test=False))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await only.begin("dead")
    with pytest.raises(BudgetExhausted, match="tokens"):
        await asyncio.wait_for(waiting, 5)


async def test_what_cannot_be_put_on_record_is_not_given_out(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    only = shared_budget(folder, Limits(target_calls=10), {})
    folder.write_text("in its place")
    assert await only.reserve("a", [Cost(1)] * 5, test=False) == 5
    with pytest.raises(StorageError):
        await only.send("a", calls("a", 5), test=False)
    assert only.spent == Cost()


OLD = """{"limits": {"target_calls": 60, "optimizer_calls": null, "tokens": null, "money": null}, "endings": {}, "done": ["b"],
 "spent": {"target_calls": 30, "optimizer_calls": 0, "tokens": 0, "money": 0.0}, "refused": ["b"],
 "kept": {"a": {"target_calls": 10, "optimizer_calls": 0, "tokens": 0, "money": 0.0}}, "seconds": {"": 7.5}}"""


async def test_a_record_of_an_older_version_is_continued(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(OLD)
    only = shared_budget(tmp_path, Limits(target_calls=60))
    assert (only.spent, only.held) == (Cost(30), Cost(10))
    with pytest.raises(BudgetExhausted, match="spent"):
        await only.reserve("b", [Cost(1)], test=False)
    await pay(only, "a", 20)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '{"spent": {"pounds": 1}}',
        "\x00",
        OLD.replace('"endings"', '"sent": {"a": {"zz": {}}}, "endings"'),
        OLD.replace('"endings"', '"tested": 3, "endings"'),
    ],
)
def test_a_broken_record_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(
        DataError, match=r"spent\.json, the record of this experiment's spending, cannot be read"
    ):
        shared_budget(tmp_path, Limits(target_calls=10))


async def test_time_goes_on_from_the_record_of_a_run_that_was_killed(tmp_path: Path) -> None:
    first = shared_budget(tmp_path, Limits(), {})
    assert (await first.begin("a")).trial_s < 1
    killed = shared_budget(tmp_path, Limits(), {})
    elapsed = await killed.begin("b")
    assert elapsed.trial_s < 1
    assert RECORD_EVERY_S < elapsed.whole_s < 3 * RECORD_EVERY_S
    await killed.close("b", done=True)
    assert (await killed.begin("a")).trial_s > RECORD_EVERY_S
    await killed.stop()
    assert (await shared_budget(tmp_path, Limits(), {}).begin("b")).trial_s < 1


@pytest.mark.ray
async def test_a_trial_takes_from_the_actor_and_its_death_forgets_nothing(
    local_ray: None, tmp_path: Path
) -> None:
    import os
    import signal

    import ray

    shared = open_budget(open_folder(tmp_path), Limits(target_calls=40), TESTS)
    mine = shared.of("a")
    await mine.begin()
    assert await mine.reserve([Cost(1)] * 17) == 17
    await mine.send(calls("a", 15))
    mine.settle(calls("a", 14), answered=True)
    mine.release(Cost(2))
    pid = await shared._actor.__ray_call__.remote(lambda _: os.getpid())
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(BudgetExhausted, match="only 5 are left and 20 are reserved"):
        await mine.reserve([Cost(1)] * 6)
    assert shared.spent() == Cost(15)
    with Ledger(tmp_path / "ledger") as ledger:
        again = shared.of("a")
        assert set(
            (await again.begin(LedgerCoordinator(ledger), {"target": PriceList()})).sent
        ) <= set(calls("a", 15))
    assert (await again.begin()).sent == {}, "the ledger has said what became of it"
    assert shared.spent() == Cost(15)
    await mine.close(done=True)
    assert json.loads((tmp_path / FILE).read_text())["done"] == ["a"]
    ray.kill(shared._actor)


def test_a_total_without_room_for_the_tests_is_a_mistake_of_settings(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError,
        match=r"The final tests of 2 trials may take 20 target calls, and of budget\.total",
    ):
        open_budget(open_folder(tmp_path), Limits(target_calls=19), TESTS)


@pytest.mark.ray
async def test_a_search_that_was_refused_ends_at_the_same_request_again_whoever_has_paid_for_it(
    local_ray: None, tmp_path: Path
) -> None:
    folder, asked = (
        open_folder(tmp_path),
        [Request((Message("user", f"{number}"),)) for number in range(8)],
    )
    with Ledger(tmp_path / "ledger") as ledger:
        shared = LedgerCoordinator(ledger)

        async def answers(limits: Limits, requests: list[Request]) -> list[Outcome]:
            mine = open_budget(folder, limits, {}).of("a")
            await mine.begin()
            return await PaidModel(CachedModel(Echo(), shared), mine, endings=mine).complete(
                requests
            )

        assert len(await answers(Limits(target_calls=5), asked[:4])) == 4
        with pytest.raises(BudgetExhausted, match="only 1 are left"):
            await answers(Limits(target_calls=5), asked[4:])
        await CachedModel(Echo(), shared).complete(asked)  # somebody else
        assert len(await answers(Limits(target_calls=5), asked[:4])) == 4
        with pytest.raises(BudgetExhausted, match="only 1 are left"):
            await answers(Limits(target_calls=5), asked[4:])
        assert len(await answers(Limits(target_calls=6), asked)) == 8


async def test_a_bit_that_flips_in_the_record_is_never_taken_for_another_budget(
    tmp_path: Path,
) -> None:
    limits = Limits(target_calls=100, money=5.0)
    shared_budget = BudgetStore(open_folder(tmp_path), limits, {"t": Cost(10)}, {})
    await shared_budget.begin("t")
    await shared_budget.stop()
    whole = (tmp_path / FILE).read_bytes()
    meant = {name: value for name, value in json.loads(whole).items() if name != "checksum"}
    rng = Random(0)
    for _ in range(200):
        place, bit = rng.randrange(len(whole)), rng.randrange(8)
        (tmp_path / FILE).write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
        )
        try:
            BudgetStore(open_folder(tmp_path), limits, {"t": Cost(10)}, {})
        except DataError:
            continue
        read = json.loads(
            (tmp_path / FILE).read_bytes()
        )  # white space has changed, or the name of the checksum
        assert {name: read[name] for name in meant} == meant
