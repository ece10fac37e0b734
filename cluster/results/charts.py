"""The report's charts as Plotly figures: plain dicts of traces and layout, one figure a task.

Knows no page and no theme.

Colours of axes and text are left to the page, which knows whether it is light or dark.
Plotly reads a little HTML in every text, so all text goes through `html.escape`.
"""

from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean
from typing import Any

from cluster.analysis.comparisons import PROMPTS_OF_ALL, PairwiseComparison
from cluster.analysis.search_summary import Found, found
from cluster.analysis.summary import Group, TaskSummary
from cluster.results.ticks import axis
from cluster.text.formatting import interval, plural, settings_told, share, status_told
from cluster.trial.result import TrialResult
from optimizer.candidate import Round
from optimizer.statistics import Interval, wilson

Figure = dict[str, Any]

PALETTE = ("#4a8fe0", "#e8833a", "#2f9e8f", "#d6508a", "#8a6fe8", "#a3862c", "#6aa84f", "#b5651d")
"""Mid-tones: each can be read on white and on near-black.

Grey is not among them: it is the baseline's.
"""
_DASHES = ("solid", "dash", "dot", "dashdot")
_GREY = "#8a8f98"
_MOST_WITH_INTERVALS = 6
_WIDEST_APART = 0.4
"""Of a round's width, all lines together."""


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each strategy label, by its place."""
    return {label: PALETTE[place % len(PALETTE)] for place, label in enumerate(labels)}


def accuracy_figure(summary: TaskSummary, labels: Sequence[str]) -> Figure:
    """Test accuracy: a row a strategy (of a search, a row a point), from the baseline's (hollow) to
    the best prompts' (filled, with the 95% interval over the items of all seeds). Small dots are
    single trials, where there are several.
    """
    groups = [group for group in summary.groups if group.after is not None]
    names = [
        escape(group.trials[0].trial if group.settings else group.strategy) for group in groups
    ]
    colour_by_label = colours(labels)
    data = [
        _moves(groups),
        _single_trials(groups, colour_by_label),
        _seed_prompts(groups),
        _best_prompts(groups, colour_by_label),
    ]
    return {
        "data": data,
        "layout": _layout(
            height=78 + 32 * len(groups),
            xaxis=axis(0, 1) | {"range": [0, 1.02], "title": {"text": "test accuracy"}},
            yaxis=_named_rows(names),
        ),
    }


def comparisons_figure(own: Sequence[PairwiseComparison], labels: Sequence[str]) -> Figure:
    """A leader's comparisons: a row a rival, the leader's lead on the items that both have
    answered, with its 95% interval. Filled
    where the corrected verdict tells them apart, hollow where not.
    """
    colour_by_label = colours(labels) | dict.fromkeys(PROMPTS_OF_ALL, _GREY)
    hues = [colour_by_label[comparison.second] for comparison in own]
    apart = [comparison.verdict != "not distinguishable" for comparison in own]
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": [comparison.difference for comparison in own],
        "y": list(range(len(own))),
        "marker": {
            "size": 12,
            "color": hues,
            "line": {"width": 2, "color": hues},
            "symbol": ["circle" if told else "circle-open" for told in apart],
        },
        "text": [escape(comparison.sentence) for comparison in own],
        "hovertemplate": "%{text}<extra></extra>",
    }
    ends = [
        end
        for comparison in own
        if comparison.interval
        for end in (comparison.interval.low, comparison.interval.high)
    ] or [0.0, 1.0]
    return {
        "data": [*_whiskers(own, hues), points],
        "layout": _layout(
            height=78 + 32 * len(own),
            xaxis=axis(min(*ends, 0.0), max(*ends, 0.1), room=0.05, signed=True)
            | {
                "zeroline": True,
                "zerolinewidth": 2,
                "zerolinecolor": _GREY,
                "title": {
                    "text": f"lead of {escape(own[0].first)} in test accuracy" if own else ""
                },
            },
            yaxis=_named_rows([escape(comparison.second) for comparison in own]),
        ),
    }


def _whiskers(own: Sequence[PairwiseComparison], hues: Sequence[str]) -> list[Figure]:
    """A line a row, since one trace has one colour of lines."""
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [comparison.interval.low, comparison.interval.high],
            "y": [row, row],
            "line": {"color": hue, "width": 2},
            "hoverinfo": "skip",
        }
        for row, (comparison, hue) in enumerate(zip(own, hues, strict=True))
        if comparison.interval
    ]


def _named_rows(names: Sequence[str]) -> Figure:
    return {
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "range": [len(names) - 0.4, -0.6],
        "showgrid": False,
    }


def learning_figure(summary: TaskSummary, labels: Sequence[str]) -> Figure:
    """Best dev accuracy by round: a line a trial, slightly apart so that they can be told; a few
    have their 95% intervals.

    Where there are several seeds, a strategy's line is their mean, and its trials stay as faint
    lines. Intervals of many lines would cover each other. A trial that was pruned ends with a
    cross.
    """
    trials = [trial for trial in summary.trials if any(round.standings for round in trial.rounds)]
    means = (
        []
        if any(trial.settings for trial in trials)
        else [group for group in summary.groups if len(group.trials) > 1]
    )
    colour_by_label = colours(labels)
    middle = (len(trials) - 1) / 2
    apart = min(0.035, _WIDEST_APART / max(1, len(trials)))
    lines = [
        _line(
            trial,
            colour_by_label[trial.strategy],
            _DASHES[_place(summary, trial) % len(_DASHES)],
            apart * (place - middle),
        )
        for place, trial in enumerate(trials)
    ]
    if len(trials) > _MOST_WITH_INTERVALS:
        lines = [{key: value for key, value in line.items() if key != "error_y"} for line in lines]
    if means:
        lines = [
            line | {"opacity": 0.3, "line": line["line"] | {"width": 1}, "marker": {"size": 4}}
            for line in lines
        ]
    return {
        "data": [*lines, *(_mean_line(group, colour_by_label[group.strategy]) for group in means)],
        "layout": _layout(
            height=300,
            xaxis=axis(0, _last_round(trials), room=0.3, whole=True)
            | {"title": {"text": "round"}, "showgrid": False},
            yaxis=axis(0, 1) | {"range": [0, 1.04], "title": {"text": "best dev accuracy"}},
        ),
    }


def _last_round(trials: Sequence[TrialResult]) -> int:
    """The highest round that was reached: an axis goes no further."""
    return max(
        (round.number for trial in trials for round in trial.rounds if round.standings), default=0
    )


def found_figure(summary: TaskSummary, labels: Sequence[str]) -> Figure:
    """Of a search: the best dev accuracy so far by target calls, a line a seed, a marker a trial in
    its strategy's colour.
    """
    comparisons: dict[int, list[TrialResult]] = {}
    for trial in summary.trials:
        comparisons.setdefault(trial.seed, []).append(trial)
    lines = [
        _course(found(trials), colours(labels), _DASHES[place % len(_DASHES)])
        for place, trials in enumerate(comparisons.values())
    ]
    spent = max((calls for line in lines for calls in line["x"]), default=0)
    return {
        "data": lines,
        "layout": _layout(
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
        "line": {"color": _GREY, "width": 2, "shape": "hv", "dash": dash},
        "marker": {
            "size": 9,
            "color": [colour_by_label[step.trial.strategy] for step in steps],
            "symbol": ["x" if step.trial.status == "pruned" else "circle" for step in steps],
        },
        "text": [
            f"{_named(step.trial)}<br>dev accuracy {share(step.trial.dev_accuracy)}, "
            f"{status_told(step.trial.status)}"
            for step in steps
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _layout(height: int, xaxis: Figure, yaxis: Figure) -> Figure:
    shared = {"zeroline": False, "fixedrange": True, "automargin": True}
    return {
        "height": height,
        "margin": {"l": 48, "r": 12, "t": 8, "b": 44},
        "showlegend": False,
        "hovermode": "closest",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": shared | xaxis,
        "yaxis": shared | yaxis,
    }


def _moves(groups: Sequence[Group]) -> Figure:
    """A thin line from each row's baseline to its best prompts."""
    x = [end for group in groups for end in (group.before, group.after, None)]
    y = [end for row in range(len(groups)) for end in (row, row, None)]
    line = {"color": _GREY, "width": 1, "dash": "dot"}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "hoverinfo": "skip"}


