"""The chart of a search's best dev accuracy by spent calls."""

from collections.abc import Mapping, Sequence

from cluster.analysis.search_summary import Found, found
from cluster.analysis.summary import TaskSummary
from cluster.results.charts.figure import DASHES, GREY, Figure, colours, describe_trial, layout
from cluster.results.charts.ticks import axis
from cluster.text.formatting import format_status, share
from cluster.trial.result import TrialResult


def found_figure(summary: TaskSummary, labels: Sequence[str]) -> Figure:
    """Draw the best dev accuracy so far by target calls: a line a seed, a marker a trial."""
    comparisons: dict[int, list[TrialResult]] = {}
    for trial in summary.trials:
        comparisons.setdefault(trial.seed, []).append(trial)
    lines = [
        _course(found(trials), colours(labels), DASHES[place % len(DASHES)])
        for place, trials in enumerate(comparisons.values())
    ]
    spent = max((calls for line in lines for calls in line["x"]), default=0)
    return {
        "data": lines,
        "layout": layout(
            height=300,
            xaxis=axis(0, spent, room=0.03 * max(spent, 1), whole=True)
            | {"title": {"text": "target calls of the search"}, "showgrid": False},
            yaxis=axis(0, 1) | {"range": [0, 1.04], "title": {"text": "best dev accuracy so far"}},
        ),
    }


def _course(steps: Sequence[Found], colour_by_label: Mapping[str, str], dash: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [step.target_calls for step in steps],
        "y": [step.best for step in steps],
        "line": {"color": GREY, "width": 2, "shape": "hv", "dash": dash},
        "marker": {
            "size": 9,
            "color": [colour_by_label[step.trial.strategy] for step in steps],
            "symbol": ["x" if step.trial.status == "pruned" else "circle" for step in steps],
        },
        "text": [
            f"{describe_trial(step.trial)}<br>dev accuracy {share(step.trial.dev_accuracy)}, "
            f"{format_status(step.trial.status)}"
            for step in steps
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
