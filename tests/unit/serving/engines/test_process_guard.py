"""What an engine starts ends with the process that started it, even where that one is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving.engines.process_guard import MARK, ProcessGuard, marked

ROOT = Path(__file__).parents[4]
REPLICA = """
import subprocess, sys, time
from serving.engines.process_guard import ProcessGuard
process_guard = ProcessGuard()
with process_guard.marking():
    inner = "import time; print('up', flush=True); time.sleep(600)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    subprocess.Popen([sys.executable, "-c", child])
print(process_guard.token, flush=True)
time.sleep(600)
"""
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def wait_until_gone(token: str) -> None:
    ends_at = time.monotonic() + 30
    while marked(token):
        assert time.monotonic() < ends_at
        time.sleep(0.1)


@pytest.mark.process
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_process_has_started_ends_with_it(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", REPLICA], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as replica:
        assert replica.stdout is not None
        token = next(line.strip() for line in replica.stdout if line.strip() != "up")
        while len(marked(token)) < 2:
            time.sleep(0.05)
        os.kill(replica.pid, how)
    wait_until_gone(token)


@pytest.mark.process
def test_closing_ends_what_is_marked_and_nothing_else() -> None:
    process_guard = ProcessGuard()
    with process_guard.marking():
        ours = subprocess.Popen(SLEEPER)
    other = subprocess.Popen(SLEEPER)
    assert MARK not in os.environ
    process_guard.close()
    process_guard.close()
    assert ours.wait(timeout=10) == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    other.wait()
