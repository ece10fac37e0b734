"""The Pareto front over items: what it covers, what it leaves out, and how parents are drawn from
it.
"""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from optimizer.behaviour.pareto_front import draw, led_items

SCORE = st.sampled_from([0.0, 1.0, None])
MATRIX = st.integers(0, 8).flatmap(
    lambda items: st.lists(st.lists(SCORE, min_size=items, max_size=items), min_size=1, max_size=6)
)


@given(scores_by_arm=MATRIX)
def test_what_anybody_solves_somebody_on_the_front_solves(
    scores_by_arm: list[list[float | None]],
) -> None:
    led = led_items(scores_by_arm)
    front = [scores for scores, count in zip(scores_by_arm, led, strict=True) if count]
    for item in zip(*scores_by_arm, strict=True):
        at = [solver for solver, score in enumerate(item) if score == 1.0]
        assert not at or any(led[arm] for arm in at)
    assert bool(front) == any(1.0 in scores for scores in scores_by_arm)


@given(scores_by_arm=MATRIX)
def test_nobody_on_the_front_can_be_done_without(scores_by_arm: list[list[float | None]]) -> None:
    led = led_items(scores_by_arm)
    for arm, count in enumerate(led):
        others = [
            scores for other, scores in enumerate(scores_by_arm) if other != arm and led[other]
        ]
        alone = [
            at
            for at, score in enumerate(scores_by_arm[arm])
            if score == 1.0 and all(o[at] != 1.0 for o in others)
        ]
        assert not count or alone


@given(scores_by_arm=MATRIX)
def test_who_alone_solves_an_item_is_on_the_front_and_leads_all_that_he_solves(
    scores_by_arm: list[list[float | None]],
) -> None:
    led = led_items(scores_by_arm)
    for arm, scores in enumerate(scores_by_arm):
        if any(
            score == 1.0 and sum(other[at] == 1.0 for other in scores_by_arm) == 1
            for at, score in enumerate(scores)
        ):
            assert led[arm] == scores.count(1.0)


def test_of_two_alike_the_first_stays() -> None:
    assert led_items([[1, 0, 1], [1, 0, 1]]) == [2, 0]
    assert led_items([[0, 0, 1], [1, 0, 1]]) == [0, 2]


@given(
    led=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    draws=st.integers(0, 30),
    seed=st.integers(0, 99),
)
def test_draws_add_up_and_fall_on_leaders(led: list[int], draws: int, seed: int) -> None:
    times = draw(led, draws, Random(seed))
    assert sum(times) == draws
    assert all(
        lead or not count
        for lead, count in zip(led if any(led) else [1, *led[1:]], times, strict=True)
    )


def test_parents_are_drawn_by_the_number_of_items_that_they_lead() -> None:
    first, second, third = draw([30, 10, 0], 4000, Random(0))
    assert third == 0
    assert 2.7 < first / second < 3.3
