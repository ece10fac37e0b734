"""The command line: `promptray run`, `apply`, `list`, `serve`. The only place that prints. Knows no Ray until a command needs it.

A mistake that the user can mend ends with one sentence and exit code 2; what broke by itself, with code 1; Ctrl-C, with 130.
"""

import asyncio
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from cluster.application import apply_prompt
from cluster.catalogue import catalogue
from cluster.overrides import overrides
from cluster.preparation import SETTINGS_FILE, Experiment, prepare
from cluster.settings import ExperimentSettings
from optimizer.errors import PromptrayError, UserError
from serving.settings import parse_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster.result import TrialResult

app = typer.Typer(
    name="promptray", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Optimizes prompts for a target model, distributed on Ray.")
# Where there is no terminal its width is unknown: wide enough that no figure of a table is cut.
_out = Console(width=None if sys.stdout.isatty() else 160)
_err = Console(stderr=True)
INTERRUPTED = 130


def main() -> None:
    """The console script: runs the command, and says our errors in one sentence."""
    try:
        app()
    except PromptrayError as problem:
        _end(str(problem), 2 if isinstance(problem, UserError) else 1)
    except KeyboardInterrupt:
        _end("Interrupted.", INTERRUPTED)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="Settings of the experiment, such as tune_configs/quickstart.yaml.")],
    task: Annotated[list[str] | None, typer.Option(help="A generated task's name or a data file; may be repeated.")] = None,
    target: Annotated[str | None, typer.Option(help="builtin:NAME or openai:MODEL@BASE_URL.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="As --target.")] = None,
    strategy: Annotated[list[str] | None, typer.Option(help="A strategy's name, or its label in FILE; may be repeated.")] = None,
    selection: Annotated[str | None, typer.Option(help="A selection rule's name.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="May be repeated.")] = None,
    scorer: Annotated[str | None, typer.Option(help="exact, choice, number or regex, for every task.")] = None,
    seed_instruction: Annotated[str | None, typer.Option(help="The prompt to start from, for every task.")] = None,
    sizes: Annotated[str | None, typer.Option(help="Examples in the splits: TRAIN,DEV,TEST.")] = None,
    target_calls: Annotated[int | None, typer.Option(help="Budget of one trial.")] = None,
    optimizer_calls: Annotated[int | None, typer.Option(help="Budget of one trial.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Trials at once.")] = None,
    out: Annotated[str | None, typer.Option(help="Results folder; the same one again continues what is in it.")] = None,
) -> None:
    """Run an experiment: every task with every strategy and every seed. Options stand above FILE."""
    given = overrides(
        file, tasks=task, target=target, optimizer=optimizer, strategies=strategy, selection=selection, seeds=seed, scorer=scorer,
        seed_instruction=seed_instruction, sizes=sizes, target_calls=target_calls, optimizer_calls=optimizer_calls,
        concurrency=concurrency, out=out)
    experiment = prepare(ExperimentSettings.read(file, given))
    for note in experiment.notes:
        _err.print(Text(note, "yellow"))
    _run(experiment)


@app.command()
def apply(
    prompt: Annotated[Path, typer.Argument(help="A file from a results folder's best/.")],
    input: Annotated[str, typer.Option(help="What to answer; - reads it from standard input.")],
    target: Annotated[str | None, typer.Option(help="builtin:NAME or openai:MODEL@BASE_URL; default: the prompt's own.")] = None,
) -> None:
    """Answer one input with an optimized prompt."""
    text = sys.stdin.read().strip() if input == "-" else input
    _out.print(Text(asyncio.run(apply_prompt(prompt, text, target))), soft_wrap=True)


@app.command(name="list")
def list_names() -> None:
    """The names of tasks, scorers, strategies, selection rules and models."""
    for shelf, description_by_name in catalogue().items():
        _out.print(Text(shelf, "bold"))
        width = max(map(len, description_by_name))
        for name, description in description_by_name.items():
            _out.print(Text(f"  {name:<{width}}  ") + Text(description, "dim"), soft_wrap=not _out.is_terminal)


@app.command()
def serve(
    model: Annotated[list[str] | None, typer.Option(help="A model to offer; may be repeated. Default: both built-in ones.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    api_key_env: Annotated[str | None, typer.Option(help="Variable that holds the key to ask callers for.")] = None,
) -> None:
    """Offer models at an OpenAI-compatible address, until Ctrl-C."""
    models = [parse_model(text) for text in model or ["builtin:target", "builtin:optimizer"]]
    from cluster.ray_session import ray_session
    from serving.openai_api import serve_models

    with ray_session():
        base_url = serve_models(models, host=host, port=port, api_key_env=api_key_env)
        labels = ", ".join(model.label for model in models)
        _out.print(Text(f"Serving {labels} at {base_url} (Ctrl-C stops)"), soft_wrap=True)
        while True:
            time.sleep(3600)


def _run(experiment: Experiment) -> None:
    from cluster.experiment import Interrupted, run_experiment
    from cluster.progress import watching

    try:
        with watching([plan.id for plan in experiment.plans], _out) as watcher:
            results = run_experiment(experiment, watcher)
    except Interrupted as stop:
        _save(experiment, stop.results)
        command = f"promptray run {shlex.quote(str(experiment.out / SETTINGS_FILE))}"
        _end(f"Stopped. Every finished call is kept; continue with:  {command}", INTERRUPTED)
    _save(experiment, results)
    _show(experiment, results)
    if any(result.status == "failed" for result in results):
        raise typer.Exit(1)


def _save(experiment: Experiment, results: "Sequence[TrialResult]") -> None:
    from cluster.report import write_results

    settings: dict[str, Any] = experiment.settings.model_dump(mode="json")
    write_results(experiment.out, results, settings)


def _show(experiment: Experiment, results: "Sequence[TrialResult]") -> None:
    from cluster.report import results_table

    _out.print(results_table(results))
    _out.print(Text(f"Results: {experiment.out}   Report: {experiment.out / 'report.html'}"), soft_wrap=True)
    if any(result.stand_in for result in results):
        _out.print(Text("The built-in optimizer is a stand-in for a large model.", "dim"))


def _end(sentence: str, code: int) -> NoReturn:
    _err.print(Text(sentence), soft_wrap=True)
    raise SystemExit(code)
