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

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, log2

from cluster.text.formatting import plural, share, signed
from cluster.trial.result import TrialResult
from optimizer.prompt import Prompt
from optimizer.statistics import (
    Comparison,
    Interval,
    Pooled,
    Scores,
    discordant,
    holm,
    pooled_test,
    sign_flip_test,
    too_many_missing,
    verdict,
)

SEED_PROMPT = "baseline"
"""Stands among the strategies, as the one that every trial has run too."""
ANSWER_LINE = "answer line"
"""The control arm among the strategies."""
PROMPTS_OF_ALL = (ANSWER_LINE, SEED_PROMPT)
"""Contenders that no strategy has found, the last in every order."""
ALL_TASKS = ""
KINDS = 2
"""Kinds of statements that share the 5%: on prompts, and on strategies."""


@dataclass(frozen=True)
class PairwiseComparison:
    """The prompts of one contender against those of another on one task over its seeds; or two
    strategies, over all trials.
    """

    task: str
    """ALL_TASKS: over all of them, and about strategies: the trials are counted and not the items.
    """
    first: str
    second: str
    difference: float
    """Test accuracy of `first` less that of `second`, on the items of the trials that both have."""
    interval: Interval | None
    """95%, of this comparison alone; None over all tasks."""
    p_value: float
    """Corrected."""
    verdict: Comparison
    """On `first`, corrected."""
    pairs: int
    """Of trials: seeds, over all tasks times tasks."""
    ahead: int
    """Pairs in which `first` has more items right."""
    behind: int
    family: int
    """Statements of its kind that were corrected for."""

    @property
    def turned(self) -> "PairwiseComparison":
        """The same, seen from the other side."""
        ends = self.interval and Interval(-self.interval.high, -self.interval.low)
        flipped: dict[Comparison, Comparison] = {"better": "worse", "worse": "better"}
        return PairwiseComparison(
            self.task,
            self.second,
            self.first,
            -self.difference,
            ends,
            self.p_value,
            flipped.get(self.verdict, self.verdict),
            self.pairs,
            self.behind,
            self.ahead,
            self.family,
        )

    @property
    def sentence(self) -> str:
        """In words, the better one first, and whether it is about prompts or about strategies."""
        if self.difference < 0:
            return self.turned.sentence
        better = self.verdict == "better"
        if self.task:
            first, second, where = _prompts(self.first), _prompts(self.second), f" on {self.task}"
            told = (
                f"{first} are better than {second}"
                if better
                else f"{first} and {second} are not distinguishable"
            )
        else:
            where, first, second = "", _strategy(self.first), _strategy(self.second)
            told = (
                f"{first} is better than {second.removeprefix('the strategy ')}"
                if better
                else (
                    f"the strategies {self.first} and {self.second} are not distinguishable"
                    if not {self.first, self.second} & set(PROMPTS_OF_ALL)
                    else f"{first} and {second} are not distinguishable"
                )
            )
        return f"{_sentence(told)}{where}: {self.figures}."

    @property
    def figures(self) -> str:
        """ "+0.35 [0.28, 0.42], p < 0.001 after correction for 15 comparisons": from `first`'s
        side.
        """
        spread = (
            f"[{share(self.interval.low)}, {share(self.interval.high)}]"
            if self.interval
            else (f"on average, ahead in {self.ahead} of {plural(self.pairs, 'pair')} of trials")
        )
        corrected = f" after correction for {self.family} statements" if self.family > 1 else ""
        return f"{signed(self.difference)} {spread}, {p_told(self.p_value)}{corrected}"


def comparisons(results: Sequence[TrialResult]) -> tuple[PairwiseComparison, ...]:
    """Every two contenders on every task; tasks and strategies in order of first appearance,
    control arm and baseline last.

    Empty for a search, whose points are too many to compare on a test split, and for trials that
    kept no marks.
    """
    pooled_by_names = _pooled(results)
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
    by_pair = _trial_pairs(_pooled(results))
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
    corrected, _ = _corrected_on_prompts(results, _pooled(results))
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
    corrected, _ = _corrected_on_prompts(results, _pooled(results))
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
    return _corrected_on_prompts(results, _pooled(results))[1]


def leaders(results: Sequence[TrialResult]) -> tuple[tuple[PairwiseComparison, ...], ...]:
    """For each task the comparisons of its leader, which won more items than it lost against each
    other one; the closest rival first.

    The leader is chosen on the test split. Its verdicts hold all the same: they are corrected for
    every choice there was.
    """
    found = comparisons(results)
    led = []
    for task in dict.fromkeys(comparison.task for comparison in found):
        sides = [
            side
            for comparison in found
            if comparison.task == task
            for side in (comparison, comparison.turned)
        ]
        names = list(dict.fromkeys(side.first for side in sides))
        leader = max(
            names, key=lambda name: min(side.difference for side in sides if side.first == name)
        )
        own = (side for side in sides if side.first == leader)
        led.append(tuple(sorted(own, key=lambda comparison: comparison.difference)))
    return tuple(led)


def leader_lines(results: Sequence[TrialResult]) -> list[str]:
    """Sentences for the terminal: a task's leading prompts with their closest rival, and what that
    says of the strategies.
    """
    names_by_task = {
        task: _contenders([one for one in results if one.task == task])
        for task in dict.fromkeys(result.task for result in results)
    }
    lines = [_leader_line(own, len(names_by_task[own[0].task]) - 1) for own in leaders(results)]
    pairs = _strategy_pairs(results)
    return (
        [*lines, _strategies_line(comparisons_over_tasks(results), pairs)]
        if pairs and lines
        else lines
    )


