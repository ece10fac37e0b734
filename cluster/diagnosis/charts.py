"""The diagnosis page's charts as Plotly figures: plain dicts of traces and layout, one a measure.

Colours of axes and text are left to the page. Plotly interprets some HTML in every text, so all
text goes through `html.escape`.
"""

from collections.abc import Sequence
from html import escape
from textwrap import shorten
from typing import Any

from cluster.results.charts.figure import PALETTE, Figure
from cluster.results.charts.ticks import axis
from optimizer.diagnostics import (
    Ablations,
    OneStep,
    Predictability,
    ReflectionBias,
    ReflectionValidity,
)
from optimizer.diagnostics.findings import figure as format_figure
from optimizer.statistics import Estimate

BLUE, ORANGE, GREEN = PALETTE[:3]
GREY = "#8a8f98"
ROW_PX = 34
FROM_0_TO_1 = axis(0, 1) | {"range": [-0.02, 1.03]}
_APART = 0.16
"""Distance between two dots of one row, in rows."""
_JITTER = 0.28
"""Points of one row are spread over this much of it on either side, in a fixed order."""

Row = tuple[str, Estimate]


def bias_figure(found: ReflectionBias) -> Figure:
    """Draw the share that the prior explains, and the similarities behind it."""
    rows = [
        ("<b>explained by the prior</b>", found.explained),
        ("across error sets", found.across_errors),
        ("errors, right answers", found.errors_right),
        ("errors, no example", found.errors_nothing),
        ("across no example", found.across_nothing),
    ]
    share, similarities = rows[:1], rows[1:]
    return _figure(
        [
            _dots(share, BLUE, "share of feedbacks"),
            _dots(similarities, ORANGE, "mean similarity", start=1),
        ],
        [label for label, _ in rows],
        FROM_0_TO_1 | {"title": {"text": "share; similarity"}},
    )


def validity_figure(found: ReflectionValidity) -> Figure:
    """Draw the share of valid reflections, beside those without an example and a guess."""
    dots = [_dots([("", found.valid)], BLUE, "on errors")]
    if found.unseen is not None:
        unseen = Estimate(found.unseen, found.unseen, found.unseen, 0)
        dots.append(_dots([("", unseen)], GREY, "without an example", start=1, hollow=True))
    labels = ["reflections on errors", "without an example"]
    return _figure(
        dots,
        labels,
        FROM_0_TO_1 | {"title": {"text": "share that names the true step"}},
        line=found.chance,
    )


def one_step_figure(found: OneStep) -> Figure:
    """Draw every new prompt as a point, and each arm's mean with its interval."""
    arms = [arm for arm in found.by_arm if any(one.arm == arm for one in found.refinements)]
    traces = []
    for row, arm in enumerate(arms):
        ones = [one for one in found.refinements if one.arm == arm]
        step = 2 * _JITTER / max(1, len(ones) - 1)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [one.change for one in ones],
                "y": [
                    row - _JITTER + step * place if len(ones) > 1 else row
                    for place in range(len(ones))
                ],
                "marker": {
                    "size": 7,
                    "color": GREY if arm == "paraphrase" else BLUE,
                    "opacity": 0.45,
                },
                "text": [
                    f"{escape(shorten(one.instruction, 160))}<br>{one.change:+.2f} ({one.improved} "
                    f"items won, {one.worsened} lost)"
                    for one in ones
                ],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    traces.append(_dots([(arm, found.by_arm[arm].change) for arm in arms], ORANGE, "mean change"))
    return _figure(
        traces,
        [f"{escape(arm)}, {sum(one.arm == arm for one in found.refinements)}" for arm in arms],
        _changes(found, arms) | {"title": {"text": "change in dev accuracy"}},
        line=0.0,
        row_px=54,
    )


def _changes(found: OneStep, arms: Sequence[str]) -> Figure:
    """Return the axis from the lowest to the highest change or end of an interval, with zero."""
    means = [found.by_arm[arm].change for arm in arms]
    ends = [
        0.0,
        *(one.change for one in found.refinements),
        *(end for mean in means for end in (mean.low, mean.high)),
    ]
    low, high = min(ends), max(ends)
    return axis(low, high, room=0.05 * (high - low) or 0.05, signed=True)


