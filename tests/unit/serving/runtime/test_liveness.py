"""Does a process live? One that was killed does not, waited for or not, nor does another that has
its number.
"""

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from serving.runtime.liveness import Process, lives, this_process


@pytest.mark.process
def test_a_process_lives_until_it_is_killed() -> None:
    assert lives(this_process())
    assert lives(replace(this_process(), started=""))
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from serving.runtime.liveness import this_process; print(this_process(), flush=True)\n"
            "import time; time.sleep(100)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child, child.stdout as said:
        process: Process = eval(said.readline(), {"Process": Process})
        assert (process.pid, lives(process)) == (child.pid, True)
        child.kill()
        deadline = time.monotonic() + 10
        while lives(process) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not lives(process), "it was not yet waited for"
    assert not lives(replace(process, started=""))


def test_another_process_of_the_same_number_is_not_taken_for_it() -> None:
    assert not lives(Process(os.getpid(), "1"))
