"""Trials put together: by task, and by task, strategy and point of a search, with means over seeds.

Knows no output form.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cluster.trial.result import TrialResult
from optimizer.statistics import Interval, wilson


@dataclass(frozen=True)
class Group:
    """The trials of one strategy, and in a search of one point, on one task: they differ by seed
    only. A mean is over the trials
    that have the figure.
    """

    task: str
    strategy: str
    trials: tuple[TrialResult, ...]

    @property
    def settings(self) -> Mapping[str, str | int | float | bool | None]:
        """The point; empty where there was no search."""
        return self.trials[0].settings

    @property
    def dev(self) -> float | None:
        """Mean dev accuracy, of pruned trials too."""
        return self.mean(lambda trial: trial.dev_accuracy)

    def mean(self, figure: Callable[[TrialResult], float | None]) -> float | None:
        """None where no trial has the figure."""
        values = [value for value in map(figure, self.trials) if value is not None]
        return fmean(values) if values else None

    def mean_of(self, name: str) -> float | None:
        """The mean of a field of TrialResult, by its name, over the tested trials: one that broke
        off early would look cheap.
        """
        return self.mean(
            lambda trial: None if trial.test_accuracy is None else getattr(trial, name)
        )

    @property
    def before(self) -> float | None:
        """Mean test accuracy of the baseline, over the trials that tested their best prompt too:
        like with like.
        """
        return self.mean(
            lambda trial: None if trial.test_accuracy is None else trial.seed_prompt_test_accuracy
        )

    @property
    def after(self) -> float | None:
        """Mean test accuracy of the best prompts."""
        return self.mean(lambda trial: trial.test_accuracy)

    @property
    def spread(self) -> Interval:
        """95% interval of the best prompts' accuracy, over the test items of all seeds together.

        It is about items: how far
        searches differ from each other is to be seen from the trials themselves.
        """
        tested = [trial for trial in self.trials if trial.test_accuracy is not None]
        if len(tested) == 1 and tested[0].test_low is not None and tested[0].test_high is not None:
            return Interval(tested[0].test_low, tested[0].test_high)
        items = self.test_items
        return wilson(min(items, (self.after or 0.0) * items), items)

    @property
    def test_items(self) -> int:
        """Different test items that the interval rests on, over all seeds."""
        tested = [trial for trial in self.trials if trial.test_accuracy is not None]
        if len(tested) == 1:
            return tested[0].test_items
        # Seeds of one data file draw their splits from the same items: together these tell no more
        # than one split does for sure.
        items_by_data: dict[str, int] = {}
        for trial in tested:
            items_by_data[trial.data_hash] = max(
                trial.test_items, items_by_data.get(trial.data_hash, 0)
            )
        return sum(items_by_data.values())

    @property
    def tested(self) -> int:
        return sum(trial.test_accuracy is not None for trial in self.trials)

    @property
    def compared(self) -> int:
        """Trials of which it is known whether they are better than the baseline: the others lack
        too many answers. A best prompt
        that is the baseline is not better.
        """
        return sum(trial.test_accuracy is not None and bool(trial.told) for trial in self.trials)

    def better_of(self, corrected: Mapping[str, str]) -> int:
        """Trials whose best prompt was better than the baseline, by corrected verdicts; a trial
        that has none keeps its own.
        """
        return sum(corrected.get(trial.trial, trial.verdict) == "better" for trial in self.trials)


@dataclass(frozen=True)
class TaskSummary:
    """One task's groups, in the order in which their strategies first came."""

    task: str
    groups: tuple[Group, ...]

    @property
    def trials(self) -> tuple[TrialResult, ...]:
        return tuple(trial for group in self.groups for trial in group.trials)

    @property
    def leader(self) -> Group | None:
        """The strategy with the highest mean test accuracy; None where nothing was tested.

        Ties go to the one listed first.

        Of the many points of a search, it is the first of `ranked`: there the test split selects
        nothing.
        """
        if any(group.settings for group in self.groups):
            return next((group for group in self.ranked if group.after is not None), None)
        tested = (group for group in self.groups if group.after is not None)
        return max(tested, key=lambda group: group.after or 0.0, default=None)

    @property
    def ranked(self) -> tuple[Group, ...]:
        """By mean dev accuracy, as a search chooses; of equals the one with fewer target calls.

        Those without any are last.
        """
        return tuple(
            sorted(
                self.groups,
                key=lambda group: (
                    group.dev is None,
                    -(group.dev or 0.0),
                    group.mean(lambda trial: trial.target_calls) or 0.0,
                ),
            )
        )


def summarise(results: Sequence[TrialResult]) -> tuple[TaskSummary, ...]:
    """The results by task, strategy and point, each in order of first appearance, the trials of a
    group by seed.
    """
    places = {strategy: place for place, strategy in enumerate(strategies(results))}
    found: dict[str, dict[tuple[str, str], list[TrialResult]]] = {}
    for result in results:
        point = json.dumps(dict(result.settings), sort_keys=True)
        found.setdefault(result.task, {}).setdefault((result.strategy, point), []).append(result)
    return tuple(
        TaskSummary(
            task,
            tuple(
                Group(task, strategy, tuple(sorted(trials, key=lambda trial: trial.seed)))
                for (strategy, _), trials in sorted(
                    by_point.items(), key=lambda entry: places[entry[0][0]]
                )
            ),
        )
        for task, by_point in found.items()
    )


def strategies(results: Sequence[TrialResult]) -> tuple[str, ...]:
    """All strategy labels, in order of first appearance: a strategy has one place and one colour
    throughout a report.
    """
    return tuple(dict.fromkeys(result.strategy for result in results))
