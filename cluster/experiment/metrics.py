"""Our own metrics among Ray's, for Prometheus and the Grafana dashboard in cluster/deploy.

An error here ends no trial and no run: it is logged once.

METRICS is an interface: Ray puts `ray_` before each name, and `_total` after a counter's. Tags have
few values: names from the settings, never a prompt, a point of a search or a trial's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ray.util.metrics import Counter, Gauge

from cluster.experiment.telemetry import isolated
from optimizer.budget.call_budget import Usage
from optimizer.types import Purpose
from serving.runtime.metric_labels import metric_label

Kind = Literal["counter", "gauge"]


@dataclass(frozen=True)
class Metric:
    """One line of METRICS."""

    kind: Kind
    tags: tuple[str, ...]
    description: str


METRICS: dict[str, Metric] = {
    "promptray_evaluations": Metric(
        "counter",
        ("experiment", "task", "strategy", "purpose"),
        "Calls of the target model, answers of the ledger included; purpose is learn, validate or "
        "test.",
    ),
    "promptray_calls": Metric(
        "counter",
        ("experiment", "role", "purpose"),
        "Calls of a model, answers of the ledger included; role is target, optimizer or grader, "
        "purpose learn, validate, propose, test, grade or grade_test.",
    ),
    "promptray_failed_calls": Metric(
        "counter", ("experiment", "role"), "Calls that stayed without an answer after all retries."
    ),
    "promptray_ledger_hits": Metric(
        "counter", ("experiment", "role"), "Calls that the ledger answered, at no cost."
    ),
    "promptray_tokens": Metric(
        "counter",
        ("experiment", "role", "direction"),
        "Tokens of fresh answers; direction is in (prompt) or out (completion).",
    ),
    "promptray_ledger_hit_share": Metric(
        "gauge",
        ("experiment",),
        "Share of all trials' calls so far that the ledger answered, 0 to 1.",
    ),
    "promptray_prefix_hit_rate": Metric(
        "gauge",
        ("experiment", "task"),
        "Share of the target's prompt tokens that came from the engine's prefix cache, 0 to 1.",
    ),
    "promptray_best_dev_accuracy": Metric(
        "gauge",
        ("experiment", "task", "strategy"),
        "Best accuracy on the dev split that any trial has reached so far, 0 to 1.",
    ),
    "promptray_trials": Metric(
        "gauge",
        ("experiment", "status"),
        "Trials by status: waiting, running, finished, budget, pruned, stopped, cancelled or "
        "failed.",
    ),
}
"""Metrics by name.

Counters live in the trials' workers; gauges live in the driver, and end with it.
"""


class TrialMetrics:
    """The counters of one trial, in its worker. Ray must run."""

    def __init__(self, experiment: str, task: str, strategy: str) -> None:
        self._tags = {"experiment": experiment, "task": task, "strategy": strategy}
        self._counted: dict[tuple[str, Purpose], Usage] = {}

    def update(self, usage: Mapping[str, Mapping[Purpose, Usage]]) -> None:
        """Count what was spent since the last call.

        Args:
            usage: Role ("target", "optimizer") -> purpose -> everything spent so far.
        """
        with isolated("Counting for Ray's metrics"):
            for role, usage_by_purpose in usage.items():
                for purpose, spent in usage_by_purpose.items():
                    new = spent - self._counted.get((role, purpose), Usage())
                    self._counted[role, purpose] = spent
                    if role == "target":
                        self._add("promptray_evaluations", new.calls, purpose=purpose)
                    self._add("promptray_calls", new.calls, role=role, purpose=purpose)
                    self._add("promptray_failed_calls", new.failed, role=role)
                    self._add("promptray_ledger_hits", new.ledger_hits, role=role)
                    self._add("promptray_tokens", new.prompt_tokens, role=role, direction="in")
                    self._add("promptray_tokens", new.completion_tokens, role=role, direction="out")

    def _add(self, name: str, value: int, **tags: str) -> None:
        if value:
            counter = _made(name)
            assert isinstance(counter, Counter)
            known = {
                tag: text for tag, text in (self._tags | tags).items() if tag in METRICS[name].tags
            }
            counter.inc(value, _labels(known))


def set_gauge(name: str, value: float, **tags: str) -> None:
    """Set one of the gauges of METRICS. Ray must run.

    Args:
        name: Its name in METRICS.
        value: Its value.
        **tags: All of its tags.
    """
    with isolated("Counting for Ray's metrics"):
        gauge = _made(name)
        assert isinstance(gauge, Gauge)
        gauge.set(value, _labels(tags))


def _labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags in the ASCII that Ray requires.

    A task is named after its file, an experiment by a person: both may have other characters.
    """
    return {tag: metric_label(text) for tag, text in tags.items()}


@cache
def _made(name: str) -> Counter | Gauge:
    """Return the metric's object, one a process: it outlives the trials of a reused worker."""
    metric = METRICS[name]
    return (Counter if metric.kind == "counter" else Gauge)(name, metric.description, metric.tags)
