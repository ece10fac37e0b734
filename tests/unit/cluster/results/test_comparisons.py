"""Who is better than whom: by the shared test items, corrected for the number of comparisons, and
said in words.
"""

import re
from dataclasses import replace
from random import Random

import plotly.graph_objects as go
import pytest

from cluster.analysis.comparisons import comparisons, comparisons_over_tasks, corrected_verdicts
from cluster.analysis.leaders import leaders
from cluster.analysis.pairwise import BASELINE, PairwiseComparison, format_p_value
from cluster.analysis.summary import strategies, summarise
from cluster.results import leader_lines
from cluster.results.charts.accuracy import accuracy_figure
from cluster.results.charts.comparison import comparisons_figure
from cluster.results.charts.learning import learning_figure
from cluster.results.matrix import matrices
from cluster.results.page import report_page
from cluster.results.tables import trials_table
from cluster.trial.result import TrialResult, marks_of
from optimizer.statistics import estimate, paired_test, two_sided
from tests.unit.cluster.results.conftest import ROOT, SPLIT, trial
from tests.unit.cluster.results.test_table import printed

ITEMS = 60


def measured(
    task: str, strategy: str, seed: int, before: list[float], after: list[float]
) -> TrialResult:
    test, share = paired_test(before, after), estimate(after)
    return trial(
        task,
        strategy,
        seed,
        test_items=ITEMS,
        data_hash=f"{task} {seed}",
        verdict=test.verdict,
        p_value=test.p_value,
        seed_prompt_test_marks=marks_of(before),
        test_marks=marks_of(after),
        test_accuracy=share.mean,
        test_low=share.low,
        test_high=share.high,
    )


@pytest.fixture
def compared() -> list[TrialResult]:
    """Two tasks, three seeds: abo mends two of three wrong items, apo and opro change a few either
    way.
    """
    rng = Random(0)
    found = []
    for task in ("navigate", "counting"):
        for seed in range(3):
            before = [float(rng.random() < 0.4) for _ in range(ITEMS)]
            for strategy, mended, broken in (
                ("apo", 0.06, 0.05),
                ("opro", 0.05, 0.05),
                ("abo", 0.66, 0.01),
            ):
                after = [
                    float(rng.random() < (1 - broken if score else mended)) for score in before
                ]
                found.append(measured(task, strategy, seed, before, after))
    return found


def only(
    found: tuple[PairwiseComparison, ...], task: str, first: str, second: str
) -> PairwiseComparison:
    return next(one for one in found if (one.task, one.first, one.second) == (task, first, second))


def test_every_two_contenders_meet_on_every_task(compared: list[TrialResult]) -> None:
    found = comparisons(compared)
    assert len(found) == 2 * 6
    assert {comparison.family for comparison in found} == {12 + len(compared)}
    assert {comparison.pairs for comparison in found} == {3}
    assert found[0].second != BASELINE != found[0].first


def test_a_comparison_counts_the_items_that_both_have_answered(compared: list[TrialResult]) -> None:
    comparison = only(comparisons(compared), "navigate", "apo", "abo")
    pairs = [
        (a, b)
        for one in compared
        for other in compared
        if one.task == other.task == "navigate"
        and (one.strategy, other.strategy) == ("apo", "abo")
        and one.seed == other.seed
        for a, b in zip(one.test_scores, other.test_scores, strict=True)
    ]
    won, lost = (
        sum(a > b for a, b in pairs if a is not None and b is not None),
        sum(pair == (0.0, 1.0) for pair in pairs),
    )
    assert comparison.difference == pytest.approx((won - lost) / (3 * ITEMS))
    assert comparison.p_value >= two_sided(won, lost)
    assert (comparison.verdict, comparison.turned.verdict) == ("worse", "better")


