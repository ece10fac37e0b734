"""The built-in target under vLLM in a replica on a real, small Ray: an optimization run on it, and
the deaths of its processes.
"""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from serving.clients.serve_model import ServeHandleModel
from serving.engines.process_guard import MARK, marked
from serving.hosting.deployment import host
from serving.models import load_engine, open_in_process
from serving.settings import TargetSettings
from tests.integration.vllm.processes import environment
from tests.integration.vllm.target import SETTINGS, questions

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("local_ray"),
]
ROOT = Path(__file__).parents[3]
RUN = {
    "tasks": ["navigate"],
    "strategies": [
        {
            "name": "abo",
            "settings": {"rounds": 1, "decompositions": 2, "minibatch": 8, "children": 2},
        }
    ],
    "sizes": {"train": 12, "dev": 16, "test": 40},
    "budget": {"target_calls": 900, "optimizer_calls": 80},
}
UNDER_VLLM = {
    "kind": "vllm",
    "model": "builtin:target",
    "gpus": 0,
    "dtype": "float32",
    "enforce_eager": True,
    "cpu_kv_cache_gib": 0.5,
}
RESULT = ("status", "verdict", "test_accuracy", "dev_accuracy", "target_calls", "optimizer_calls")


@pytest.fixture(scope="module")
def model(local_ray: None) -> ServeHandleModel:
    (deployment,) = host([SETTINGS], load_engine)
    return ServeHandleModel(deployment, SETTINGS.identity)


def cores() -> list[psutil.Process]:
    """vLLM's core processes under this test's Ray: the first with an engine's mark.

    Not every environment lets them set a title.
    """
    of_engines = {
        process.pid: process
        for process in psutil.Process().children(recursive=True)
        if MARK in environment(process)
    }
    return [process for process in of_engines.values() if process.ppid() not in of_engines]


def outcome_of_run(target: Any, out: Path) -> dict[str, Any]:
    """An experiment through the real command, on the Ray of this test, where the model is hosted
    already.
    """
    import ray

    file = out.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(RUN | {"target": target}))
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "from cluster.cli import main; main()",
            "run",
            str(file),
            "--out",
            str(out),
        ],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=240,
        check=False,
        env=os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (row,) = pq.read_table(out / "trials.parquet").to_pylist()
    return {name: row[name] for name in RESULT}


async def test_a_batch_is_answered_through_a_replica(model: ServeHandleModel) -> None:
    asked = questions()[::5]
    assert await model.complete(asked) == await open_in_process(TargetSettings()).complete(asked)


def test_an_optimization_ends_as_it_does_under_ctranslate2(
    model: ServeHandleModel, tmp_path: Path
) -> None:
    found = outcome_of_run(UNDER_VLLM, tmp_path / "vllm")
    assert len(cores()) == 1  # the model that was hosted is the one that was used
    assert found["status"] == "finished"
    assert found == outcome_of_run("builtin:target", tmp_path / "ctranslate2")


async def test_an_engine_that_dies_in_a_replica_is_replaced_and_no_call_is_lost(
    model: ServeHandleModel,
) -> None:
    asked = questions()
    expected = await model.complete(asked)
    (core,) = cores()
    replica = core.parent()
    working = asyncio.create_task(model.complete(asked))
    await asyncio.sleep(0.5)
    assert not working.done()
    core.kill()
    assert await asyncio.wait_for(working, 200) == expected
    assert replica is not None
    assert not replica.is_running()
    assert [process.pid for process in cores()] != [core.pid]


def test_a_replica_that_is_killed_leaves_no_process_of_its_engine_behind(
    model: ServeHandleModel,
) -> None:
    (core,) = cores()
    mark = core.environ()[MARK]
    replica = core.parent()
    assert replica is not None
    assert len(marked(mark)) > 1
    replica.kill()
    ends_at = time.monotonic() + 30
    while marked(mark):
        assert time.monotonic() < ends_at
        time.sleep(0.2)
