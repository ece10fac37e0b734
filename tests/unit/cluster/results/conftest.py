"""Planted results: a small experiment with every kind of trial, and texts that try to be markup."""

from dataclasses import replace

import pytest

from cluster.trial.result import Sample, TrialResult
from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Demonstration, Prompt, Step

SEED_PROMPT = Prompt("Let's think step by step.", closing="End with Answer: yes or no.")
MOVES = Step("List the moves, separated by semicolons.", "list")
VAGUE = Step("Keep track of where you are.", "points")
CLEAR = Step("Write the position as (x, y) after each move, starting at (0, 0).", "points")
SHOWN = Demonstration(
    "Take 3 steps forward. Take 3 steps backward. Do you return to the starting point?",
    "Step 1: 3 forward; 3 backward\nStep 2: (0, 3); (0, 0)\nAnswer: yes",
)

ROOT = Candidate(SEED_PROMPT, "seed", 0)
SPLIT = Candidate(
    Prompt("Follow these steps.", (MOVES, VAGUE), (), SEED_PROMPT.closing), "decompose", 0, ROOT.id
)
WINNER = Candidate(
    Prompt("Follow these steps.", (MOVES, CLEAR), (SHOWN,), SEED_PROMPT.closing),
    "refine",
    1,
    SPLIT.id,
    "step 2 is skipped in 5 of 7 traces: the position after the second move is never written",
    2,
)


def standing(
    candidate: Candidate, accuracy: float | None, items: int = 80, kept: bool = True
) -> Standing:
    return Standing(candidate, accuracy, items, 0.9 if candidate.prompt.steps else None, kept)


ROUNDS = (
    Round(0, (standing(SPLIT, 0.6), standing(ROOT, 0.5, 40, kept=False)), "decomposed the task"),
    Round(1, (standing(WINNER, 0.925), standing(SPLIT, 0.575, kept=False)), "refined step 2"),
)


def trial(
    task: str = "navigate", strategy: str = "abo", seed: int = 0, **changes: object
) -> TrialResult:
    result = TrialResult(
        trial=f"{task}-{strategy}-s{seed}",
        task=task,
        strategy=strategy,
        selection="racing",
        seed=seed,
        target="builtin:target",
        optimizer="builtin:optimizer",
        status="finished",
        seed_prompt=SEED_PROMPT,
        best=WINNER,
        rounds=ROUNDS,
        seed_prompt_test_accuracy=0.52,
        test_accuracy=0.94,
        test_low=0.89,
        test_high=0.97,
        test_items=150,
        verdict="better",
        dev_accuracy=0.925,
        adherence=0.96,
        target_calls=2310,
        optimizer_calls=120,
        ledger_hits=300,
        wall_s=61.5,
        calls_by_purpose={"learn": 300, "validate": 1710, "propose": 120, "test": 300},
        parse_failures=1,
        scorer="choice",
        data_hash="ab" * 32,
        stand_in=True,
        samples=(
            Sample(
                input="Turn left. Take 2 steps. Do you return?",
                gold="no",
                before="Answer: yes",
                after="Answer: no",
                right_before=False,
                right_after=True,
            ),
        ),
    )
    return replace(result, **changes)  # type: ignore[arg-type]


@pytest.fixture
def result() -> TrialResult:
    return trial()


@pytest.fixture
def results() -> list[TrialResult]:
    """Two tasks, two strategies, two seeds, and a trial that failed."""
    level = {"abo": 0.94, "apo": 0.6}
    found = [
        trial(
            task,
            strategy,
            seed,
            test_accuracy=level[strategy] - seed / 50,
            test_low=level[strategy] - 0.09,
            test_high=level[strategy] + 0.04,
            verdict="better" if strategy == "abo" else "not distinguishable",
        )
        for task in ("navigate", "object_counting")
        for strategy in ("apo", "abo")
        for seed in (0, 1)
    ]
    failed = TrialResult(
        trial="navigate-apo-s2",
        task="navigate",
        strategy="apo",
        selection="racing",
        seed=2,
        target="builtin:target",
        optimizer="builtin:optimizer",
        status="failed",
        error="The endpoint cannot be reached.",
    )
    return [*found, failed]
