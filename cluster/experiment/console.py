"""Show an experiment while it runs: a live table on a terminal, plain lines elsewhere.

`Board` is the state; the two listeners (see callbacks.ProgressListener) show it on a rich Console.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.experiment.telemetry import isolated
from cluster.text.formatting import MISSING, count, duration, format_trial_counts, share
from cluster.trial.plan import Progress
from cluster.trial.result import Status, TrialResult

State = Literal["waiting", "running"] | Status
_DISPLAY = "The display of the run's progress"
ENDED_SHOWN = 8
"""Rows of the live table for trials that have ended; the waiting ones are only counted [ours]."""
_STYLE_BY_STATE = {
    "running": "cyan",
    "paused": "yellow",
    "finished": "green",
    "budget": "yellow",
    "pruned": "yellow",
    "stopped": "yellow",
    "cancelled": "yellow",
    "failed": "red",
}


@dataclass(frozen=True)
class Row:
    """The state of one trial."""

    trial: str
    state: State = "waiting"
    progress: Progress = field(default_factory=Progress)
    test_accuracy: float | None = None
    before: float | None = None
    """Test accuracy of the baseline."""
    error: str = ""
    ending: str = ""
    """See TrialResult.ending."""


class Board:
    """The state of all trials. `clock` gives seconds."""

    def __init__(self, trials: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.row_by_trial = {trial: Row(trial) for trial in trials}
        self.phase = ""
        self.notices: list[str] = []
        self._ended: list[str] = []
        self._clock = clock
        self._began = clock()

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the board was made."""
        return self._clock() - self._began

    @property
    def count_by_state(self) -> Counter[State]:
        """Count the trials by state."""
        return Counter(row.state for row in self.row_by_trial.values())

    @property
    def calls(self) -> int:
        """Count the calls of all trials to both models, cached ones included."""
        return sum(
            row.progress.target_calls + row.progress.optimizer_calls + row.progress.grader_calls
            for row in self.row_by_trial.values()
        )

    @property
    def ledger_share(self) -> float:
        """Return the share of the calls that were cached."""
        return (
            sum(row.progress.ledger_hits for row in self.row_by_trial.values()) / self.calls
            if self.calls
            else 0.0
        )

    @property
    def pauses(self) -> list[str]:
        """Return what running trials wait for, each sentence once."""
        running = [row for row in self.row_by_trial.values() if row.state == "running"]
        return list(dict.fromkeys(row.progress.paused for row in running if row.progress.paused))

    def started(self, trial: str) -> None:
        """Take the start of a trial."""
        self._update(trial, state="running")

    def progressed(self, trial: str, progress: Progress) -> bool:
        """Take a trial's progress, and return whether a round has ended since the last."""
        before = self.row_by_trial[trial].progress.round
        self._update(trial, progress=progress)
        return progress.round != before

    def finished(self, result: TrialResult) -> None:
        """Take a trial's result, whatever its status."""
        old = self.row_by_trial[result.trial].progress
        last = Progress(
            result.rounds[-1].number if result.rounds else old.round,
            result.dev_accuracy,
            result.target_calls,
            result.optimizer_calls,
            result.ledger_hits,
            result.prefix_hit_rate,
            result.repeats,
            grader_calls=result.grader_calls,
        )
        self._update(
            result.trial,
            state=result.status,
            progress=last,
            test_accuracy=result.test_accuracy,
            before=result.seed_prompt_test_accuracy,
            error=result.error,
            ending=result.ending,
        )
        self._ended = [*(trial for trial in self._ended if trial != result.trial), result.trial]

    def rows(self) -> list[Row]:
        """Return the trials that ended last, in that order, then all that run."""
        running = [row for row in self.row_by_trial.values() if row.state == "running"]
        return [self.row_by_trial[trial] for trial in self._ended[-ENDED_SHOWN:]] + running

    def headline(self) -> str:
        """Return one line on trials, calls and time."""
        trials = format_trial_counts(self.count_by_state.elements(), len(self.row_by_trial))
        calls = f"{count(self.calls)} calls · {self.ledger_share:.0%} cached"
        return f"{trials} · {calls} · {duration(self.elapsed_s)}"

    def _update(self, trial: str, **changes: object) -> None:
        self.row_by_trial[trial] = replace(self.row_by_trial[trial], **changes)  # type: ignore[arg-type]


class LiveListener:
    """A table that is redrawn in place."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def phase(self, text: str) -> None:
        """Set the phase."""
        self._board.phase = text

    def noticed(self, text: str) -> None:
        """Add a notice."""
        self._board.notices.append(text)

    def started(self, trial: str) -> None:
        """Mark a trial as running."""
        self._board.started(trial)

    def progressed(self, trial: str, progress: Progress) -> None:
        """Update a trial's row."""
        self._board.progressed(trial, progress)

    def rounded(self, trial: str, so_far: str) -> None:
        """Do nothing: `progressed` has shown the round."""

    def ended(self, result: TrialResult) -> None:
        """Mark a trial as ended."""
        self._board.finished(result)

    def __rich__(self) -> Group:
        shown = Group()
        with isolated("The progress table"):
            board = self._board
            head = Text(f"{board.phase} … ", "bold") if not board.calls else Text("")
            notices = (Text(line, "yellow") for line in (*board.notices, *board.pauses))
            shown = Group(head + Text(board.headline()), _table(board.rows()), *notices)
        return shown


