"""Who is better than whom: prompts on the test items that they share, and strategies from trial to
trial.

The two are different statements. One on prompts is about those that these trials have found, and
counts items (exact McNemar test). One on strategies is about what a search finds, also in a trial
that nobody has run yet; it counts pairs of trials (exact sign-flip test): with searches that
scatter from trial to trial, the items of a few of them say little about the next.

Every verdict is corrected for all statements of a report together, so that with a chance of 95%
none of them is false: Holm (1979) within each of the two kinds, and half of the 5% for each where a
report makes both. A trial's own verdict in TrialResult is that trial's alone. A prompt is never
compared with itself, and where nothing was compared there is no verdict.

The control arm, the baseline with the answer line alone (see cluster/trial/form_control.py), is a
contender like any other: who is not better than it has gained by form alone. Knows trials, no
output form.
"""

from collections.abc import Mapping, Sequence

from cluster.analysis.pairwise import ALL_TASKS, ANSWER_LINE, SEED_PROMPT, PairwiseComparison
from cluster.analysis.pooling import is_comparable, pool, trial_pairs
from cluster.trial.result import TrialResult
from optimizer.statistics import (
    Pooled,
    holm,
    sign_flip_test,
    verdict,
)

KINDS = 2
"""Kinds of statements that share the 5%: on prompts, and on strategies."""


def comparisons(results: Sequence[TrialResult]) -> tuple[PairwiseComparison, ...]:
    """Every two contenders on every task; tasks and strategies in order of first appearance,
    control arm and baseline last.

    Empty for a search, whose points are too many to compare on a test split, and for trials that
    kept no marks.
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
    """Every two strategies, and each against the control arm and the baseline, over all pairs of
    their trials; empty where no
    two have several.
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
    """Trial -> its verdict against the baseline, corrected for all statements on prompts; only
    trials with one are in it.
    """
    corrected, _ = _corrected_on_prompts(results, pool(results))
    told = {
        result.trial: result.verdict
        if corrected[result.trial, SEED_PROMPT] <= 0.05
        else "not distinguishable"
        for result in results
        if (result.trial, SEED_PROMPT) in corrected
    }
    # What an older version has written of a best prompt that is the baseline stays as it is.
    return told | {
        result.trial: result.verdict
        for result in results
        if result.best_is_baseline and result.p_value is not None
    }


def corrected_against_control(results: Sequence[TrialResult]) -> dict[str, tuple[str, float]]:
    """Trial -> its verdict against the control arm and the p-value, corrected likewise; only trials
    with a control are in it.
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
    """How many statements on prompts a report of these trials makes: what each of them is corrected
    for.
    """
    return _corrected_on_prompts(results, pool(results))[1]


def _ahead(net: Sequence[int]) -> tuple[int, int]:
    """Pairs of trials that were won, and that were lost."""
    return sum(one > 0 for one in net), sum(one < 0 for one in net)


Statement = tuple[str, str] | tuple[str, str, str]
"""(trial, SEED_PROMPT or ANSWER_LINE): its best prompt against that one; or (task, first, second):
two contenders.
"""


def _corrected_on_prompts(
    results: Sequence[TrialResult], pooled_by_names: Mapping[tuple[str, str, str], Pooled]
) -> tuple[dict[Statement, float], int]:
    """The corrected p-value of every statement on prompts, and how many statements they are
    corrected for.

    The statement of a contender with one trial against the baseline, or against the control arm, is
    that trial's own, and is corrected for once.
    """
    p_by_statement: dict[Statement, float] = {}
    own: dict[tuple[str, str, str], Statement] = {}
    for result in results:
        # An older result has a verdict where its best prompt is the baseline: that compared
        # nothing.
        for rival, p_value in (
            (SEED_PROMPT, result.p_value),
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
