"""Every strategy against an OpenAI-compatible server that refuses, breaks off, forgets its tags and
says nothing: over HTTP, through our own gateway on a real Ray. Nothing ends a run, and what is
counted is what the server says that it played.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import ray
import yaml
from ray import serve

from cluster.trial.plan import TrialPlan
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.selection import Full
from optimizer.strategies import STRATEGIES
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes
from optimizer.types import Sampling
from serving.application import application, validated
from serving.clients.openai_model import OpenAIModel
from serving.clients.probe import PROBE as QUESTION
from serving.gateway.deployment import open_gateway
from serving.settings import OpenAISettings
from tests.contracts.faulty_models import write_optimizer, write_target, write_task
from tests.integration.serving.test_gateway_on_serve import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SIZES = {"train": 8, "dev": 6, "test": 10}
NARROW: dict[str, dict[str, int]] = {
    "apo": {"beam": 2, "max_children": 4},
    "apo_sum": {"beam": 2, "max_children": 4},
    "abo": {"beam": 2, "decompositions": 2, "children": 2},
    "hybrid": {"beam": 2, "decompositions": 2},
}
"""Settings of the strategies that ask the most."""
IN_ONE = ("abo",)
"""The strategies of the experiment; each one's own search is tested by itself."""


@dataclass(frozen=True)
class Server:
    """Both scripted models behind one gateway."""

    base_url: str
    folder: Path

    def model(self, name: str) -> dict[str, Any]:
        """No second attempts: the script gives the same reply again."""
        return {
            "kind": "openai",
            "model": f"scripted:{name}",
            "base_url": self.base_url,
            "attempts": 1,
        }

    def played(self, name: str, since: int, calls: int, probe: str) -> Counter[str]:
        """What a model played to so many calls, by the kinds that its replies are named by, behind
        so many lines of its log. All beyond the calls are the client's probes, each of which hears
        the same reply, of the kind `probe`.
        """
        played = Counter(json.loads(line)["reply"] for line in self.lines(name)[since:])
        return played - Counter({probe: played.total() - calls})

    async def heard_by_a_probe(self, name: str) -> str:
        """The kind of the reply: faulty_models.PROBE, or that of a fault, which strikes any
        question.
        """
        client = OpenAIModel(OpenAISettings(**self.model(name)), "no-key")
        await client.at_once(QUESTION)
        await client.aclose()
        return str(json.loads(self.lines(name)[-1])["reply"])

    def lines(self, name: str) -> list[str]:
        return (self.folder / f"{name}.log").read_text().splitlines()


@pytest.fixture(scope="module")
def server(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("faulty")
    write_task(folder / "sums.jsonl")
    files = {
        "target": write_target(folder / "target.yaml"),
        "optimizer": write_optimizer(folder / "optimizer.yaml"),
    }
    models = [
        {"kind": "scripted", "script": str(file), "log": str(folder / f"{name}.log")}
        for name, file in files.items()
    ]
    settings = validated({"models": models, "door": {"port": free_port()}})
    assert settings.gateway is not None
    serve.shutdown()  # Serve keeps the HTTP settings that it was started with
    yield Server(open_gateway(application(settings), settings.gateway), folder)
    serve.shutdown()


def counted(counts_by_key: Mapping[str, Mapping[str, int]]) -> Counter[str]:
    return sum((Counter(counts) for counts in counts_by_key.values()), Counter())


async def search(server: Server, strategy: str) -> TrialResult:
    """A trial without a ledger, so that every call goes to the server."""
    target, optimizer = (
        OpenAISettings(**server.model("target")),
        OpenAISettings(**server.model("optimizer")),
    )
    plan = TrialPlan(
        id="t",
        task="sums",
        strategy=STRATEGIES[strategy](rounds=2, **NARROW.get(strategy, {})),
        strategy_label=strategy,
        selection=Full(),
        selection_label="full",
        seed=0,
        target=target,
        optimizer=optimizer,
        sampling=Sampling(max_tokens=64),
    )
    task = load_task(
        str(server.folder / "sums.jsonl"), sizes=Sizes(**SIZES), seed=0, scorer="number"
    )
    clients = [OpenAIModel(model, model.api_key()) for model in (target, optimizer)]
    try:
        return await Trial(plan, task, *clients).run()
    finally:
        for client in clients:
            await client.aclose()


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_every_answer_is_counted_under_the_kind_that_the_server_played(
    server: Server, strategy: str
) -> None:
    probes = {name: await server.heard_by_a_probe(name) for name in ("target", "optimizer")}
    before = {name: len(server.lines(name)) for name in probes}
    result = await search(server, strategy)
    assert (result.status, result.error) == ("finished", "")
    assert result.best is not None
    assert result.test_accuracy is not None
    verdicts, replies = counted(result.verdicts_by_purpose), counted(result.replies_by_attempt)
    assert (verdicts.total(), replies.total()) == (result.target_calls, result.optimizer_calls)
    assert verdicts == server.played(
        "target", before["target"], result.target_calls, probes["target"]
    )
    assert replies == server.played(
        "optimizer", before["optimizer"], result.optimizer_calls, probes["optimizer"]
    )
    assert {"right", "wrong", "truncated", "refused"} <= set(verdicts)
    by_purpose = {
        purpose: sum(counts.values()) for purpose, counts in result.verdicts_by_purpose.items()
    }
    assert by_purpose == {
        purpose: calls for purpose, calls in result.calls_by_purpose.items() if purpose != "propose"
    }
    again = sum(
        result.replies_by_attempt["first"].get(kind, 0)
        for kind in ("unreadable", "empty", "truncated")
    )
    assert again == sum(result.replies_by_attempt.get("again", {}).values())


def test_an_experiment_ends_with_results_and_says_what_went_wrong(
    server: Server, tmp_path: Path
) -> None:
    file, out = tmp_path / "faulty.yaml", tmp_path / "out"
    file.write_text(
        yaml.safe_dump(
            {
                "tasks": [{"source": str(server.folder / "sums.jsonl"), "scorer": "number"}],
                "strategies": [{"name": name, "settings": {"rounds": 1}} for name in IN_ONE],
                "sizes": SIZES,
                "target": server.model("target"),
                "optimizer": server.model("optimizer"),
                "sampling": {"max_tokens": 64},
                "budget": {"target_calls": 150, "optimizer_calls": 60},
            }
        )
    )
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
        check=False,
        env=os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = pq.read_table(out / "trials.parquet").to_pylist()
    assert {
        row["strategy"]: row["status"] in ("finished", "budget") for row in rows
    } == dict.fromkeys(IN_ONE, True)
    for row in rows:
        assert row["verdict"] or row["best_is_baseline"], "a prompt is not compared with itself"
        assert counted(json.loads(row["verdicts_by_purpose"])).total() == row["target_calls"]
        assert counted(json.loads(row["replies_by_attempt"])).total() == row["optimizer_calls"]
    for place in (ended.stdout, (out / "report.html").read_text()):
        assert "of the target&#39;s answers were cut off at max_tokens 64" in place.replace(
            "'", "&#39;"
        )
