"""How often a report says something false, by simulation: of equal strategies, and of prompts that
differ by chance alone; with and without a control arm, whose answer line is worth something or
nothing.
"""

from random import Random

import pytest

from cluster.analysis.comparisons import (
    comparisons,
    comparisons_over_tasks,
    corrected_against_control,
    corrected_verdicts,
)
from cluster.analysis.pairwise import ANSWER_LINE, BASELINE
from cluster.trial.result import TrialResult, marks_of
from optimizer.statistics import paired_test
from tests.unit.cluster.results.conftest import trial

TASKS, STRATEGIES, SEEDS, ITEMS = ("navigate", "counting"), ("apo", "opro", "abo"), 3, 60
REPORTS = 300
SIGN = {"better": 1, "worse": -1, "not distinguishable": 0}


class Simulated:
    """A report of equal strategies.

    What a search finds is as good as the baseline, but for chance of deviation `sd`.
    """

    def __init__(self, rng: Random, sd: float, control: bool = False) -> None:
        self.trials: list[TrialResult] = []
        self.gain_by_trial: dict[str, float] = {}
        self.form_by_split: dict[tuple[str, int], float] = {}
        """Gain of the answer line alone, by task and seed."""
        for task in TASKS:
            for seed in range(SEEDS):
                difficulty = [0.1 + 0.8 * rng.random() for _ in range(ITEMS)]
                before = [float(rng.random() < chance) for chance in difficulty]
                form = self.form_by_split[task, seed] = rng.gauss(0, sd)
                line = (
                    [
                        float(rng.random() < min(1.0, max(0.0, chance + form)))
                        for chance in difficulty
                    ]
                    if control
                    else []
                )
                for strategy in STRATEGIES:
                    gain = rng.gauss(0, sd)
                    after = [
                        float(rng.random() < min(1.0, max(0.0, chance + gain)))
                        for chance in difficulty
                    ]
                    test, beyond = (
                        paired_test(before, after),
                        paired_test(line, after) if control else None,
                    )
                    found = trial(
                        task,
                        strategy,
                        seed,
                        test_items=ITEMS,
                        verdict=test.verdict,
                        p_value=test.p_value,
                        seed_prompt_test_marks=marks_of(before),
                        test_marks=marks_of(after),
                        data_hash=f"{task} {seed}",
                        form_control_test_marks=marks_of(line),
                        form_control_verdict=beyond.verdict if beyond else "",
                        form_control_p_value=beyond.p_value if beyond else None,
                    )
                    self.trials.append(found)
                    self.gain_by_trial[found.trial] = gain

    def gain(self, task: str, strategy: str) -> float:
        """The true mean gain of the prompts that a strategy has found."""
        if strategy == ANSWER_LINE:
            return sum(self.form_by_split[task, seed] for seed in range(SEEDS)) / SEEDS
        own = [one.trial for one in self.trials if (one.task, one.strategy) == (task, strategy)]
        return (
            0.0 if strategy == BASELINE else sum(self.gain_by_trial[one] for one in own) / len(own)
        )

    def says_something_false(self) -> bool:
        """Any statement on strategies is false here; one on prompts, where it has their true order
        wrong.
        """
        on_trials = [
            (SIGN[told], self.gain_by_trial[name])
            for name, told in corrected_verdicts(self.trials).items()
        ]
        split_by_trial = {one.trial: (one.task, one.seed) for one in self.trials}
        on_form = [
            (SIGN[told], self.gain_by_trial[name] - self.form_by_split[split_by_trial[name]])
            for name, (told, _) in corrected_against_control(self.trials).items()
        ]
        on_prompts = [
            (SIGN[one.verdict], self.gain(one.task, one.first) - self.gain(one.task, one.second))
            for one in comparisons(self.trials)
        ]
        return any(
            sign and sign * gain <= 0 for sign, gain in on_trials + on_form + on_prompts
        ) or any(
            one.verdict != "not distinguishable" for one in comparisons_over_tasks(self.trials)
        )


@pytest.mark.slow
@pytest.mark.parametrize("sd", [0.0, 0.03, 0.05, 0.08])
def test_at_most_five_reports_of_a_hundred_say_something_false(sd: float) -> None:
    rng = Random(f"reports {sd}")
    false = sum(Simulated(rng, sd).says_something_false() for _ in range(REPORTS))
    assert false <= 0.05 * REPORTS


@pytest.mark.slow
@pytest.mark.parametrize("sd", [0.0, 0.05])
def test_nor_do_they_with_a_control_arm(sd: float) -> None:
    rng = Random(f"controlled {sd}")
    false = sum(
        Simulated(rng, sd, control=True).says_something_false() for _ in range(REPORTS // 2)
    )
    assert false <= 0.05 * REPORTS // 2
