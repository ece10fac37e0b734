"""What only shows or counts never ends the work: metrics, progress, the console."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from cluster.cli.console import SafeConsole, steady
from cluster.config.experiment import ExperimentSettings
from cluster.experiment import metrics
from cluster.experiment.console import watching
from cluster.experiment.metrics import TrialMetrics, set_gauge
from cluster.experiment.planning import trial_specs
from cluster.trial.plan import Progress
from cluster.trial.result import TrialResult
from optimizer.budget.call_budget import Usage
from serving.runtime.metric_labels import LONGEST_LABEL, metric_label

ROOT = Path(__file__).parents[4]
NAMES = ["größe", "日本", "a\nb\x00\x07", "\ud800", "x" * 5000, "", 'q"\\', "e\u0301"]


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.experiment.telemetry._logged", set())


def test_results_of_names_that_look_alike_stay_apart() -> None:
    strategies = [
        {"name": "abo", "label": "b-c"},
        {"name": "abo", "label": "c"},
        {"name": "abo", "label": "日本"},
    ]
    sources = [
        "größe.jsonl",
        "grösse.jsonl",
        "gro\u0308ße.jsonl",
        "GRÖSSE.jsonl",
        "日本.jsonl",
        "\u0301.jsonl",
        "a.csv",
        "a-b.csv",
    ]
    settings = ExperimentSettings.model_validate(
        {"tasks": sources, "strategies": strategies, "seeds": [0, 1]}
    )
    names = [trial_spec.trial for trial_spec in trial_specs(settings)]
    assert len(set(names)) == len(sources) * len(strategies) * 2
    assert "größe-b-c-s0" in names
    assert all(len(f"{name}.json".encode()) <= 255 for name in names)


@pytest.mark.parametrize("name", NAMES)
def test_rays_metrics_take_any_name(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Of Ray itself, which takes ASCII alone; it needs no cluster for that."""
    set_gauge("promptray_best_dev_accuracy", 0.5, experiment=name, task=name, strategy=name)
    TrialMetrics(name, name, name).update({"target": {"learn": Usage(10, 1, 4, 100, 20)}})
    assert not caplog.records


@given(st.text(), st.text())
def test_labels_stay_apart_and_short(one: str, other: str) -> None:
    labels = [
        metric_label(one),
        metric_label(other),
        metric_label(one * 300),
        metric_label(other * 300),
    ]
    assert all(
        label.isascii() and label.isprintable() and len(label) <= LONGEST_LABEL for label in labels
    )
    assert (labels[0] == labels[1]) == (one == other)


def test_a_plain_name_is_its_own_label() -> None:
    assert metric_label("navigate-2 (new)") == "navigate-2 (new)"


class Broken:
    def __init__(self, *_: object) -> None:
        raise RuntimeError("no metrics today")


def test_metrics_that_break_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metrics, "_made", Broken)
    for _ in range(3):
        set_gauge("promptray_trials", 1, experiment="x", status="running")
        TrialMetrics("x", "y", "z").update({"target": {"learn": Usage(10)}})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no metrics today" in caplog.text


def result(trial: str, **changes: Any) -> TrialResult:
    known = {
        "task": "navigate",
        "strategy": "abo",
        "selection": "racing",
        "seed": 0,
        "target": "t",
        "optimizer": "o",
    }
    return TrialResult(trial=trial, **(known | {"status": "finished"} | changes))


class Pipe(io.StringIO):
    """Standard output whose reader has gone, or whose disk is full."""

    def __init__(self, problem: Exception, terminal: bool) -> None:
        super().__init__()
        self.problem = problem
        self.terminal = terminal
        self.writes = 0

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.writes += 1
        raise self.problem


PROBLEMS = [
    BrokenPipeError(32, "gone"),
    OSError(28, "No space left on device"),
    OSError(5, "Input/output error"),
    ValueError("I/O operation on closed file"),
]


@pytest.mark.parametrize("terminal", [False, True], ids=["lines", "table"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=["pipe", "full", "hung up", "closed"])
def test_a_run_that_cannot_be_shown_goes_on(problem: Exception, terminal: bool) -> None:
    file = Pipe(problem, terminal)
    with (
        steady(console := SafeConsole(file=file, force_terminal=terminal)),
        watching(["größe"], console) as watcher,
    ):
        watcher.phase("Starting")
        watcher.started("größe")
        watcher.progressed("größe", Progress(0, 0.5, 10, 2))
        watcher.ended(result("größe"))
    assert file.writes
    console.print("told to nobody")


def test_elsewhere_output_that_nobody_reads_ends_the_command_quietly() -> None:
    with pytest.raises(SystemExit) as ended:
        SafeConsole(file=Pipe(BrokenPipeError(32, "gone"), False)).print("x")
    assert ended.value.code == 1


@pytest.mark.parametrize("call", ["phase", "started", "progressed", "rounded", "ended"])
def test_a_watcher_that_breaks_ends_no_run(
    call: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "phase": ("x",),
        "started": ("one",),
        "progressed": ("one", Progress()),
        "rounded": ("one", "{}"),
        "ended": (result("one"),),
    }

    def broken(*_: object) -> None:
        raise KeyError("nobody knows this trial")

    monkeypatch.setattr(f"cluster.experiment.console.PlainListener.{call}", broken)
    with watching(["one"], Console(file=io.StringIO())) as watcher:
        for _ in range(2):
            getattr(watcher, call)(*arguments[call])
    assert len(caplog.records) == 1


def test_a_table_that_cannot_be_drawn_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("no table")

    monkeypatch.setattr("cluster.experiment.console._table", broken)
    with watching(["one"], Console(file=io.StringIO(), force_terminal=True)) as watcher:
        watcher.started("one")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_terminal_of_any_encoding_shows_any_text(encoding: str) -> None:
    raw = io.BytesIO()
    console = SafeConsole(file=io.TextIOWrapper(raw, encoding=encoding), width=60)
    with watching(["größe → 日本"], console) as watcher:
        watcher.ended(result("größe → 日本", error="\ud800"))
    console.print(Text("größe → 日本 \ud800"))
    console.file.flush()
    shown = raw.getvalue().decode(encoding)
    assert ("größe" if encoding != "ascii" else r"gr\xf6\xdfe") in shown


@pytest.mark.process
@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("{} list >&- <&-", 0),
        ("{} list >/dev/full", 1),
        ("{} list | true; exit ${{PIPESTATUS[0]}}", 1),
        ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {} run /größe.yaml 2>&-", 2),
        ("{} run /größe.yaml 2>/dev/full", 2),
    ],
)
def test_the_command_takes_any_standard_output(shell: str, code: int) -> None:
    command = f'{sys.executable} -c "from cluster.cli import main; main()"'
    ended = subprocess.run(
        ["bash", "-c", shell.format(command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "Exception ignored" not in ended.stderr
