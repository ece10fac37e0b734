"""Experiments as jobs on a real Ray head with a token, through the real command: submit, look,
submit again, stop.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cluster.apply import apply_prompt
from serving.storage import Folder, open_folder
from tests.contracts.commands import forked
from tests.integration.ray_head import Head, ray_head

ROOT = Path(__file__).parents[2]
TINY: dict[str, Any] = {
    "name": "tiny",
    "code": [str(ROOT / "tests" / "contracts" / "my_strategy.py")],  # which travels
    "tasks": ["object_counting"],
    "strategies": [{"name": "my_strategy:Climb", "settings": {"rounds": 1, "children": 2}}],
    "sizes": {"train": 10, "dev": 10, "test": 10},
    "budget": {"target_calls": 600, "optimizer_calls": 80},
}
LONG = TINY | {
    "name": "long",
    "code": [],
    "strategies": [{"name": "iterative_ape", "settings": {"rounds": 50, "pool": 8}}],
    "sizes": {"train": 50, "dev": 100, "test": 100},
    "budget": {"target_calls": None, "optimizer_calls": None},
}
pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def head(object_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """With the object store's keys in its environment, as a cluster has them."""
    with ray_head(tmp_path_factory.mktemp("home")) as running:
        yield running


def promptray(head: Head, *arguments: str, code: int = 0, **environment: str) -> str:
    """What a command prints; its complaint where it is to fail."""
    of_ray = {
        name: value for name, value in head.client_environment.items() if name.startswith("RAY_")
    }
    ended = forked(*arguments, ray=of_ray | environment)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended.stdout if code == 0 else ended.stderr


def settings_file(folder: Path, settings: dict[str, Any]) -> str:
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(settings))
    return str(file)


def row(out: Folder) -> dict[str, Any]:
    (found,), (cost,) = (
        pq.read_table(pa.BufferReader(out.read(name))).to_pylist()
        for name in ("trials.parquet", "costs.parquet")
    )
    return dict(found) | dict(cost)


async def test_a_submitted_experiment_runs_is_seen_and_continues(
    head: Head, tmp_path: Path, bucket: str
) -> None:
    file, out = settings_file(tmp_path, TINY), open_folder(bucket)

    said = promptray(head, "submit", file, "--out", bucket)
    assert f"results go to {bucket} there" in said
    assert "object_counting-Climb-s0: finished" in said  # the job's own output, streamed
    assert said.strip().endswith("tiny: succeeded.")
    assert out.names() == [
        "candidates.parquet",
        "costs.parquet",
        "failures.parquet",
        "items.parquet",
        "report.html",
        "settings.yaml",
        "trials.parquet",
    ]
    first = row(out)
    assert (first["status"], first["ledger_hits"] < first["target_calls"]) == ("finished", True)
    prompt = (out / "best").place_of("object_counting-Climb-s0.json")
    assert await apply_prompt(prompt, "I have two apples and a plum. How many fruits do I have?")

    assert "succeeded" in promptray(head, "status")
    assert "object_counting-Climb-s0: finished" in promptray(head, "logs", "tiny")

    again = promptray(head, "submit", file, "--out", bucket)
    assert again.count("Starting Ray") == 1  # of the first run nothing is shown again
    second = row(out)
    assert second["ledger_hits"] == second["target_calls"] + second["optimizer_calls"]
    same = ("test_accuracy", "dev_accuracy", "target_calls", "optimizer_calls", "verdict")
    assert [second[name] for name in same] == [first[name] for name in same]


def test_a_stopped_experiment_keeps_what_it_has(head: Head, tmp_path: Path) -> None:
    file, out = settings_file(tmp_path, LONG), open_folder(head.home / "results" / "long")
    assert "results go to ~/results/long there" in promptray(head, "submit", file, "--no-wait")
    ends_at = time.monotonic() + 100
    while not (out / "ledger").names(".arrows"):
        assert time.monotonic() < ends_at, promptray(head, "logs", "long")
        time.sleep(0.1)
    assert "nothing was submitted" in promptray(head, "submit", file, "--no-wait")

    assert promptray(head, "stop", "long").strip() == "long: stopped."
    assert row(out)["status"] == "stopped"
    log = promptray(head, "logs", "long", "--follow")
    assert "Every finished call is recorded" in log
    assert "Traceback" not in log


def test_what_a_cluster_refuses_is_one_sentence(head: Head) -> None:
    for environment in ({"RAY_AUTH_TOKEN": "f" * 64}, {"RAY_AUTH_MODE": "disabled"}):
        (sentence,) = promptray(head, "status", code=2, **environment).splitlines()
        assert "refuses the Ray token" in sentence
        assert head.token not in sentence
    (sentence,) = promptray(head, "stop", "nobody", code=2).splitlines()
    assert "There is no job called 'nobody'" in sentence
