"""The report's charts as Plotly figures: plain dicts of traces and layout, one figure a task. Knows no page and no theme.

Colours of axes and text are left to the page, which knows whether it is light or dark.
Plotly reads a little HTML in every text, so all text goes through `html.escape`.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import count as numbers
from typing import Any

from cluster.report.search import Found, found
from cluster.report.summary import TaskSummary
from cluster.report.wording import interval, plural, settings_told, share
from cluster.result import TrialResult
from optimizer.candidate import Round
from optimizer.statistics import Interval, wilson

Figure = dict[str, Any]

PALETTE = ("#4a8fe0", "#e8833a", "#2f9e8f", "#d6508a", "#8a6fe8", "#a3862c", "#6aa84f", "#b5651d")
"""Mid-tones: each can be read on white and on near-black. Grey is not among them: it is the seed prompt's."""
_DASHES = ("solid", "dash", "dot", "dashdot")
_GREY = "#8a8f98"
_WIDEST_APART = 0.4
"""Of a round's width, all lines together."""


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each strategy label, by its place."""
    return {label: PALETTE[place % len(PALETTE)] for place, label in enumerate(labels)}


def accuracy_figure(summary: TaskSummary, labels: Sequence[str]) -> Figure:
    """Test accuracy: a row a trial, from the seed prompt's (hollow) to the best prompt's (filled, with its 95% interval)."""
    tested = [trial for trial in summary.trials if trial.test_accuracy is not None]
    rows = list(range(len(tested)))
    seeds = [escape(trial.trial if trial.settings else f"{trial.strategy} · {trial.seed}") for trial in tested]
    data = [_moves(tested), _seed_prompts(tested)]
    data += [_best_prompts(tested, label, colour) for label, colour in colours(labels).items() if _has(tested, label)]
    return {"data": data, "layout": _layout(
        height=78 + 26 * len(rows),
        xaxis={"range": [0, 1.02], "title": {"text": "test accuracy"}, "dtick": 0.2, "tickformat": ".1f"},
        yaxis={"tickvals": rows, "ticktext": seeds, "range": [len(rows) - 0.4, -0.6], "showgrid": False})}


def learning_figure(summary: TaskSummary, labels: Sequence[str]) -> Figure:
    """Best dev accuracy by round: a line a trial, with 95% intervals, slightly apart so that they can be told.

    The many trials of a search have no intervals, which would cover each other; one that was pruned ends with a cross.
    """
    trials = [trial for trial in summary.trials if any(round.standings for round in trial.rounds)]
    colour_by_label = colours(labels)
    middle = (len(trials) - 1) / 2
    apart = min(0.035, _WIDEST_APART / max(1, len(trials)))
    lines = [
        _line(trial, colour_by_label[trial.strategy], _DASHES[_place(summary, trial) % len(_DASHES)], apart * (place - middle))
        for place, trial in enumerate(trials)]
    return {"data": lines, "layout": _layout(
        height=300, xaxis={"title": {"text": "round"}, "dtick": 1, "showgrid": False},
        yaxis={"range": [0, 1.04], "title": {"text": "best dev accuracy"}, "dtick": 0.2, "tickformat": ".1f"})}


def found_figure(summary: TaskSummary, labels: Sequence[str]) -> Figure:
    """Of a search: the best dev accuracy so far by target calls, a line a seed, a marker a trial in its strategy's colour."""
    contests: dict[int, list[TrialResult]] = {}
    for trial in summary.trials:
        contests.setdefault(trial.seed, []).append(trial)
    lines = [
        _course(found(trials), colours(labels), _DASHES[place % len(_DASHES)]) for place, trials in enumerate(contests.values())]
    return {"data": lines, "layout": _layout(
        height=300, xaxis={"title": {"text": "target calls of the search"}, "rangemode": "tozero", "showgrid": False},
        yaxis={"range": [0, 1.04], "title": {"text": "best dev accuracy so far"}, "dtick": 0.2, "tickformat": ".1f"})}


def _course(steps: Sequence[Found], colour_by_label: Mapping[str, str], dash: str) -> Figure:
    return {
        "type": "scatter", "mode": "lines+markers", "x": [step.target_calls for step in steps], "y": [step.best for step in steps],
        "line": {"color": _GREY, "width": 2, "shape": "hv", "dash": dash},
        "marker": {
            "size": 9, "color": [colour_by_label[step.trial.strategy] for step in steps],
            "symbol": ["x" if step.trial.status == "pruned" else "circle" for step in steps]},
        "text": [f"{_named(step.trial)}<br>dev accuracy {share(step.trial.dev_accuracy)}, {step.trial.status}" for step in steps],
        "hovertemplate": "%{text}<extra></extra>"}


