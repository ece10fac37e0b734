"""`promptray evaluate` on 20,000 items, killed twice: calls that were made again, and memory.

    python -m tests.benchmarks.evaluate [--items 20000] [--at-once 64]

The endpoint runs in a process of its own, and answers after 20 ms.
"""

import argparse
import csv
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from tests.contracts.counting_endpoint import counting_endpoint

COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]


class Memory:
    """The resident memory of a process, sampled."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.samples: list[int] = []
        self._process = psutil.Process(process.pid)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                self.samples.append(self._process.memory_info().rss // 2**20)
                time.sleep(0.5)
        except psutil.Error:
            pass


def main() -> None:
    """Run it, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--at-once", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, counting_endpoint(delay_s=0.02) as endpoint:
        data, out = Path(folder) / "data.csv", Path(folder) / "out"
        with data.open("w", newline="") as opened:
            rows = csv.writer(opened)
            rows.writerow(["input", "target"])
            rows.writerows((f"{n} {'word ' * (n % 50)}", 1 + n % 50) for n in range(given.items))
        model = {
            "kind": "openai",
            "model": "m",
            "base_url": endpoint.base_url,
            "max_in_flight": given.at_once,
        }
        arguments = [*COMMAND, "evaluate", "Count well.", "--data", str(data)]
        arguments += ["--model", json.dumps(model), "--out", str(out)]
        for share in (1 / 3, 2 / 3, 2.0):
            started, begun = (
                subprocess.Popen(arguments, stdout=subprocess.DEVNULL),
                time.monotonic(),
            )
            memory = Memory(started)
            while started.poll() is None and len(endpoint.asked) < share * given.items:
                time.sleep(0.05)
            if started.poll() is None:
                started.send_signal(signal.SIGKILL)
            code = started.wait()
            half = memory.samples[len(memory.samples) // 3 :]
            print(
                f"exit code {code}, {len(endpoint.asked):,} of {given.items:,} asked, "
                f"{endpoint.repeats} again, {time.monotonic() - begun:.0f} s, memory "
                f"{min(half)} to {max(half)} MiB"
            )
            time.sleep(2)


if __name__ == "__main__":
    main()
