"""The report page: one HTML file that works offline.

It lays out what the other modules compute, and decides nothing itself.

Whatever comes from data or models is shown as text: the template escapes it, and the page's
security policy runs only the two scripts whose hashes it names and loads nothing from anywhere, so
that a fault in escaping could still execute nothing.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment

from cluster.analysis.comparisons import comparisons as all_comparisons
from cluster.analysis.comparisons import comparisons_over_tasks, corrected_verdicts
from cluster.analysis.failures import failure_lines
from cluster.analysis.form_control import MARK, SENTENCE_BY_STATE, form_alone, form_note, form_notes
from cluster.analysis.leaders import leaders
from cluster.analysis.lineage import lineage
from cluster.analysis.methods import method_lines
from cluster.analysis.outcome_summary import answer_warnings, format_counts
from cluster.analysis.search_summary import MOST_POINTS, searched
from cluster.analysis.summary import strategies, summarise
from cluster.analysis.winner import RULE, best_trials, dev_items
from cluster.analysis.worked_examples import parts_of
from cluster.results.charts.accuracy import accuracy_figure
from cluster.results.charts.comparison import comparisons_figure
from cluster.results.charts.figure import colours
from cluster.results.charts.learning import learning_figure
from cluster.results.charts.search import found_figure
from cluster.results.matrix import matrices
from cluster.results.page_assets import environment_of, render
from cluster.text import formatting
from cluster.text.signs import signed
from cluster.trial.result import Sample, TrialResult

MOST_SAMPLES = 6
"""Test items shown of a trial: enough to see what changed, few enough to scroll past [ours]."""


def report_page(results: Sequence[TrialResult], settings: Mapping[str, Any]) -> str:
    """Return the page as HTML; about 5 MB, nearly all of it Plotly.

    Args:
        results: All trials of the experiment.
        settings: Shown as YAML, so they must hold no secrets.
    """
    summaries, labels = summarise(results), strategies(results)
    charts = {
        f"accuracy-{place}": accuracy_figure(summary, labels)
        for place, summary in enumerate(summaries)
    }
    charts |= {
        f"learning-{place}": learning_figure(summary, labels)
        for place, summary in enumerate(summaries)
    }
    led, warnings = leaders(results), answer_warnings(results)
    charts |= {f"lead-{place}": comparisons_figure(own, labels) for place, own in enumerate(led)}
    if searched(results):
        charts |= {
            f"found-{place}": found_figure(summary, labels)
            for place, summary in enumerate(summaries)
        }
    return render(
        _environment(),
        "report.html.j2",
        settings,
        summaries=summaries,
        results=results,
        charts=charts,
        colours=colours(labels),
        anchors={result.trial: f"trial-{place}" for place, result in enumerate(results)},
        any_stand_in=any(result.stand_in for result in results),
        warnings=[*warnings, *failure_lines(results, shown=warnings)],
        led=led,
        matrices=matrices((*all_comparisons(results), *comparisons_over_tasks(results))),
        corrected=corrected_verdicts(results),
        winners=best_trials(results),
        notes=form_notes(results),
        form_alone=form_alone(results),
        form_note=form_note(results),
        methods=method_lines(results),
        searched=searched(results),
    )


def shown_samples(samples: Sequence[Sample]) -> list[Sample]:
    """Return the first MOST_SAMPLES: items that became better, then worse, then the others.

    Each kind stays in the given order.
    """

    def rank(sample: Sample) -> int:
        if None in (sample.right_before, sample.right_after) or not sample.change:
            return 2
        return 0 if sample.change > 0 else 1

    return sorted(samples, key=rank)[:MOST_SAMPLES]


FILTERS = {
    "format_settings": formatting.format_settings,
    "signed": formatting.signed,
    "format_status": formatting.format_status,
    "format_verdict": formatting.format_verdict,
    "lineage": lineage,
    "shown_samples": shown_samples,
    "signed_parts": signed,
    "parts_of": parts_of,
    "dev_items": dev_items,
}
FUNCTIONS = {
    "interval": formatting.interval,
    "interval_name": formatting.interval_name,
    "plural": formatting.plural,
    "format_counts": format_counts,
    "MOST_POINTS": MOST_POINTS,
    "RULE": RULE,
    "MARK": MARK,
    "SENTENCE_BY_STATE": SENTENCE_BY_STATE,
}


@cache
def _environment() -> Environment:
    """Return the page's environment; its templates are compiled once a process."""
    return environment_of("cluster.results", FILTERS, FUNCTIONS)
