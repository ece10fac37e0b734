"""The whole system through the real command, with tiny sizes: a run is interrupted on a Ray of its
own; on another one it goes on and is repeated, and its prompt is applied. One of its strategies is
README's strategy of one's own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from optimizer.prompt import Prompt

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
SETTINGS = {
    "code": ["my_strategy.py"],
    "tasks": ["navigate"],
    "strategies": [
        {"name": "my_strategy:Climb", "settings": {"rounds": 3, "children": 3}},
        {
            "name": "abo",
            "settings": {"rounds": 1, "decompositions": 2, "minibatch": 8, "children": 2},
        },
    ],
    "sizes": {"train": 10, "dev": 10, "test": 10},
    "budget": {"target_calls": 600, "optimizer_calls": 80},
}


def promptray(*arguments: str) -> str:
    ended = subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def rows(out: Path) -> list[dict[str, Any]]:
    """What was found and what it took, by trial."""
    found, costs = (
        pq.read_table(out / name).to_pylist() for name in ("trials.parquet", "costs.parquet")
    )
    return [row | cost for row, cost in zip(found, costs, strict=True)]


def tables(out: Path) -> list[bytes]:
    named = ("trials.parquet", "candidates.parquet", "items.parquet")
    return [(out / name).read_bytes() for name in named]


def kept_prompts(out: Path) -> set[str]:
    """The trials that have a best prompt, which can be used."""
    kept = {file.stem: json.loads(file.read_text()) for file in (out / "best").glob("*.json")}
    assert all(Prompt.from_json(best["prompt"]).text() for best in kept.values())
    return set(kept)


def interrupted(file: Path, out: Path) -> tuple[int, str, float]:
    """Starts a run in the file's folder, presses Ctrl-C once a trial has ended its first round, and
    gives exit code, what was said,
    and the seconds it took."""
    started = subprocess.Popen(
        [str(Path(sys.executable).with_name("promptray")), "run", str(file), "--out", str(out)],
        cwd=file.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    ends_at = time.monotonic() + 200
    while not any(out.glob("unfinished/*.json")):
        assert started.poll() is None, started.communicate()[0]
        assert time.monotonic() < ends_at
        time.sleep(0.05)
    pressed = time.monotonic()
    os.killpg(started.pid, signal.SIGINT)
    said, _ = started.communicate(timeout=60)
    return started.returncode, said, time.monotonic() - pressed


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_that_is_cut_goes_on_from_its_ledger_and_repeats_exactly(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file, out = tmp_path / "tiny.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(SETTINGS))
    shutil.copy(ROOT / "tests" / "contracts" / "my_strategy.py", tmp_path)  # as README shows it
    (tmp_path / "cluster.py").write_text(
        "raise SystemExit('a file of my own')"
    )  # like our packages, and none of them
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "__init__.py").write_text("raise SystemExit('a package of my own')")

    code, said, took_s = interrupted(file, out)
    assert code == 130
    assert "Traceback" not in said
    assert f"promptray resume {out}" in said
    assert took_s < 20
    cut = rows(out)
    assert {row["status"] for row in cut} <= {"stopped", "finished"}
    assert f"the best prompts so far, of {len(kept_prompts(out))} trial" in said
    assert (
        kept_prompts(out)
        == {row["trial"] for row in cut if row["dev_accuracy"] is not None}
        != set()
    )
    assert {row["trial"] for row in cut if row["test_accuracy"] is not None} == {
        row["trial"] for row in cut if row["status"] == "finished"
    }

    request.getfixturevalue("on_local_ray")
    table = promptray("run", str(out / "settings.yaml"))
    continued = rows(out)
    assert [row["status"] for row in continued] == ["finished"] * 2, table
    assert sum(row["ledger_hits"] for row in continued) > 0
    assert "Climb" in table
    assert str(out / "report.html") in table
    expected = {
        "trials.parquet",
        "candidates.parquet",
        "costs.parquet",
        "failures.parquet",
        "classes.parquet",
        "confusion.parquet",
        "items",
        "items.parquet",
        "settings.yaml",
        "report.html",
        "best",
        "trials",
        "ledger",
    }
    assert {path.name for path in out.iterdir()} == expected
    assert len(list((out / "best").iterdir())) == 4

    tested = Counter(
        (item["trial"], item["prompt"])
        for item in pq.read_table(out / "items.parquet").to_pylist()
        if item["split"] == "test" and item["prompt"] != "control"
    )
    assert set(tested.values()) == {10}
    assert len(tested) == 4

    once = tables(out)
    promptray("resume", str(out))
    assert tables(out) == once
    for after in rows(out):
        assert after["ledger_hits"] == after["target_calls"] + after["optimizer_calls"]

    prompt = out / "best" / "navigate-abo-s0.json"
    question = (
        "If you follow these instructions, do you return to the starting point? Take 2 steps. Take "
        "2 steps."
    )
    answer = promptray("apply", str(prompt), "--input", question)
    assert answer.strip()
    assert json.loads(prompt.read_text())["task"] == "navigate"
