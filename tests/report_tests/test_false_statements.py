"""How often a report says something false, by simulation: of equal strategies, and of prompts that differ by chance alone."""

from random import Random

import pytest

from cluster.report.contests import SEED_PROMPT, contests, contests_over_tasks, corrected_verdicts
from cluster.result import TrialResult, marks_of
from optimizer.statistics import paired_test
from tests.report_tests.conftest import trial

TASKS, STRATEGIES, SEEDS, ITEMS = ("navigate", "counting"), ("apo", "opro", "abo"), 3, 60
REPORTS = 300
SIGN = {"better": 1, "worse": -1, "not distinguishable": 0}


class Simulated:
    """A report of equal strategies. What a search finds is as good as the seed prompt, but for chance of deviation `sd`."""

    def __init__(self, rng: Random, sd: float) -> None:
        self.trials: list[TrialResult] = []
        self.gain_by_trial: dict[str, float] = {}
        for task in TASKS:
            for seed in range(SEEDS):
                difficulty = [0.1 + 0.8 * rng.random() for _ in range(ITEMS)]
                before = [float(rng.random() < chance) for chance in difficulty]
                for strategy in STRATEGIES:
                    gain = rng.gauss(0, sd)
                    after = [float(rng.random() < min(1.0, max(0.0, chance + gain))) for chance in difficulty]
                    test = paired_test(before, after)
                    found = trial(
                        task, strategy, seed, test_items=ITEMS, verdict=test.verdict, p_value=test.p_value,
                        seed_prompt_test_marks=marks_of(before), test_marks=marks_of(after))
                    self.trials.append(found)
                    self.gain_by_trial[found.trial] = gain

    def gain(self, task: str, strategy: str) -> float:
        """The true mean gain of the prompts that a strategy has found."""
        own = [one.trial for one in self.trials if (one.task, one.strategy) == (task, strategy)]
        return 0.0 if strategy == SEED_PROMPT else sum(self.gain_by_trial[one] for one in own) / len(own)

    def says_something_false(self) -> bool:
        """Any statement on strategies is false here; one on prompts, where it has their true order wrong."""
        on_trials = [(SIGN[told], self.gain_by_trial[name]) for name, told in corrected_verdicts(self.trials).items()]
        on_prompts = [
            (SIGN[one.verdict], self.gain(one.task, one.first) - self.gain(one.task, one.second)) for one in contests(self.trials)]
        return any(sign and sign * gain <= 0 for sign, gain in on_trials + on_prompts) or any(
            one.verdict != "not distinguishable" for one in contests_over_tasks(self.trials))


@pytest.mark.parametrize("sd", [0.0, 0.03, 0.05, 0.08])
def test_at_most_five_reports_of_a_hundred_say_something_false(sd: float) -> None:
    rng = Random(f"reports {sd}")
    false = sum(Simulated(rng, sd).says_something_false() for _ in range(REPORTS))
    assert false <= 0.05 * REPORTS
