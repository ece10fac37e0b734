"""`promptray check`: headroom and cost of an experiment. Loads no Ray until it needs it."""

from typing import Annotated

import typer

from cluster.cli import options
from cluster.cli.console import OUT, say, steady
from cluster.cli.experiments import introduce
from cluster.entry.reading import read_experiment
from cluster.experiment.prepare import SETTINGS_FILE, Experiment, prepare

NONE_CAN_PAY = 3
"""Exit code where no task has measurable headroom."""
NOT_KNOWN = 4
"""Exit code where no task has measurable headroom, and that of some task is not known."""


@options.with_shared_options
def check(
    file: options.File,
    shared: options.SharedOptions,
    out: options.Out = None,
    repeats: Annotated[
        int, typer.Option(min=2, max=20, help="Runs of the baseline, for the noise.")
    ] = 3,
) -> None:
    """Estimate cost and headroom before spending.

    Exit code 3: no task has measurable headroom; 4: none has, and that of some task is not known,
    as its answers may have been parsed wrongly.
    """
    settings = read_experiment(file, shared.of_experiment(out=out))
    with steady():
        code = _check(prepare(settings, repeated=True), repeats)
    if code:
        raise typer.Exit(code)


def _check(experiment: Experiment, repeats: int) -> int:
    """Run the check, print it, and return the exit code."""
    from cluster.headroom.check import run_check
    from cluster.headroom.table import check_table

    introduce(experiment)
    checked = run_check(experiment, repeats, say)
    OUT.print(check_table(checked))
    say(
        "A run into the same folder has these answers:  promptray run "
        f"{experiment.out.place_of(SETTINGS_FILE)}"
    )
    if checked.can_pay:
        return 0
    return NONE_CAN_PAY if checked.known else NOT_KNOWN
