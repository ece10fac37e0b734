"""Reports on graded scores say something false in at most 5 of 100 cases; their intervals hold the
truth in 95 of 100, but for chance.

`python -m tests.benchmarks.graded_false_positives` has more cases, and prints the figures.
"""

import pytest

from tests.benchmarks.graded_false_positives import (
    coverage_of_gain,
    coverage_of_mean,
    false_share,
)
from tests.contracts.graded_shapes import SHAPES

REPORTS = 200
"""Of each shape: 1,000 in all."""


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_at_most_five_reports_of_a_hundred_say_something_false(shape: str) -> None:
    false, uncorrected = false_share(SHAPES[shape], REPORTS, 60)
    assert false <= 0.05 * REPORTS
    assert uncorrected > 0.1 * REPORTS, "verdicts without correction must fail this check"


@pytest.mark.slow
@pytest.mark.parametrize("items", [20, 50, 100])
@pytest.mark.parametrize("shape", SHAPES)
def test_intervals_hold_the_truth_in_95_of_100_cases(shape: str, items: int) -> None:
    """In 92 and more of 400 at a time: chance alone moves that by 3.3 (three standard errors)."""
    assert coverage_of_mean(SHAPES[shape], 400, items) >= 0.92
    assert coverage_of_gain(SHAPES[shape], 400, items) >= 0.92