def _single_trials(groups: Sequence[Group], colour_by_label: Mapping[str, str]) -> Figure:
    """A little below their row's line, so that the interval does not cover them."""
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
        "text": [_told(trial) for _, trial in found],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _seed_prompts(groups: Sequence[Group]) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "baseline",
        "x": [group.before for group in groups],
        "y": list(range(len(groups))),
        "marker": {"symbol": "circle-open", "size": 10, "color": _GREY, "line": {"width": 2}},
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
        "error_x": _bars(
            [
                _above(group.after, spread.high)
                for group, spread in zip(groups, spreads, strict=True)
            ],
            [
                _above(spread.low, group.after)
                for group, spread in zip(groups, spreads, strict=True)
            ],
            _GREY,
        ),
        "text": [_group_told(group) for group in groups],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _group_told(group: Group) -> str:
    if len(group.trials) == 1:
        return _told(group.trials[0])
    return (
        f"<b>{escape(group.strategy)}</b>, {plural(group.tested, 'seed')}<br>{share(group.after)} "
        f"({interval(group.spread.low, group.spread.high)})"
    )


def _told(trial: TrialResult) -> str:
    return (
        f"{_named(trial)}<br>{share(trial.test_accuracy)} "
        f"({interval(trial.test_low, trial.test_high)})<br>{escape(trial.told)}"
    )