def test_the_better_one_stands_first_in_the_sentence(compared: list[TrialResult]) -> None:
    sentence = only(comparisons(compared), "navigate", "apo", "abo").sentence
    assert re.fullmatch(
        r"The prompts of abo are better than the prompts of apo on navigate: \+0\.\d\d \[0\.\d\d, "
        r"0\.\d\d\], p < 0\.001 "
        r"after correction for 30 statements\.",
        sentence,
    )
    assert (
        "No significant difference between the prompts of "
        in only(comparisons(compared), "counting", "apo", "opro").sentence
    )


def test_over_all_tasks_the_trials_are_counted(compared: list[TrialResult]) -> None:
    found = comparisons_over_tasks(compared)
    comparison = only(found, "", "opro", "abo")
    assert (comparison.pairs, comparison.behind, comparison.family) == (6, 6, 6)
    assert comparison.p_value == pytest.approx(2 * 6 * 2 / 2**6)
    assert comparison.verdict == "not distinguishable"
    assert comparison.sentence.startswith(
        "No significant difference between the strategy abo and the strategy opro: "
    )
    assert "ahead in 6 of 6 pairs of trials" in comparison.sentence
    assert {
        one.pairs
        for one in comparisons_over_tasks([one for one in compared if one.task == "navigate"])
    } == {3}
    assert (
        comparisons_over_tasks(
            [one for one in compared if one.task == "navigate" and one.seed == 0]
        )
        == ()
    )


def test_correction_takes_weak_verdicts_back(compared: list[TrialResult]) -> None:
    weak = measured("navigate", "opro", 3, [0.0] * 6 + [1.0] * 54, [1.0] * 60)
    assert (weak.verdict, weak.p_value) == ("better", pytest.approx(0.03125))
    assert corrected_verdicts([weak])[weak.trial] == "better"
    corrected = corrected_verdicts([*compared, weak])
    assert corrected[weak.trial] == "not distinguishable"
    assert [corrected[one.trial] for one in compared if one.strategy == "abo"] == ["better"] * 6
    lines = printed([*compared, weak])
    lost = [one for one in [*compared, weak] if corrected[one.trial] != one.verdict]
    assert sum("better*" in line or "worse*" in line for line in lines) == len(lost) >= 1
    assert any("0 of 4 better" in line for line in lines)
    assert any(
        line.startswith("* Not significant after correction for 31 statements about prompts")
        for line in lines
    )
    row = trials_table([*compared, weak]).to_pylist()[-1]
    assert (row["verdict"], row["corrected_verdict"]) == ("better", "not distinguishable")


def test_trials_that_do_not_share_items_are_not_compared(compared: list[TrialResult]) -> None:
    other_data = [
        replace(one, data_hash="cd" * 32) if one.strategy == "abo" else one for one in compared
    ]
    assert not [one for one in comparisons(other_data) if {one.first, one.second} == {"apo", "abo"}]
    old = [replace(one, test_marks="", seed_prompt_test_marks="") for one in compared]
    assert comparisons(old) == leaders(old) == ()
    assert (
        comparisons([replace(one, settings={"strategy": one.strategy}) for one in compared]) == ()
    )


def test_the_leader_is_told_with_its_closest_rival(compared: list[TrialResult]) -> None:
    lines = leader_lines(compared)
    assert len(lines) == 3
    assert all(
        line.startswith("The prompts of abo are better than all others on ") for line in lines[:2]
    )
    assert "; the closest are " in lines[0]
    draw = [one for one in compared if one.strategy != "abo"]
    assert leader_lines(draw)[0].startswith("No significant difference between ")


def test_of_strategies_the_terminal_says_what_the_trials_allow(compared: list[TrialResult]) -> None:
    assert "they meet in 6 pairs of trials, and at least 9 are needed" in leader_lines(compared)[-1]
    more = [
        replace(one, task=f"{one.task} {copy}", trial=f"{one.trial}-{copy}")
        for copy in range(4)
        for one in compared
    ]
    assert "The strategy abo is better than apo: +0." in leader_lines(more)[-1]
    same = [
        replace(
            one,
            test_marks=one.seed_prompt_test_marks,
            best=SPLIT if one.strategy == "apo" else one.best,
        )
        for one in more
        if one.strategy != "abo"
    ]
    assert (
        "no significant difference between the strategies over 24 pairs" in leader_lines(same)[-1]
    )
    alone = [one for one in compared if one.strategy == "abo"]
    assert not [line for line in leader_lines(alone) if "strateg" in line]


