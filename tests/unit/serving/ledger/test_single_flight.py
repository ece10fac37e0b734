"""Each answer is paid for once; a failed, cancelled or killed owner holds nobody up."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import EndpointError
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Failed, Message, Outcome, Request
from serving.ledger import Ledger, Paid, key_of
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from serving.ledger.single_flight import SingleFlight
from tests.contracts.examples import examples


def request(text: str, sample: int = 0) -> Request:
    return Request((Message("user", text),), sample=sample)


def asked(text: str) -> list[Request]:
    return [request(letter) for letter in text]


class SlowModel:
    """Answers each batch when its gate opens; a letter in capitals breaks the batch."""

    name = "slow"

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked: list[str] = []

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        texts = [request.messages[0].content for request in requests]
        self.asked += texts
        await self.gate.wait()
        if any(text.isupper() for text in texts):
            raise EndpointError("broken")
        return [Completion(text * 2) for text in texts]


def shared_with(ledger: Ledger, lease_s: float) -> LedgerCoordinator:
    return LedgerCoordinator(ledger, SingleFlight(lease_s))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def texts(outcomes: list[Outcome]) -> list[str]:
    return [outcome.text for outcome in outcomes if isinstance(outcome, Completion)]


async def test_a_second_run_pays_for_nothing(ledger: Ledger) -> None:
    model = ScriptedModel(lambda request: request.messages[0].content * 2)
    first = await CachedModel(model, LedgerCoordinator(ledger)).complete(asked("abc"))
    again = await CachedModel(model, LedgerCoordinator(ledger)).complete(asked("cab"))
    assert model.calls == 3
    assert texts(first) == ["aa", "bb", "cc"]
    assert texts(again) == ["cc", "aa", "bb"]
    assert [outcome.from_ledger for outcome in again if isinstance(outcome, Completion)] == [
        True
    ] * 3
    assert not any(outcome.from_ledger for outcome in first if isinstance(outcome, Completion))


async def test_equal_requests_of_a_batch_are_asked_once(ledger: Ledger) -> None:
    model = ScriptedModel(lambda request: request.messages[0].content * 2)
    outcomes = await CachedModel(model, LedgerCoordinator(ledger)).complete(
        [*asked("aba"), request("a", sample=1)]
    )
    assert model.calls == 3
    assert [outcome.from_ledger for outcome in outcomes if isinstance(outcome, Completion)] == [
        False,
        False,
        True,
        False,
    ]


async def test_batches_are_cut_into_chunks(ledger: Ledger) -> None:
    model = ScriptedModel(lambda request: request.messages[0].content)
    await CachedModel(model, LedgerCoordinator(ledger), 32).complete(
        [request(str(number)) for number in range(40)]
    )
    assert [len(batch) for batch in model.batches] == [32, 8]


async def test_a_failure_is_not_kept(ledger: Ledger) -> None:
    answers = iter([Failed("infrastructure", "down"), Failed("refused", "no"), Completion("now")])
    model = CachedModel(ScriptedModel(lambda request: next(answers)), LedgerCoordinator(ledger))
    got = [(await model.complete([request("a")]))[0] for _ in range(4)]
    assert [type(outcome) for outcome in got] == [Failed, Failed, Completion, Completion]


async def test_two_callers_at_once_pay_once(ledger: Ledger) -> None:
    model, shared = SlowModel(), LedgerCoordinator(ledger)
    callers = [
        asyncio.create_task(CachedModel(model, shared).complete(asked(order)))
        for order in ("abcd", "dcba", "cdxy")
    ]
    await asyncio.sleep(0.01)
    model.gate.set()
    outcomes = await asyncio.wait_for(asyncio.gather(*callers), 5)
    assert sorted(model.asked) == sorted("abcdxy")
    expected = [["aa", "bb", "cc", "dd"], ["dd", "cc", "bb", "aa"], ["cc", "dd", "xx", "yy"]]
    assert [texts(outcome) for outcome in outcomes] == expected
    counts = await shared.counts()
    assert (counts.entries, counts.paid, counts.hits, counts.in_flight) == (6, 6, 6, 0)


async def test_when_the_owner_fails_another_takes_over(ledger: Ledger) -> None:
    shared, broken = LedgerCoordinator(ledger), SlowModel()
    owner = asyncio.create_task(CachedModel(broken, shared, chunk=8).complete(asked("aB")))
    await asyncio.sleep(0.01)
    model = ScriptedModel(lambda request: "fine", name="slow")
    waiter = asyncio.create_task(CachedModel(model, shared).complete(asked("a")))
    await asyncio.sleep(0.01)
    assert model.calls == 0
    broken.gate.set()
    with pytest.raises(EndpointError):
        await owner
    assert texts(await asyncio.wait_for(waiter, 5)) == ["fine"]


async def test_a_cancelled_owner_gives_its_keys_back(ledger: Ledger) -> None:
    shared = LedgerCoordinator(ledger)
    owner = asyncio.create_task(CachedModel(SlowModel(), shared).complete(asked("abc")))
    await asyncio.sleep(0.01)
    owner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owner
    assert (await shared.counts()).in_flight == 0


async def test_what_a_failed_batch_had_finished_is_kept(ledger: Ledger) -> None:
    shared = LedgerCoordinator(ledger)

    class HalfBroken:
        name = "half"

        async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
            if requests[0].messages[0].content == "c":
                await asyncio.sleep(0.05)
                raise EndpointError("broken")
            return [Completion("paid") for _ in requests]

    with pytest.raises(EndpointError):
        await CachedModel(HalfBroken(), shared, chunk=2).complete(asked("abcd"))
    assert [ledger.get(key_of("half", one)) is not None for one in asked("abcd")] == [
        True,
        True,
        False,
        False,
    ]


async def test_the_lease_of_a_killed_owner_runs_out(ledger: Ledger) -> None:
    shared = shared_with(ledger, 0.05)
    key = key_of("slow", request("a"))
    assert await shared.claim([key], "killed") == ["yours"]
    assert await shared.claim([key], "other") == ["elsewhere"]
    model = ScriptedModel(lambda request: "fine", name="slow")
    assert texts(await asyncio.wait_for(CachedModel(model, shared).complete(asked("a")), 5)) == [
        "fine"
    ]


async def test_a_living_owner_keeps_its_lease(ledger: Ledger) -> None:
    shared, slow = shared_with(ledger, 0.1), SlowModel()
    owner = asyncio.create_task(CachedModel(slow, shared, renewal_s=0.02).complete(asked("a")))
    await asyncio.sleep(0.3)
    assert await shared.claim([key_of("slow", request("a"))], "other") == ["elsewhere"]
    slow.gate.set()
    assert texts(await owner) == ["aa"]


async def test_a_released_key_of_another_owner_stays(ledger: Ledger) -> None:
    shared = LedgerCoordinator(ledger)
    await shared.claim([b"k"], "one")
    await shared.release([b"k"], "two")
    assert await shared.claim([b"k"], "three") == ["elsewhere"]


async def test_the_answer_that_was_recorded_first_is_everybodys(ledger: Ledger) -> None:
    shared = LedgerCoordinator(ledger)
    key = key_of("slow", request("a"))
    one, two = await asyncio.gather(
        *(
            shared.record({key: Paid(Completion(text), "slow", request("a"))})
            for text in ("first", "second")
        )
    )
    assert one == two == [ledger.get(key)] == [Completion("first", from_ledger=True)]


@settings(max_examples=examples(30), deadline=None)
@given(
    st.lists(st.text("abcdeF", min_size=1, max_size=6), min_size=1, max_size=5), st.integers(1, 3)
)
def test_whoever_asks_in_whatever_order_ends_with_its_answers(
    orders: list[str], chunk: int
) -> None:
    async def play() -> None:
        with TemporaryDirectory() as folder:
            shared, model = LedgerCoordinator(Ledger(folder)), SlowModel()
            model.gate.set()
            callers = [CachedModel(model, shared, chunk).complete(asked(order)) for order in orders]
            results = await asyncio.wait_for(asyncio.gather(*callers, return_exceptions=True), 10)
            for order, result in zip(orders, results, strict=True):
                assert (
                    isinstance(result, EndpointError)
                    if "F" in order
                    else texts(result) == [letter * 2 for letter in order]
                )
            assert (await shared.counts()).in_flight == 0
            if not any("F" in order for order in orders):
                assert sorted(model.asked) == sorted(set("".join(orders)))

    asyncio.run(play())
