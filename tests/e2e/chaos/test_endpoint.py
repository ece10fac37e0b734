"""The real parts themselves: the endpoint counts and fails as it says, and the comparison and the
accounts can find fault.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optimizer.types import Completion
from serving.ledger import Ledger, Paid, key_of
from serving.settings import OpenAISettings
from tests.e2e.chaos.accounts import TrialBudget
from tests.e2e.chaos.comparison import differences
from tests.e2e.chaos.endpoint import Call, Endpoint, endpoint, request_of, text_of
from tests.e2e.chaos.faults import FAULTS, fault_of

BODY: dict[str, Any] = {
    "model": "toy-target",
    "temperature": 0.0,
    "max_tokens": 64,
    "messages": [
        {"role": "system", "content": "List and add and check."},
        {"role": "user", "content": "How?"},
    ],
}


async def ask(served: Endpoint, body: dict[str, Any] = BODY, limit_s: float = 5.0) -> Any:
    """The reply's JSON; raises what goes wrong."""
    limit = aiohttp.ClientTimeout(total=limit_s)
    async with (
        aiohttp.ClientSession(timeout=limit) as principal,
        principal.post(f"{served.base_url}/chat/completions", json=body) as reply,
    ):
        reply.raise_for_status()
        return await reply.json()


def believable(reply: Any) -> bool:
    return bool(reply["choices"]) and reply["choices"][0]["finish_reason"] == "stop"


async def test_a_reply_depends_on_the_request_and_whole_ones_are_counted() -> None:
    with endpoint() as served:
        first, second = await ask(served), await ask(served)
        other = await ask(served, {**BODY, "model": "toy-author", "seed": 3})
        await asyncio.sleep(0.1)  # the last that it does is to write a call down
        assert first == second != other
        assert [call.answered_at is not None for call in served.calls] == [True] * 3
        assert [call.request.sample for call in served.calls] == [0, 0, 3]


async def test_a_caller_who_left_was_not_answered() -> None:
    with endpoint(latency_s=0.5) as served:
        with pytest.raises(TimeoutError):
            await ask(served, limit_s=0.1)
        await asyncio.sleep(0.7)
        assert [call.answered_at for call in served.calls] == [None]


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_faulty_answer_can_be_believed_but_the_drip(fault: str) -> None:
    seed = next(seed for seed in range(1000) if fault_of(seed, 1.0, text_of(BODY), 1) == fault)
    with endpoint(fault_share=1.0, seed=seed) as served:
        try:
            good = believable(await ask(served))
        except (aiohttp.ClientError, TimeoutError, ValueError):
            good = False
        await asyncio.sleep(0.1)  # the last that it does is to write the call down
        assert [call.fault for call in served.calls] == [fault]
        assert good == (fault == "slow drip") == (served.calls[0].answered_at is not None)


def test_faults_depend_on_seed_request_and_attempt_alone_and_have_their_share() -> None:
    places = [
        (seed, f"request {number}", attempt)
        for number in range(500)
        for seed in (1, 2)
        for attempt in (1, 2)
    ]
    drawn = [fault_of(seed, 0.3, request, attempt) for seed, request, attempt in places]
    assert drawn == [fault_of(seed, 0.3, request, attempt) for seed, request, attempt in places]
    assert len({tuple(drawn[at::4]) for at in range(4)}) == 4
    assert 0.25 < sum(map(bool, drawn)) / len(drawn) < 0.35
    assert set(drawn) == {"", *FAULTS}


def results(folder: Path, columns: dict[str, list[Any]], prompt: str = "{}") -> Path:
    (folder / "best").mkdir(parents=True)
    (folder / "best" / "one.json").write_text(prompt)
    for name in ("trials", "candidates"):
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def test_costs_may_differ_and_nothing_else(tmp_path: Path) -> None:
    one = results(tmp_path / "one", {"score": [0.5], "wall_s": [1.0]})
    assert differences(one, results(tmp_path / "two", {"score": [0.5], "wall_s": [2.0]})) == []
    found = differences(
        one, results(tmp_path / "three", {"score": [0.6], "wall_s": [1.0]}, prompt="{1}")
    )
    assert found == [
        "trials.parquet, row 0, score: 0.6, not 0.5",
        "candidates.parquet, row 0, score: 0.6, not 0.5",
        "best/one.json differs",
    ]
    assert differences(one, tmp_path / "nothing") != []


def test_how_the_target_was_asked_may_differ_where_it_is_named(tmp_path: Path) -> None:
    told = '{"prompt": "%s", "target_settings": {"model": "m", "attempts": %s}}'
    one, two, other = (
        results(tmp_path / str(at), {"score": [0.5]}, prompt=told % carried)
        for at, carried in enumerate([("a", 2), ("a", 10), ("b", 10)])
    )
    assert differences(one, two) == ["best/one.json differs"]
    assert differences(one, two, ["attempts"]) == []
    assert differences(one, two, ["timeout_s"]) == ["best/one.json differs"]
    assert differences(one, other, ["attempts"]) == ["best/one.json differs"]


def test_tables_without_costs_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = (results(tmp_path / name, {"score": [0.5]}) for name in ("one", "two"))
    assert differences(one, two) == []
    pq.write_table(pa.table({"score": [0.5]}), two / "trials.parquet", compression="gzip")
    assert differences(one, two) == ["trials.parquet has other bytes"]


class Seen:
    """An endpoint that has seen one call at each of some times, with a ledger beside it."""

    def __init__(self, out: Path) -> None:
        self.served = Endpoint("http://127.0.0.1:1/v1")
        self.ledger = Ledger(out / "ledger")
        self.accounts = TrialBudget(out, self.served)
        self.request = request_of(BODY)

    def call(self) -> None:
        now = time.monotonic()
        self.served.calls.append(Call("toy-target", self.request, "", now, now))

    def record(self) -> None:
        identity = OpenAISettings(model="toy-target", base_url=self.served.base_url).identity
        self.ledger.append(
            {key_of(identity, self.request): Paid(Completion("x"), identity, self.request)}
        )

    def kill(self, kind: str) -> None:
        self.accounts.note(kind, time.monotonic())


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path)


@pytest.mark.parametrize(
    "kind", ["trial", "driver", "node with trials", "replica", "node with replicas", "ledger"]
)
def test_a_call_whose_answer_is_in_the_ledger_is_repeated_whatever_was_killed(
    seen: Seen, kind: str
) -> None:
    seen.call()
    seen.record()
    seen.kill(kind)
    assert seen.accounts.repeated == []
    assert seen.accounts.strangers() == set()
    seen.call()
    assert "though its answer was in the ledger" in seen.accounts.repeated[0]


@pytest.mark.parametrize(
    ("kind", "excused"),
    [
        ("trial", True),
        ("driver", True),
        ("replica", False),
        ("node with replicas", False),
        ("ledger", False),
    ],
)
def test_an_answer_may_be_lost_with_the_process_that_waits_for_it_alone(
    seen: Seen, kind: str, excused: bool
) -> None:
    seen.call()
    seen.kill(kind)
    seen.call()
    assert (seen.accounts.repeated == []) is excused
    assert seen.accounts.again == 1


def test_without_a_death_nothing_excuses_a_second_answer(seen: Seen) -> None:
    seen.call()
    seen.call()
    assert "though it had been answered" in seen.accounts.repeated[0]
