"""The chart of test accuracies: each strategy's best prompts beside the baseline."""

from collections.abc import Mapping, Sequence
from html import escape

from cluster.analysis.summary import Group, TaskSummary
from cluster.results.charts.figure import (
    GREY,
    Figure,
    colours,
    describe_trial,
    error_bars,
    extent,
    layout,
    named_rows,
)
from cluster.results.charts.ticks import axis
from cluster.text.formatting import format_verdict, interval, plural, share
from cluster.trial.result import TrialResult


def accuracy_figure(summary: TaskSummary, labels: Sequence[str]) -> Figure:
    """Draw the test accuracy of each strategy of a task, or of each point of a search.

    A row leads from the baseline's accuracy (hollow) to that of the best prompts (filled, with the
    95% interval over the items of all seeds). Small dots are single trials, where there are
    several.
    """
    groups = [group for group in summary.groups if group.after is not None]
    names = [
        escape(group.trials[0].trial if group.settings else group.strategy) for group in groups
    ]
    colour_by_label = colours(labels)
    data = [
        _moves(groups),
        _single_trials(groups, colour_by_label),
        _baselines(groups),
        _best_prompts(groups, colour_by_label),
    ]
    return {
        "data": data,
        "layout": layout(
            height=78 + 32 * len(groups),
            xaxis=axis(0, 1) | {"range": [0, 1.02], "title": {"text": "test accuracy"}},
            yaxis=named_rows(names),
        ),
    }


def _moves(groups: Sequence[Group]) -> Figure:
    """Draw a thin line from each row's baseline to its best prompts."""
    x = [end for group in groups for end in (group.before, group.after, None)]
    y = [end for row in range(len(groups)) for end in (row, row, None)]
    line = {"color": GREY, "width": 1, "dash": "dot"}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "hoverinfo": "skip"}


def _single_trials(groups: Sequence[Group], colour_by_label: Mapping[str, str]) -> Figure:
    """Draw single trials a little below their row's line, where no interval covers them."""
    found = [
        (row, trial)
        for row, group in enumerate(groups)
        if group.tested > 1
        for trial in group.trials
        if trial.test_accuracy is not None
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [trial.test_accuracy for _, trial in found],
        "y": [row + 0.3 for row, _ in found],
        "marker": {
            "size": 6,
            "opacity": 0.75,
            "color": [colour_by_label[trial.strategy] for _, trial in found],
        },
        "text": [describe_test(trial) for _, trial in found],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _baselines(groups: Sequence[Group]) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "baseline",
        "x": [group.before for group in groups],
        "y": list(range(len(groups))),
        "marker": {"symbol": "circle-open", "size": 10, "color": GREY, "line": {"width": 2}},
        "hovertemplate": "baseline: %{x:.2f}<extra></extra>",
    }


def _best_prompts(groups: Sequence[Group], colour_by_label: Mapping[str, str]) -> Figure:
    hues = [colour_by_label[group.strategy] for group in groups]
    spreads = [group.spread for group in groups]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [group.after for group in groups],
        "y": list(range(len(groups))),
        "marker": {"size": 12, "color": hues},
        "error_x": error_bars(
            [
                extent(group.after, spread.high)
                for group, spread in zip(groups, spreads, strict=True)
            ],
            [
                extent(spread.low, group.after)
                for group, spread in zip(groups, spreads, strict=True)
            ],
            GREY,
        ),
        "text": [_describe_group(group) for group in groups],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _describe_group(group: Group) -> str:
    if len(group.trials) == 1:
        return describe_test(group.trials[0])
    return (
        f"<b>{escape(group.strategy)}</b>, {plural(group.tested, 'seed')}<br>{share(group.after)} "
        f"({interval(group.spread.low, group.spread.high)})"
    )


def describe_test(trial: TrialResult) -> str:
    """Return a trial's test accuracy with its interval and verdict as Plotly text."""
    return (
        f"{describe_trial(trial)}<br>{share(trial.test_accuracy)} "
        f"({interval(trial.test_low, trial.test_high)})"
        f"<br>{escape(format_verdict(trial.shown_verdict))}"
    )
