"""`promptray evaluate` through the real command against an endpoint: killed in the middle, it goes
on and repeats no call but those that were in flight.
"""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.contracts.counting_endpoint import GOOD, CountingEndpoint, counting_endpoint

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.process]
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
ITEMS, AT_ONCE = 64, 4


def write_data(file: Path, items: int) -> None:
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["input", "target"])
        rows.writerows(
            (f"{number} {'word ' * (number % 7)}", 1 + number % 7) for number in range(items)
        )


def killed(arguments: list[str], endpoint: CountingEndpoint, after: int) -> None:
    """Run the command until the endpoint was asked so often, and kill it; what it has on Ray ends."""
    started = subprocess.Popen(
        arguments,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    ends_at = time.monotonic() + 120
    while len(endpoint.asked) < after:
        assert started.poll() is None
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    started.send_signal(signal.SIGKILL)
    assert started.wait(30) == -signal.SIGKILL, "it had ended before it was killed"


def test_killed_twice_it_repeats_what_was_in_flight_alone(
    on_local_ray: None, tmp_path: Path
) -> None:
    write_data(tmp_path / "words.csv", ITEMS)
    (tmp_path / "good.md").write_text(GOOD)
    out = tmp_path / "out"
    with counting_endpoint(delay_s=0.05) as endpoint:
        model = json.dumps(
            {
                "kind": "openai",
                "model": "m",
                "base_url": endpoint.base_url,
                "max_in_flight": AT_ONCE,
                "prices": {"prompt_per_million": 1, "completion_per_million": 1},
            }
        )
        arguments = [
            *COMMAND,
            "evaluate",
            str(tmp_path / "good.md"),
            "Say a number.",
            *("--data", str(tmp_path / "words.csv"), "--model", model, "--out", str(out)),
            *("--min", "0.9", "--money", "5"),
        ]
        killed(arguments, endpoint, ITEMS // 2)
        killed(arguments, endpoint, ITEMS)
        ended = subprocess.run(
            arguments, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
        )
        assert ended.returncode == 5, ended.stdout + ended.stderr
        assert len(endpoint.asked) == 2 * ITEMS
        assert endpoint.repeats <= 2 * AT_ONCE
    rows = pq.read_table(out / "items.parquet").to_pylist()
    assert [row["prompt"] for row in rows] == ["good"] * ITEMS + ["Say a number"] * ITEMS
    assert [row["score"] for row in rows] == [1.0] * ITEMS + [0.0] * ITEMS
    summary = json.loads((out / "summary.json").read_text())
    assert [prompt["mean"] for prompt in summary["prompts"]] == [1.0, 0.0]
    assert summary["comparisons"][0]["verdict"] == "worse"
    assert summary["passed"] is False
    assert not (out / "items").exists()
