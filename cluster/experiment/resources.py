"""Compute how many of Ray's CPUs a trial holds, so that all concurrent trials fit.

A trial waits for models nearly all the time; the share limits how many run at once, not how fast
one is.
"""

from collections.abc import Sequence
from math import floor

from optimizer.errors import SettingsError

_STEP = 10_000
"""Ray counts in ten thousandths of a CPU."""


def cpus_of_a_trial(cpus_by_node: Sequence[float], held_by_models: float, trials: int) -> float:
    """Return the largest share, at most 1, with which `trials` of them fit beside the models.

    Replicas are assumed to be where most is free, as many as may be started. A cluster without a
    CPU is one that grows on demand: the share is 1 then.

    Args:
        cpus_by_node: CPUs of each node.
        held_by_models: CPUs of all replicas together.
        trials: Trials that run at once.

    Raises:
        SettingsError: No CPU is left.
    """
    if not any(cpus_by_node):
        return 1.0
    free = _left(cpus_by_node, held_by_models)
    shares = {
        min(1.0, floor(cpus / trials_here * _STEP) / _STEP)
        for cpus in free
        for trials_here in range(1, trials + 1)
    }
    fitting = [
        share
        for share in shares
        # Rounded: a third of a CPU must fit three times into one.
        if share > 0 and sum(floor(round(cpus / share, 6)) for cpus in free) >= trials
    ]
    if not fitting:
        raise SettingsError(
            f"The models hold {held_by_models:g} of the cluster's {sum(cpus_by_node):g} CPUs, and "
            f"too few are left for {trials} "
            "trials at once; lower the models' cpus or replicas, or the concurrency."
        )
    return max(fitting)


def _left(cpus_by_node: Sequence[float], held: float) -> list[float]:
    """Return what the models leave of each node, taken a CPU at a time from the freest node."""
    free = list(cpus_by_node)
    while held > 0 and free:
        fullest = max(range(len(free)), key=lambda node: free[node])
        taken = min(1.0, held)
        free[fullest] -= taken
        held -= taken
    return [max(0.0, cpus) for cpus in free]
