"""A command that is stopped from outside ends at once, without a traceback, and its exit code says
who stopped it.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
NAP = """
import signal, time
from cluster.cli import app, main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts things in the background switches it off
@app.command()
def nap():
    print("asleep", flush=True)
    for _ in range(600):
        time.sleep(0.1)  # a signal just before a sleep is seen behind it
main()
"""


@pytest.mark.process
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_exit_code_of_a_command_that_is_stopped(number: signal.Signals, code: int) -> None:
    command = [sys.executable, "-c", NAP, "nap"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as nap:
        assert nap.stdout is not None
        assert nap.stdout.readline() == "asleep\n"
        nap.send_signal(number)
        _, said = nap.communicate(timeout=20)
    assert nap.returncode == code
    assert "Traceback" not in said
