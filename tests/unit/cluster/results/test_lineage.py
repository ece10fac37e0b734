"""The way to the best prompt is read from the rounds."""

from dataclasses import replace

import pytest

from cluster.analysis.lineage import lineage
from cluster.results.tables import candidates_table
from cluster.trial.result import TrialResult
from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Prompt


def test_it_goes_from_the_first_prompt_to_the_best(result: TrialResult) -> None:
    steps = lineage(result)
    assert [step.candidate.operator for step in steps] == ["seed", "decompose", "refine"]
    assert [step.parent.operator if step.parent else None for step in steps] == [
        None,
        "seed",
        "decompose",
    ]


def test_a_refinement_says_which_step_failed_and_what_it_gained(result: TrialResult) -> None:
    last = lineage(result)[-1]
    assert last.failing_step == "Keep track of where you are."
    assert last.gain is not None
    assert last.gain.value == pytest.approx(
        0.925 - 0.575
    )  # on the most items, as many for the one as for the other
    assert len(last.new_demonstrations) == 1
    assert any(piece.kind == "added" and "(x, y)" in piece.text for piece in last.pieces)


def standing(candidate: Candidate, *scores: float | None, kept: bool = True) -> Standing:
    known = [score for score in scores if score is not None]
    return Standing(candidate, sum(known) / len(known), len(known), None, kept, (), scores)


def test_a_gain_is_over_the_items_that_both_were_measured_on(result: TrialResult) -> None:
    """The baseline is right on 5 of 10 items; the last race measures it on two items only, both
    wrong.
    """
    seed = Candidate(Prompt("a"), "seed", 0)
    child = Candidate(Prompt("b"), "edit", 1, seed.id)
    rounds = (
        Round(0, (standing(seed, *[1.0] * 5, *[0.0] * 5),)),
        Round(
            1,
            (
                standing(child, *[1.0] * 6, *[0.0] * 4),
                standing(seed, *[None] * 6, 0.0, 0.0, None, None, kept=False),
            ),
        ),
    )
    [_, last] = lineage(replace(result, best=child, rounds=rounds))
    assert last.gain is not None
    assert (last.gain.value, last.gain.items) == (pytest.approx(0.1), 10)
    assert last.gain.interval is not None
    assert last.gain.interval.low < 0.1 < last.gain.interval.high
    rows = candidates_table([replace(result, best=child, rounds=rounds)]).to_pylist()
    assert [(row["dev_accuracy"], row["items"], row["kept"]) for row in rows] == [
        (0.5, 10, False),
        (0.6, 10, True),
    ]


def test_a_gain_without_shared_items_is_unknown(result: TrialResult) -> None:
    seed = Candidate(Prompt("a"), "seed", 0)
    child = Candidate(Prompt("b"), "edit", 1, seed.id)
    rounds = (Round(0, (standing(seed, 1.0, None),)), Round(1, (standing(child, None, 1.0),)))
    assert lineage(replace(result, best=child, rounds=rounds))[-1].gain is None


def test_the_first_prompt_has_no_parent_and_no_gain(result: TrialResult) -> None:
    first = lineage(result)[0]
    assert first.gain is None
    assert first.failing_step is None


def test_a_parent_that_never_competed_ends_it(result: TrialResult) -> None:
    assert result.best is not None
    orphan = replace(result, best=replace(result.best, parent="unknown"))
    assert [step.candidate for step in lineage(orphan)] == [orphan.best]


def test_a_circle_of_parents_ends() -> None:
    one = Candidate(
        TrialResult.__dataclass_fields__["seed_prompt"].default_factory(), "vary", 0, parent="x"
    )  # type: ignore[misc]
    circle = replace(one, parent=one.id)
    result = TrialResult(
        trial="t",
        task="t",
        strategy="s",
        selection="full",
        seed=0,
        target="t",
        optimizer="o",
        status="finished",
        best=circle,
        rounds=(Round(0, (Standing(circle, 1.0, 1, None, True),)),),
    )
    assert len(lineage(result)) == 1


def test_a_step_number_that_the_parent_does_not_have_is_left_out(result: TrialResult) -> None:
    assert result.best is not None
    wrong = replace(result.best, changed_step=9)
    rounds = (result.rounds[0], Round(1, (Standing(wrong, 0.9, 80, None, True),)))
    assert lineage(replace(result, best=wrong, rounds=rounds))[-1].failing_step is None


def test_no_best_prompt_has_no_lineage(result: TrialResult) -> None:
    assert lineage(replace(result, best=None)) == ()
