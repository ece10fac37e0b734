"""The table for the terminal, and the figures in it."""

from dataclasses import replace

import pytest
from rich.console import Console

from cluster.analysis.summary import summarise
from cluster.results import results_table
from cluster.text import formatting as w
from cluster.trial.result import TrialResult


def printed(results: list[TrialResult], width: int = 130) -> list[str]:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(results_table(results))
        return console.export_text().splitlines()


def test_a_row_a_trial_with_all_figures(result: TrialResult) -> None:
    row = next(line for line in printed([result]) if "navigate" in line)
    for figure in (
        "abo",
        "0.52",
        "0.94 [0.89, 0.97]",
        "better",
        "0.96",
        "2,310",
        "120",
        "1:02 min",
    ):
        assert figure in row


def test_means_stand_under_their_strategy(results: list[TrialResult]) -> None:
    means = [line for line in printed(results) if "mean" in line]
    assert len(means) == 4
    assert "0.93 [0.88, 0.96]" in means[1]
    assert "2 of 2 better" in means[1]


def test_one_seed_needs_no_mean(result: TrialResult) -> None:
    assert not any("mean" in line for line in printed([result]))


def test_a_failed_trial_says_why_and_does_not_pull_the_mean(results: list[TrialResult]) -> None:
    lines = printed(results)
    assert any("navigate-apo-s2: The endpoint cannot be reached." in line for line in lines)
    mean = next(line for line in lines if "mean" in line)
    assert "2,310" in mean
    assert "0 of 2 better" in mean


def test_names_are_not_read_as_markup(result: TrialResult) -> None:
    assert any("[red]x[/red]" in line for line in printed([replace(result, task="[red]x[/red]")]))


def test_the_leader_is_the_highest_mean(results: list[TrialResult]) -> None:
    better_dev = [
        replace(result, dev_accuracy=0.99) if result.seed == 1 else result for result in results
    ]
    leader = summarise(better_dev)[0].leader
    assert leader is not None
    assert leader.strategy == "abo"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, "–"), (0.4, "0 s"), (59.6, "1:00 min"), (125, "2:05 min"), (4000, "1:06 h")],  # noqa: RUF001
)
def test_durations(seconds: float | None, told: str) -> None:
    assert w.duration(seconds) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.354, "+0.35"), (-0.2, "-0.20"), (-0.001, "0.00"), (0.0, "0.00"), (None, "–")],  # noqa: RUF001
)
def test_differences(value: float | None, told: str) -> None:
    assert w.signed(value) == told


def test_long_texts_are_cut_with_a_note() -> None:
    assert w.shortened("x" * 10, 4) == "xxxx\n[… 6 more characters]"
    assert w.shortened("x" * 4, 4) == "xxxx"
