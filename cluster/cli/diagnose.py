"""`promptray diagnose`: the paper's analyses of a pair of models. Loads no Ray until it runs."""

import shlex
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cluster.cli import options
from cluster.cli.console import ERR, OUT, end, say, steady
from cluster.config.endpoints import address_lines
from cluster.config.overrides import overrides
from cluster.diagnosis.settings import DiagnosisSettings, DiagnosisSizes
from cluster.experiment.prepare import SETTINGS_FILE
from cluster.experiment.signals import exit_code

if TYPE_CHECKING:
    from cluster.diagnosis.preparation import Prepared

File = Annotated[
    str | None,
    typer.Argument(help="Settings, such as an earlier diagnosis' settings.yaml; or name a --task."),
]
Sizes = Annotated[
    str | None, typer.Option("--sizes", help="Examples in the splits: TRAIN,DEV,HELD_OUT.")
]
TargetCalls = Annotated[int | None, typer.Option(help="Budget of one task.")]
OptimizerCalls = Annotated[int | None, typer.Option(help="Budget of one task.")]


def diagnose(
    file: File = None,
    task: options.Tasks = None,
    target: options.Target = None,
    optimizer: options.Optimizer = None,
    seed: Annotated[int | None, typer.Option(help="Random seed (splits and sampling).")] = None,
    scorer: options.Scorer = None,
    seed_instruction: options.SeedInstruction = None,
    sizes: Sizes = None,
    target_calls: TargetCalls = None,
    optimizer_calls: OptimizerCalls = None,
    out: options.Out = None,
) -> None:
    """Measure how a pair of models reflects, and whether the target follows its steps.

    It shows whether reflection uses the evidence, whether it is right, and whether it improves
    prompts. Options override FILE.
    """
    from cluster.diagnosis.preparation import prepare

    given = overrides(
        file,
        usual_sizes=DiagnosisSizes().model_dump(),
        tasks=task,
        scorer=scorer,
        seed_instruction=seed_instruction,
        sizes=sizes,
        target_calls=target_calls,
        optimizer_calls=optimizer_calls,
        target=target,
        optimizer=optimizer,
        seed=seed,
        out=out,
    )
    with steady():
        complete = _diagnose(
            prepare(DiagnosisSettings.read(file, given) if file else DiagnosisSettings.of(given))
        )
    if not complete:
        raise typer.Exit(1)


def _diagnose(prepared: "Prepared") -> bool:
    """Run and print the diagnosis, and return whether it is complete."""
    from cluster.analysis.failures import reason_lines
    from cluster.diagnosis.folder import PAGE_FILE, write_diagnosis
    from cluster.diagnosis.table import diagnosis_table
    from cluster.text.formatting import duration

    for note in prepared.notes:
        ERR.print(Text(note, "yellow"))
    for line in address_lines(prepared.models):
        say(line, "dim")
    began = time.monotonic()
    try:
        from cluster.diagnosis.running import run_diagnosis

        results = run_diagnosis(
            prepared, lambda text: say(f"{duration(time.monotonic() - began):>7}  {text} …", "dim")
        )
    except KeyboardInterrupt:
        command = f"promptray diagnose {shlex.quote(prepared.out.place_of(SETTINGS_FILE))}"
        end(f"Stopped. Every finished call is recorded; continue with:  {command}", exit_code())
    write_diagnosis(prepared.out, results, prepared.settings.model_dump(mode="json"))
    OUT.print(diagnosis_table(results))
    for line in reason_lines(
        (f"{failure.model} model on {one.task}", failure)
        for one in results
        for failure in one.failures
        if failure.reason.rstrip(".") not in one.error
    ):
        say(line, "yellow")
    say(f"Results: {prepared.out}   Page: {prepared.out.place_of(PAGE_FILE)}")
    if any(result.stand_in for result in results):
        say("The built-in optimizer is a stand-in for a large model.", "dim")
    return not any(result.error for result in results)