def _layout(height: int, xaxis: Figure, yaxis: Figure) -> Figure:
    shared = {"zeroline": False, "fixedrange": True, "automargin": True}
    return {
        "height": height, "margin": {"l": 48, "r": 12, "t": 8, "b": 44}, "showlegend": False, "hovermode": "closest",
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "xaxis": shared | xaxis, "yaxis": shared | yaxis}


def _moves(tested: Sequence[TrialResult]) -> Figure:
    """A thin line from each trial's seed prompt to its best prompt."""
    x = [end for trial in tested for end in (trial.seed_prompt_test_accuracy, trial.test_accuracy, None)]
    y = [end for row in range(len(tested)) for end in (row, row, None)]
    line = {"color": _GREY, "width": 1, "dash": "dot"}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "hoverinfo": "skip"}


def _seed_prompts(tested: Sequence[TrialResult]) -> Figure:
    return {
        "type": "scatter", "mode": "markers", "name": "seed prompt",
        "x": [trial.seed_prompt_test_accuracy for trial in tested], "y": list(range(len(tested))),
        "marker": {"symbol": "circle-open", "size": 10, "color": _GREY, "line": {"width": 2}},
        "hovertemplate": "seed prompt: %{x:.2f}<extra></extra>"}


def _best_prompts(tested: Sequence[TrialResult], label: str, colour: str) -> Figure:
    mine = [(row, trial) for row, trial in zip(numbers(), tested) if trial.strategy == label]
    return {
        "type": "scatter", "mode": "markers", "name": escape(label),
        "x": [trial.test_accuracy for _, trial in mine], "y": [row for row, _ in mine],
        "marker": {"size": 12, "color": colour},
        "error_x": _bars(
            [_above(trial.test_accuracy, trial.test_high) for _, trial in mine],
            [_above(trial.test_low, trial.test_accuracy) for _, trial in mine], colour),
        "text": [_told(trial) for _, trial in mine], "hovertemplate": "%{text}<extra></extra>"}


def _told(trial: TrialResult) -> str:
    return (f"{_named(trial)}<br>{share(trial.test_accuracy)} "
            f"({interval(trial.test_low, trial.test_high)})<br>{escape(trial.verdict)}")


def _named(trial: TrialResult) -> str:
    point = f"<br>{escape(settings_told(trial.settings))}" if trial.settings else ""
    return f"<b>{escape(trial.strategy)}</b>, seed {trial.seed}{point}"


def _line(trial: TrialResult, colour: str, dash: str, apart: float) -> Figure:
    rounds = [(round, round.best.accuracy) for round in trial.rounds if round.standings and round.best.accuracy is not None]
    ends = [wilson(accuracy * round.best.items, round.best.items) for round, accuracy in rounds]
    told = [_round_told(trial, round, end) for (round, _), end in zip(rounds, ends, strict=True)]
    symbols = ["circle"] * len(rounds)
    if trial.status == "pruned" and symbols:
        symbols[-1] = "x"
    line: Figure = {
        "type": "scatter", "mode": "lines+markers", "name": f"{escape(trial.strategy)}, seed {trial.seed}",
        "x": [round.number + apart for round, _ in rounds], "y": [accuracy for _, accuracy in rounds],
        "line": {"color": colour, "width": 2, "dash": dash}, "marker": {"size": 7, "color": colour, "symbol": symbols},
        "text": told, "hovertemplate": "%{text}<extra></extra>"}
    return line if trial.settings else line | {"error_y": _bars(
        [_above(accuracy, end.high) for (_, accuracy), end in zip(rounds, ends, strict=True)],
        [_above(end.low, accuracy) for (_, accuracy), end in zip(rounds, ends, strict=True)], colour, thickness=1)}


def _round_told(trial: TrialResult, round: Round, end: Interval) -> str:
    return (f"{_named(trial)}<br>round {round.number}: {share(round.best.accuracy)} "
            f"({interval(end.low, end.high)}, {plural(round.best.items, 'item')})<br>by {escape(round.best.candidate.operator)}")


def _bars(above: Sequence[float], below: Sequence[float], colour: str, thickness: float = 2) -> Figure:
    return {"type": "data", "symmetric": False, "array": list(above), "arrayminus": list(below),
            "color": colour, "thickness": thickness, "width": 0}


def _above(low: float | None, high: float | None) -> float:
    return 0.0 if low is None or high is None else max(0.0, high - low)


def _has(trials: Sequence[TrialResult], label: str) -> bool:
    return any(trial.strategy == label for trial in trials)


def _place(summary: TaskSummary, trial: TrialResult) -> int:
    """The trial's place among its strategy's seeds."""
    return next(group.trials.index(trial) for group in summary.groups if trial in group.trials)
