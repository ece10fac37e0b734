"""Shared parts of the charts: Plotly figures as plain dicts of traces and layout.

The charts know no page and no theme. Colours of axes and text are left to the page, which knows
whether it is light or dark. Plotly interprets some HTML in every text, so all text goes through
`html.escape`.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from cluster.text.formatting import format_settings
from cluster.trial.result import TrialResult

Figure = dict[str, Any]

PALETTE = ("#4a8fe0", "#e8833a", "#2f9e8f", "#d6508a", "#8a6fe8", "#a3862c", "#6aa84f", "#b5651d")
"""Mid-tones: each can be read on white and on near-black.

Grey is reserved for the baseline.
"""
DASHES = ("solid", "dash", "dot", "dashdot")
GREY = "#8a8f98"


def colours(labels: Sequence[str]) -> dict[str, str]:
    """Return a colour for each strategy label, by its place."""
    return {label: PALETTE[place % len(PALETTE)] for place, label in enumerate(labels)}


def layout(height: int, xaxis: Figure, yaxis: Figure) -> Figure:
    """Return a figure's layout, without a legend and without zooming."""
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


def named_rows(names: Sequence[str]) -> Figure:
    """Return the y axis of a chart with one named row for each name, the first on top."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "range": [len(names) - 0.4, -0.6],
        "showgrid": False,
    }


def error_bars(
    above: Sequence[float], below: Sequence[float], colour: str, thickness: float = 2
) -> Figure:
    """Return error bars of a trace.

    Args:
        above: Length of each upper bar.
        below: Length of each lower bar.
        colour: Colour of all bars.
        thickness: Width of the lines in pixels.
    """
    return {
        "type": "data",
        "symmetric": False,
        "array": list(above),
        "arrayminus": list(below),
        "color": colour,
        "thickness": thickness,
        "width": 0,
    }


def extent(low: float | None, high: float | None) -> float:
    """Return the length from `low` to `high`; 0.0 where an end is missing or they are reversed."""
    return 0.0 if low is None or high is None else max(0.0, high - low)


def describe_trial(trial: TrialResult) -> str:
    """Return a trial's strategy, seed and point as Plotly text."""
    point = f"<br>{escape(format_settings(trial.settings))}" if trial.settings else ""
    return f"<b>{escape(trial.strategy)}</b>, seed {trial.seed}{point}"
