"""The way to the best prompt is read from the rounds."""

from dataclasses import replace

import pytest

from cluster.report.lineage import lineage
from cluster.result import TrialResult
from optimizer.candidate import Candidate, Round, Standing


def test_it_goes_from_the_first_prompt_to_the_best(result: TrialResult) -> None:
    steps = lineage(result)
    assert [step.candidate.operator for step in steps] == ["seed", "decompose", "refine"]
    assert [step.parent.operator if step.parent else None for step in steps] == [None, "seed", "decompose"]


def test_a_refinement_says_which_step_failed_and_what_it_gained(result: TrialResult) -> None:
    last = lineage(result)[-1]
    assert last.failing_step == "Keep track of where you are."
    assert last.gain == pytest.approx(0.925 - 0.575)  # the parent's accuracy of the same round, not of an earlier one
    assert len(last.new_demonstrations) == 1
    assert any(piece.kind == "added" and "(x, y)" in piece.text for piece in last.pieces)


def test_the_first_prompt_has_no_parent_and_no_gain(result: TrialResult) -> None:
    first = lineage(result)[0]
    assert first.gain is None
    assert first.failing_step is None


def test_a_parent_that_never_competed_ends_it(result: TrialResult) -> None:
    assert result.best is not None
    orphan = replace(result, best=replace(result.best, parent="unknown"))
    assert [step.candidate for step in lineage(orphan)] == [orphan.best]


def test_a_circle_of_parents_ends() -> None:
    one = Candidate(TrialResult.__dataclass_fields__["seed_prompt"].default_factory(), "vary", 0, parent="x")  # type: ignore[misc]
    circle = replace(one, parent=one.id)
    result = TrialResult(
        trial="t", task="t", strategy="s", selection="full", seed=0, target="t", optimizer="o", status="finished", best=circle,
        rounds=(Round(0, (Standing(circle, 1.0, 1, None, True),)),))
    assert len(lineage(result)) == 1


def test_a_step_number_that_the_parent_does_not_have_is_left_out(result: TrialResult) -> None:
    assert result.best is not None
    wrong = replace(result.best, changed_step=9)
    rounds = (result.rounds[0], Round(1, (Standing(wrong, 0.9, 80, None, True),)))
    assert lineage(replace(result, best=wrong, rounds=rounds))[-1].failing_step is None


def test_no_best_prompt_has_no_lineage(result: TrialResult) -> None:
    assert lineage(replace(result, best=None)) == ()