def predictability_figure(found: Predictability) -> Figure:
    """Draw the share of responses that follow each step, and the accuracy with and without."""
    labels = [
        f"step {number}: {shorten(text, 34, placeholder=' …')}"
        for number, text in enumerate(found.steps, 1)
    ]
    conditions = [(found.told, ORANGE, "in words", _APART if found.shown else 0.0)]
    if found.shown:
        conditions.append((found.shown, BLUE, "with demonstrations", -_APART))
    rows = [*labels, "every step"]
    traces = [
        _dots(
            [("", one) for one in (*condition.followed_by_step, condition.followed_all)],
            colour,
            name,
            apart=apart,
        )
        for condition, colour, name, apart in conditions
    ]
    traces.append(
        _dots(
            [("", found.accuracy_followed), ("", found.accuracy_not_followed)],
            GREEN,
            "accuracy",
            start=len(rows),
        )
    )
    return _figure(
        traces,
        [*map(escape, rows), "accuracy, all followed", "accuracy, others"],
        FROM_0_TO_1 | {"title": {"text": "share of responses"}},
    )


def ablations_figure(found: Ablations) -> Figure:
    """Draw the held-out accuracy of each variant's best prompts."""
    rows = [(name, variant.accuracy) for name, variant in found.by_variant.items()]
    return _figure(
        [
            _dots([("baseline", found.seed_prompt)], GREY, "baseline", hollow=True),
            _dots(rows, BLUE, "best prompt", start=1),
        ],
        ["baseline", *(escape(name) for name, _ in rows)],
        FROM_0_TO_1 | {"title": {"text": "held-out accuracy"}},
        line=rows[0][1].mean,
    )


def _dots(
    rows: Sequence[Row],
    colour: str,
    name: str,
    start: int = 0,
    apart: float = 0.0,
    hollow: bool = False,
) -> Figure:
    """Draw a dot with its interval in each row that has a figure, from row `start` on."""
    known = [
        (start + at + apart, one, one.mean)
        for at, (_, one) in enumerate(rows)
        if one.mean is not None
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [mean for _, _, mean in known],
        "y": [row for row, _, _ in known],
        "marker": {
            "size": 11,
            "color": colour,
            "symbol": "circle-open" if hollow else "circle",
            "line": {"width": 2, "color": colour},
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, one.high - mean) for _, one, mean in known],
            "arrayminus": [max(0.0, mean - one.low) for _, one, mean in known],
            "color": colour,
            "thickness": 2,
            "width": 0,
        },
        "text": [
            f"{escape(name)}: {format_figure(one)}"
            + (f", {one.items} measured" if one.items else "")
            for _, one, _ in known
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _figure(
    traces: Sequence[Figure],
    labels: Sequence[str],
    xaxis: Figure,
    line: float | None = None,
    row_px: int = ROW_PX,
) -> Figure:
    """Lay out rows from top to bottom.

    Args:
        traces: The traces of the figure.
        labels: One for each row.
        xaxis: The x axis.
        line: Place of a dotted line to compare with.
        row_px: Height of a row in pixels.
    """
    shared: dict[str, Any] = {"zeroline": False, "fixedrange": True, "automargin": True}
    style = {"color": GREY, "width": 1.5, "dash": "dot"}
    shapes = (
        []
        if line is None
        else [
            {
                "type": "line",
                "x0": line,
                "x1": line,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "line": style,
            }
        ]
    )
    rows = {
        "tickvals": list(range(len(labels))),
        "ticktext": list(labels),
        "range": [len(labels) - 0.45, -0.55],
        "showgrid": False,
    }
    return {
        "data": list(traces),
        "layout": {
            "height": 70 + row_px * len(labels),
            "margin": {"l": 60, "r": 12, "t": 8, "b": 44},
            "showlegend": False,
            "hovermode": "closest",
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "shapes": shapes,
            "xaxis": shared | xaxis,
            "yaxis": shared | rows,
        },
    }
