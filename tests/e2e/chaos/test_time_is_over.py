"""A run whose time is over ends in order, and continuing it gives the same results without one more
call.
"""

from pathlib import Path

import pytest

from cluster.results import read_trials
from tests.e2e.chaos.comparison import differences
from tests.e2e.chaos.endpoint import Endpoint
from tests.e2e.chaos.experiments import APO, SIZES, at_endpoint, running, written
from tests.e2e.chaos.victims import Nodes

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]
WALL_S = 6.0
ENDLESS = {**APO, "rounds": 200}
"""The first round comes at once, the last one never."""
TESTED = 2 * SIZES["test"]


def test_nothing_is_asked_in_a_later_run_when_the_time_is_over(
    cluster: Nodes, served: Endpoint, folder: Path
) -> None:
    """The twins' times end apart, so one of them pays for what the other was refused."""
    name, settings = "over", at_endpoint(folder, served)
    strategies = [
        {"name": "apo", "settings": ENDLESS},
        {"name": "apo", "label": "twin", "settings": ENDLESS},
    ]
    budget = {**settings["budget"], "wall_s": WALL_S, "total": {"wall_s": 2 * WALL_S}}
    file = written(
        {**settings, "strategies": strategies, "budget": budget}, folder / f"{name}.yaml"
    )
    out, again = folder / name, folder / f"{name}-first"
    served.forget()
    with running(file, out, cluster.address) as run:
        run.end()
    trials = read_trials(out)
    assert {trial.status for trial in trials} == {"budget"}
    assert all(
        len(trial.test_marks) + len(trial.seed_prompt_test_marks) == TESTED for trial in trials
    )
    again.mkdir()
    for table in ("trials.parquet", "candidates.parquet"):
        (again / table).write_bytes((out / table).read_bytes())
    (out / "best").rename(again / "best")
    served.forget()
    with running(None, out, cluster.address) as run:
        run.end()
    assert [call for call in served.calls if not call.is_probe] == []
    assert differences(again, out) == []
