"""The Grafana dashboard: every metric that it draws exists, and every one of ours is drawn.

Offline; knows names, no Grafana.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.experiment.metrics import METRICS

DASHBOARD = json.loads(
    (Path(__file__).parents[4] / "cluster" / "deploy" / "grafana.json").read_text(encoding="utf-8")
)
RAY = Path(ray.__file__).parent
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
METRIC = re.compile(r"\bray_[a-z0-9_]+")
TAGS = re.compile(r"\b(?:by|on) \(([a-z_, ]+)\)")
OURS = {
    f"ray_{name}_total" if metric.kind == "counter" else f"ray_{name}": metric
    for name, metric in METRICS.items()
}
"""Our metrics under the names that Prometheus sees."""


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if "definition" in variable:
            yield variable["name"], variable["definition"]


@cache
def of_ray() -> frozenset[str]:
    """The names that Ray's own dashboards draw, and those that Serve's sources name."""
    panels = (RAY / "dashboard" / "modules" / "metrics" / "dashboards").glob("*.py")
    drawn = {name for file in panels for name in METRIC.findall(file.read_text())}
    named = {
        name
        for file in (RAY / "serve").rglob("*.py")
        for name in re.findall(r'"(serve_[a-z0-9_]+)"', file.read_text())
    }
    return frozenset(drawn | {f"ray_{name}" for name in named})


def is_known(name: str) -> bool:
    return name in OURS or name in of_ray() or name.removesuffix("_bucket") in of_ray()


@pytest.mark.parametrize(("title", "expression"), list(expressions()), ids=lambda text: text[:40])
def test_every_metric_exists(title: str, expression: str) -> None:
    names = METRIC.findall(expression)
    assert names
    assert [name for name in names if not is_known(name)] == []


@pytest.mark.parametrize(
    "name",
    [
        "ray_promptray_evaluations",
        "ray_promptray_best_dev_accuracy_total",
        "ray_serve_deployment_queued",
        "ray_vllm_kv_cache",
    ],
)
def test_a_metric_that_does_not_exist_is_not_known(name: str) -> None:
    assert not is_known(name)


def test_all_of_our_metrics_are_drawn() -> None:
    drawn = {name for _, expression in expressions() for name in METRIC.findall(expression)}
    assert OURS.keys() - drawn == set()


@pytest.mark.parametrize(("title", "expression"), list(expressions()), ids=lambda text: text[:40])
def test_our_metrics_are_divided_by_tags_that_they_have(title: str, expression: str) -> None:
    ours = [OURS[name] for name in METRIC.findall(expression) if name in OURS]
    divided = {tag.strip() for tags in TAGS.findall(expression) for tag in tags.split(",")}
    assert all(divided <= set(metric.tags) for metric in ours)


def test_brackets_of_expressions_close() -> None:
    for title, expression in expressions():
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), title


def test_panels_have_places_and_numbers_of_their_own() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_a_legend_names_only_tags_that_are_left() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            left = {tag.strip() for tags in TAGS.findall(target["expr"]) for tag in tags.split(",")}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= left, panel["title"]
