"""Who is better than whom: prompts on the test items that they share, and strategies from trial to trial.

The two are different statements. One on prompts is about those that these trials have found, and counts items (exact McNemar test).
One on strategies is about what a search finds, also in a trial that nobody has run yet; it counts pairs of trials (exact sign-flip
test): with searches that scatter from trial to trial, the items of a few of them say little about the next.

Every verdict is corrected for all statements of a report together, so that with a chance of 95% none of them is false: Holm (1979)
within each of the two kinds, and half of the 5% for each where a report makes both. A trial's own verdict in TrialResult is that
trial's alone. Knows trials, no output form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, log2

from cluster.report.wording import plural, share, signed
from cluster.result import TrialResult
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

SEED_PROMPT = "seed prompt"
"""Stands among the strategies, as the one that every trial has run too."""
ALL_TASKS = ""
KINDS = 2
"""Kinds of statements that share the 5%: on prompts, and on strategies."""


@dataclass(frozen=True)
class Contest:
    """The prompts of one contestant against those of another on one task over its seeds; or two strategies, over all trials."""

    task: str
    """ALL_TASKS: over all of them, and about strategies: the trials are counted and not the items."""
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
    def turned(self) -> "Contest":
        """The same, seen from the other side."""
        ends = self.interval and Interval(-self.interval.high, -self.interval.low)
        flipped: dict[Comparison, Comparison] = {"better": "worse", "worse": "better"}
        return Contest(
            self.task, self.second, self.first, -self.difference, ends, self.p_value, flipped.get(self.verdict, self.verdict),
            self.pairs, self.behind, self.ahead, self.family)

    @property
    def sentence(self) -> str:
        """In words, the better one first, and whether it is about prompts or about strategies."""
        if self.difference < 0:
            return self.turned.sentence
        better = self.verdict == "better"
        if self.task:
            first, second, where = _prompts(self.first), _prompts(self.second), f" on {self.task}"
            told = f"{first} are better than {second}" if better else f"{first} and {second} are not distinguishable"
        else:
            where, (first, second) = "", (self.first, self.second)
            told = f"the strategy {first} is better than {second}" if better else (
                f"the strategies {first} and {second} are not distinguishable")
        return f"{_sentence(told)}{where}: {self.figures}."

    @property
    def figures(self) -> str:
        """ "+0.35 [0.28, 0.42], p < 0.001 after correction for 15 comparisons": from `first`'s side."""
        spread = f"[{share(self.interval.low)}, {share(self.interval.high)}]" if self.interval else (
            f"on average, ahead in {self.ahead} of {plural(self.pairs, 'pair')} of trials")
        corrected = f" after correction for {self.family} statements" if self.family > 1 else ""
        return f"{signed(self.difference)} {spread}, {p_told(self.p_value)}{corrected}"


def contests(results: Sequence[TrialResult]) -> tuple[Contest, ...]:
    """Every two contestants on every task; tasks and strategies in order of first appearance, the seed prompt last.

    Empty for a search, whose points are too many to compare on a test split, and for trials that kept no marks.
    """
    pooled_by_names = _pooled(results)
    corrected, family = _corrected_on_prompts(results, pooled_by_names)
    return tuple(
        Contest(
            *names, pooled.difference, pooled.interval, corrected[names], verdict(corrected[names], pooled.difference),
            pooled.strata, *_ahead(pooled.net_by_stratum), family)
        for names, pooled in pooled_by_names.items())


def contests_over_tasks(results: Sequence[TrialResult]) -> tuple[Contest, ...]:
    """Every two strategies, and each against the seed prompt, over all pairs of their trials; empty where no two have several."""
    by_pair = _trial_pairs(_pooled(results))
    net_by_pair = {pair: [net for pooled in found for net in pooled.net_by_stratum] for pair, found in by_pair.items()}
    corrected = [KINDS * p_value for p_value in holm([sign_flip_test(net) for net in net_by_pair.values()])]
    return tuple(
        Contest(
            ALL_TASKS, *pair, sum(net) / sum(pooled.items for pooled in by_pair[pair]), None, min(1.0, p_value),
            verdict(p_value, sum(net)), len(net), *_ahead(net), len(net_by_pair))
        for (pair, net), p_value in zip(net_by_pair.items(), corrected, strict=True))


def corrected_verdicts(results: Sequence[TrialResult]) -> dict[str, str]:
    """Trial -> its verdict against the seed prompt, corrected for all statements on prompts; only tested trials are in it."""
    corrected, _ = _corrected_on_prompts(results, _pooled(results))
    return {
        result.trial: result.verdict if corrected[result.trial] <= 0.05 else "not distinguishable"
        for result in results if result.p_value is not None}


def statements_on_prompts(results: Sequence[TrialResult]) -> int:
    """How many statements on prompts a report of these trials makes: what each of them is corrected for."""
    return _corrected_on_prompts(results, _pooled(results))[1]


def leaders(results: Sequence[TrialResult]) -> tuple[tuple[Contest, ...], ...]:
    """For each task the contests of its leader, which won more items than it lost against each other one; the closest rival first.

    The leader is chosen on the test split. Its verdicts hold all the same: they are corrected for every choice there was.
    """
    found = contests(results)
    led = []
    for task in dict.fromkeys(contest.task for contest in found):
        sides = [side for contest in found if contest.task == task for side in (contest, contest.turned)]
        names = list(dict.fromkeys(side.first for side in sides))
        leader = max(names, key=lambda name: min(side.difference for side in sides if side.first == name))
        own = (side for side in sides if side.first == leader)
        led.append(tuple(sorted(own, key=lambda contest: contest.difference)))
    return tuple(led)


