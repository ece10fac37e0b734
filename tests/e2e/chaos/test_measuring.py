"""The soak's verdict: what grows steadily is found, what only sways or steps once is not."""

from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from tests.e2e.chaos.measuring import MB, Sample, grows, measured, table, thirds

MEMORY = ("driver", "MB")


def samples(values: Sequence[float]) -> list[Sample]:
    return [{MEMORY: value} for value in values]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (range(0, 900, 10), True),  # a leak
        ([100.0] * 90, False),
        ([100.0, 180.0] * 45, False),  # it sways
        ([100.0] * 30 + [400.0] * 60, False),  # it stepped once
        ([100.0 + at * 0.1 for at in range(90)], False),
    ],
)  # within what is tolerated
def test_only_a_steady_growth_is_found(values: Sequence[float], expected: bool) -> None:
    lines, any_grows = table(samples(values))
    assert any_grows is expected
    assert ("GROWS" in lines[1]) is expected


def test_a_count_that_is_missing_is_none_and_a_process_that_is_missing_says_nothing() -> None:
    found: list[Sample] = [{}, {}, {("actors Trial", "count"): 4.0}, *samples([1.0] * 6)]
    assert thirds(found, ("actors Trial", "count")) == (0.0, 0.0, 0.0)
    assert thirds(found, MEMORY) is None
    assert grows((1.0, 5.0, 9.0), ("actors Trial", "count"))


def test_what_ray_keeps_of_each_driver_is_tolerated_and_no_more() -> None:
    assert not grows((100.0, 150.0, 200.0), ("gcs", "open files"), experiments=30)
    assert grows((100.0, 200.0, 300.0), ("gcs", "open files"), experiments=30)


def test_a_sample_tells_of_a_real_process(tmp_path: Path) -> None:
    own = psutil.Process()
    for place in ("session/logs", "session/artifacts/now/run/driver_artifacts"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "file").touch()
    found = measured(
        [own], [own.pid], ["ServeReplica:one:two", "ServeReplica:one:two", "Other"], tmp_path, 3
    )
    assert found["driver", "MB"] * MB < own.memory_info().rss
    assert found["driver", "MB"] > 10
    assert found["driver", "threads"] >= 1
    assert (found["actors ServeReplica:one", "count"], found["actors Other", "count"]) == (2, 1)
    assert found["files of Ray's sessions", "count"] == 0
    assert found["folders of Tune's runs", "count"] == 1
