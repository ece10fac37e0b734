"""The command line: `promptray run`, `resume`, `check`, `submit`, `apply`, `list`, `serve` ...

This is the only part that prints.

An error that the user can correct ends with one sentence and exit code 2; another failure with code
1; Ctrl-C with 130; SIGTERM with 143. A check that finds no task with measurable headroom ends with
code 3, and with 4 where the headroom of some task is not known. An evaluation of a prompt that is
below the score that was asked for ends with code 5, and with 4 where too much is missing to tell.
"""

import typer

from cluster.cli.apply import apply
from cluster.cli.checks import check
from cluster.cli.console import end
from cluster.cli.diagnose import diagnose
from cluster.cli.evaluate import evaluate
from cluster.cli.experiments import init, list_names, resume, run
from cluster.cli.hosting import serve
from cluster.cli.jobs import logs, status, stop, submit
from cluster.cli.keys import keys
from cluster.cli.ledger import ledger
from cluster.cli.service import up
from cluster.cli.service_jobs import jobs as service_jobs
from cluster.cli.showing import show
from cluster.cli.streams import open_streams
from cluster.entry.faults import Faults
from cluster.experiment.signals import INTERRUPTED, exit_code, take_sigterm
from optimizer.errors import PromptrayError, UserError

app = typer.Typer(
    name="promptray",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Optimizes prompts for a target model, distributed on Ray.",
)
for command in (
    run,
    init,
    resume,
    check,
    submit,
    status,
    logs,
    stop,
    apply,
    evaluate,
    diagnose,
    serve,
    up,
    show,
):
    app.command()(command)
app.command(name="list")(list_names)
for group in (ledger, service_jobs, keys):
    app.add_typer(group)


def main() -> None:
    """Run the command of the console script, and report our errors in one sentence."""
    open_streams()
    take_sigterm()
    try:
        app()
    except Faults as faults:
        end(f"{len(faults.sentences)} things must be mended:", 2, faults.sentences)
    except PromptrayError as problem:
        end(str(problem), 2 if isinstance(problem, UserError) else 1)
    except KeyboardInterrupt:
        end("Interrupted.", exit_code())
    except SystemExit as ended:
        # Typer ends a command that was interrupted by itself, and knows no SIGTERM.
        raise SystemExit(exit_code() if ended.code == INTERRUPTED else ended.code) from None
