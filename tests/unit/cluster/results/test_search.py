"""A search in the report: points ranked by dev accuracy, what it cost, pruned trials marked, and
nothing of it without a search.
"""

import json
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from cluster.analysis.search_summary import found
from cluster.analysis.summary import strategies, summarise
from cluster.results import results_table, write_results
from cluster.results.charts.accuracy import accuracy_figure
from cluster.results.charts.learning import learning_figure
from cluster.results.charts.search import found_figure
from cluster.results.page import report_page
from cluster.text.formatting import format_settings
from cluster.trial.result import TrialResult
from tests.unit.cluster.results.conftest import trial


def point(
    number: int, seed: int = 0, strategy: str = "abo", beam: int = 2, **changes: Any
) -> TrialResult:
    settings = {"strategy": strategy, "strategy.beam": beam}
    return trial(
        strategy=strategy,
        seed=seed,
        trial=f"navigate-p{number:02}-s{seed}",
        settings=settings,
        **changes,
    )


PRUNED: dict[str, Any] = {"status": "pruned", "verdict": ""} | dict.fromkeys(
    ("test_accuracy", "seed_prompt_test_accuracy", "test_low", "test_high")
)


@pytest.fixture
def results() -> list[TrialResult]:
    return [
        point(0, beam=1, dev_accuracy=0.7, test_accuracy=0.99, target_calls=100),
        point(1, beam=2, dev_accuracy=0.9, test_accuracy=0.8, target_calls=200),
        point(2, strategy="apo", beam=1, dev_accuracy=0.4, target_calls=50, **PRUNED),
        point(1, seed=1, beam=2, dev_accuracy=0.8, test_accuracy=0.82, target_calls=300),
    ]


def test_points_are_ranked_by_their_mean_dev_accuracy(results: list[TrialResult]) -> None:
    (summary,) = summarise(results)
    order = summary.ranked
    assert [group.settings["strategy.beam"] for group in order] == [2, 1, 1]
    assert order[0].dev == pytest.approx(0.85)
    assert [len(group.trials) for group in order] == [2, 1, 1]


def test_the_leader_of_a_search_is_not_chosen_by_the_test_split(results: list[TrialResult]) -> None:
    (summary,) = summarise(results)
    assert summary.leader is not None
    assert summary.leader.settings["strategy.beam"] == 2


def test_the_course_has_the_calls_of_all_trials_before(results: list[TrialResult]) -> None:
    steps = found([results[2], results[0], results[1]])
    assert [(step.target_calls, step.best) for step in steps] == [
        (100, 0.7),
        (300, 0.9),
        (350, 0.9),
    ]


def test_the_table_shows_points_dev_accuracies_and_pruned_trials(
    results: list[TrialResult],
) -> None:
    console = Console(width=160, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(results_table(results))
        text = console.export_text()
    row = next(line for line in text.splitlines() if "pruned" in line)
    for told in ("apo", "beam 1", "0.40"):
        assert told in row
    assert "mean" in text


def test_prefix_hits_stand_in_the_table_where_an_engine_tells(result: TrialResult) -> None:
    heads = [str(column.header) for column in results_table([result]).columns]
    told = [str(column.header) for column in results_table([trial(prefix_hit_rate=0.83)]).columns]
    assert [head for head in told if head not in heads] == ["prefix\nhits"]


def test_the_page_has_a_search_section(results: list[TrialResult]) -> None:
    page = report_page(results, {})
    assert "points by dev accuracy" in page
    assert 'id="found-0"' in page
    assert "with beam 2, the point with the highest dev accuracy" in " ".join(page.split())


def test_without_a_search_the_page_has_none(result: TrialResult) -> None:
    page = report_page([result], {})
    assert "points by dev accuracy" not in page
    assert "found-0" not in page


def test_the_charts_are_valid_plotly_and_mark_pruned_trials(results: list[TrialResult]) -> None:
    (summary,), labels = summarise(results), strategies(results)
    for figure in (accuracy_figure, learning_figure, found_figure):
        go.Figure(figure(summary, labels))
    lines = learning_figure(summary, labels)["data"]
    assert [line["marker"]["symbol"][-1] for line in lines].count("x") == 1
    assert all("error_y" not in line for line in lines)


def test_the_columns_are_appended(
    results: list[TrialResult], result: TrialResult, tmp_path: Path
) -> None:
    write_results(tmp_path, [*results, trial(seed=9, prefix_hit_rate=0.5)], {})
    rows = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert json.loads(rows[0]["settings"]) == {"strategy": "abo", "strategy.beam": 1}
    assert rows[-1]["settings"] is None
    costs = pq.read_table(tmp_path / "costs.parquet").to_pylist()
    assert (costs[-1]["prefix_hit_rate"], costs[0]["prefix_hit_rate"]) == (0.5, None)


def test_settings_are_told_without_their_owners() -> None:
    told = format_settings(
        {"strategy": "abo", "abo.beam": 4, "sampling.temperature": 0.123456, "abo.refine": None}
    )
    assert told == "beam 4, temperature 0.123, refine None"


def test_of_equal_points_the_cheaper_one_leads() -> None:
    equals = [
        point(number, beam=number + 1, dev_accuracy=0.9, target_calls=300 - 100 * number)
        for number in (0, 1)
    ]
    (summary,) = summarise(equals)
    assert summary.leader is summary.ranked[0]
    assert summary.ranked[0].settings["strategy.beam"] == 2