class PlainListener:
    """A line for each event."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._console = console

    def phase(self, text: str) -> None:
        """Print the phase."""
        self._say(f"{text} …")

    def noticed(self, text: str) -> None:
        """Print the notice."""
        self._say(text)

    def started(self, trial: str) -> None:
        """Mark a trial as running."""
        self._board.started(trial)

    def progressed(self, trial: str, progress: Progress) -> None:
        """Print a line where a pause begins or ends, and where a round has ended."""
        before = self._board.row_by_trial[trial].progress.paused
        if before != progress.paused:
            change = (
                f"paused, as {progress.paused}"
                if progress.paused
                else "the endpoint answers again, resumed"
            )
            self._say(f"{trial}: {change}")
        if self._board.progressed(trial, progress):
            self._say(
                f"{trial}: round {progress.round}, best dev accuracy "
                f"{share(progress.dev_accuracy)}, {_calls(progress)}"
            )

    def rounded(self, trial: str, so_far: str) -> None:
        """Do nothing: `progressed` has printed the round."""

    def ended(self, result: TrialResult) -> None:
        """Print a trial's outcome."""
        self._board.finished(result)
        row = self._board.row_by_trial[result.trial]
        self._say(
            f"{result.trial}: {_outcome(row)}, {_calls(row.progress)}  [{self._board.headline()}]"
        )

    def _say(self, line: str) -> None:
        self._console.print(Text(f"{duration(self._board.elapsed_s):>7}  {line}"), soft_wrap=True)


class IsolatedListener:
    """Another watcher whose errors end no run: what it cannot show is left out."""

    def __init__(self, shown: LiveListener | PlainListener) -> None:
        self.shown = shown

    def phase(self, text: str) -> None:
        """Pass the phase on."""
        with isolated(_DISPLAY):
            self.shown.phase(text)

    def started(self, trial: str) -> None:
        """Pass the start on."""
        with isolated(_DISPLAY):
            self.shown.started(trial)

    def progressed(self, trial: str, progress: Progress) -> None:
        """Pass the progress on."""
        with isolated(_DISPLAY):
            self.shown.progressed(trial, progress)

    def rounded(self, trial: str, so_far: str) -> None:
        """Pass the end of a round on."""
        with isolated(_DISPLAY):
            self.shown.rounded(trial, so_far)

    def ended(self, result: TrialResult) -> None:
        """Pass the result on."""
        with isolated(_DISPLAY):
            self.shown.ended(result)

    def noticed(self, text: str) -> None:
        """Pass the notice on."""
        with isolated(_DISPLAY):
            self.shown.noticed(text)


@contextmanager
def watching(trials: Sequence[str], console: Console) -> Iterator[IsolatedListener]:
    """Yield the watcher that suits the console, which shows until the block ends.

    Its errors do not end the run.
    """
    board = Board(trials)
    if not console.is_terminal:
        yield IsolatedListener(PlainListener(board, console))
        return
    watcher = LiveListener(board)
    live = Live(watcher, console=console, refresh_per_second=4, transient=True)
    with isolated(_DISPLAY):
        live.start()
    try:
        yield IsolatedListener(watcher)
    finally:
        with isolated(_DISPLAY):
            live.stop()
            for notice in board.notices:  # the table takes them away with it
                console.print(Text(notice, "yellow"))


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in ("trial", "state"):
        table.add_column(name, no_wrap=True)
    for name in (
        "round",
        "best dev accuracy",
        "target calls",
        "optimizer calls",
        "cached",
        "repeats",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        progress = row.progress
        calls = progress.target_calls + progress.optimizer_calls + progress.grader_calls
        table.add_row(
            Text(row.trial),
            Text(
                _outcome(row),
                _STYLE_BY_STATE.get(_outcome(row), _STYLE_BY_STATE.get(row.state, "")),
            ),
            MISSING if progress.round is None else str(progress.round),
            share(progress.dev_accuracy),
            count(progress.target_calls),
            count(progress.optimizer_calls),
            f"{progress.ledger_hits / calls:.0%}" if calls else MISSING,
            count(progress.repeats),
        )
    return table


def _outcome(row: Row) -> str:
    """Return a short phrase on how a trial ended."""
    if row.state == "failed":
        return f"failed: {row.error}"
    if row.state == "pruned":
        return f"pruned at dev accuracy {share(row.progress.dev_accuracy)}"
    if row.test_accuracy is None:
        return "paused" if row.state == "running" and row.progress.paused else row.state
    ended = row.ending or ("budget exhausted" if row.state == "budget" else row.state)
    return f"{ended}, test accuracy {share(row.before)} → {share(row.test_accuracy)}"


def _calls(progress: Progress) -> str:
    repeats = f", {count(progress.repeats)} repeats free" if progress.repeats else ""
    graded = f", {count(progress.grader_calls)} of the grader" if progress.grader_calls else ""
    return (
        f"{count(progress.target_calls)} target and {count(progress.optimizer_calls)} optimizer "
        f"calls{graded}{repeats}"
    )
