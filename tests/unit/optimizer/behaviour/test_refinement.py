"""What becomes of refinements: rolled back where they do not help, with the reason in numbers; and
when a search stands still.
"""

from optimizer.behaviour.early_stopping import EarlyStopping
from optimizer.behaviour.refinement import Setbacks, rolled_back
from optimizer.candidate import Candidate, Round, Standing
from optimizer.operators.refine import Setback
from optimizer.prompt import Prompt, Step

OLD, KEPT = Step("Add up."), Step("List all.")
PARENT = Candidate(Prompt("", (KEPT, OLD)), "decompose", 0)


def child(*new: str, round: int = 1, operator: str = "refine") -> Candidate:
    return Candidate(
        Prompt("", (KEPT, *map(Step, new))), operator, round, PARENT.id, changed_step=2
    )


def standing(
    candidate: Candidate,
    scores: tuple[float | None, ...],
    by_step: tuple[float, ...],
    kept: bool = True,
) -> Standing:
    measured = [score for score in scores if score is not None]
    return Standing(
        candidate,
        sum(measured) / len(measured) if measured else None,
        len(measured),
        0.5,
        kept,
        by_step,
        scores,
    )


def kept_ones(standings: tuple[Standing, ...]) -> list[Candidate]:
    return [one.candidate for one in standings if one.kept]


def test_what_is_not_better_than_its_parent_is_not_kept_and_stands_behind() -> None:
    better, equal, worse = child("a"), child("b"), child("c")
    before = [
        standing(better, (1, 1, 0, 1), ()),
        standing(PARENT, (1, 0, 0, 1), ()),
        standing(equal, (0, 1, 0, 1), ()),
        standing(worse, (0, 0, 0, 1), ()),
    ]
    after = rolled_back(before, 1)
    assert kept_ones(after) == [better, PARENT]
    assert [one.candidate for one in after] == [better, PARENT, equal, worse]


def test_what_an_earlier_round_kept_and_what_the_rule_dropped_stay_as_they_were() -> None:
    earlier, dropped = child("a", round=1), child("b", round=2)
    before = [
        standing(PARENT, (1, 0), ()),
        standing(earlier, (1, 0), ()),
        standing(dropped, (1, 1), (), kept=False),
    ]
    assert kept_ones(rolled_back(before, 2)) == [PARENT, earlier]


def test_without_any_score_the_parent_goes_on() -> None:
    assert kept_ones(
        rolled_back([standing(PARENT, (None,), ()), standing(child("a"), (None,), ())], 1)
    ) == [PARENT]


def test_a_setback_says_how_accuracy_and_the_changed_step_came_out_on_the_same_items() -> None:
    setbacks = Setbacks()
    lost = standing(child("Sum.", "Check."), (0, 1, None, None), (1.0, 0.5, 0.25), kept=False)
    setbacks.note(Round(1, (standing(PARENT, (1, 1, 0, 0), (1.0, 0.75)), lost)))
    assert setbacks.of(OLD) == (
        Setback(
            "Sum. / Check.",
            "accuracy went from 1.00 to 0.50; followed in 50% and 25% of the responses, the old "
            "step in 75%",
        ),
    )
    assert setbacks.of(KEPT) == ()


def test_what_came_out_ahead_is_no_setback_and_the_same_words_are_noted_once() -> None:
    setbacks = Setbacks()
    ahead, behind = standing(child("a"), (1, 1), ()), standing(child("b"), (0, 0), ())
    for number in (1, 2):
        again = standing(child("b", round=number), (0, 0), ())
        setbacks.note(Round(number, (ahead, standing(PARENT, (1, 0), ()), again, behind)))
    assert [setback.wording for setback in setbacks.of(OLD)] == ["b"]


def test_nothing_measured_is_said_in_words() -> None:
    setbacks = Setbacks()
    setbacks.note(Round(1, (standing(PARENT, (None,), ()), standing(child("a"), (None,), ()))))
    assert setbacks.of(OLD) == (Setback("a", "it did not help"),)


def rounds(*moves: tuple[float | None, float | None]) -> list[Round]:
    return [
        Round(at, (Standing(PARENT, accuracy, 9, adherence, True),))
        for at, (accuracy, adherence) in enumerate(moves)
    ]


def reached(patience: int, *moves: tuple[float | None, float | None]) -> list[bool]:
    early_stopping = EarlyStopping(patience)
    return [early_stopping.reached(latest) for latest in rounds(*moves)]


def test_a_search_stands_still_once_neither_accuracy_nor_adherence_has_risen_for_so_long() -> None:
    assert reached(1, (0.5, 0.5), (0.5, 0.5)) == [False, True]
    assert reached(2, (0.5, 0.5), (0.5, 0.5), (0.4, 0.5)) == [False, False, True]


def test_either_of_them_keeps_it_going_but_not_a_hair_of_adherence() -> None:
    assert reached(1, (0.5, 0.5), (0.6, 0.4), (0.6, 0.7), (0.6, 0.705)) == [
        False,
        False,
        False,
        True,
    ]


def test_a_recovery_of_what_was_had_before_is_no_move() -> None:
    assert reached(2, (0.5, None), (0.4, None), (0.5, None)) == [False, False, True]


def test_what_could_not_be_measured_is_no_move() -> None:
    assert reached(1, (None, None), (None, None)) == [False, True]
