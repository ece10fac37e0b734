"""The diagnosis page: one HTML file that works offline, in the dress of the report.

Lays out what others have found.

Whatever comes from data or models is shown as text, under the same security policy as the report's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cluster.diagnosis.charts import (
    ablations_figure,
    bias_figure,
    one_step_figure,
    predictability_figure,
    validity_figure,
)
from cluster.diagnosis.result import TaskDiagnosis
from cluster.results.charts.figure import Figure
from cluster.results.page_assets import asset, script_hash, shown_yaml
from cluster.text import formatting
from optimizer.diagnostics import MEASURES, Diagnosis, NotMeasured
from optimizer.diagnostics.findings import chance

MOST_TEXTS = 4
"""Feedbacks of each kind that are quoted: the most frequent ones."""
BADGE_BY_VERDICT = {
    "detected": "bad",
    "worse": "bad",
    "does not follow": "bad",
    "not detected": "good",
    "better": "good",
    "follows": "good",
}


def diagnosis_page(results: Sequence[TaskDiagnosis], settings: Mapping[str, Any]) -> str:
    """The page as HTML; about 5 MB, nearly all of it Plotly.

    `settings` is shown as YAML, so it must hold no secrets.
    """
    plotly, script = (
        asset("plotly", "package_data/plotly.min.js"),
        asset("cluster.results", "templates/report.js"),
    )
    charts = {
        f"chart-{place}-{number}": figure
        for place, result in enumerate(results)
        if result.found
        for number, figure in figures(result.found).items()
    }
    return (
        _environment()
        .get_template("diagnosis.html.j2")
        .render(
            results=results,
            charts=charts,
            measures=MEASURES,
            settings=shown_yaml(settings),
            style=Markup(asset("cluster.results", "templates/report.css")),
            scripts=[Markup(plotly), Markup(script)],
            hashes=[script_hash(plotly), script_hash(script)],
            any_stand_in=any(result.stand_in for result in results),
        )
    )


def figures(found: Diagnosis) -> dict[int, Figure]:
    """By the measure's place in MEASURES; those that were made."""
    made = {
        0: None if isinstance(found.bias, NotMeasured) else bias_figure(found.bias),
        1: None if isinstance(found.validity, NotMeasured) else validity_figure(found.validity),
        2: None if isinstance(found.one_step, NotMeasured) else one_step_figure(found.one_step),
        3: None
        if isinstance(found.predictability, NotMeasured)
        else predictability_figure(found.predictability),
        4: None if isinstance(found.ablations, NotMeasured) else ablations_figure(found.ablations),
    }
    return {number: figure for number, figure in made.items() if figure}


def quoted(found: Diagnosis, given: str) -> list[tuple[str, int]]:
    """The most frequent feedbacks of those that were given so, with their numbers."""
    return Counter(
        feedback.text for feedback in found.feedbacks if feedback.given == given
    ).most_common(MOST_TEXTS)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cluster.diagnosis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": formatting.share,
        "count": formatting.count,
        "duration": formatting.duration,
        "shortened": formatting.shortened,
    }
    environment.globals |= {
        "chance": chance,
        "quoted": quoted,
        "BADGE_BY_VERDICT": BADGE_BY_VERDICT,
        "measured": lambda finding: not isinstance(finding, NotMeasured),
    }
    return environment
