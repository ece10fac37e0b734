"""The least gain that a task's final test would find, from what a probe has measured."""

from optimizer.evaluation.headroom_probe import Probed
from optimizer.statistics import (
    Scores,
    detectable_gain,
    detectable_mean_gain,
    discordant,
    is_binary,
    mean_score,
    noise_floor,
    too_many_missing,
)


def measured_run(probed: Probed) -> Scores:
    """Return the scores of the baseline's first run that came."""
    came = (scores for scores in probed.repeats if not too_many_missing(scores))
    return next(came, probed.repeats[0])


def least_gain(probed: Probed, test_items: int) -> float | None:
    """Return the least gain that a test of so many items finds; None where it finds none."""
    first, other = measured_run(probed), probed.best_other
    rivals = [*probed.repeats, *([other[1]] if other else [])]
    tried = [scores for scores in rivals if scores is not first and not too_many_missing(scores)]
    if not is_binary(first, *tried):
        # Graded scores have no items won and lost: what counts is how much they change.
        return detectable_mean_gain(test_items, first, tried)
    return detectable_gain(test_items, _lost(probed, first))


def _lost(probed: Probed, first: Scores) -> float:
    """Return the share of items that a better prompt breaks.

    It is as many as the best other prompt did, and at least what noise breaks.
    """
    lost = (noise_floor(probed.repeats).flip_rate or 0.0) / 2
    other = probed.best_other
    seed, better = mean_score(first), mean_score(other[1]) if other else None
    if other and better is not None and seed is not None and better > seed:
        _, worsened, items = discordant(first, other[1])
        lost = max(lost, worsened / items) if items else lost
    return lost