def _leader_line(own: Sequence[PairwiseComparison], others: int) -> str:
    """`others`: contenders beside the leader, whether or not it could be compared with them."""
    closest, beaten = (
        own[0],
        [comparison.second for comparison in own[1:] if comparison.verdict == "better"],
    )
    if len(own) == 1 or len(own) < others or closest.verdict != "better":
        rest = f" The former are better than {', '.join(map(_prompts, beaten))}." if beaten else ""
        return closest.sentence + rest
    return (
        f"{_sentence(_prompts(closest.first))} are better than all others on {closest.task}; the "
        "closest are "
        f"{_prompts(closest.second)}: {closest.figures}."
    )


def _strategies_line(found: Sequence[PairwiseComparison], pairs: int) -> str:
    """What the trials say of the strategies themselves, which is less than what the items say of
    their prompts. `pairs`: the most
    in which two of them meet.
    """
    told = [
        comparison
        for comparison in found
        if comparison.verdict != "not distinguishable" and comparison.second not in PROMPTS_OF_ALL
    ]
    if told:
        return " ".join(comparison.sentence for comparison in told)
    least = ceil(
        log2(max(1, len(found)) * KINDS * 2 / 0.05)
    )  # n pairs can give no p-value below 2 / 2**n
    if pairs < least:
        return (
            "That is about these prompts. Nothing can be said of the strategies themselves: they "
            "meet in "
            f"{plural(pairs, 'pair')} of trials, and at least {least} are needed; run more seeds "
            "or tasks."
        )
    return (
        "That is about these prompts. The strategies are not distinguishable over "
        f"{plural(pairs, 'pair')} of trials."
    )


def _prompts(name: str) -> str:
    own = {SEED_PROMPT: "the baselines", ANSWER_LINE: "the baselines with the answer line"}
    return own.get(name, f"the prompts of {name}")


def _strategy(name: str) -> str:
    own = {SEED_PROMPT: "the baseline", ANSWER_LINE: "the baseline with the answer line"}
    return own.get(name, f"the strategy {name}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _to_compare(result: TrialResult) -> bool:
    """Say whether a trial tells what its strategy finds: one that was cut, and tested all the same,
    does not.
    """
    return (
        bool(result.test_marks) and not result.settings and result.status in ("finished", "budget")
    )


def _tested(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Trials that can be compared."""
    return [result for result in results if _to_compare(result)]


def _contenders(results: Sequence[TrialResult]) -> list[str]:
    tested = _tested(results)
    control = [ANSWER_LINE] if any(result.form_control_test_marks for result in tested) else []
    return [*dict.fromkeys(result.strategy for result in tested), *control, SEED_PROMPT]


def _strategy_pairs(results: Sequence[TrialResult]) -> int:
    """The most pairs of trials in which two strategies meet; 0 where none do."""
    pairs: Counter[tuple[str, str]] = Counter()
    for (_, first, second), pooled in _pooled(results).items():
        if second not in PROMPTS_OF_ALL:
            pairs[first, second] += pooled.strata
    return max(pairs.values(), default=0)


def p_told(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


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
                if _to_compare(result):
                    own[result.task, result.strategy, rival] = (result.trial, rival)
    once = {
        names: own[names]
        for names, pooled in pooled_by_names.items()
        if pooled.strata == 1 and names in own
    }
    p_by_statement |= {
        names: pooled.p_value for names, pooled in pooled_by_names.items() if names not in once
    }
    kinds = KINDS if _trial_pairs(pooled_by_names) else 1
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


def _trial_pairs(
    pooled_by_names: Mapping[tuple[str, str, str], Pooled],
) -> dict[tuple[str, str], list[Pooled]]:
    """(first, second) -> their comparisons on all tasks, of those that meet in several pairs of
    trials; at least one is a strategy.
    """
    by_pair: dict[tuple[str, str], list[Pooled]] = {}
    for (_, first, second), pooled in pooled_by_names.items():
        if first not in PROMPTS_OF_ALL:
            by_pair.setdefault((first, second), []).append(pooled)
    return {
        pair: found for pair, found in by_pair.items() if sum(pooled.strata for pooled in found) > 1
    }


def _pooled(results: Sequence[TrialResult]) -> dict[tuple[str, str, str], Pooled]:
    """(task, first, second) -> `first` against `second`."""
    tested, names = _tested(results), _contenders(results)
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
    """A contender's prompt on one test split."""

    prompt: Prompt | None
    """None: the control arm's, which is another one than all others."""
    scores: Scores


def _shown(name: str, tested: Sequence[TrialResult]) -> dict[tuple[int, str], _Shown]:
    """(seed, data) -> what the contender did there.

    The baseline and the control arm are the same in every trial of a seed.
    """
    found: dict[tuple[int, str], _Shown] = {}
    for one in tested:
        key = (one.seed, one.data_hash)
        if name == one.strategy:
            found[key] = _Shown(one.best.prompt if one.best else None, one.test_scores)
        elif name == SEED_PROMPT:
            found.setdefault(key, _Shown(one.seed_prompt, one.seed_prompt_test_scores))
        elif name == ANSWER_LINE and one.form_control_test_marks:
            found.setdefault(key, _Shown(None, one.form_control_test_scores))
    return found


def _strata(
    first: Mapping[tuple[int, str], _Shown], second: Mapping[tuple[int, str], _Shown]
) -> list[tuple[Scores, Scores]]:
    """(second's scores, first's scores) of each seed that both have been tested with, on the same
    items. One of which too many answers are missing tells nothing, as in a trial's own verdict; two
    that show the same prompt throughout are not compared.
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
