"""Made-up reports with graded scores, of strategies and prompts that are all equally good."""

from cluster.analysis.comparisons import comparisons, comparisons_over_tasks, corrected_verdicts
from cluster.trial.result import TrialResult, marks_of, values_of
from optimizer.candidate import Candidate
from optimizer.prompt import Prompt
from optimizer.statistics import estimate, paired_test
from tests.contracts.graded_shapes import Rng, Shape

TASKS, STRATEGIES, SEEDS = ("orders", "notes"), ("apo", "opro", "abo"), 2
SHARED = 0.5
"""Share of the scores that two prompts have in common."""


def report(rng: Rng, shape: Shape, items: int) -> list[TrialResult]:
    """The results of 3 strategies on 2 tasks with 2 seeds."""
    found = []
    for task in TASKS:
        for seed in range(SEEDS):
            before, *others = shape.paired(rng, len(STRATEGIES) + 1, items, SHARED).tolist()
            found += [
                tested_trial(task, strategy, seed, before, after)
                for strategy, after in zip(STRATEGIES, others, strict=True)
            ]
    return found


def tested_trial(
    task: str, strategy: str, seed: int, before: list[float], after: list[float]
) -> TrialResult:
    """A trial whose final test had these scores."""
    test, measured = paired_test(before, after), estimate(after)
    return TrialResult(
        trial=f"{task}-{strategy}-s{seed}",
        task=task,
        strategy=strategy,
        selection="racing",
        seed=seed,
        target="target",
        optimizer="optimizer",
        status="finished",
        seed_prompt=Prompt("baseline"),
        best=Candidate(Prompt(f"best of {strategy}"), "edit", 1),
        data_hash=f"{task} {seed}",
        seed_prompt_test_accuracy=estimate(before).mean,
        test_accuracy=measured.mean,
        test_low=measured.low,
        test_high=measured.high,
        test_interval_kind=measured.kind,
        test_items=len(after),
        verdict=test.verdict,
        p_value=test.p_value,
        seed_prompt_test_marks=marks_of(before),
        test_marks=marks_of(after),
        seed_prompt_test_values=values_of(before),
        test_values=values_of(after),
    )


def says_something_false(results: list[TrialResult]) -> bool:
    """Whether any statement of the report is false; here all that find a difference are."""
    told = [
        *corrected_verdicts(results).values(),
        *(one.verdict for one in (*comparisons(results), *comparisons_over_tasks(results))),
    ]
    return any(verdict != "not distinguishable" for verdict in told)


def says_so_uncorrected(results: list[TrialResult]) -> bool:
    """Whether a trial's own verdict does, which is not corrected for the others."""
    return any(result.verdict in ("better", "worse") for result in results)
