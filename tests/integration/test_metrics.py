"""Our figures as Prometheus reads them from a node of a real Ray."""

import time
import urllib.request
from typing import Any

import pytest

from cluster.experiment.metrics import METRICS
from optimizer.budget.call_budget import Usage

WAIT_S = 60.0


class Worker:
    """A process with a trial's counters."""

    def __init__(self) -> None:
        from cluster.experiment.metrics import TrialMetrics

        self._metrics = TrialMetrics("metrics-test", "navigate", "abo")

    def spend(self) -> None:
        """The same total twice, then more: each call is counted once."""
        first = {
            "target": {"learn": Usage(10, 1, 4, 100, 20)},
            "optimizer": {"propose": Usage(3, 0, 0, 30, 300)},
        }
        self._metrics.update(first)  # type: ignore[arg-type]
        self._metrics.update(first)  # type: ignore[arg-type]
        self._metrics.update({"target": {"learn": Usage(15, 1, 4, 160, 30), "test": Usage(5)}})


def exported(port: int) -> dict[str, float]:
    """What the node's metrics port says of us: series -> value, with the tags that Ray adds left
    out.
    """
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    ours = (
        line.rpartition(" ")
        for line in lines
        if line.startswith("ray_promptray_") and "metrics-test" in line
    )
    return {_series(series): float(value) for series, _, value in ours}


def _series(text: str) -> str:
    name, _, tags = text.rstrip("}").partition("{")
    known = METRICS[name.removeprefix("ray_").removesuffix("_total")].tags
    values = dict(tag.split("=", 1) for tag in tags.split(","))
    return " ".join([name, *(values[tag].strip('"') for tag in known)])


EXPECTED = {
    "ray_promptray_evaluations_total metrics-test navigate abo learn": 15,
    "ray_promptray_evaluations_total metrics-test navigate abo test": 5,
    "ray_promptray_calls_total metrics-test target learn": 15,
    "ray_promptray_calls_total metrics-test optimizer propose": 3,
    "ray_promptray_failed_calls_total metrics-test target": 1,
    "ray_promptray_ledger_hits_total metrics-test target": 4,
    "ray_promptray_tokens_total metrics-test target in": 160,
    "ray_promptray_tokens_total metrics-test target out": 30,
    "ray_promptray_tokens_total metrics-test optimizer out": 300,
    "ray_promptray_ledger_hit_share metrics-test": 0.25,
    "ray_promptray_prefix_hit_rate metrics-test navigate": 0.8,
    "ray_promptray_best_dev_accuracy metrics-test navigate abo": 0.9,
    "ray_promptray_trials metrics-test pruned": 2,
}


@pytest.mark.ray
@pytest.mark.slow
def test_prometheus_reads_our_metrics_from_a_node(local_ray: None) -> None:
    import ray

    from cluster.experiment.metrics import set_gauge

    worker: Any = ray.remote(num_cpus=0)(Worker).remote()
    ray.get(worker.spend.remote())
    set_gauge("promptray_ledger_hit_share", 0.25, experiment="metrics-test")
    set_gauge("promptray_prefix_hit_rate", 0.8, experiment="metrics-test", task="navigate")
    set_gauge(
        "promptray_best_dev_accuracy",
        0.9,
        experiment="metrics-test",
        task="navigate",
        strategy="abo",
    )
    set_gauge("promptray_trials", 2, experiment="metrics-test", status="pruned")
    port, ends_at, seen = (
        ray.nodes()[0]["MetricsExportPort"],
        time.monotonic() + WAIT_S,
        dict[str, float](),
    )
    while not EXPECTED.items() <= seen.items() and time.monotonic() < ends_at:
        time.sleep(0.5)
        seen = exported(port)
    assert {name: seen.get(name) for name in EXPECTED} == EXPECTED


def test_no_metric_has_a_tag_of_many_values() -> None:
    bounded = {"experiment", "task", "strategy", "purpose", "role", "direction", "status"}
    assert {tag for metric in METRICS.values() for tag in metric.tags} <= bounded
    assert all(name.startswith("promptray_") and not name.endswith("_total") for name in METRICS)
