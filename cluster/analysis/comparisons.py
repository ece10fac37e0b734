"""Decide who is better than whom: prompts on shared test items, and strategies across trials.

The two are different statements. One about prompts covers those that these trials have found, and
counts items (exact McNemar test, or a permutation test where scores are graded). One about
strategies covers what a search finds, also in a trial
that nobody has run yet; it counts pairs of trials (exact sign-flip test): with searches that
scatter from trial to trial, the items of a few of them say little about the next.

Every verdict is corrected for all statements of a report together, so that with a probability of
95% none of them is false: Holm (1979) within each of the two kinds, and half of the 5% for each
where a report makes both. The verdict in a TrialResult is uncorrected. A prompt is never compared
with itself, and where nothing was compared there is no verdict.

The control arm, the baseline with the answer line alone (see cluster/trial/form_control.py), is a
contender like any other: a strategy that is not better than it has gained by form alone.
"""

from collections.abc import Mapping, Sequence

from cluster.analysis.pairwise import ALL_TASKS, ANSWER_LINE, BASELINE, PairwiseComparison
from cluster.analysis.pooling import is_comparable, pool, trial_pairs
from cluster.trial.result import TrialResult
from optimizer.statistics import (
    Pooled,
    holm,
    sign_flip_test,
    verdict,
)

KINDS = 2
"""Kinds of statements that share the 5%: about prompts, and about strategies."""


def comparisons(results: Sequence[TrialResult]) -> tuple[PairwiseComparison, ...]:
    """Compare every two contenders on every task.

    Tasks and strategies stand in order of first appearance, the control arm and the baseline last.
    The result is empty for a search, whose points are too many to compare on a test split, and for
    trials without test marks.
    """
    pooled_by_names = pool(results)
    corrected, family = _corrected_on_prompts(results, pooled_by_names)
    return tuple(
        PairwiseComparison(
            *names,
            pooled.difference,
            pooled.interval,
            corrected[names],
            verdict(corrected[names], pooled.difference),
            pooled.strata,
            *_ahead(pooled.net_by_stratum),
            family,
        )
        for names, pooled in pooled_by_names.items()
    )


def comparisons_over_tasks(results: Sequence[TrialResult]) -> tuple[PairwiseComparison, ...]:
    """Compare every two strategies over all pairs of their trials.

    Each strategy is also compared with the control arm and with the baseline. The result is empty
    where no two contenders meet in more than one pair of trials.
    """
    by_pair = trial_pairs(pool(results))
    net_by_pair = {
        pair: [net for pooled in found for net in pooled.net_by_stratum]
        for pair, found in by_pair.items()
    }
    corrected = [
        KINDS * p_value for p_value in holm([sign_flip_test(net) for net in net_by_pair.values()])
    ]
    return tuple(
        PairwiseComparison(
            ALL_TASKS,
            *pair,
            sum(net) / sum(pooled.items for pooled in by_pair[pair]),
            None,
            min(1.0, p_value),
            verdict(p_value, sum(net)),
            len(net),
            *_ahead(net),
            len(net_by_pair),
        )
        for (pair, net), p_value in zip(net_by_pair.items(), corrected, strict=True)
    )


def corrected_verdicts(results: Sequence[TrialResult]) -> dict[str, str]:
    """Return each trial's verdict against the baseline, corrected for all statements about prompts.

    The keys are trial names; a trial that was not compared is absent.
    """
    corrected, _ = _corrected_on_prompts(results, pool(results))
    verdicts = {
        result.trial: result.verdict
        if corrected[result.trial, BASELINE] <= 0.05
        else "not distinguishable"
        for result in results
        if (result.trial, BASELINE) in corrected
    }
    # Older versions compared a best prompt that is the baseline with itself: that verdict stays.
    return verdicts | {
        result.trial: result.verdict
        for result in results
        if result.best_is_baseline and result.p_value is not None
    }


def corrected_against_control(results: Sequence[TrialResult]) -> dict[str, tuple[str, float]]:
    """Return each trial's verdict against the control arm and its p-value, both corrected.

    The keys are trial names; a trial without a control arm is absent.
    """
    corrected, _ = _corrected_on_prompts(results, pool(results))
    return {
        result.trial: (
            result.form_control_verdict
            if corrected[result.trial, ANSWER_LINE] <= 0.05
            else "not distinguishable",
            corrected[result.trial, ANSWER_LINE],
        )
        for result in results
        if (result.trial, ANSWER_LINE) in corrected
    }


def statements_on_prompts(results: Sequence[TrialResult]) -> int:
    """Count the statements about prompts in a report: each is corrected for this number."""
    return _corrected_on_prompts(results, pool(results))[1]


def _ahead(net: Sequence[float]) -> tuple[int, int]:
    """Count the pairs of trials that were won, and those that were lost."""
    return sum(one > 0 for one in net), sum(one < 0 for one in net)


Statement = tuple[str, str] | tuple[str, str, str]
"""What a p-value is about: (trial, BASELINE or ANSWER_LINE) for a trial's best prompt against that
one, or (task, first, second) for two contenders.
"""


def _corrected_on_prompts(
    results: Sequence[TrialResult], pooled_by_names: Mapping[tuple[str, str, str], Pooled]
) -> tuple[dict[Statement, float], int]:
    """Return the corrected p-value of every statement about prompts, and the number of statements.

    The statement of a contender with a single trial against the baseline, or against the control
    arm, is that trial's own, and is corrected for once.
    """
    p_by_statement: dict[Statement, float] = {}
    own: dict[tuple[str, str, str], Statement] = {}
    for result in results:
        # An older result has a verdict where its best prompt is the baseline: that compared
        # nothing.
        for rival, p_value in (
            (BASELINE, result.p_value),
            (ANSWER_LINE, result.form_control_p_value),
        ):
            if p_value is not None and not result.best_is_baseline:
                p_by_statement[result.trial, rival] = p_value
                if is_comparable(result):
                    own[result.task, result.strategy, rival] = (result.trial, rival)
    once = {
        names: own[names]
        for names, pooled in pooled_by_names.items()
        if pooled.strata == 1 and names in own
    }
    p_by_statement |= {
        names: pooled.p_value for names, pooled in pooled_by_names.items() if names not in once
    }
    kinds = KINDS if trial_pairs(pooled_by_names) else 1
    corrected = dict(
        zip(
            p_by_statement,
            (min(1.0, kinds * p) for p in holm(list(p_by_statement.values()))),
            strict=True,
        )
    )
    return corrected | {names: corrected[trial] for names, trial in once.items()}, len(
        p_by_statement
    )
