"""The diagnosis page: one HTML file that works offline, in the style of the report.

Whatever comes from data or models is shown as text, under the same security policy as the report's.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment

from cluster.diagnosis.charts import (
    ablations_figure,
    bias_figure,
    one_step_figure,
    predictability_figure,
    validity_figure,
)
from cluster.diagnosis.result import TaskDiagnosis
from cluster.results.charts.figure import Figure
from cluster.results.page_assets import environment_of, render
from cluster.text.formatting import format_verdict
from optimizer.diagnostics import MEASURES, Diagnosis, NotMeasured
from optimizer.diagnostics.findings import chance

MOST_TEXTS = 4
"""Feedbacks of each kind that are quoted: the most frequent ones [ours]."""
BADGE_BY_VERDICT = {
    "detected": "bad",
    "worse": "bad",
    "does not follow": "bad",
    "not detected": "good",
    "better": "good",
    "follows": "good",
}


def diagnosis_page(results: Sequence[TaskDiagnosis], settings: Mapping[str, Any]) -> str:
    """Return the page as HTML; about 5 MB, nearly all of it Plotly.

    Args:
        results: One diagnosis for each task.
        settings: Shown as YAML, so they must hold no secrets.
    """
    charts = {
        f"chart-{place}-{number}": figure
        for place, result in enumerate(results)
        if result.found
        for number, figure in figures(result.found).items()
    }
    return render(
        _environment(),
        "diagnosis.html.j2",
        settings,
        results=results,
        charts=charts,
        measures=MEASURES,
        any_stand_in=any(result.stand_in for result in results),
    )


def figures(found: Diagnosis) -> dict[int, Figure]:
    """Return the figures of the measures that were made, by the measure's place in MEASURES."""
    figure_by_measure: tuple[tuple[Any, Callable[[Any], Figure | None]], ...] = (
        (found.bias, bias_figure),
        (found.validity, validity_figure),
        (found.one_step, one_step_figure),
        (found.predictability, predictability_figure),
        (found.ablations, ablations_figure),
    )
    made = {
        number: make(finding)
        for number, (finding, make) in enumerate(figure_by_measure)
        if not isinstance(finding, NotMeasured)
    }
    return {number: figure for number, figure in made.items() if figure}


def quoted(found: Diagnosis, given: str) -> list[tuple[str, int]]:
    """Return the most frequent feedbacks of one kind, with their counts."""
    return Counter(
        feedback.text for feedback in found.feedbacks if feedback.given == given
    ).most_common(MOST_TEXTS)


@cache
def _environment() -> Environment:
    """Return the page's environment; its templates are compiled once a process."""
    functions = {
        "chance": chance,
        "format_verdict": format_verdict,
        "quoted": quoted,
        "BADGE_BY_VERDICT": BADGE_BY_VERDICT,
        "measured": lambda finding: not isinstance(finding, NotMeasured),
    }
    return environment_of("cluster.diagnosis", {}, functions)
