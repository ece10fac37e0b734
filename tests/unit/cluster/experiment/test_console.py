"""What people see of a run: counts, shares, and lines that say what happened."""

from io import StringIO

import pytest
from rich.console import Console

from cluster.experiment.console import Board, LiveListener, PlainListener, watching
from cluster.trial.plan import Progress
from cluster.trial.result import TrialResult


def result(trial: str, **changes: object) -> TrialResult:
    known = {
        "task": "navigate",
        "strategy": "abo",
        "selection": "racing",
        "seed": 0,
        "target": "t",
        "optimizer": "o",
    }
    return TrialResult(trial=trial, **(known | {"status": "finished"} | changes))  # type: ignore[arg-type]


@pytest.fixture
def board() -> Board:
    times = iter(range(1000))
    return Board(["one", "two", "three"], clock=lambda: float(next(times)))


def test_the_board_counts_trials_calls_and_hits(board: Board) -> None:
    board.started("one")
    board.started("two")
    board.progressed("one", Progress(0, 0.5, target_calls=60, optimizer_calls=20, ledger_hits=20))
    board.finished(result("two", target_calls=15, optimizer_calls=5, ledger_hits=5))
    assert (
        board.count_by_state["finished"],
        board.count_by_state["running"],
        board.count_by_state["waiting"],
    ) == (1, 1, 1)
    assert board.calls == 100
    assert board.ledger_share == 0.25
    assert board.headline().startswith(
        "1 of 3 trials finished, 1 running, 1 waiting · 100 calls · 25% cached"
    )


def test_nothing_asked_is_no_share(board: Board) -> None:
    assert board.ledger_share == 0.0


def test_a_new_round_is_told_once(board: Board) -> None:
    told = [board.progressed("one", Progress(number)) for number in (None, 0, 0, 1)]
    assert told == [False, True, False, True]


def test_lines_say_rounds_and_outcomes(board: Board) -> None:
    text = StringIO()
    watcher = PlainListener(board, Console(file=text, width=200))
    watcher.started("one")
    watcher.progressed("one", Progress(0, 0.5, 10, 2))
    watcher.progressed("one", Progress(0, 0.5, 14, 2))
    watcher.ended(
        result(
            "one", repeats=1200, seed_prompt_test_accuracy=0.5, test_accuracy=0.9, target_calls=30
        )
    )
    watcher.ended(result("two", status="failed", error="The line [is] cut."))
    lines = [line.split("  ", 1)[1].strip() for line in text.getvalue().splitlines() if line]
    assert len(lines) == 3
    assert lines[0].endswith(
        "one: round 0, best dev accuracy 0.50, 10 target and 2 optimizer calls"
    )
    assert (
        "one: finished, test accuracy 0.50 → 0.90, 30 target and 0 optimizer calls, 1,200 repeats "
        "free" in lines[1]
    )
    assert "two: failed: The line [is] cut." in lines[2]


def test_a_pause_is_told_when_it_begins_and_when_it_ends(board: Board) -> None:
    text, pause = (
        StringIO(),
        "http://x/v1 does not answer since 14:03:22: waiting for it until 14:13:22 at most.",
    )
    watcher = PlainListener(board, Console(file=text, width=200))
    watcher.started("one")
    for paused in ("", pause, pause, "", ""):
        watcher.progressed("one", Progress(paused=paused))
    lines = [line.split("  ", 1)[1].strip() for line in text.getvalue().splitlines() if line]
    assert [line.split("  ")[-1] for line in lines] == [
        f"one: paused, as {pause}",
        "one: the endpoint answers again, resumed",
    ]


def test_the_live_table_shows_a_pause_once_and_while_it_lasts() -> None:
    board, pause = Board(["one", "two"]), "http://x/v1 does not answer since 14:03:22."
    watcher = LiveListener(board)

    def shown(paused: str) -> str:
        for trial in ("one", "two"):
            watcher.started(trial)
            watcher.progressed(trial, Progress(0, paused=paused))
        text = StringIO()
        Console(file=text, width=120).print(watcher)
        return text.getvalue()

    assert (shown(pause).count(pause), shown(pause).count("paused")) == (1, 2)
    assert pause not in shown("")
    assert "paused" not in shown("")


def test_a_pruned_trial_says_how_far_it_came(board: Board) -> None:
    text = StringIO()
    PlainListener(board, Console(file=text, width=200)).ended(
        result("one", status="pruned", dev_accuracy=0.4, target_calls=9)
    )
    assert "one: pruned at dev accuracy 0.40, 9 target" in text.getvalue()
    assert "0 of 3 trials finished, 1 pruned, 2 waiting · " in text.getvalue()


def test_the_live_table_shows_running_trials_and_the_last_that_ended() -> None:
    board = Board([f"trial-{number}" for number in range(30)])
    watcher = LiveListener(board)
    for number in range(20):
        watcher.started(f"trial-{number}")
        if number < 15:
            watcher.ended(result(f"trial-{number}", test_accuracy=0.5))
    shown = [row.trial for row in board.rows()]
    assert shown == [f"trial-{number}" for number in range(7, 20)]
    text = StringIO()
    Console(file=text, width=120).print(watcher)
    assert "15 of 30 trials finished, 5 running, 10 waiting" in text.getvalue()
    assert "trial-19" in text.getvalue()


def test_the_watcher_suits_the_console() -> None:
    with watching(["one"], Console(file=StringIO())) as plain:
        assert isinstance(plain.shown, PlainListener)
    with watching(["one"], Console(file=StringIO(), force_terminal=True)) as live:
        assert isinstance(live.shown, LiveListener)


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_wrong_and_ends_no_run_is_still_there_when_the_table_is_gone(
    terminal: bool,
) -> None:
    text = StringIO()
    with watching(["one"], Console(file=text, width=120, force_terminal=terminal)) as watcher:
        watcher.noticed("A segment is damaged.")
    assert "A segment is damaged." in text.getvalue().splitlines()[-1]
