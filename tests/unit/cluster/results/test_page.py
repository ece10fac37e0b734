"""The page shows data as text only, needs no network, and its charts are valid Plotly."""

import json
import re
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.analysis.summary import strategies, summarise
from cluster.results.charts.accuracy import accuracy_figure
from cluster.results.charts.learning import learning_figure
from cluster.results.page import report_page, shown_samples
from cluster.trial.result import Sample, TrialResult
from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Demonstration, Prompt, Step
from tests.contracts.examples import examples

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}${x}"


def without_scripts(page: str) -> str:
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def all_evil() -> TrialResult:
    prompt = Prompt(EVIL, (Step(EVIL),), (Demonstration(EVIL, EVIL),), EVIL)
    first = Candidate(Prompt(EVIL + " first", (Step("old"),)), EVIL, 0)
    best = Candidate(prompt, EVIL, 1, first.id, EVIL, 1)
    sample = Sample(
        input=EVIL, gold=EVIL, before=EVIL, after=EVIL, right_before=None, right_after=True
    )
    rounds = (
        Round(0, (Standing(first, 0.2, 5, None, True),), EVIL),
        Round(1, (Standing(best, 0.5, 10, 1.0, True),), EVIL),
    )
    return TrialResult(
        trial="evil",
        task=EVIL,
        strategy=EVIL,
        selection=EVIL,
        seed=0,
        target=EVIL,
        optimizer=EVIL,
        status="finished",
        seed_prompt=Prompt(EVIL),
        best=best,
        rounds=rounds,
        seed_prompt_test_accuracy=0.1,
        test_accuracy=0.5,
        test_low=0.4,
        test_high=0.6,
        verdict=EVIL,
        samples=(sample,),
        error=EVIL,
        calls_by_purpose={EVIL: 1},
    )


def test_everything_from_data_or_models_is_text() -> None:
    page = without_scripts(report_page([all_evil()], {"task": EVIL}))
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "49" not in re.findall(r"&#34;&#39;&amp;(..)", page)
    assert len(re.findall(r"<script", page)) == 1  # the chart data, which is never executed


def test_the_chart_data_can_be_read_back(results: list[TrialResult]) -> None:
    page = report_page([*results, all_evil()], {})
    data = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    charts = json.loads(data[1])
    assert all(f'id="{name}"' in page for name in charts)


def test_nothing_is_loaded_from_anywhere(results: list[TrialResult]) -> None:
    page = without_scripts(report_page(results, {}))
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert "default-src 'none'" in page
    assert "'unsafe-inline'" not in re.search(r"script-src ([^;]*)", page)[1]  # type: ignore[index]


def test_it_tells_the_story_of_the_winning_prompt(results: list[TrialResult]) -> None:
    page = report_page(results, {"seeds": [0, 1]})
    for told in (
        "failing step 2",
        "step 2 is skipped in 5 of 7 traces",
        "<ins>",
        "<del>",
        "Accepted answer",
        "seeds:",
        "stand-in",
    ):
        assert told in page
    assert "The endpoint cannot be reached." in page


def test_the_stand_in_is_named_only_where_it_was_used(result: TrialResult) -> None:
    assert "built-in stand-in" not in report_page([replace(result, stand_in=False)], {})


@pytest.mark.parametrize("figure", [accuracy_figure, learning_figure])
def test_charts_are_valid_plotly(results: list[TrialResult], figure: Any) -> None:
    for summary in summarise([*results, all_evil()]):
        go.Figure(figure(summary, strategies([*results, all_evil()])))


def test_an_accuracy_chart_has_the_trials_intervals(result: TrialResult) -> None:
    figure = accuracy_figure(summarise([result])[0], ["abo"])
    best = figure["data"][-1]
    assert best["x"] == [0.94]
    assert best["error_x"]["array"] == pytest.approx([0.03])
    assert best["error_x"]["arrayminus"] == pytest.approx([0.05])


def test_a_round_that_measured_nothing_is_left_out_of_the_curve(result: TrialResult) -> None:
    assert result.best is not None
    unmeasured = Round(2, (Standing(result.best, None, 0, None, True),))
    figure = learning_figure(
        summarise([replace(result, rounds=(*result.rounds, unmeasured))])[0], ["abo"]
    )
    assert figure["data"][0]["y"] == [0.6, 0.925]


def test_mended_samples_come_first_and_broken_ones_are_not_hidden() -> None:
    changes = [(True, True), (None, True), (True, False), (False, True)] * 3
    samples = [
        Sample(
            input=str(place), gold="", before="", after="", right_before=before, right_after=after
        )
        for place, (before, after) in enumerate(changes)
    ]
    assert [sample.input for sample in shown_samples(samples)] == ["3", "7", "11", "2", "6", "10"]


@settings(
    max_examples=examples(15),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(
    status=st.sampled_from(["finished", "budget", "stopped", "failed"]),
    accuracy=st.none() | st.floats(0, 1),
    rounds=st.booleans(),
    best=st.booleans(),
)
def test_every_kind_of_trial_can_be_shown(
    result: TrialResult, status: Any, accuracy: float | None, rounds: bool, best: bool
) -> None:
    odd = replace(
        result,
        status=status,
        test_accuracy=accuracy,
        test_low=accuracy,
        test_high=None,
        rounds=result.rounds if rounds else (),
        best=result.best if best else None,
    )
    assert "navigate" in report_page([odd], {})


def test_an_experiment_without_trials_has_a_page() -> None:
    assert "0 trials" in report_page([], {})