def _named(trial: TrialResult) -> str:
    point = f"<br>{escape(settings_told(trial.settings))}" if trial.settings else ""
    return f"<b>{escape(trial.strategy)}</b>, seed {trial.seed}{point}"


def _line(trial: TrialResult, colour: str, dash: str, apart: float) -> Figure:
    rounds = [
        (round, round.best.accuracy)
        for round in trial.rounds
        if round.standings and round.best.accuracy is not None
    ]
    ends = [wilson(accuracy * round.best.items, round.best.items) for round, accuracy in rounds]
    told = [_round_told(trial, round, end) for (round, _), end in zip(rounds, ends, strict=True)]
    symbols = ["circle"] * len(rounds)
    if trial.status == "pruned" and symbols:
        symbols[-1] = "x"
    line: Figure = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"{escape(trial.strategy)}, seed {trial.seed}",
        "x": [round.number + apart for round, _ in rounds],
        "y": [accuracy for _, accuracy in rounds],
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"size": 7, "color": colour, "symbol": symbols},
        "text": told,
        "hovertemplate": "%{text}<extra></extra>",
    }
    return (
        line
        if trial.settings
        else line
        | {
            "error_y": _bars(
                [
                    _above(accuracy, end.high)
                    for (_, accuracy), end in zip(rounds, ends, strict=True)
                ],
                [
                    _above(end.low, accuracy)
                    for (_, accuracy), end in zip(rounds, ends, strict=True)
                ],
                colour,
                thickness=1,
            )
        }
    )


def _mean_line(group: Group, colour: str) -> Figure:
    """The mean of the trials' best dev accuracies from the first round that all have measured; who
    has ended keeps the last.
    """
    courses = [
        course
        for trial in group.trials
        if (
            course := {
                round.number: round.best.accuracy
                for round in trial.rounds
                if round.standings and round.best.accuracy is not None
            }
        )
    ]
    first = max((min(course) for course in courses), default=0)
    numbers = sorted({number for course in courses for number in course if number >= first})
    means = [
        fmean(course[max(known for known in course if known <= number)] for course in courses)
        for number in numbers
    ]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escape(group.strategy),
        "x": numbers,
        "y": means,
        "line": {"color": colour, "width": 2.5},
        "marker": {"size": 7, "color": colour},
        "text": [
            f"<b>{escape(group.strategy)}</b>, mean of {plural(len(courses), 'seed')}<br>round "
            f"{number}: {share(mean)}"
            for number, mean in zip(numbers, means, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _round_told(trial: TrialResult, round: Round, end: Interval) -> str:
    return (
        f"{_named(trial)}<br>round {round.number}: {share(round.best.accuracy)} "
        f"({interval(end.low, end.high)}, {plural(round.best.items, 'item')})<br>by "
        f"{escape(round.best.candidate.operator)}"
    )


def _bars(
    above: Sequence[float], below: Sequence[float], colour: str, thickness: float = 2
) -> Figure:
    return {
        "type": "data",
        "symmetric": False,
        "array": list(above),
        "arrayminus": list(below),
        "color": colour,
        "thickness": thickness,
        "width": 0,
    }


def _above(low: float | None, high: float | None) -> float:
    return 0.0 if low is None or high is None else max(0.0, high - low)


def _place(summary: TaskSummary, trial: TrialResult) -> int:
    """The trial's place among its strategy's seeds."""
    return next(group.trials.index(trial) for group in summary.groups if trial in group.trials)
