"""Ten thousand candidates of one trial, and the figures of the lineage on the way."""

import json
import time
from pathlib import Path
from random import Random

import pytest

from cluster.preparation import write_settings
from cluster.report.folder import write_trial
from cluster.result import TrialResult
from cluster.service.shown_office import ShownOffice
from cluster.settings import ExperimentSettings
from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Prompt
from serving.storage import open_folder
from tests.service_tests.api.conftest import OpenService

ROUNDS, CHILDREN = 100, 100
WORDS = "Write down each step. " * 10
TRIAL = "navigate-apo-s0"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    rng = Random(0)
    parents = [Candidate(Prompt("Think."), "seed", 0)]
    rounds = []
    for number in range(ROUNDS):
        children = [
            Candidate(Prompt(f"Think {number} {child}. " + WORDS), "edit", number, rng.choice(parents).id, "why")
            for child in range(CHILDREN)]
        standings = [Standing(one, rng.random(), 50, None, place < 4) for place, one in enumerate(children)]
        rounds.append(Round(number, tuple(standings)))
        parents = children[:4]
    result = TrialResult(
        trial=TRIAL, task="navigate", strategy="apo", selection="racing", seed=0, target="t", optimizer="o", status="finished",
        seed_prompt=Prompt("Think."), best=parents[0], rounds=tuple(rounds))
    out = tmp_path / "many"
    settings = {"tasks": ["navigate"], "strategies": ["apo"]}
    write_settings(ExperimentSettings.model_validate(settings), open_folder(out))
    write_trial(out, result)
    return out


async def test_ten_thousand_candidates_come_quickly(open_service: OpenService, many: Path) -> None:
    service = open_service(office=ShownOffice([many]))
    job = await service.shown()
    await service.json(f"/v1/optimizations/{job}/trials")  # read once
    began = time.process_time()
    answer = await service.get(f"/v1/optimizations/{job}/tree", trial=TRIAL)
    took = time.process_time() - began
    tree = answer.json()
    assert len(tree["id"]) == ROUNDS * CHILDREN + 1
    assert all(parent is None or parent < place for place, parent in enumerate(tree["parent"]))
    assert len(answer.content) < 1_200_000
    assert took < 1.0, took
    began = time.process_time()
    page = await service.json(f"/v1/optimizations/{job}/candidates", trial=TRIAL, limit=1000, after=f"{TRIAL}/{tree['id'][5000]}")
    assert time.process_time() - began < 1.5
    assert [one["id"] for one in page["data"]] == tree["id"][5001:6001]
    assert json.dumps(page)
