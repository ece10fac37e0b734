"""Intervals and paired tests on scores.

A score is 0.0 to 1.0, or None where there was no answer to score: None is left out. All tests are
exact and need no large sample. Knows nothing of models or prompts.
"""

from optimizer.statistics.comparisons import Pooled, holm, pooled_test, sign_flip_test
from optimizer.statistics.gains import Gain, gain
from optimizer.statistics.headroom import (
    Headroom,
    Noise,
    detectable_gain,
    headroom,
    noise_floor,
    share_known,
)
from optimizer.statistics.intervals import (
    Estimate,
    Interval,
    bootstrap_difference,
    difference_interval,
    estimate,
    wilson,
)
from optimizer.statistics.paired import (
    Comparison,
    PairedTest,
    leads,
    paired_test,
    sign_test,
    two_sided,
    verdict,
)
from optimizer.statistics.scores import (
    MOST_MISSING,
    Scores,
    discordant,
    known_mean,
    mean_score,
    too_many_missing,
)

__all__ = [
    "MOST_MISSING",
    "Comparison",
    "Estimate",
    "Gain",
    "Headroom",
    "Interval",
    "Noise",
    "PairedTest",
    "Pooled",
    "Scores",
    "bootstrap_difference",
    "detectable_gain",
    "difference_interval",
    "discordant",
    "estimate",
    "gain",
    "headroom",
    "holm",
    "known_mean",
    "leads",
    "mean_score",
    "noise_floor",
    "paired_test",
    "pooled_test",
    "share_known",
    "sign_flip_test",
    "sign_test",
    "too_many_missing",
    "two_sided",
    "verdict",
    "wilson",
]
