"""The report page: one HTML file that works offline. Lays out what the other modules make; decides nothing itself.

Whatever comes from data or models is shown as text: the template escapes it, and the page's security policy runs only the two
scripts whose hashes it names and loads nothing from anywhere, so that a fault in escaping could still execute nothing.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cluster.report import wording
from cluster.report.charts import accuracy_figure, colours, found_figure, learning_figure
from cluster.report.lineage import lineage
from cluster.report.search import MOST_POINTS, searched
from cluster.report.summary import strategies, summarise
from cluster.result import Sample, TrialResult

MOST_SAMPLES = 6
"""Test items shown of a trial: enough to see what changed, few enough to scroll past."""


def report_page(results: Sequence[TrialResult], settings: Mapping[str, Any]) -> str:
    """The page as HTML; about 5 MB, nearly all of it Plotly. `settings` is shown as YAML, so it must hold no secrets."""
    summaries, labels = summarise(results), strategies(results)
    plotly, script = _text("plotly", "package_data/plotly.min.js"), _text("cluster.report", "templates/report.js")
    charts = {f"accuracy-{place}": accuracy_figure(summary, labels) for place, summary in enumerate(summaries)}
    charts |= {f"learning-{place}": learning_figure(summary, labels) for place, summary in enumerate(summaries)}
    if searched(results):
        charts |= {f"found-{place}": found_figure(summary, labels) for place, summary in enumerate(summaries)}
    return _environment().get_template("report.html.j2").render(
        summaries=summaries, results=results, charts=charts, colours=colours(labels), settings=_yaml(settings),
        anchors={result.trial: f"trial-{place}" for place, result in enumerate(results)},
        style=Markup(_text("cluster.report", "templates/report.css")), scripts=[Markup(plotly), Markup(script)],
        hashes=[_hash(plotly), _hash(script)], any_stand_in=any(result.stand_in for result in results),
        searched=searched(results))


def shown_samples(samples: Sequence[Sample]) -> list[Sample]:
    """The first MOST_SAMPLES: items that were mended, then items that were broken, then the others; each in the given order."""
    mended_or_broken = [(False, True), (True, False)]

    def rank(sample: Sample) -> int:
        change = (sample.right_before, sample.right_after)
        return mended_or_broken.index(change) if change in mended_or_broken else len(mended_or_broken)

    return sorted(samples, key=rank)[:MOST_SAMPLES]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cluster.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "share": wording.share, "count": wording.count, "duration": wording.duration, "shortened": wording.shortened,
        "settings_told": wording.settings_told, "lineage": lineage, "shown_samples": shown_samples}
    environment.globals |= {"interval": wording.interval, "plural": wording.plural, "MOST_POINTS": MOST_POINTS}
    return environment


def _text(package: str, path: str) -> str:
    """A text file of a package, with the line ends that a browser hashes."""
    return files(package).joinpath(path).read_text(encoding="utf-8").replace("\r\n", "\n").replace("</script", "<\\/script")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _yaml(settings: Mapping[str, Any]) -> str:
    return yaml.safe_dump(json.loads(json.dumps(settings, default=str)), sort_keys=False, allow_unicode=True)
