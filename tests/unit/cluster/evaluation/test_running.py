"""An evaluation asks for everything once, in order, and within its budget."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.evaluation import preparation, running
from cluster.evaluation.context import EvaluationContext, EvaluationStopped, Spending
from cluster.evaluation.preparation import PreparedEvaluation, prepare_evaluation
from cluster.evaluation.settings import EvaluationSettings
from cluster.evaluation.summary import Evaluated
from cluster.results.items import read_items
from optimizer.budget.cost import Cost
from optimizer.errors import BudgetExhausted, EndpointError, QuotaExhausted, SettingsError
from optimizer.prompt import Prompt
from optimizer.types import Completion, Failed, Outcome, Request
from serving.ledger import Ledger
from serving.ledger.coordinator import LedgerCoordinator

ITEMS = 10


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "sums.jsonl"
    rows = ({"input": f"{number} + 1?", "target": number + 1} for number in range(ITEMS))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(autouse=True)
def _unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(_: object) -> None:
        return None

    monkeypatch.setattr(preparation, "check_models", none)
    monkeypatch.setattr(running, "CHUNK", 4)


class Counting:
    """Answers rightly under GOOD, wrongly otherwise, and counts what reaches it."""

    name = "counting"

    def __init__(self, fails: Sequence[str] = ()) -> None:
        self.requests: list[Request] = []
        self._fails = fails

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        self.requests += requests
        return [self._outcome(request) for request in requests]

    def _outcome(self, request: Request) -> Outcome:
        asked = request.messages[-1].content
        if asked in self._fails:
            return Failed("infrastructure", "It is down.")
        number = int(asked.partition(" ")[0])
        good = "GOOD" in request.messages[0].content
        return Completion(f"Answer: {number + 1 if good else 99}", False, 5, 2)


def prepared(data: Path, **changes: Any) -> PreparedEvaluation:
    given = {
        "prompts": [
            {"label": label, "prompt": Prompt(text).to_json()}
            for label, text in (("bad", "Sum up."), ("good", "GOOD"))
        ],
        "task": {"source": str(data)},
        "target": {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"},
        "out": str(data.parent / "out"),
    }
    return prepare_evaluation(EvaluationSettings.of(given | changes))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerCoordinator]:
    with Ledger(tmp_path / "ledger") as ledger:
        yield LedgerCoordinator(ledger)


def run(
    what: PreparedEvaluation,
    model: Counting,
    ledger: LedgerCoordinator,
    patch: pytest.MonkeyPatch,
) -> Evaluated:
    patch.setattr(running, "connect", lambda *_: model)
    shown: list[tuple[int, int]] = []
    found = asyncio.run(
        running._evaluated(what, ledger, lambda _: None, lambda *of: shown.append(of))
    )
    assert shown[-1][1] == 2 * ITEMS
    return found


def test_everything_is_asked_once_and_written_in_order(
    data: Path, ledger: LedgerCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, model = prepared(data), Counting()
    found = run(what, model, ledger, monkeypatch)
    assert [prompt.mean for prompt in found.prompts] == [0.0, 1.0]
    assert [one.verdict for one in found.comparisons] == ["better"]
    assert (found.calls, found.cached, len(model.requests)) == (20, 0, 20)
    rows = read_items(what.out).to_pylist()
    assert [row["prompt"] for row in rows] == ["bad"] * ITEMS + ["good"] * ITEMS
    assert [row["input"] for row in rows[:ITEMS]] == [f"{number} + 1?" for number in range(ITEMS)]
    assert (rows[-1]["output"], rows[-1]["score"], rows[-1]["completion_tokens"]) == (
        "Answer: 10",
        1.0,
        2,
    )
    file = pq.ParquetFile(data.parent / "out" / "items.parquet")
    assert file.num_row_groups == 6  # 4 + 4 + 2 of each prompt


def test_again_it_asks_nothing_and_writes_the_same(
    data: Path, ledger: LedgerCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = prepared(data)
    run(what, Counting(), ledger, monkeypatch)
    once = (data.parent / "out" / "items.parquet").read_bytes()
    found = run(what, again := Counting(), ledger, monkeypatch)
    assert (again.requests, found.cached) == ([], 20)
    assert (data.parent / "out" / "items.parquet").read_bytes() == once


def test_what_did_not_come_is_missing_and_asked_again(
    data: Path, ledger: LedgerCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = prepared(data, least_score=0.0)
    found = run(what, Counting(fails=["3 + 1?"]), ledger, monkeypatch)
    assert [(prompt.items, prompt.missing) for prompt in found.prompts] == [(9, 1), (9, 1)]
    assert [failure.reason for failure in found.failures] == ["It is down."]
    run(what, again := Counting(), ledger, monkeypatch)
    assert [request.messages[-1].content for request in again.requests] == ["3 + 1?"] * 2


def test_where_nothing_came_there_is_no_result(
    data: Path, ledger: LedgerCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Counting(fails=[f"{number} + 1?" for number in range(ITEMS)])
    with pytest.raises(EndpointError, match=r"no answer of openai:m came \(It is down\)"):
        run(prepared(data), model, ledger, monkeypatch)


def test_a_budget_ends_it_and_what_is_behind_has_no_score(
    data: Path, ledger: LedgerCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(Counting):
        async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
            left = 13 - len(self.requests)
            outcomes = await super().complete(requests[: max(0, left)])
            if len(outcomes) < len(requests):
                refusal = BudgetExhausted("The budget is spent.")
                refusal.answered = outcomes
                raise refusal
            return outcomes

    monkeypatch.setattr(running, "with_ledger", lambda client, *_: client)
    what = prepared(data, least_score=0.5)
    found = run(what, Refusing(), ledger, monkeypatch)
    assert (found.complete, found.ended) == (False, "The budget is spent.")
    assert [(prompt.items, prompt.missing) for prompt in found.prompts] == [(10, 0), (3, 7)]
    assert read_items(what.out).num_rows == 13
    assert found.prompts[1].passed is None


def test_the_folder_of_an_experiment_is_left_alone(data: Path) -> None:
    (data.parent / "out").mkdir()
    (data.parent / "out" / "trials.parquet").touch()
    with pytest.raises(SettingsError, match="holds the results of an experiment"):
        prepared(data)


def test_money_needs_prices(data: Path) -> None:
    with pytest.raises(SettingsError, match="needs the prices of openai:m"):
        prepared(data, budget={"money": 5})


def run_in(
    context: EvaluationContext,
    what: PreparedEvaluation,
    model: Counting,
    ledger: LedgerCoordinator,
    patch: pytest.MonkeyPatch,
) -> Evaluated:
    patch.setattr(running, "connect", lambda *_: model)
    return asyncio.run(running._evaluated(what, ledger, lambda _: None, lambda *_: None, context))


def test_a_stop_ends_it_and_what_came_is_not_asked_again(
    data: Path, ledger: LedgerCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Counting):
        async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
            if len(self.requests) >= 8:
                await asyncio.sleep(60)
            return await super().complete(requests)

    what, slow = prepared(data), Slow()
    told: list[Spending] = []
    context = EvaluationContext(stop=lambda: len(slow.requests) >= 8, spent=told.append)
    with pytest.raises(EvaluationStopped):
        run_in(context, what, slow, ledger, monkeypatch)
    assert told[-1].usage_by_role["target"].calls == 8
    found = run_in(EvaluationContext(), what, again := Counting(), ledger, monkeypatch)
    assert (len(again.requests), found.cached, found.complete) == (12, 8, True)


class Day:
    """A day's budget of an owner, of so many calls."""

    bounded = True

    def __init__(self, left: int) -> None:
        self.left = left
        self.begun = 0

    async def begin(self) -> None:
        self.begun += 1

    async def reserve(self, costs: Sequence[Cost], *, test: bool = False) -> int:
        if not self.left:
            raise QuotaExhausted("Your quota is used up.")
        taken = min(self.left, len(costs))
        self.left -= taken
        return taken

    async def send(self, most_by_key: Mapping[bytes, Cost], *, test: bool = False) -> None:
        return None

    def settle(self, cost_by_key: Mapping[bytes, Cost], *, answered: bool) -> None:
        return None

    def release(self, most: Cost, *, test: bool = False) -> None:
        return None