def leader_lines(results: Sequence[TrialResult]) -> list[str]:
    """Sentences for the terminal: a task's leading prompts with their closest rival, and what that says of the strategies."""
    lines = [_leader_line(own) for own in leaders(results)]
    several = len(_names(results)) > 1
    return [*lines, _strategies_line(contests_over_tasks(results))] if several and lines else lines


def _leader_line(own: Sequence[Contest]) -> str:
    closest, beaten = own[0], [contest.second for contest in own if contest.verdict == "better"]
    if len(own) == 1 or closest.verdict != "better":
        rest = f" The former are better than {', '.join(map(_prompts, beaten))}." if beaten else ""
        return closest.sentence + rest
    return (f"{_sentence(_prompts(closest.first))} are better than all others on {closest.task}; the closest are "
            f"{_prompts(closest.second)}: {closest.figures}.")


def _strategies_line(found: Sequence[Contest]) -> str:
    """What the trials say of the strategies themselves, which is less than what the items say of their prompts."""
    told = [contest for contest in found if contest.verdict != "not distinguishable" and contest.second != SEED_PROMPT]
    if told:
        return " ".join(contest.sentence for contest in told)
    pairs = max((contest.pairs for contest in found), default=0)
    least = ceil(log2(max(1, len(found)) * KINDS * 2 / 0.05))  # n pairs can give no p-value below 2 / 2**n
    if pairs < least:
        return (f"That is about these prompts. Nothing can be said of the strategies themselves: they meet in "
                f"{plural(pairs, 'pair')} of trials, and at least {least} are needed; run more seeds or tasks.")
    return f"That is about these prompts. The strategies are not distinguishable over {plural(pairs, 'pair')} of trials."


def _prompts(name: str) -> str:
    return "the seed prompts" if name == SEED_PROMPT else f"the prompts of {name}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _names(results: Sequence[TrialResult]) -> list[str]:
    """The strategies of tested trials that can be compared."""
    return list(dict.fromkeys(result.strategy for result in results if _to_compare(result)))


def _to_compare(result: TrialResult) -> bool:
    """Say whether a trial tells what its strategy finds: one that was cut, and tested all the same, does not."""
    return bool(result.test_marks) and not result.settings and result.status in ("finished", "budget")


def p_told(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _ahead(net: Sequence[int]) -> tuple[int, int]:
    """Pairs of trials that were won, and that were lost."""
    return sum(one > 0 for one in net), sum(one < 0 for one in net)


def _corrected_on_prompts(
    results: Sequence[TrialResult], pooled_by_names: Mapping[tuple[str, str, str], Pooled]
) -> tuple[dict[str | tuple[str, str, str], float], int]:
    """The corrected p-value of every statement on prompts: by trial, of its own; by (task, first, second), of two contestants. And
    how many statements they are corrected for.

    The statement of a contestant with one trial against the seed prompt is that trial's own, and is corrected for once.
    """
    p_by_statement: dict[str | tuple[str, str, str], float] = {
        result.trial: result.p_value for result in results if result.p_value is not None}
    same = {
        (result.task, result.strategy, SEED_PROMPT): result.trial for result in results
        if result.trial in p_by_statement and _to_compare(result)}
    once = {names: same[names] for names, pooled in pooled_by_names.items() if pooled.strata == 1 and names in same}
    p_by_statement |= {names: pooled.p_value for names, pooled in pooled_by_names.items() if names not in once}
    kinds = KINDS if _trial_pairs(pooled_by_names) else 1
    corrected = dict(zip(p_by_statement, (min(1.0, kinds * p) for p in holm(list(p_by_statement.values()))), strict=True))
    return corrected | {names: corrected[trial] for names, trial in once.items()}, len(p_by_statement)


def _trial_pairs(pooled_by_names: Mapping[tuple[str, str, str], Pooled]) -> dict[tuple[str, str], list[Pooled]]:
    """(first, second) -> their contests on all tasks, of those that meet in several pairs of trials."""
    by_pair: dict[tuple[str, str], list[Pooled]] = {}
    for (_, first, second), pooled in pooled_by_names.items():
        by_pair.setdefault((first, second), []).append(pooled)
    return {pair: found for pair, found in by_pair.items() if sum(pooled.strata for pooled in found) > 1}


def _pooled(results: Sequence[TrialResult]) -> dict[tuple[str, str, str], Pooled]:
    """(task, first, second) -> `first` against `second`."""
    tested = [result for result in results if _to_compare(result)]
    names = [*dict.fromkeys(result.strategy for result in tested), SEED_PROMPT]
    found = {}
    for task in dict.fromkeys(result.task for result in tested):
        trial_by_name = {name: {(r.seed, r.data_hash): r for r in tested if (r.task, r.strategy) == (task, name)} for name in names}
        for first, second in combinations(names, 2):
            strata = _strata(trial_by_name[first], trial_by_name[second], second == SEED_PROMPT)
            if strata:
                found[task, first, second] = pooled_test(strata)
    return found


def _strata(
    first: dict[tuple[int, str], TrialResult], second: dict[tuple[int, str], TrialResult], against_seed: bool
) -> list[tuple[Scores, Scores]]:
    """(second's scores, first's scores) of each seed that both have been tested with, on the same items. One of which too many
    answers are missing tells nothing, as in a trial's own verdict."""
    if against_seed:
        pairs = [(trial.seed_prompt_test_scores, trial.test_scores) for trial in first.values()]
    else:
        shared = [key for key in first if key in second and len(first[key].test_marks) == len(second[key].test_marks)]
        pairs = [(second[key].test_scores, first[key].test_scores) for key in shared]
    return [pair for pair in pairs if not any(map(too_many_missing, pair)) and discordant(*pair)[2]]
