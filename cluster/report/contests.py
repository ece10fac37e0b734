"""Who is better than whom: strategies, and the seed prompt, against each other on the test items that their trials share.

Every verdict here is corrected (Holm 1979) for the number of comparisons of its kind in the whole report, so that with a chance of
95% none of them is false. A trial's own verdict in TrialResult is that trial's alone. Knows trials, no output form.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from cluster.report.wording import plural, share, signed
from cluster.result import TrialResult
from optimizer.statistics import Comparison, Interval, Pooled, Scores, holm, pooled_test, sign_flip_test, verdict

SEED_PROMPT = "seed prompt"
"""Stands among the strategies, as the one that every trial has run too."""
ALL_TASKS = ""


@dataclass(frozen=True)
class Contest:
    """One contestant against another, on one task over its seeds, or over all tasks."""

    task: str
    """ALL_TASKS: over all of them, where the trials are counted and not the items."""
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
    """Comparisons that were corrected for."""

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
        """In words, the better one first."""
        if self.difference < 0:
            return self.turned.sentence
        where = f"on {self.task}" if self.task else "over all tasks"
        told = f"{self.first} is better than {self.second} {where}" if self.verdict == "better" else (
            f"{self.first} and {self.second} are not distinguishable {where}")
        return f"{told}: {self.figures}."

    @property
    def figures(self) -> str:
        """ "+0.35 [0.28, 0.42], p < 0.001 after correction for 15 comparisons": from `first`'s side."""
        spread = f"[{share(self.interval.low)}, {share(self.interval.high)}]" if self.interval else (
            f"on average, ahead in {self.ahead} of {plural(self.pairs, 'pair')} of trials")
        corrected = f" after correction for {self.family} comparisons" if self.family > 1 else ""
        return f"{signed(self.difference)} {spread}, {p_told(self.p_value)}{corrected}"


def contests(results: Sequence[TrialResult]) -> tuple[Contest, ...]:
    """Every two contestants on every task; tasks and strategies in order of first appearance, the seed prompt last.

    Empty for a search, whose points are too many to compare on a test split, and for trials that kept no marks.
    """
    found = [(task, first, second, pooled) for (task, first, second), pooled in _pooled(results).items()]
    corrected = holm([pooled.p_value for *_, pooled in found])
    return tuple(
        Contest(
            task, first, second, pooled.difference, pooled.interval, p_value, verdict(p_value, pooled.difference), pooled.strata,
            *_ahead(pooled.net_by_stratum), len(found))
        for (task, first, second, pooled), p_value in zip(found, corrected, strict=True))


def contests_over_tasks(results: Sequence[TrialResult]) -> tuple[Contest, ...]:
    """Every two contestants over all tasks, by the sign-flip test over pairs of trials; empty where there is one task only."""
    by_names = _pooled(results)
    if len({task for task, _, _ in by_names}) < 2:
        return ()
    by_pair: dict[tuple[str, str], list[Pooled]] = {}
    for (_, first, second), pooled in by_names.items():
        by_pair.setdefault((first, second), []).append(pooled)
    net_by_pair = {pair: [net for pooled in found for net in pooled.net_by_stratum] for pair, found in by_pair.items()}
    corrected = holm([sign_flip_test(net) for net in net_by_pair.values()])
    return tuple(
        Contest(
            ALL_TASKS, *pair, sum(net) / sum(pooled.items for pooled in by_pair[pair]), None, p_value, verdict(p_value, sum(net)),
            len(net), *_ahead(net), len(net_by_pair))
        for (pair, net), p_value in zip(net_by_pair.items(), corrected, strict=True))


def corrected_verdicts(results: Sequence[TrialResult]) -> dict[str, str]:
    """Trial -> its verdict against the seed prompt, corrected for the number of tested trials; only tested trials are in it."""
    tested = [result for result in results if result.p_value is not None]
    corrected = holm([result.p_value for result in tested if result.p_value is not None])
    return {
        result.trial: result.verdict if p_value <= 0.05 else "not distinguishable"
        for result, p_value in zip(tested, corrected, strict=True)}


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
    """A sentence a task for the terminal: whom the leader beats, with the figures of its closest contest."""
    return [_leader_line(own) for own in leaders(results)]


def _leader_line(own: Sequence[Contest]) -> str:
    closest, beaten = own[0], [contest.second for contest in own if contest.verdict == "better"]
    if len(own) == 1 or closest.verdict != "better":
        rest = f" It is better than {', '.join(beaten)}." if beaten else ""
        return closest.sentence + rest
    return (f"{closest.first} is better than each other one on {closest.task}; the closest is {closest.second}: "
            f"{closest.figures}.")


def p_told(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _ahead(net: Sequence[int]) -> tuple[int, int]:
    """Pairs of trials that were won, and that were lost."""
    return sum(one > 0 for one in net), sum(one < 0 for one in net)


def _pooled(results: Sequence[TrialResult]) -> dict[tuple[str, str, str], Pooled]:
    """(task, first, second) -> `first` against `second`."""
    tested = [result for result in results if result.test_marks and not result.settings]
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
    """(second's scores, first's scores) of each seed that both have been tested with, on the same items."""
    if against_seed:
        return [(trial.seed_prompt_test_scores, trial.test_scores) for trial in first.values()]
    shared = [key for key in first if key in second and len(first[key].test_marks) == len(second[key].test_marks)]
    return [(second[key].test_scores, first[key].test_scores) for key in shared]