def test_a_matrix_is_the_same_from_both_sides(compared: list[TrialResult]) -> None:
    by_task, over_all = (
        matrices(comparisons(compared))[0],
        matrices(comparisons_over_tasks(compared))[0],
    )
    assert by_task.names == ("apo", "opro", "abo", BASELINE)
    assert over_all.title == "strategies, over all trials"
    for row, cells in enumerate(by_task.cells):
        assert cells[row] is None
        for column, cell in enumerate(cells):
            mirrored = by_task.cells[column][row]
            assert (cell is None) == (mirrored is None)
            assert cell is None or mirrored is None or cell.difference == -mirrored.difference


def test_the_page_shows_intervals_leads_and_all_verdicts_in_words(
    compared: list[TrialResult],
) -> None:
    page = report_page(compared, {})
    gap = "dev \N{MINUS SIGN} test"
    for told in (
        'id="lead-1"',
        'class="matrix"',
        "The prompts of abo are better than the prompts of apo on navigate: +0.",
        "strategies, over all trials",
        gap,
    ):
        assert told in page
    labels = strategies(compared)
    for own in leaders(compared):
        figure = go.Figure(comparisons_figure(own, labels))
        assert figure.data[-1].marker.symbol == ("circle", "circle", "circle")
    for summary in summarise(compared):
        go.Figure(learning_figure(summary, labels))
        bars = accuracy_figure(summary, labels)["data"][-1]
        assert len(bars["x"]) == 3
        assert all(0 < above < 0.1 for above in bars["error_x"]["array"])


@pytest.mark.parametrize(
    ("p_value", "told"),
    [(0.0, "p < 0.001"), (0.00099, "p < 0.001"), (0.0312, "p = 0.031"), (1, "p = 1.000")],
)
def test_p_values_are_told_shortly(p_value: float, told: str) -> None:
    assert format_p_value(p_value) == told


def test_two_strategies_that_meet_once_are_said_to_meet_once(compared: list[TrialResult]) -> None:
    once = [one for one in compared if one.task == "navigate" and one.seed == 0]
    assert "they meet in 1 pair of trials, and at least" in leader_lines(once)[-1]
    apart = [one for one in compared if (one.strategy, one.seed) in (("apo", 0), ("abo", 1))]
    assert not [line for line in leader_lines(apart) if "strateg" in line], (
        "two that never meet are not compared"
    )
    assert not [line for line in leader_lines(apart) if "all others" in line]


def test_the_same_prompt_is_compared_with_nothing(compared: list[TrialResult]) -> None:
    kept = [
        replace(one, best=ROOT, test_marks=one.seed_prompt_test_marks, verdict="", p_value=None)
        if one.strategy != "abo"
        else one
        for one in compared
        if one.task == "navigate"
    ]
    found = {(one.first, one.second) for one in comparisons(kept)}
    assert found == {("apo", "abo"), ("opro", "abo"), ("abo", BASELINE)}
    (line, _) = leader_lines(kept)
    assert "better than all others" in line
    told = printed(kept)
    assert sum("the baseline itself" in row for row in told) == 6
    assert any("0 of 3 better" in row for row in told)


def test_trials_without_a_verdict_are_not_counted_as_not_better(
    compared: list[TrialResult],
) -> None:
    lost = [
        replace(one, verdict="", p_value=None) if one.seed else one
        for one in compared
        if one.strategy == "abo"
    ]
    assert any("1 of 1 better" in row for row in printed(lost))
    assert "better than the baseline in 1 of 1 trial" in report_page(lost, {})
    none = [replace(one, verdict="", p_value=None) for one in lost]
    assert not any("0 of " in row for row in printed(none))
    assert "Too many answers are missing to compare it with the baseline." in report_page(none, {})
