"""The real command on hostile files: a run ends well and its report is clean; a broken file is one
sentence and exit code 2.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.contracts import hostile
from tests.contracts.commands import forked
from tests.unit.hostile.test_showing import check_page

ROOT = Path(__file__).parents[2]
PLANTED = "planted-by-data"
SETTINGS = {
    "strategies": [
        {
            "name": "abo",
            "settings": {"rounds": 1, "decompositions": 1, "minibatch": 6, "children": 1},
        },
    ],
    "sizes": {"train": 10, "dev": 6, "test": 6},
    "sampling": {"max_tokens": 24},
    "target": {"kind": "builtin", "name": "target", "any_data": True},
    "optimizer": {"kind": "builtin", "name": "optimizer", "any_data": True},
}
BROKEN = {
    "cut.json": b'{"examples": [{"input": "a", "target": "b"}',
    "deep.json": b"[" * 100_000,
    "types.json": b'{"examples": [1, null]}',
    "digits.jsonl": b'{"input": "a", "target": ' + b"9" * 5000 + b"}",
    "long.jsonl": b"\x1b[31m" * 1_000_000,
    "answers.jsonl": b'{"input": "a"}\n',
    "binary.csv": b"\xff\xfe\x00\x01",
    "columns.csv": b"\x1b]0;t\x07,[bold]\n1,2\n",
    "junk.parquet": b"PAR1\x00PAR1",
    "odd\x1b[31m.txt": b"",
}


def promptray(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from cluster.cli import main; main()", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        env=dict(os.environ),
        check=False,
    )


def settings_file(folder: Path, task: Path) -> str:
    file = folder / "x.yaml"
    file.write_text(
        yaml.safe_dump(
            SETTINGS | {"name": "größe", "tasks": [str(task)], "out": str(folder / "out")}
        )
    )
    return str(file)


@pytest.mark.process
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_ends_with_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    ended = forked("run", settings_file(tmp_path, tmp_path / name))
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert len(ended.stderr) < 2500
    assert "Traceback" not in ended.stderr
    assert "\x1b" not in ended.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("on_local_ray")
def test_a_run_on_a_hostile_file_ends_well(tmp_path: Path) -> None:
    (tmp_path := tmp_path / "größe 日本").mkdir()
    file = tmp_path / "größe 日本.jsonl"
    rows = [
        {"input": f"{PLANTED} {text}", "target": f"{PLANTED} {text[:400]}"} for text in hostile.ALL
    ]
    rows += [
        {"input": f"How much is {number} + 3?", "target": str(number + 3)} for number in range(10)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = promptray("run", settings_file(tmp_path, file), "--scorer", "exact")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout
    trials = pq.read_table(tmp_path / "out" / "trials.parquet").to_pylist()
    assert [trial["status"] for trial in trials] == ["finished"]
    assert all("missing" not in trial["verdicts_by_purpose"] for trial in trials)
    check_page((tmp_path / "out" / "report.html").read_bytes().decode(), PLANTED)
