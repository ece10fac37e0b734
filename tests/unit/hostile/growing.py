"""Does the time of a reading grow with the length of its text alone, or with a power of it?"""

import gc
import time
from collections.abc import Callable
from typing import Any

SHORT, LONG = 100_000, 1_000_000
FIRST_S = 2.0
"""A linear reading takes a small part of this for 100 kB; one that takes the square of it never
comes to the long text.
"""
TIMES = 40
"""The long text is ten times as long: a linear reading takes about ten times as long, a quadratic
one a hundred times.
"""
SLACK_S = 0.2
AT_ONCE_S = 0.3
"""For so few characters that only an exponential reading takes longer; and the slack where longer
texts are compared.
"""
FOUR_TIMES = 7
"""A text four times as long takes a linear reading four times as long, and a quadratic one sixteen
times.
"""


def check_linear(read: Callable[[str], Any], make: Callable[[int], str]) -> None:
    """Reads short texts first, so that what takes too long is seen soon."""
    for length in (30, 60, 1000, 10_000):
        assert cpu_seconds(read, make(length)) < FIRST_S, length
    short = cpu_seconds(read, make(SHORT))
    assert short < FIRST_S
    assert cpu_seconds(read, make(LONG)) < TIMES * short + SLACK_S


def cpu_seconds(read: Callable[[str], Any], text: str) -> float:
    """The CPU time of one reading: what else the machine does is not counted, nor that Python looks
    through all of a large process
    for garbage in the middle of it."""
    gc.disable()
    try:
        began = time.process_time()
        read(text)
        return time.process_time() - began
    finally:
        gc.enable()
