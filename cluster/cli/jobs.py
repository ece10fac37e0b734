"""`promptray submit`, `status`, `logs` and `stop`: experiments as jobs of a Ray cluster.

Loads no Ray until a command needs it.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from cluster.cli import options
from cluster.cli.console import ERR, OUT, end, say
from cluster.config.endpoints import address_lines
from cluster.entry.reading import read_experiment
from cluster.experiment.prepare import models_of
from cluster.experiment.signals import exit_code
from cluster.submission.runtime_env import read_runtime_env

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster.submission.jobs import Job, Jobs

Address = Annotated[
    str | None,
    typer.Option(
        help="The cluster's dashboard. Default: RAY_API_SERVER_ADDRESS or RAY_ADDRESS, else "
        "http://127.0.0.1:8265."
    ),
]
RuntimeEnv = Annotated[
    str | None,
    typer.Option(help="YAML file: Ray's runtime environment, for packages that the cluster lacks."),
]
Name = Annotated[str, typer.Argument(help="The experiment's name, as `promptray status` shows it.")]
POLL_S = 0.5


@options.with_shared_options
def submit(
    file: options.File,
    shared: options.SharedOptions,
    address: Address = None,
    out: options.OutOnCluster = None,
    name: Annotated[
        str | None, typer.Option(help="Another name for the experiment, and so another job.")
    ] = None,
    runtime_env: RuntimeEnv = None,
    wait: Annotated[bool, typer.Option(help="Show the job's output until it ends.")] = True,
) -> None:
    """Run an experiment on a Ray cluster.

    Submitted again, it continues; while it runs, its output is shown.
    """
    from cluster.submission.jobs import Jobs
    from cluster.submission.packaging import keys_on_cluster

    settings = read_experiment(file, shared.of_experiment(out=out, name=name), with_keys=False)
    environment = read_runtime_env(runtime_env)
    for key in keys_on_cluster(settings):
        ERR.print(
            Text(f"The key is read on the cluster, from {key}; it is not sent.", "yellow"),
            soft_wrap=True,
        )
    for line in address_lines(models_of(settings)):
        say(line, "dim")
    jobs = Jobs(address)
    shipment = jobs.submit(settings, environment)
    if shipment is None:
        say(f"{settings.name} is queued or running on the cluster already; nothing was submitted.")
    else:
        say(
            f"Submitted {settings.name} to {jobs.address}; results go to {shipment.settings.out} "
            "there."
        )
    if wait:
        _wait(jobs, settings.name)


def status(
    name: Annotated[str | None, typer.Argument(help="Only this experiment.")] = None,
    address: Address = None,
) -> None:
    """List the experiments that were submitted to a cluster, with their status."""
    from cluster.submission.jobs import Jobs

    jobs = Jobs(address)
    if name is None:
        _show(jobs.all())
        return
    job = jobs.find(name)
    _show([job])
    say(f"Results: {job.metadata.get('out', '')}   Data: {job.metadata.get('data', '')}")
    if job.status == "FAILED":
        say(job.message)


def logs(
    name: Name,
    address: Address = None,
    follow: Annotated[bool, typer.Option(help="Follow the output until the job ends.")] = False,
) -> None:
    """Print the output of an experiment's last run."""
    from cluster.submission.jobs import Jobs

    jobs = Jobs(address)
    if follow:
        _follow(jobs, name)
    else:
        _write(jobs.logs(name))


def stop(name: Name, address: Address = None) -> None:
    """Stop an experiment.

    Its results so far stay, and submitting it again continues it.
    """
    from cluster.submission.jobs import STOP_WITHIN_S, Jobs

    jobs = Jobs(address)
    if not jobs.stop(name):
        say(f"{name} was not running.")
        return
    deadline = time.monotonic() + STOP_WITHIN_S + 10
    while not (job := jobs.find(name)).over and time.monotonic() < deadline:
        time.sleep(POLL_S)
    say(f"{name}: {job.status.lower()}.")


def _wait(jobs: "Jobs", name: str) -> None:
    """Show the output until the job ends, then end with its outcome.

    Ctrl-C ends the watching, not the job.
    """
    try:
        _follow(jobs, name)
        while not (job := jobs.find(name)).over:
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        end(
            f"The job continues; watch it with:  promptray logs {name} --follow   stop it with:  "
            f"promptray stop {name}",
            exit_code(),
        )
    if job.status != "SUCCEEDED":
        end(f"{name}: {job.status.lower()} ({job.message or 'no reason is known'}).", 1)
    say(f"{name}: succeeded.")


def _follow(jobs: "Jobs", name: str) -> None:
    async def show() -> None:
        async for piece in jobs.follow(name):
            _write(piece)

    asyncio.run(show())


def _write(text: str) -> None:
    """Write the text unchanged: a job's output was laid out where it ran."""
    OUT.file.write(text)
    OUT.file.flush()


def _show(jobs: "Sequence[Job]") -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in ("name", "status", "tasks", "trials", "started", "took", "version"):
        table.add_column(column, no_wrap=column != "tasks")
    for job in jobs:
        known = job.metadata
        table.add_row(
            *map(
                Text,
                (
                    job.name,
                    job.status.lower(),
                    known.get("tasks", ""),
                    known.get("trials", ""),
                    f"{job.started:%Y-%m-%d %H:%M}" if job.started else "",
                    _took(job),
                    known.get("promptray", ""),
                ),
            )
        )
    OUT.print(table)


def _took(job: "Job") -> str:
    from cluster.text.formatting import duration

    if job.started is None:
        return ""
    return duration(((job.ended or job.started.now().astimezone()) - job.started).total_seconds())
