"""Group trials by task, strategy and point of a search, with means over seeds."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cluster.trial.result import TrialResult
from optimizer.statistics import Interval, estimate, is_binary, wilson


@dataclass(frozen=True)
class Group:
    """The trials of one strategy, and in a search of one point, on one task.

    They differ by seed alone. A mean is over the trials that have the figure.
    """

    task: str
    strategy: str
    trials: tuple[TrialResult, ...]

    @property
    def settings(self) -> Mapping[str, str | int | float | bool | None]:
        """Return the point of the search; empty where there was none."""
        return self.trials[0].settings

    @property
    def dev(self) -> float | None:
        """Return the mean dev accuracy, pruned trials included."""
        return self.mean(lambda trial: trial.dev_accuracy)

    def mean(self, figure: Callable[[TrialResult], float | None]) -> float | None:
        """Return the mean of a figure; None where no trial has it."""
        values = [value for value in map(figure, self.trials) if value is not None]
        return fmean(values) if values else None

    def mean_of(self, name: str) -> float | None:
        """Return the mean of a field of TrialResult, by its name, over the tested trials.

        A trial that broke off early would look cheap.
        """
        return self.mean(
            lambda trial: None if trial.test_accuracy is None else getattr(trial, name)
        )

    @property
    def before(self) -> float | None:
        """Return the baseline's mean test accuracy, over trials that tested their best prompt."""
        return self.mean(
            lambda trial: None if trial.test_accuracy is None else trial.seed_prompt_test_accuracy
        )

    @property
    def after(self) -> float | None:
        """Return the mean test accuracy of the best prompts."""
        return self.mean(lambda trial: trial.test_accuracy)

    @property
    def spread(self) -> Interval:
        """Return the 95% interval of the best prompts' accuracy, over the test items of all seeds.

        It is about items: how far searches differ is seen from the trials themselves.
        """
        tested = [trial for trial in self.trials if trial.test_accuracy is not None]
        if len(tested) == 1 and tested[0].test_low is not None and tested[0].test_high is not None:
            return Interval(tested[0].test_low, tested[0].test_high, tested[0].interval_kind)
        items, after = self.test_items, self.after or 0.0
        known = _different_scores(tested)
        if is_binary(known) or len(known) != items:
            return wilson(min(items, after * items), items)
        # The items whose scores are taken may have another mean than all items of all seeds.
        middle, found = fmean(known), estimate(known)
        return Interval(
            max(0.0, after - (middle - found.low)),
            min(1.0, after + (found.high - middle)),
            found.kind,
        )

    @property
    def test_items(self) -> int:
        """Return the number of different test items that the interval rests on, over all seeds."""
        tested = [trial for trial in self.trials if trial.test_accuracy is not None]
        if len(tested) == 1:
            return tested[0].test_items
        # Seeds of one data file sample their splits from the same items: only the items of one
        # split are certain to be different.
        items_by_data: dict[str, int] = {}
        for trial in tested:
            items_by_data[trial.data_hash] = max(
                trial.test_items, items_by_data.get(trial.data_hash, 0)
            )
        return sum(items_by_data.values())

    @property
    def tested(self) -> int:
        """Return the number of trials that were tested."""
        return sum(trial.test_accuracy is not None for trial in self.trials)

    @property
    def compared(self) -> int:
        """Return the number of trials with a verdict against the baseline.

        The others lack too many answers. A best prompt that is the baseline counts as compared, and
        as not better.
        """
        return sum(
            trial.test_accuracy is not None and bool(trial.shown_verdict) for trial in self.trials
        )

    def better_of(self, corrected: Mapping[str, str]) -> int:
        """Count the trials whose best prompt is better than the baseline, by corrected verdicts.

        A trial without a corrected verdict counts by its own.
        """
        return sum(corrected.get(trial.trial, trial.verdict) == "better" for trial in self.trials)


def _different_scores(tested: Sequence[TrialResult]) -> list[float]:
    """Return the scores of the items that `Group.test_items` counts, of one trial for each data."""
    fullest: dict[str, TrialResult] = {}
    for trial in tested:
        known = fullest.get(trial.data_hash)
        if known is None or trial.test_items > known.test_items:
            fullest[trial.data_hash] = trial
    return [score for trial in fullest.values() for score in trial.test_scores if score is not None]


@dataclass(frozen=True)
class TaskSummary:
    """One task's groups, in the order in which their strategies first came."""

    task: str
    groups: tuple[Group, ...]

    @property
    def trials(self) -> tuple[TrialResult, ...]:
        """Return the trials of all groups."""
        return tuple(trial for group in self.groups for trial in group.trials)

    @property
    def leader(self) -> Group | None:
        """Return the strategy with the highest mean test accuracy; None where nothing was tested.

        Ties go to the one listed first. For a search it is the first of `ranked`, so that the test
        split does not select among its many points.
        """
        if any(group.settings for group in self.groups):
            return next((group for group in self.ranked if group.after is not None), None)
        tested = (group for group in self.groups if group.after is not None)
        return max(tested, key=lambda group: group.after or 0.0, default=None)

    @property
    def ranked(self) -> tuple[Group, ...]:
        """Return the groups by mean dev accuracy, of equals the one with fewer target calls first.

        Groups without a dev accuracy come last.
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
    """Group the results by task, strategy and point, each in order of first appearance.

    The trials of a group are sorted by seed.
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
    """Return all strategy labels in order of first appearance.

    A strategy has one place and one colour throughout a report.
    """
    return tuple(dict.fromkeys(result.strategy for result in results))