def test_its_owner_pays_and_a_quota_that_is_used_up_ends_it_for_the_day(
    data: Path, ledger: LedgerCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, model, day = prepared(data), Counting(), Day(13)
    with pytest.raises(QuotaExhausted, match="Your quota is used up"):
        run_in(EvaluationContext(owner=day), what, model, ledger, monkeypatch)
    assert (len(model.requests), day.begun) == (13, 1)
    found = run_in(EvaluationContext(owner=Day(7)), what, model, ledger, monkeypatch)
    assert (len(model.requests), found.complete) == (20, True)


class JudgeOfSums:
    """A judge that gives half of the score for anything."""

    name = "judge"

    def __init__(self) -> None:
        self.calls = 0

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        self.calls += len(requests)
        said = "<reason>Half of it.</reason><score>0.5</score>"
        return [Completion(said, False, 7, 3) for _ in requests]


JUDGE = {
    "kind": "score_model",
    "rubric": "Is it right?",
    "model": {"kind": "openai", "model": "judge", "base_url": "http://127.0.0.1:1/v1"},
}


def test_a_judge_is_counted_and_on_record(
    data: Path, ledger: LedgerCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = prepared(data, task={"source": str(data), "grader": JUDGE})
    judge, target = JudgeOfSums(), Counting()
    monkeypatch.setattr(
        running, "connect", lambda model, _: judge if model.label == "openai:judge" else target
    )
    for cached in (0, 40):
        found = asyncio.run(running._evaluated(what, ledger, lambda _: None, lambda *_: None))
        assert [prompt.mean for prompt in found.prompts] == [0.5, 0.5]
        assert (found.calls, found.cached) == (40, cached)
        assert (judge.calls, len(target.requests)) == (20, 20)
    assert read_items(what.out)["feedback"].to_pylist() == ["0.5 of 1: Half of it."] * 20


def test_a_judge_must_be_named(data: Path) -> None:
    unnamed = {key: value for key, value in JUDGE.items() if key != "model"}
    with pytest.raises(SettingsError, match="calls a model, and names none"):
        prepared(data, task={"source": str(data), "grader": unnamed})
