"""The chart of best dev accuracies by round."""

from collections.abc import Sequence
from html import escape
from statistics import fmean

from cluster.analysis.summary import Group, TaskSummary
from cluster.results.charts.figure import (
    DASHES,
    Figure,
    colours,
    describe_trial,
    error_bars,
    extent,
    layout,
)
from cluster.results.charts.ticks import axis
from cluster.text.formatting import interval, plural, share
from cluster.trial.result import TrialResult
from optimizer.candidate import Round
from optimizer.statistics import Interval

_MOST_WITH_INTERVALS = 6
_WIDEST_APART = 0.4
"""Share of a round's width that all lines take together."""


def learning_figure(summary: TaskSummary, labels: Sequence[str]) -> Figure:
    """Draw the best dev accuracy by round, a line a trial; a few trials have 95% intervals.

    Lines are shifted slightly, so that they do not cover each other. Where there are several seeds,
    a strategy's line is their mean, and its trials stay as faint lines. Intervals of many lines
    would cover each other. A trial that was pruned ends with a cross.
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
            DASHES[_place(summary, trial) % len(DASHES)],
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
        "layout": layout(
            height=300,
            xaxis=axis(0, _last_round(trials), room=0.3, whole=True)
            | {"title": {"text": "round"}, "showgrid": False},
            yaxis=axis(0, 1) | {"range": [0, 1.04], "title": {"text": "best dev accuracy"}},
        ),
    }


def _last_round(trials: Sequence[TrialResult]) -> int:
    """Return the highest round that was reached: an axis goes no further."""
    return max(
        (round.number for trial in trials for round in trial.rounds if round.standings), default=0
    )


def _line(trial: TrialResult, colour: str, dash: str, apart: float) -> Figure:
    rounds = [
        (round, round.best.accuracy)
        for round in trial.rounds
        if round.standings and round.best.accuracy is not None
    ]
    ends = [round.best.interval or Interval(0.0, 1.0) for round, _ in rounds]
    texts = [
        _describe_round(trial, round, end) for (round, _), end in zip(rounds, ends, strict=True)
    ]
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
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }
    return (
        line
        if trial.settings
        else line
        | {
            "error_y": error_bars(
                [
                    extent(accuracy, end.high)
                    for (_, accuracy), end in zip(rounds, ends, strict=True)
                ],
                [
                    extent(end.low, accuracy)
                    for (_, accuracy), end in zip(rounds, ends, strict=True)
                ],
                colour,
                thickness=1,
            )
        }
    )


def _mean_line(group: Group, colour: str) -> Figure:
    """Draw the mean of the trials' best dev accuracies, from the first round that all have.

    A trial that has ended counts with its last accuracy.
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


def _describe_round(trial: TrialResult, round: Round, end: Interval) -> str:
    return (
        f"{describe_trial(trial)}<br>round {round.number}: {share(round.best.accuracy)} "
        f"({interval(end.low, end.high)}, {plural(round.best.items, 'item')})<br>by "
        f"{escape(round.best.candidate.operator)}"
    )


def _place(summary: TaskSummary, trial: TrialResult) -> int:
    """Return the trial's place among its strategy's seeds."""
    return next(group.trials.index(trial) for group in summary.groups if trial in group.trials)
