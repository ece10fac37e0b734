"""Axes have round ticks, each with a label of its own, and end where their data end."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cluster.analysis.leaders import leaders
from cluster.analysis.summary import strategies, summarise
from cluster.results.charts.accuracy import accuracy_figure
from cluster.results.charts.comparison import comparisons_figure
from cluster.results.charts.learning import learning_figure
from cluster.results.charts.search import found_figure
from cluster.results.charts.ticks import ticks
from cluster.trial.result import TrialResult
from optimizer.candidate import Round

ENDS = (
    st.floats(allow_nan=True, allow_infinity=True)
    | st.floats(0, 1)
    | st.integers(0, 300).map(float)
)


@given(ENDS, ENDS, st.integers(2, 12), st.booleans(), st.booleans())
@example(0.5, 0.6, 6, False, False)
@example(0.0, 0.0, 6, True, False)
@example(1.0, 2.0, 6, True, False)
@example(0.0, 5e-324, 6, False, False)
@example(-1.7e308, 1.7e308, 6, False, True)
@example(1e15, 1e15 + 0.25, 6, False, False)
@example(math.inf, 0.0, 6, False, False)
def test_ticks_are_round_and_no_label_comes_twice(
    low: float, high: float, most: int, whole: bool, signed: bool
) -> None:
    found = ticks(low, high, most, whole=whole, signed=signed)
    assert len(set(found.labels)) == len(found.labels) == len(found.values) <= most
    assert list(found.values) == sorted(set(found.values))
    assert all(
        low <= value <= high or math.isclose(value, low) or math.isclose(value, high)
        for value in found.values
    )
    for value, label in zip(found.values, found.labels, strict=True):
        assert float(label.replace(",", "")) == pytest.approx(value, rel=1e-12, abs=1e-300), (
            "a label says where its tick is"
        )
        assert not whole or value == int(value)
        assert label.lstrip("+-") != "0.0" or label == "0.0"
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        assert not found.values
    elif not whole:
        assert found.values


@pytest.mark.parametrize(
    ("low", "high", "how", "labels"),
    [
        (0.5, 0.6, {}, ("0.50", "0.52", "0.54", "0.56", "0.58", "0.60")),
        (0.0, 1.0, {}, ("0.0", "0.2", "0.4", "0.6", "0.8", "1.0")),
        (0, 2, {"whole": True}, ("0", "1", "2")),
        (0, 0, {"whole": True}, ("0",)),
        (0, 200, {"whole": True}, ("0", "50", "100", "150", "200")),
        (0, 12_000, {"whole": True}, ("0", "5,000", "10,000")),
        (-0.1, 0.5, {"signed": True, "most": 4}, ("0.0", "+0.2", "+0.4")),
        (0.37, 0.37, {}, ("0.37",)),
    ],
)
def test_what_stands_on_an_axis(
    low: float, high: float, how: dict[str, Any], labels: tuple[str, ...]
) -> None:
    assert ticks(low, high, **how).labels == labels


def distinct(axis: dict[str, Any]) -> bool:
    """Plotly is left nothing to choose: it repeats a label where its step is finer than its format."""
    return "tickvals" in axis and len(set(axis["ticktext"])) == len(axis["ticktext"]) > 0


def test_every_chart_of_the_report_says_its_ticks(results: list[TrialResult]) -> None:
    labels, points = (
        strategies(results),
        [replace(one, settings={"strategy": "abo", "abo.beam": 4}) for one in results],
    )
    marked = [
        replace(one, test_marks="1101" * 5, seed_prompt_test_marks="1001" * 5, p_value=0.01)
        for one in results
        if one.best
    ]
    figures = [
        *(accuracy_figure(summary, labels) for summary in summarise(results)),
        *(learning_figure(summary, labels) for summary in summarise(results)),
        *(found_figure(summary, labels) for summary in summarise(points)),
        *(comparisons_figure(own, labels) for own in leaders(marked)),
    ]
    assert len(figures) == 8
    for figure in figures:
        assert distinct(figure["layout"]["xaxis"])
        assert distinct(figure["layout"]["yaxis"])


@pytest.mark.parametrize("rounds", [1, 2, 3, 60])
def test_a_learning_curve_ends_with_the_last_round_that_was_reached(
    result: TrialResult, rounds: int
) -> None:
    course = tuple(replace(result.rounds[0], number=number) for number in range(rounds))
    layout = learning_figure(
        summarise([replace(result, status="budget", rounds=course)])[0], ["abo"]
    )["layout"]
    low, high = layout["xaxis"]["range"]
    assert -1 < low < 0
    assert rounds - 1 < high < rounds
    assert layout["xaxis"]["tickvals"][0] == 0
    assert layout["xaxis"]["tickvals"][-1] <= rounds - 1


def test_a_mean_line_stands_at_its_rounds_and_not_at_their_places(result: TrialResult) -> None:
    """Round 1 measured nothing in either seed: what comes after it was reached in round 2."""
    first, last = result.rounds
    course = (first, Round(1, ()), replace(last, number=2))
    both = [
        replace(result, seed=seed, trial=f"navigate-abo-s{seed}", rounds=course) for seed in (0, 1)
    ]
    mean = learning_figure(summarise(both)[0], ["abo"])["data"][-1]
    assert mean["x"] == [0, 2]
    assert mean["y"] == pytest.approx([0.6, 0.925])
    assert "round 2" in mean["text"][1]


def test_a_learning_curve_without_any_round_has_an_axis(result: TrialResult) -> None:
    layout = learning_figure(summarise([replace(result, rounds=())])[0], ["abo"])["layout"]
    assert layout["xaxis"]["ticktext"] == ["0"]
