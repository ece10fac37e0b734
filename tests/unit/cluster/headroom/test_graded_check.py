"""`promptray check` on graded scores: what can be detected, by how much scores differ."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from cluster.config.budget import Allowed
from cluster.headroom.check import Check, TaskCheck, judged
from cluster.headroom.cost_estimate import Bound, ExperimentEstimate
from cluster.headroom.table import check_table
from optimizer.evaluation.headroom_probe import Probed
from optimizer.statistics import Scores, detectable_gain, detectable_mean_gain
from tests.contracts.trials import small_task

BASELINE = [0.4, 0.5, 0.6, 0.5, 0.45, 0.55] * 10
OTHER = [0.5, 0.7, 0.6, 0.6, 0.55, 0.75] * 10


def checked(baseline: Scores, other: Scores) -> TaskCheck:
    probed = Probed((baseline, baseline), (), {"3 solved examples": other}, 0.0, 0.0)
    return judged("orders", small_task(), probed)


def test_the_detectable_gain_follows_from_the_measured_differences() -> None:
    items = len(small_task().test)
    found = checked(BASELINE, OTHER)
    assert found.detectable == detectable_mean_gain(items, BASELINE, [BASELINE, OTHER])
    assert found.detectable is not None
    assert found.detectable < (detectable_gain(items, 0.0) or 1.0), "small changes need less"
    assert found.seed_prompt.kind == "bootstrap"


def test_scores_of_0_and_1_keep_the_exact_test() -> None:
    items = len(small_task().test)
    found = checked([0.0, 1.0] * 30, [1.0, 1.0] * 30)
    assert found.detectable == detectable_gain(items, 0.0)


def test_the_table_names_the_interval(check: Check) -> None:
    console = Console(width=160, record=True, file=StringIO())
    console.print(check_table(replace(check, tasks=(checked(BASELINE, OTHER),))))
    assert "On orders, accuracy is the mean of graded scores" in " ".join(
        console.export_text().split()
    )
    console.print(check_table(replace(check, tasks=(checked([0.0, 1.0] * 30, [1.0] * 60),))))
    assert "bootstrap" not in console.export_text()


@pytest.fixture
def check() -> Check:
    nothing, unlimited = Bound(0, 0.0, 0.0, 0.0), Allowed()
    return Check((), {}, ExperimentEstimate(1, nothing, nothing, False, unlimited, unlimited))
