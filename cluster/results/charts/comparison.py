"""The chart of a leader's comparisons with its rivals."""

from collections.abc import Sequence
from html import escape

from cluster.analysis.pairwise import PROMPTS_OF_ALL, PairwiseComparison
from cluster.results.charts.figure import GREY, Figure, colours, layout, named_rows
from cluster.results.charts.ticks import axis


def comparisons_figure(own: Sequence[PairwiseComparison], labels: Sequence[str]) -> Figure:
    """Draw a leader's lead in test accuracy over each rival, with 95% intervals.

    The lead is on the items that both have answered. A marker is filled where the corrected verdict
    is significant, hollow where it is not.
    """
    colour_by_label = colours(labels) | dict.fromkeys(PROMPTS_OF_ALL, GREY)
    hues = [colour_by_label[comparison.second] for comparison in own]
    significant = [comparison.verdict != "not distinguishable" for comparison in own]
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": [comparison.difference for comparison in own],
        "y": list(range(len(own))),
        "marker": {
            "size": 12,
            "color": hues,
            "line": {"width": 2, "color": hues},
            "symbol": ["circle" if one else "circle-open" for one in significant],
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
        "layout": layout(
            height=78 + 32 * len(own),
            xaxis=axis(min(*ends, 0.0), max(*ends, 0.1), room=0.05, signed=True)
            | {
                "zeroline": True,
                "zerolinewidth": 2,
                "zerolinecolor": GREY,
                "title": {
                    "text": f"lead of {escape(own[0].first)} in test accuracy" if own else ""
                },
            },
            yaxis=named_rows([escape(comparison.second) for comparison in own]),
        ),
    }


def _whiskers(own: Sequence[PairwiseComparison], hues: Sequence[str]) -> list[Figure]:
    """Draw the intervals, one trace a row, since one trace has one colour of lines."""
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
