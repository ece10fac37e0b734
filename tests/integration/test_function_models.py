"""Both models are Python functions that the settings list as code: the target in each trial's own
process, with the row of each example, and the optimizer in a replica.
"""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from cluster.config.experiment import ExperimentSettings

pytestmark = pytest.mark.ray
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
AGENT = '''
"""An agent that looks into the documents of a question, if its prompt tells it to."""


async def answer(messages, example):
    assert "city" not in example, "the agent sees the target"
    told = "documents" in messages[0]["content"]
    found = example["docs"][0].rpartition(" ")[2].rstrip(".") if told else "unknown"
    return {"text": f"Answer: {found}", "prompt_tokens": 20, "completion_tokens": 3}


def propose(messages, example, sampling):
    assert sampling["max_tokens"] > 0
    return "<prompt>Look into the documents first.</prompt>"
'''


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "my_agent.py").write_text(AGENT)
    rows = [
        {"question": f"Where does number {n} live?", "docs": [f"Number {n} lives in C{n}."]}
        | {"city": f"C{n}"}
        for n in range(24)
    ]
    (tmp_path / "homes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = {
        "code": ["my_agent.py"],
        "tasks": [
            {
                "source": str(tmp_path / "homes.jsonl"),
                "columns": {"input": "question", "target": "city"},
                "grader": "exact",
            }
        ],
        "target": {"kind": "python", "function": "my_agent:answer", "where": "trial"},
        "optimizer": "python:my_agent:propose",
        "strategies": [{"name": "iterative_ape", "settings": {"rounds": 1}}],
        "sizes": {"train": 8, "dev": 8, "test": 8},
        "form_control": False,
        "out": str(tmp_path / "out"),
    }
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(given))
    return file


@pytest.mark.usefixtures("on_local_ray")
def test_functions_are_optimized_as_models_are(settings: Path) -> None:
    ended = subprocess.run(
        [*COMMAND, "run", str(settings)], capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    out = settings.parent / "out"
    (trial,) = pq.read_table(out / "trials.parquet").to_pylist()
    assert (trial["seed_prompt_test_accuracy"], trial["test_accuracy"]) == (0.0, 1.0)
    best = json.loads(next((out / "best").glob("*.json")).read_text())
    assert "documents" in json.dumps(best)
    recorded = yaml.safe_load((out / "settings.yaml").read_text())
    assert recorded["optimizer"]["code_revision"].startswith("sha256:")


def test_a_changed_function_is_another_model(settings: Path) -> None:
    first = ExperimentSettings.read(settings).target_model.identity
    assert ExperimentSettings.read(settings).target_model.identity == first
    code = settings.parent / "my_agent.py"
    code.write_text(code.read_text().replace("unknown", "not known"))
    assert ExperimentSettings.read(settings).target_model.identity != first
