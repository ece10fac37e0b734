"""Intervals and paired tests on scores.

A score is 0.0 to 1.0, or None where there was no answer to score: None is left out. The scores
choose the method: of 0 and 1 alone they are shares, with Wilson's interval, the adjusted Wald
interval of a difference and the exact McNemar test; all others are graded, with bootstrap intervals
and the paired permutation test. No test needs a large sample. Knows nothing of models or prompts.
"""

from optimizer.statistics.classes import (
    OTHER,
    UNREADABLE,
    ClassFigures,
    Confusion,
    classes_of,
    confusion,
)
from optimizer.statistics.comparisons import Pooled, holm, pooled_test, sign_flip_test
from optimizer.statistics.gains import Gain, gain
from optimizer.statistics.headroom import (
    Headroom,
    Noise,
    detectable_gain,
    detectable_mean_gain,
    headroom,
    noise_floor,
    share_known,
)
from optimizer.statistics.intervals import (
    Estimate,
    Interval,
    IntervalKind,
    difference_interval,
    estimate,
    gain_interval,
    wilson,
)
from optimizer.statistics.paired import (
    Comparison,
    PairedTest,
    TestKind,
    chance_behind,
    leads,
    leads_on_scores,
    paired_test,
    sign_test,
    two_sided,
    verdict,
)
from optimizer.statistics.permutation import permutation_test
from optimizer.statistics.scores import (
    MOST_MISSING,
    Scores,
    discordant,
    is_binary,
    known_mean,
    mean_score,
    too_many_missing,
)

__all__ = [
    "MOST_MISSING",
    "OTHER",
    "UNREADABLE",
    "ClassFigures",
    "Comparison",
    "Confusion",
    "Estimate",
    "Gain",
    "Headroom",
    "Interval",
    "IntervalKind",
    "Noise",
    "PairedTest",
    "Pooled",
    "Scores",
    "TestKind",
    "chance_behind",
    "classes_of",
    "confusion",
    "detectable_gain",
    "detectable_mean_gain",
    "difference_interval",
    "discordant",
    "estimate",
    "gain",
    "gain_interval",
    "headroom",
    "holm",
    "is_binary",
    "known_mean",
    "leads",
    "leads_on_scores",
    "mean_score",
    "noise_floor",
    "paired_test",
    "permutation_test",
    "pooled_test",
    "share_known",
    "sign_flip_test",
    "sign_test",
    "too_many_missing",
    "two_sided",
    "verdict",
    "wilson",
]
