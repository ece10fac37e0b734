"""The experiment's purse: what is given out is on record first, and a run that comes after it goes on with what is left."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from optimizer.errors import BudgetExhausted, DataError, SettingsError, StorageError
from optimizer.purse import Cost, Limits
from optimizer.types import Completion, Message, Outcome, Request
from serving.ledger import Ledger
from serving.ledger.ledgered import Ledgered
from serving.ledger.shared import SharedLedger
from serving.purse import FILE, RecordedPurse, open_purse
from serving.purse.recorded import RECORD_EVERY_S
from serving.storage import open_folder


class Echo:
    name = "echo"

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        return [Completion(request.messages[0].content) for request in requests]


TESTS = {"a": Cost(10), "b": Cost(10)}


def purse(place: str | Path, limits: Limits, tests: dict[str, Cost] = TESTS) -> RecordedPurse:
    return RecordedPurse(open_folder(place), limits, tests)


async def test_what_was_given_out_is_spent_for_whoever_comes_after_a_crash(any_place: str) -> None:
    first = purse(any_place, Limits(target_calls=100))
    assert await first.take("a", [Cost(1)] * 30, test=False) == 30
    first.settle("a", Cost(30), Cost(30))
    assert await first.take("b", [Cost(1)] * 20, test=False) == 20  # never settled: its process dies
    second = purse(any_place, Limits(target_calls=100))
    assert (second.spent, second.kept) == (Cost(50), Cost(20))
    with pytest.raises(BudgetExhausted, match=r"31 target calls, but of the budget\.total of 100 target calls only 30"):
        await second.take("a", [Cost(1)] * 31, test=False)


async def test_tokens_of_calls_that_a_crash_cut_count_at_their_most(tmp_path: Path) -> None:
    first = purse(tmp_path, Limits(tokens=1000), {})
    await first.take("a", [Cost(1, 0, 400)], test=False)
    first.settle("a", Cost(1, 0, 400), Cost(1, 0, 30))
    await first.take("a", [Cost(1, 0, 400)], test=False)
    assert purse(tmp_path, Limits(tokens=1000), {}).spent.tokens == 430


async def test_a_trial_that_is_done_keeps_nothing_and_a_refused_one_stays_refused(tmp_path: Path) -> None:
    limits = Limits(target_calls=60)
    first = purse(tmp_path, limits)
    await first.take("a", [Cost(1)] * 30, test=False)
    first.settle("a", Cost(30), Cost(30))
    with pytest.raises(BudgetExhausted):
        await first.take("b", [Cost(1)] * 11, test=False)
    assert await first.take("a", [Cost(1)] * 10, test=True) == 10
    await first.close("a", done=True)
    again = purse(tmp_path, limits)
    assert (again.spent, again.kept) == (Cost(40), Cost(10))
    with pytest.raises(BudgetExhausted):
        await again.take("b", [Cost(1)], test=False)
    raised = purse(tmp_path, Limits(target_calls=80))
    assert (raised.spent, raised.kept) == (Cost(40), Cost(20))
    assert await raised.take("b", [Cost(1)] * 5, test=False) == 5


async def test_a_trial_that_failed_may_come_again_with_its_test(tmp_path: Path) -> None:
    limits = Limits(target_calls=60)
    first = purse(tmp_path, limits)
    await first.close("a", done=False)
    assert first.kept == Cost(10)
    assert purse(tmp_path, limits, {**TESTS}).kept == Cost(20) - Cost(10)


async def test_a_holder_that_died_is_not_waited_for(tmp_path: Path) -> None:
    only = purse(tmp_path, Limits(tokens=100), {})
    await only.take("dead", [Cost(1, 0, 60)], test=False)
    waiting = asyncio.create_task(only.take("alive", [Cost(1, 0, 60)], test=False))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await only.begin("dead")
    with pytest.raises(BudgetExhausted, match="tokens"):
        await asyncio.wait_for(waiting, 5)


async def test_what_cannot_be_put_on_record_is_not_given_out(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    only = purse(folder, Limits(target_calls=10), {})
    folder.write_text("in its place")
    with pytest.raises(StorageError):
        await only.take("a", [Cost(1)] * 5, test=False)
    assert only.spent == Cost()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"spent": {"pounds": 1}}', "\x00"])
def test_a_broken_record_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(DataError, match=r"spent\.json, which says what this experiment has spent, cannot be read"):
        purse(tmp_path, Limits(target_calls=10))


async def test_time_goes_on_from_the_record_of_a_run_that_was_killed(tmp_path: Path) -> None:
    first = purse(tmp_path, Limits(), {})
    assert (await first.begin("a")).trial_s < 1
    killed = purse(tmp_path, Limits(), {})
    elapsed = await killed.begin("b")
    assert elapsed.trial_s < 1
    assert RECORD_EVERY_S < elapsed.whole_s < 3 * RECORD_EVERY_S
    await killed.close("b", done=True)
    assert (await killed.begin("a")).trial_s > RECORD_EVERY_S
    await killed.stop()
    assert (await purse(tmp_path, Limits(), {}).begin("b")).trial_s < 1


@pytest.mark.ray
async def test_a_trial_takes_from_the_actor_and_its_death_forgets_nothing(local_ray: None, tmp_path: Path) -> None:
    import os
    import signal

    import ray

    shared = open_purse(open_folder(tmp_path), Limits(target_calls=40), TESTS)
    mine = shared.of("a")
    await mine.begin()
    assert await mine.take([Cost(1)] * 15) == 15
    mine.settle(Cost(15), Cost(15))
    pid = await shared._actor.__ray_call__.remote(lambda _: os.getpid())
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(BudgetExhausted, match="only 5 are left and 20 kept"):
        await mine.take([Cost(1)] * 6)
    assert shared.spent() == Cost(15)
    await mine.close(done=True)
    assert json.loads((tmp_path / FILE).read_text())["done"] == ["a"]
    ray.kill(shared._actor)


def test_a_total_without_room_for_the_tests_is_a_mistake_of_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"The final tests of 2 trials may take 20 target calls, and of budget\.total"):
        open_purse(open_folder(tmp_path), Limits(target_calls=19), TESTS)


@pytest.mark.ray
async def test_a_search_that_was_refused_ends_at_the_same_request_again_whoever_has_paid_for_it(
    local_ray: None, tmp_path: Path
) -> None:
    folder, asked = open_folder(tmp_path), [Request((Message("user", f"{number}"),)) for number in range(8)]
    with Ledger(tmp_path / "ledger") as ledger:
        shared = SharedLedger(ledger)

        async def answers(limits: Limits, requests: list[Request]) -> list[Outcome]:
            mine = open_purse(folder, limits, {}).of("a")
            await mine.begin()
            return await Ledgered(Echo(), shared, purse=mine, endings=mine).complete(requests)

        assert len(await answers(Limits(target_calls=5), asked[:4])) == 4
        with pytest.raises(BudgetExhausted, match="only 1 are left"):
            await answers(Limits(target_calls=5), asked[4:])
        await Ledgered(Echo(), shared).complete(asked)  # somebody else
        assert len(await answers(Limits(target_calls=5), asked[:4])) == 4
        with pytest.raises(BudgetExhausted, match="only 1 are left"):
            await answers(Limits(target_calls=5), asked[4:])
        assert len(await answers(Limits(target_calls=6), asked)) == 8
