"""`promptray run`, `resume`, `init` and `list`. Loads no Ray until a command needs it."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cluster.apply import carried_by
from cluster.cli import options
from cluster.cli.console import ERR, OUT, end, say, steady
from cluster.cli.evaluate import run_settings
from cluster.config.endpoints import address_lines
from cluster.config.experiment import ExperimentSettings
from cluster.entry.reading import read_experiment
from cluster.evaluation.settings import EvaluationSettings
from cluster.experiment.prepare import Experiment, models_of, prepare, settings_place
from cluster.experiment.signals import exit_code
from cluster.headroom.cost_estimate import cost_of_calls, estimated
from cluster.registry import ELSEWHERE, catalogue, installed
from optimizer.errors import SettingsError, StorageError
from serving.settings.validation import read_mapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster.trial.result import TrialResult


@options.with_shared_options
def run(file: options.File, shared: options.SharedOptions, out: options.Out = None) -> None:
    """Run an experiment: every task with every strategy and every seed.

    FILE may be your data: then options say the rest, and nothing needs a settings file. Options
    override a settings FILE.
    """
    with steady():
        _begin(read_experiment(file, shared.of_experiment(out=out)))


def resume(
    folder: Annotated[str, typer.Argument(help="A results folder, a path or a URI.")],
) -> None:
    """Continue an experiment or an evaluation that was interrupted, or repeat a finished one.

    Calls that were paid are not paid again.
    """
    place = settings_place(folder)
    with steady():
        if "prompts" in read_mapping(place):
            code = run_settings(EvaluationSettings.read(place))
        else:
            code = 0
            _begin(ExperimentSettings.read(place))
    if code:
        raise typer.Exit(code)


def init(
    data: Annotated[str, typer.Argument(help="Your data: .csv, .tsv, .jsonl, .json or .parquet.")],
    out: Annotated[
        str | None, typer.Option(help="The settings file. Default: the data's name, .yaml, here.")
    ] = None,
    input: options.Input = None,
    target_column: options.TargetColumn = None,
    model: Annotated[
        str | None, typer.Option(help="The model that the prompt is for, such as openai:MODEL.")
    ] = None,
) -> None:
    """Write a commented settings file for your data, and say what was guessed, and why."""
    from cluster.entry.first_settings import first_settings, guessed_lines
    from cluster.entry.guess import guess
    from optimizer.tasks.columns import Columns

    file = Path(out or f"{Path(data).stem}.yaml")
    if file.exists():
        raise SettingsError(f"{file} exists already, and is not written over; name another --out.")
    found = guess(data, Columns(input=input or "", target=target_column or ""))
    text = first_settings(data, Path(data).stem, found, model)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as problem:
        raise StorageError(f"{file} cannot be written: {problem.strerror or problem}.") from problem
    for line in guessed_lines(found):
        say(line)
    say(f"Wrote {file}; look at it, then:  promptray check {file}   promptray run {file}")


def list_names() -> None:
    """List the names of tasks, scorers, strategies, selection rules and models."""
    for shelf, description_by_name in (catalogue() | installed()).items():
        say(shelf, "bold")
        width = max(map(len, description_by_name))
        for name, description in description_by_name.items():
            OUT.print(
                Text(f"  {name:<{width}}  ") + Text(description, "dim"),
                soft_wrap=not OUT.is_terminal,
            )
    say(ELSEWHERE, "dim")


def introduce(experiment: Experiment) -> None:
    """Print what a person should know about an experiment before it begins."""
    for note in experiment.notes:
        ERR.print(Text(note, "yellow"))
    for note in experiment.data_notes:
        say(note)
    for line in address_lines(models_of(experiment.settings)):
        say(line, "dim")


def _begin(settings: ExperimentSettings) -> None:
    experiment = prepare(settings)
    introduce(experiment)
    cost = cost_of_calls(experiment.settings, experiment.tasks, experiment.out)
    say(estimated(experiment.settings, experiment.trial_specs, cost).line)
    _run(experiment)


def _run(experiment: Experiment) -> None:
    from cluster.experiment.console import watching
    from cluster.experiment.runner import BrokenOff, Interrupted, run_experiment

    try:
        with watching([trial_spec.trial for trial_spec in experiment.trial_specs], OUT) as watcher:
            results = run_experiment(experiment, watcher)
    except Interrupted as stop:
        _save(experiment, stop.results)
        command = f"promptray resume {shlex.quote(experiment.out.place)}"
        end(
            f"Stopped. {_left(experiment, stop.results)}Every finished call is recorded; continue "
            f"with:  {command}",
            exit_code(),
        )
    except BrokenOff as broken:
        with suppress(StorageError):  # the error to report is what broke the run, not this one
            _save(experiment, broken.results)
            say(_left(experiment, broken.results))
        raise broken.problem from broken
    _save(experiment, results)
    _show(experiment, results)
    if any(result.status == "failed" for result in results):
        raise typer.Exit(1)


def _save(experiment: Experiment, results: "Sequence[TrialResult]") -> None:
    from cluster.results import write_results

    if results:
        settings: dict[str, Any] = experiment.settings.model_dump(mode="json")
        write_results(experiment.out, results, settings, carried_by(experiment.settings))


def _left(experiment: Experiment, results: "Sequence[TrialResult]") -> str:
    """Return where the best prompts so far are, for a run that was cut; "" where there are none."""
    from cluster.text.formatting import format_trial_counts, plural

    best = sum(result.best is not None for result in results)
    if not best:
        return ""
    counts = format_trial_counts([result.status for result in results], len(experiment.trial_specs))
    return (
        f"{counts}; the best prompts so far, of {plural(best, 'trial')}, are in "
        f"{experiment.out.place_of('best')}. "
    )


def _show(experiment: Experiment, results: "Sequence[TrialResult]") -> None:
    from cluster.analysis.failures import MOST_SHOWN
    from cluster.results import (
        answer_warnings,
        best_lines,
        failure_lines,
        form_lines,
        leader_lines,
        results_table,
    )

    OUT.print(results_table(results))
    for line in (
        *leader_lines(results),
        *form_lines(results),
        *best_lines(results, experiment.out.place),
    ):
        say(line)
    warnings = answer_warnings(results)
    for warning in (*warnings, *failure_lines(results, MOST_SHOWN, warnings)):
        say(warning, "yellow")
    say(f"Results: {experiment.out}   Report: {experiment.out.place_of('report.html')}")
    if any(result.stand_in for result in results):
        say("The built-in optimizer is a stand-in for a large model.", "dim")
