"""A trial's result survives JSON and pickling."""

import json
import pickle
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from cluster.experiment.console import _STYLE_BY_STATE, Board, PlainListener
from cluster.results import results_table, write_results
from cluster.trial.result import TrialResult
from optimizer.candidate import Candidate, Round, Standing
from optimizer.errors import DataError
from optimizer.prompt import Prompt


def test_json_gives_back_an_equal_result(results: list[TrialResult]) -> None:
    for result in results:
        assert TrialResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_pickling_gives_back_an_equal_result(result: TrialResult) -> None:
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize("missing", ["trial", "rounds", "best", "seed_prompt"])
def test_a_missing_part_is_one_sentence(result: TrialResult, missing: str) -> None:
    data = result.to_json()
    del data[missing]
    with pytest.raises(DataError, match=missing):
        TrialResult.from_json(data)


def test_an_unknown_part_is_one_sentence(result: TrialResult) -> None:
    with pytest.raises(DataError, match="surprise"):
        TrialResult.from_json(result.to_json() | {"surprise": 1})


def cut_by_its_budget(items: tuple[int, ...], **changes: object) -> TrialResult:
    """A trial whose budget ended in round 1, in which a candidate was measured on each of these
    numbers of 40 items.
    """
    parent = Standing(
        Candidate(Prompt("a"), "seed", 0), 0.5, 40, None, True, scores=(1.0, 0.0) * 20
    )
    children = tuple(
        Standing(
            Candidate(Prompt(f"child {number}"), "vary", 1, parent.candidate.id),
            0.5 if many else None,
            many,
            None,
            False,
            scores=(1.0,) * many + (None,) * (40 - many),
            incomplete=True,
        )
        for number, many in enumerate(items)
    )
    rounds = (Round(0, (parent,)), Round(1, (parent, *children), incomplete=True))
    return TrialResult(
        trial="navigate-apo-s0",
        task="navigate",
        strategy="apo",
        selection="racing",
        seed=0,
        target="t",
        optimizer="o",
        status="budget",
        rounds=rounds,
        best=parent.candidate,
        dev_accuracy=0.5,
        seed_prompt_test_accuracy=0.5,
        test_accuracy=0.5,
        **changes,
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ((10, 10), "budget exhausted in round 1; its candidates were measured on 10 of 40 items"),
        ((0, 4), "budget exhausted in round 1; its candidates were measured on 0 to 4 of 40 items"),
        ((0, 0), "budget exhausted in round 1; none of its new candidates was measured"),
    ],
)
def test_a_trial_that_its_budget_has_ended_says_where_and_what_it_has_measured(
    items: tuple[int, ...], told: str, tmp_path: Path
) -> None:
    result = cut_by_its_budget(items)
    assert result.ending == told
    assert TrialResult.from_json(result.to_json()) == result
    watched, table = StringIO(), StringIO()
    PlainListener(Board([result.trial]), Console(file=watched, width=300)).ended(result)
    assert f"{told}, test accuracy 0.50 → 0.50" in watched.getvalue()
    Console(file=table, width=200).print(results_table([result]))
    assert told in table.getvalue()
    write_results(tmp_path, [result], {})
    assert told in (tmp_path / "report.html").read_text().lower()
    rows = pq.read_table(tmp_path / "candidates.parquet").to_pylist()
    assert [(row["items"], row["dev_accuracy"], row["incomplete"]) for row in rows] == [
        (40, 0.5, False),
        *((many, 0.5 if many else None, True) for many in items),
    ]
    assert told in (tmp_path / "best" / f"{result.trial}.md").read_text()


def test_a_budget_that_ends_between_rounds_is_told_so() -> None:
    whole = cut_by_its_budget((10,))
    assert replace(whole, rounds=whole.rounds[:1]).ending == "budget exhausted after round 0"
    assert replace(whole, status="finished").ending == ""
    old = whole.to_json()
    for round in old["rounds"]:
        del round["incomplete"]
        for standing in round["standings"]:
            del standing["incomplete"]
    assert not TrialResult.from_json(old).rounds[1].incomplete
    assert "budget" not in _STYLE_BY_STATE or _STYLE_BY_STATE["budget"] != "green"
