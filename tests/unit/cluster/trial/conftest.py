"""The small trial that the tests of this folder share."""

import pytest

from cluster.trial.plan import TrialPlan
from optimizer.tasks.task import Task
from tests.contracts.trials import small_plan, small_task


@pytest.fixture
def task() -> Task:
    return small_task()


@pytest.fixture
def plan() -> TrialPlan:
    return small_plan()
