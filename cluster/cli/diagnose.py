"""`promptray diagnose`: the paper's analyses of a pair of models. Knows no Ray until it runs."""

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cluster.cli import options
from cluster.cli.console import ERR, OUT, end, say, steady
from cluster.config.endpoints import told
from cluster.config.overrides import as_model, listed_in, mapping_in, whole_numbers
from cluster.diagnosis.settings import DiagnosisSettings
from cluster.experiment.prepare import SETTINGS_FILE
from cluster.experiment.signals import exit_code
from optimizer.errors import SettingsError, shortened
from serving.settings import addressed
from serving.settings.validation import read_mapping

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
_SIZES = ("train", "dev", "held_out")
_DATA = ("tasks", "seed", "sizes")


def diagnose(
    file: File = None,
    task: options.Tasks = None,
    target: options.Target = None,
    optimizer: options.Optimizer = None,
    seed: Annotated[int | None, typer.Option(help="Of the splits and of all chances.")] = None,
    scorer: options.Scorer = None,
    seed_instruction: options.SeedInstruction = None,
    sizes: Sizes = None,
    target_calls: TargetCalls = None,
    optimizer_calls: OptimizerCalls = None,
    out: options.Out = None,
) -> None:
    """Measure a pair of models: does reflection use the evidence, is it right, does it pay, does
    the target follow? Options stand
    above FILE.
    """
    from cluster.diagnosis.preparation import prepare

    given = _given(
        read_mapping(file) if file else {},
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
    """Measures, shows what was found, and says whether all of it could be."""
    from cluster.analysis.failures import reasons_told
    from cluster.diagnosis.folder import PAGE_FILE, write_diagnosis
    from cluster.diagnosis.table import diagnosis_table
    from cluster.text.formatting import duration

    for note in prepared.notes:
        ERR.print(Text(note, "yellow"))
    for line in told(prepared.models):
        say(line, "dim")
    began = time.monotonic()
    try:
        from cluster.diagnosis.running import run_diagnosis

        results = run_diagnosis(
            prepared, lambda text: say(f"{duration(time.monotonic() - began):>7}  {text} …", "dim")
        )
    except KeyboardInterrupt:
        command = f"promptray diagnose {shlex.quote(prepared.out.place_of(SETTINGS_FILE))}"
        end(f"Stopped. Every finished call is kept; continue with:  {command}", exit_code())
    write_diagnosis(prepared.out, results, prepared.settings.model_dump(mode="json"))
    OUT.print(diagnosis_table(results))
    for line in reasons_told(
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


def _given(
    data: Mapping[str, Any],
    *,
    tasks: Sequence[str] | None,
    scorer: str | None,
    seed_instruction: str | None,
    sizes: str | None,
    target_calls: int | None,
    optimizer_calls: int | None,
    **plain: Any,
) -> dict[str, Any]:
    """Top-level settings from the options; options that are None change nothing.

    Raises SettingsError.
    """
    given = {name: value for name, value in plain.items() if value is not None}
    models = {name: as_model(given[name]) for name in ("target", "optimizer") if name in given}
    given |= {
        name: addressed(model) for name, model in models.items()
    }  # also above recorded settings
    changes = {
        name: value
        for name, value in (("scorer", scorer), ("seed_instruction", seed_instruction))
        if value is not None
    }
    if tasks or changes:
        listed = tasks or listed_in(data, "tasks")
        given["tasks"] = [
            (one if isinstance(one, dict) else {"source": one}) | changes for one in listed
        ]
    limits = {"target_calls": target_calls, "optimizer_calls": optimizer_calls}
    calls = {name: value for name, value in limits.items() if value is not None}
    if calls:
        given["budget"] = mapping_in(data, "budget") | calls
    if sizes is not None:
        given["sizes"] = _sizes(sizes)
    if any(name in given for name in _DATA):
        given["recorded"] = None  # other data than was recorded, on purpose
    return given


def _sizes(text: str) -> dict[str, int]:
    if not (numbers := whole_numbers(text, len(_SIZES))):
        raise SettingsError(
            f"--sizes {shortened(text)!r} is not TRAIN,DEV,HELD_OUT; write for example --sizes "
            "120,50,50."
        )
    return dict(zip(_SIZES, numbers, strict=True))
