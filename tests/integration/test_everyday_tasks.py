"""Everyday tasks from one command and from Python: tickets under a long production prompt, order
mails to JSON, incident notes to a summary. The models are functions, in each trial's process or in
a replica. Every score is computed again here, by other means.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from rouge_score.rouge_scorer import RougeScorer

import promptray
from serving.ledger.export import export
from serving.storage import open_folder
from tests.contracts import everyday_models, everyday_tasks

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[2]
CODE = ROOT / "tests" / "contracts" / "everyday_models.py"
PROMPT = ROOT / "tests" / "contracts" / "production_prompt.md"
MODELS = {
    role: {"kind": "python", "function": f"everyday_models:{function}", "where": "trial"}
    for role, function in (("model", "answer"), ("optimizer", "advise"))
}
SMALL = {"rounds": 1, "beam": 2, "error_groups": 2, "paraphrases": 0}
KEPT = ("# Policies", "# Form of the answer")


def scores_by_hand(out: Path, score: Callable[[dict[str, Any]], float]) -> dict[str, list[float]]:
    """Return the scores of the test answers by prompt, having held each to the recorded one."""
    found: dict[str, list[float]] = {}
    for item in pq.read_table(out / "items.parquet").to_pylist():
        if item["split"] == "test":
            by_hand = score(item)
            assert item["score"] == pytest.approx(by_hand, abs=1e-9), item
            found.setdefault(item["prompt"], []).append(by_hand)
    (trial,) = pq.read_table(out / "trials.parquet").to_pylist()
    for prompt, field in (("baseline", "seed_prompt_test_accuracy"), ("best", "test_accuracy")):
        mean = sum(found[prompt]) / len(found[prompt])
        assert trial[field] == pytest.approx(mean, abs=1e-9)
    return found


def questions(out: Path, operator: str, to: Path) -> list[str]:
    """Return what the optimizer model was asked by an operator, as the ledger has it."""
    export(open_folder(str(out / "ledger")), str(to))
    rows = [json.loads(line) for line in to.read_text("utf-8").splitlines()]
    asked = [json.loads(row["messages"])[0]["content"] for row in rows]
    return [text for text in asked if text.startswith(f"Operator: {operator}\n")]


def section(prompt: str, heading: str) -> str:
    """Return a section of a prompt up to the next heading of its level."""
    return f"{heading}\n" + prompt.partition(f"{heading}\n")[2].partition("\n# ")[0].rstrip()


@pytest.mark.usefixtures("on_local_ray")
def test_tickets_under_a_long_prompt_from_one_command(tmp_path: Path) -> None:
    data = everyday_tasks.write(tmp_path / "tickets.csv", everyday_tasks.tickets())
    out = tmp_path / "out"
    options = {
        "--input": "text",
        "--target-column": "label",
        "--prompt": str(PROMPT),
        "--describe": "Sort a support ticket into one of six departments.",
        "--code": str(CODE),
        "--model": json.dumps(MODELS["model"]),
        "--optimizer": "python:everyday_models:advise",  # in a replica, as no place is named
        "--target-calls": "900",
        "--out": str(out),
    }
    command = [sys.executable, "-c", "from cluster.cli import main; main()", "run", str(data)]
    command += [part for option in options.items() for part in option]
    command += [part for heading in KEPT for part in ("--keep", heading)]
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    scores = scores_by_hand(
        out, lambda item: float(item["output"].removeprefix("Answer: ") == item["target"])
    )
    assert 0.5 < sum(scores["baseline"]) / len(scores["baseline"]) < 0.8
    assert set(scores["best"]) == {1.0}
    candidates = pq.read_table(out / "candidates.parquet").to_pylist()
    assert len(candidates) > 3
    whole = PROMPT.read_text("utf-8")
    for candidate in candidates:
        instruction = json.loads(candidate["prompt"])["instruction"]
        assert all(section(whole, heading) in instruction for heading in KEPT)
    recorded = yaml.safe_load((out / "settings.yaml").read_text("utf-8"))
    for role in ("target", "optimizer"):
        assert recorded[role]["code_revision"].startswith("sha256:")
    (asked, *_) = questions(out, "criticise", tmp_path / "ledger.jsonl")
    assert "Sort a support ticket into one of six departments." in asked
    assert all(label in asked for label in everyday_tasks.DEPARTMENTS)


@pytest.mark.usefixtures("local_ray")
def test_orders_with_partial_credit_from_python(tmp_path: Path) -> None:
    result = promptray.optimize(
        everyday_tasks.order_mails(),
        input="mail",
        target_column="order",
        grader={"kind": "json"},
        prompt="Turn the mail into a JSON object.",
        describe="Order mails to JSON.",
        strategy={"name": "apo", "settings": SMALL},
        code=[str(CODE)],
        out=tmp_path / "out",
        progress=False,
        name="orders",
        **MODELS,  # type: ignore[arg-type]
    )

    def share(item: dict[str, Any]) -> float:
        given = json.loads(item["output"].partition("```json")[2].rpartition("```")[0])
        target = json.loads(item["target"])
        return sum(given.get(field) == value for field, value in target.items()) / len(target)

    scores = scores_by_hand(tmp_path / "out", share)
    assert set(scores["baseline"]) == {0.5}
    assert set(scores["best"]) == {1.0}
    assert everyday_models.EXPRESS in result.best.text
    asked = questions(tmp_path / "out", "criticise", tmp_path / "ledger.jsonl")
    assert any("<feedback>" in text and "express" in text for text in asked)
    feedback = {item["feedback"] for item in result.items.to_pylist() if item["score"] == 0.5}
    assert all("express" in text and "items" in text for text in feedback)


@pytest.mark.usefixtures("local_ray")
def test_summaries_by_their_similarity_from_python(tmp_path: Path) -> None:
    result = promptray.optimize(
        everyday_tasks.write(tmp_path / "notes.parquet", everyday_tasks.incident_notes()),
        input="notes",
        target_column="summary",
        grader={"kind": "text_similarity", "metric": "rouge_l"},
        prompt="Summarise the incident.",
        strategy={"name": "apo", "settings": SMALL},
        code=[str(CODE)],
        out=tmp_path / "out",
        progress=False,
        **MODELS,  # type: ignore[arg-type]
    )
    rouge = RougeScorer(["rougeL"])
    scores = scores_by_hand(
        tmp_path / "out",
        lambda item: rouge.score(item["target"], item["output"])["rougeL"].fmeasure,
    )
    means = {prompt: sum(own) / len(own) for prompt, own in scores.items()}
    assert means["best"] > means["baseline"] + 0.3
    (trial,) = result.results
    assert trial.verdict == "better"
    assert trial.test_interval_kind == "bootstrap"
