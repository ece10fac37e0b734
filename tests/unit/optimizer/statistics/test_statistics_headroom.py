"""Noise, power and headroom: against simulation, and the sentence that comes out of them."""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from optimizer.statistics import (
    detectable_gain,
    detectable_mean_gain,
    headroom,
    noise_floor,
    paired_test,
    share_known,
)
from optimizer.statistics.headroom import power
from tests.contracts.examples import examples


def test_a_target_that_repeats_itself_has_no_noise() -> None:
    noise = noise_floor([[1.0, 0.0, None]] * 3)
    assert (noise.flip_rate, noise.sd, noise.repeats) == (0.0, 0.0, 3)


def test_without_two_answers_to_one_item_the_noise_is_not_known() -> None:
    for runs in ([], [[1.0, 0.0]], [[1.0, None], [None, 0.0], [None, None]]):
        noise = noise_floor(runs)
        assert (noise.flip_rate, noise.sd) == (None, None)
    failed = [None] * 20
    noise = noise_floor(
        [[1.0] * 20, failed, [1.0, 1.0, *failed[2:]]]
    )  # two answers of twenty are no repeat
    assert (noise.flip_rate, noise.sd, noise.unknown) == (
        None,
        None,
        "noise unknown: 1 of 3 repeats came",
    )


def test_the_noise_is_the_spread_of_accuracy_between_runs() -> None:
    """Half of 200 items are settled, the others are coins: the accuracy varies by sqrt(100 * 0.25)
    / 200 = 0.025.
    """
    rng = Random(0)
    runs = [[1.0] * 100 + [float(rng.random() < 0.5) for _ in range(100)] for _ in range(20)]
    noise = noise_floor(runs)
    assert noise.flip_rate == pytest.approx(0.25, abs=0.02)
    assert noise.sd == pytest.approx(0.025, abs=0.002)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("items", "gain", "lost"), [(40, 0.2, 0.05), (100, 0.15, 0.05), (100, 0.1, 0.0), (12, 0.5, 0.1)]
)
def test_power_agrees_with_simulated_tests(items: int, gain: float, lost: float) -> None:
    rng, found, runs = Random(1), 0, 2000
    for _ in range(runs):
        draws = [rng.random() for _ in range(items)]
        after = [
            1.0 if draw < gain + lost else 0.0 if draw < gain + 2 * lost else 0.5 for draw in draws
        ]
        found += paired_test([0.5] * items, after).verdict == "better"
    assert power(items, gain, lost) == pytest.approx(found / runs, abs=0.035)


@settings(max_examples=examples(30), deadline=None)
@example(30, 2.2e-16)
@given(st.integers(1, 300), st.floats(0, 0.3))
def test_the_detectable_gain_is_the_least_that_is_found(items: int, lost: float) -> None:
    gain = detectable_gain(items, lost)
    if gain is None:
        assert items < 30 or lost > 0.2
        return
    assert power(items, gain, lost) >= 0.8 > power(items, gain - 0.005, lost)


def test_larger_tests_show_smaller_gains() -> None:
    gains = [detectable_gain(items, 0.05) or 1.0 for items in (20, 50, 100, 300)]
    assert gains == sorted(gains, reverse=True)
    assert detectable_gain(5, 0.0) is None


def test_what_guessing_gives_is_not_known() -> None:
    assert share_known(0.75, 0.75) == 0.0
    assert share_known(0.5, 0.75) == 0.0
    assert share_known(0.9, 0.8) == pytest.approx(0.5)
    assert share_known(0.3, 0.0) == 0.3
    assert share_known(1.0, 1.0) == 0.0


@pytest.mark.parametrize(
    ("seed", "ceiling", "detectable", "pays", "because"),
    [
        (0.5, 0.9, 0.15, True, "0.90 is within reach (3 solved examples)"),
        (0.95, 1.0, 0.1, False, "at most 0.05 can be gained"),
        (0.5, 0.55, 0.15, False, "little headroom: baseline 0.50, best probe 0.55"),
        (0.5, 0.9, None, False, "cannot show any gain"),
        (None, 0.0, 0.1, False, "no answer that could be scored"),
    ],
)
def test_the_sentence_gives_the_reason(
    seed: float | None, ceiling: float, detectable: float | None, pays: bool, because: str
) -> None:
    found = headroom(seed, ceiling, "3 solved examples", detectable, 60)
    assert found.pays is pays
    known = f"Optimization {'can' if pays else 'cannot'} pay here, because "
    assert found.sentence.startswith(
        "It is not known yet whether optimization can pay here: " if seed is None else known
    )
    assert found.known is (seed is not None)
    assert because in found.sentence
    assert found.sentence.endswith(".")


@pytest.mark.parametrize("items", [30, 100])
@pytest.mark.parametrize("spread", [0.1, 0.3])
def test_the_detectable_gain_of_graded_scores_is_found_as_often_as_wanted(
    items: int, spread: float
) -> None:
    """In four of five tests, by simulation; half of it in far fewer."""
    rng = Random(4)
    probed = [rng.gauss(0, spread) for _ in range(100)]
    gain = detectable_mean_gain(items, [0.0] * 100, [probed])
    assert gain is not None
    found = {
        share: sum(
            paired_test(
                [0.0] * items, [rng.gauss(share * gain, spread) for _ in range(items)]
            ).verdict
            == "better"
            for _ in range(300)
        )
        / 300
        for share in (1.0, 0.5)
    }
    assert found[1.0] == pytest.approx(0.8, abs=0.1)
    assert found[0.5] < 0.5


def test_the_prompt_that_differs_most_decides_what_can_be_detected() -> None:
    before, close, far = [0.5] * 40, [0.5, 0.6] * 20, [0.2, 0.9] * 20
    both = detectable_mean_gain(50, before, [close, far])
    assert both == detectable_mean_gain(50, before, [far])
    assert both is not None
    assert both > (detectable_mean_gain(50, before, [close]) or 1.0)


def test_graded_scores_that_never_differ_count_as_scores_of_0_and_1() -> None:
    assert detectable_mean_gain(50, [0.5] * 9, [[0.5] * 9]) == detectable_gain(50, 0.0)
    assert detectable_mean_gain(50, [0.5] * 9, []) == detectable_gain(50, 0.0)


def test_a_few_items_detect_nothing() -> None:
    assert detectable_mean_gain(5, [0.1, 0.2], [[0.3, 0.9]]) is None
    assert detectable_mean_gain(6, [0.1, 0.2], [[0.1, 0.3]]) is not None
    assert detectable_mean_gain(8, [0.0, 1.0], [[1.0, 0.0]]) is None


def test_the_noise_of_graded_scores_counts_how_much_they_change() -> None:
    """Scores that move by 0.01 are not as noisy as those that flip."""
    rng = Random(1)
    runs = [[0.5 + rng.choice((-0.01, 0.01)) for _ in range(100)] for _ in range(6)]
    noise = noise_floor(runs)
    assert noise.flip_rate == pytest.approx(0.5, abs=0.05)
    assert noise.sd == pytest.approx(0.001, abs=0.0002)
