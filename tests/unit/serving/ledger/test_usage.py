"""What an endpoint says of tokens: whatever it is, unknown is never nothing, and no budget is
passed by it.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from cluster.analysis.outcome_summary import answer_warnings
from cluster.config.budget import Allowed
from cluster.ledger_admin.accounting import ModelAccount
from cluster.ledger_admin.table import _tokens
from cluster.text.formatting import MISSING
from cluster.trial.budget import FinalTest, TrialBudget
from cluster.trial.guards import with_trial_budget
from optimizer.budget.call_budget import Budget, Budgeted
from optimizer.budget.cost import Limits, PriceList
from optimizer.budget.shared_budget import SharedBudget
from optimizer.errors import BudgetExhausted
from optimizer.types import Completion, Message, Outcome, Request, Sampling
from serving.clients.openai_responses import tokens_of
from serving.gateway.response_bodies import usage
from serving.ledger import Ledger
from serving.ledger.format import SCHEMA, batch_of, contents
from serving.ledger.inspection import Held, summary
from serving.ledger.schema import Paid, key_of
from serving.ledger.usage import UsageCounter, read_usage
from serving.settings import parse_model
from serving.settings.prices import Prices
from serving.storage import open_folder
from tests.unit.cluster.results.conftest import trial

PRICE_LIST = PriceList("target", 1e-3, 1e-2)


def said(**usage: Any) -> Any:
    return SimpleNamespace(**usage)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (said(prompt_tokens=20, completion_tokens=5, total_tokens=25), (20, 5)),
        (said(prompt_tokens=20, completion_tokens=5), (20, 5)),
        (said(prompt_tokens=0, completion_tokens=0, total_tokens=0), (0, 0)),
        (
            said(prompt_tokens=20, completion_tokens=5, total_tokens=325),
            (20, 305),
        ),  # 300 of hidden reasoning, in the total alone
        (
            said(prompt_tokens=20, completion_tokens=5, total_tokens=3),
            (20, 5),
        ),  # the total is wrong, or leaves out what was cached
        (said(prompt_tokens=20, completion_tokens=None, total_tokens=25), (20, 5)),
        (said(prompt_tokens=None, completion_tokens=5, total_tokens=25), (None, 5)),
        (None, (None, None)),
        (said(), (None, None)),
        ("usage", (None, None)),
        (7, (None, None)),
        (said(prompt_tokens="20", completion_tokens="5", total_tokens="25"), (None, None)),
        (said(prompt_tokens=20.0, completion_tokens=math.nan, total_tokens=math.inf), (None, None)),
        (said(prompt_tokens=-1, completion_tokens=-5, total_tokens=-6), (None, None)),
        (said(prompt_tokens=True, completion_tokens=[5], total_tokens={}), (None, None)),
        (said(prompt_tokens=10**12, completion_tokens=2**63, total_tokens=10**30), (None, None)),
    ],
)
def test_what_is_no_count_is_unknown_and_not_nothing(
    usage: Any, expected: tuple[int | None, int | None]
) -> None:
    assert tokens_of(usage) == expected


def batch(count: int) -> list[Request]:
    return [
        Request((Message("user", f"What is {number} and 1?"),), Sampling(max_tokens=16))
        for number in range(count)
    ]


class Silent:
    """An endpoint that answers, and does not say what it cost."""

    name = "silent"
    calls = 0

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        self.calls += len(requests)
        return [Completion("4", False, None, None) for _ in requests]


@pytest.mark.parametrize("limits", [Limits(tokens=1000), Limits(money=2.0)])
async def test_a_budget_holds_where_no_call_says_what_it_cost(limits: Limits) -> None:
    endpoint, shared_budget, budget = Silent(), SharedBudget(limits), Budget()
    most = PRICE_LIST.at_most(batch(1)[0])
    with pytest.raises(BudgetExhausted):
        await Budgeted(endpoint, budget, shared_budget, PRICE_LIST).complete(batch(300))
    assert limits.passed_by(most * endpoint.calls) is None
    assert limits.passed_by(most * (endpoint.calls + 1)) is not None
    assert (budget.usage.unmeasured, budget.usage.prompt_tokens) == (endpoint.calls, 0)


async def test_money_is_unknown_where_a_model_reports_no_tokens() -> None:
    priced = parse_model(
        {
            "kind": "openai",
            "model": "m",
            "base_url": "http://127.0.0.1:1/v1",
            "prices": {"prompt_per_million": 1000},
        }
    )
    free = parse_model(
        {"kind": "openai", "model": "free", "base_url": "http://127.0.0.1:1/v1", "prices": {}}
    )
    accounts = TrialBudget(
        Allowed(), {"target": priced, "optimizer": free}, FinalTest(2, 10, Sampling())
    )
    await with_trial_budget(Silent(), "optimizer", accounts).complete(batch(2))
    assert accounts.money == 0.0, "what is free costs nothing, however much it was"
    await with_trial_budget(Silent(), "target", accounts).complete(batch(3))
    assert accounts.money is None
    assert accounts.unmeasured_by_model == {"openai:m": 3, "openai:free": 2}
    results = [trial(unmeasured_by_model={"openai:m": calls}) for calls in (3, 4)]
    (warning,) = [one for one in answer_warnings(results) if "tokens" in one]
    assert warning.startswith(
        "openai:m did not report the tokens of 7 of its answers, so their cost is not known"
    )


def test_a_ledger_keeps_that_nobody_knows(tmp_path: Path) -> None:
    keys = [key_of("m", request) for request in batch(3)]
    paid = [
        Paid(Completion("4", False, read, written), "m", request)
        for request, (read, written) in zip(
            batch(3), [(None, None), (7, 3), (7, None)], strict=True
        )
    ]
    with Ledger(tmp_path) as ledger:
        ledger.append(dict(zip(keys, paid, strict=True)))
    with Ledger(tmp_path) as ledger:
        found = [answer for key in keys if (answer := ledger.get(key))]
    assert [(one.prompt_tokens, one.completion_tokens) for one in found] == [
        (None, None),
        (7, 3),
        (7, None),
    ]
    assert summary(open_folder(tmp_path)).held_by_model == {"m": Held(3, 14, 3, 2)}


def test_a_segment_from_before_is_read_beside_new_ones(tmp_path: Path) -> None:
    """Its schema allowed no nulls in these columns."""
    (request, later) = batch(2)
    old_schema = pa.schema(
        [
            field.with_nullable(False)
            if field.name in ("prompt_tokens", "completion_tokens")
            else field
            for field in SCHEMA
        ],
        metadata={"promptray_ledger": "1"},
    )  # nor checksums
    old = batch_of(
        {key_of("m", request): Paid(Completion("4", False, 7, 3), "m", request)}, datetime.now(UTC)
    )
    with (
        (tmp_path / "000001-aaaaaaaa.a.arrows").open("wb") as file,
        pa.ipc.new_stream(file, old_schema) as stream,
    ):
        stream.write_batch(pa.record_batch(old.columns, schema=old_schema))
    assert contents((tmp_path / "000001-aaaaaaaa.a.arrows").read_bytes()).state == "whole"
    with Ledger(tmp_path, most_small=0) as ledger:
        ledger.append({key_of("m", later): Paid(Completion("5", False, None, None), "m", later)})
    with Ledger(tmp_path, most_small=0) as ledger:  # both are merged into one
        assert [
            one.prompt_tokens for key in (request, later) if (one := ledger.get(key_of("m", key)))
        ] == [7, None]


def test_the_account_of_a_ledger_says_that_it_does_not_know(tmp_path: Path) -> None:
    usage = UsageCounter(open_folder(tmp_path))
    usage.pay("m", Completion("4", False, None, 3))
    usage.hit("m", Completion("4", False, None, 3))
    usage.save()
    use = read_usage(open_folder(tmp_path))["m"]
    assert (use.paid, use.paid_unmeasured, use.hits_unmeasured) == (1, 1, 1)
    (tmp_path / "use.json").write_text(
        (tmp_path / "use.json").read_text().replace("paid_unmeasured", "x").replace("hits_unm", "y")
    )
    assert read_usage(open_folder(tmp_path))["m"].paid == 1, "a file from before has no such counts"
    account = ModelAccount("m", Held(3, 14, 3, 2), use, Prices(prompt_per_million=1))
    assert (account.spent, account.saved) == (None, None)
    assert ModelAccount("m", Held(3, 14, 3, 2), use, Prices()).spent == 0.0
    assert [_tokens(17, 2), _tokens(0, 2), _tokens(17, 0), _tokens(0, 0)] == [
        "≥ 17",
        MISSING,
        "17",
        "0",
    ]


def test_the_gateway_tells_its_callers_no_count_that_it_does_not_have() -> None:
    assert usage([Completion("4", False, 3, None), Completion("4", False, 3, 2)]) is None
    assert usage([Completion("4", False, 3, 2)]) == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
    }
