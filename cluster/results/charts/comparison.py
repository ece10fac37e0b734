"""Draw a leader's lead over each of its rivals."""

from collections.abc import Sequence
from html import escape

from cluster.analysis.pairwise import PROMPTS_OF_ALL, PairwiseComparison
from cluster.results.charts.figure import GREY, Figure, colours, layout, named_rows
from cluster.results.charts.ticks import axis


def comparisons_figure(own: Sequence[PairwiseComparison], labels: Sequence[str]) -> Figure:
    """A leader's comparisons: a row a rival, the leader's lead on the items that both have
    answered, with its 95% interval. Filled
    where the corrected verdict tells them apart, hollow where not.
    """
    colour_by_label = colours(labels) | dict.fromkeys(PROMPTS_OF_ALL, GREY)
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
