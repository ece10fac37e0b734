"""Pool the test scores of trials: who met whom, on which items, over all seeds of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from cluster.analysis.pairwise import ANSWER_LINE, BASELINE, PROMPTS_OF_ALL
from cluster.trial.result import TrialResult
from optimizer.prompt import Prompt
from optimizer.statistics import (
    Pooled,
    Scores,
    discordant,
    pooled_test,
    too_many_missing,
)


def is_comparable(result: TrialResult) -> bool:
    """Return whether a trial shows what its strategy finds; one that was cut short does not."""
    return (
        bool(result.test_marks) and not result.settings and result.status in ("finished", "budget")
    )


def comparable(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the trials that can be compared."""
    return [result for result in results if is_comparable(result)]


def contenders(results: Sequence[TrialResult]) -> list[str]:
    """Return the strategies of comparable trials, the control arm if measured, and the baseline."""
    tested = comparable(results)
    control = [ANSWER_LINE] if any(result.form_control_test_marks for result in tested) else []
    return [*dict.fromkeys(result.strategy for result in tested), *control, BASELINE]


def trial_pairs(
    pooled_by_names: Mapping[tuple[str, str, str], Pooled],
) -> dict[tuple[str, str], list[Pooled]]:
    """Return the comparisons on all tasks for each two contenders that meet in several trial pairs.

    The keys are (first, second); at least one of the two is a strategy.
    """
    by_pair: dict[tuple[str, str], list[Pooled]] = {}
    for (_, first, second), pooled in pooled_by_names.items():
        if first not in PROMPTS_OF_ALL:
            by_pair.setdefault((first, second), []).append(pooled)
    return {
        pair: found for pair, found in by_pair.items() if sum(pooled.strata for pooled in found) > 1
    }


def pool(results: Sequence[TrialResult]) -> dict[tuple[str, str, str], Pooled]:
    """Pool the scores of every two contenders on every task.

    Returns:
        A mapping (task, first, second) -> `first` against `second`, stratified by seed.
    """
    tested, names = comparable(results), contenders(results)
    found = {}
    for task in dict.fromkeys(result.task for result in tested):
        shown = {
            name: _shown(name, [result for result in tested if result.task == task])
            for name in names
        }
        for first, second in combinations(names, 2):
            strata = _strata(shown[first], shown[second])
            if strata:
                found[task, first, second] = pooled_test(strata)
    return found


@dataclass(frozen=True)
class _Shown:
    """A contender's prompt and scores on one test split."""

    prompt: Prompt | None
    """None for the control arm, whose prompt differs from all others."""
    scores: Scores


def _shown(name: str, tested: Sequence[TrialResult]) -> dict[tuple[int, str], _Shown]:
    """Return a contender's prompt and scores by (seed, data).

    The baseline and the control arm are the same in every trial of a seed.
    """
    found: dict[tuple[int, str], _Shown] = {}
    for one in tested:
        key = (one.seed, one.data_hash)
        if name == one.strategy:
            found[key] = _Shown(one.best.prompt if one.best else None, one.test_scores)
        elif name == BASELINE:
            found.setdefault(key, _Shown(one.seed_prompt, one.seed_prompt_test_scores))
        elif name == ANSWER_LINE and one.form_control_test_marks:
            found.setdefault(key, _Shown(None, one.form_control_test_scores))
    return found


def _strata(
    first: Mapping[tuple[int, str], _Shown], second: Mapping[tuple[int, str], _Shown]
) -> list[tuple[Scores, Scores]]:
    """Pair the scores, (second's, first's), for each seed that both contenders were tested with.

    A seed with too many missing answers is left out, as in a trial's own verdict. Two contenders
    with the same prompt on every seed are not compared.
    """
    both = [
        (second[key], one)
        for key, one in first.items()
        if key in second and len(one.scores) == len(second[key].scores)
    ]
    if all(one.prompt is not None and one == other for one, other in both):
        return []
    pairs = [(one.scores, other.scores) for one, other in both]
    return [pair for pair in pairs if not any(map(too_many_missing, pair)) and discordant(*pair)[2]]
