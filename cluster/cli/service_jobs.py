"""`promptray jobs`: the jobs of an optimizer service, over HTTP. Loads no Ray."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import options
from cluster.cli.console import end, say
from cluster.cli.service_job_output import (
    best_on_dev,
    job_status,
    print_best,
    print_event,
    print_summary,
    print_table,
    progress_of,
    spending_of,
    write_content,
)
from cluster.cli.service_job_request import build_evaluation, build_request
from cluster.experiment.signals import exit_code
from cluster.text.formatting import MISSING, count, format_verdict, interval, share

if TYPE_CHECKING:
    from cluster.service.client import ServiceClient


jobs = typer.Typer(
    name="jobs",
    no_args_is_help=True,
    help="The jobs of an optimizer service. Its address: --service or PROMPTRAY_SERVICE; the key: "
    "PROMPTRAY_API_KEY.",
)


Service = Annotated[
    str | None,
    typer.Option("--service", help="Default: PROMPTRAY_SERVICE, else http://127.0.0.1:8000."),
]


Id = Annotated[str, typer.Argument(help="Id of a job, as `promptray jobs list` shows it.")]


File = Annotated[
    str | None, typer.Argument(help="Settings of the experiment; its data files are uploaded.")
]


Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", help="A generated task's name or a data file; may be repeated."),
]


Strategies = Annotated[
    list[str] | None, typer.Option("--strategy", help="A strategy's name; may be repeated.")
]


Trial = Annotated[str | None, typer.Option(help="Only this trial.")]


@jobs.command()
def submit(
    file: File = None,
    task: Tasks = None,
    strategy: Strategies = None,
    name: Annotated[str | None, typer.Option(help="Name of the job.")] = None,
    wait: Annotated[bool, typer.Option(help="Show its events until it ends.")] = False,
    service: Service = None,
) -> None:
    """Start a job. Options override FILE."""
    with _client(service) as client:
        job = client.create(build_request(client, file, task, strategy, name))
        say(f"{job.id} is {job.status}.")
        if wait:
            _follow(client, job.id)


@jobs.command()
def evaluate(
    prompts: Annotated[
        list[str],
        typer.Argument(
            help="Prompts: files of best/, .txt or .md files, the text itself, or JOB or JOB/TRIAL "
            "for the best prompt of an optimization of the service."
        ),
    ],
    data: Annotated[str, typer.Option(help="A data file to upload, or the id of an upload.")],
    target: Annotated[
        str | None,
        typer.Option("--target", "--model", help="Label of a model that the service offers."),
    ] = None,
    grader: options.Grader = None,
    input: options.Input = None,
    target_column: options.TargetColumn = None,
    least_score: options.LeastScore = None,
    money: options.WholeMoney = None,
    target_calls: options.PaidCalls = None,
    max_tokens: options.AnswerTokens = None,
    name: Annotated[str | None, typer.Option(help="Name of the job.")] = None,
    wait: Annotated[bool, typer.Option(help="Show its events, and at its end its scores.")] = False,
    service: Service = None,
) -> None:
    """Score prompts on a whole data set in the service, and compare them.

    The exit code says whether --min is reached with --wait alone.
    """
    given = {
        "target": target,
        "columns": {"input": input, "target": target_column},
        "budget": {"target_calls": target_calls, "money": money},
        "sampling": {"max_tokens": max_tokens},
        "min": least_score,
        "name": name,
    }
    with _client(service) as client:
        job = client.evaluate(build_evaluation(client, prompts, data, grader, given))
        say(f"{job.id} is {job.status}.")
        if wait:
            _follow(client, job.id)
            if code := print_summary(client.summary(job.id)):
                raise typer.Exit(code)


@jobs.command()
def summary(id: Id, service: Service = None) -> None:
    """Show what an evaluation has found."""
    with _client(service) as client:
        print_summary(client.summary(id))


@jobs.command()
def estimate(
    file: File = None,
    task: Tasks = None,
    strategy: Strategies = None,
    probe: Annotated[
        bool, typer.Option(help="Measure with calls to the models, as promptray check does.")
    ] = False,
    service: Service = None,
) -> None:
    """Estimate the cost and headroom of a job."""
    with _client(service) as client:
        found = client.estimate(build_request(client, file, task, strategy, None), probe)
    say(found.sentence)
    for task_estimate in found.tasks:
        say(f"{task_estimate.task}: {task_estimate.sentence}")


@jobs.command(name="list")
def list_jobs(
    status: Annotated[str | None, typer.Option(help="Filter by status.")] = None,
    owner: Annotated[str | None, typer.Option(help="Filter by owner (admins only).")] = None,
    most: Annotated[int, typer.Option(min=1, help="Maximum number to list.")] = 20,
    service: Service = None,
) -> None:
    """List the newest jobs."""
    with _client(service) as client:
        rows = [job for job, _ in zip(client.all_jobs(status, owner), range(most), strict=False)]
    print_table(
        ("id", "name", "owner", "status", "trials", "target calls", "best dev accuracy"),
        [
            (
                job.id,
                job.name,
                job.owner,
                job_status(job),
                progress_of(job),
                count(job.usage.target_calls),
                best_on_dev(job),
            )
            for job in rows
        ],
    )


@jobs.command()
def show(id: Id, service: Service = None) -> None:
    """Show one job and its status."""
    with _client(service) as client:
        job = client.job(id)
    say(f"{job.id}  {job.name}  of {job.owner}: {job_status(job)}")
    say(spending_of(job))
    for line in filter(None, (job.paused, job.error.message if job.error else "")):
        say(line, "yellow")


@jobs.command()
def events(
    id: Id,
    after: Annotated[int, typer.Option(min=0, help="Only events after this id.")] = 0,
    follow: Annotated[bool, typer.Option(help="Follow the events until the job ends.")] = False,
    service: Service = None,
) -> None:
    """Show the events of a job."""
    with _client(service) as client:
        if follow:
            _follow(client, id, after)
            return
        for event in client.events(id, after):
            print_event(event)


@jobs.command()
def cancel(id: Id, service: Service = None) -> None:
    """Stop a job; every finished call stays in its ledger."""
    with _client(service) as client:
        say(f"{id} is {client.cancel(id).status}.")


@jobs.command()
def resume(id: Id, service: Service = None) -> None:
    """Continue a job that failed or was cancelled; paid calls are not paid again."""
    with _client(service) as client:
        say(f"{id} is {client.resume(id).status}.")


@jobs.command()
def trials(id: Id, service: Service = None) -> None:
    """Show a job's trials."""
    with _client(service) as client:
        found = client.trials(id)
    print_table(
        (
            "trial",
            "status",
            "rounds",
            "dev accuracy",
            "test accuracy",
            "its 95% interval",
            "test items",
            "verdict",
        ),
        [
            (
                trial.id,
                trial.status,
                str(len(trial.curve)),
                share(trial.curve[-1].dev_accuracy if trial.curve else None),
                share(trial.test_accuracy),
                interval(trial.test_low, trial.test_high),
                MISSING if trial.test_accuracy is None else count(trial.test_items),
                format_verdict(trial.verdict),
            )
            for trial in found
        ],
    )


@jobs.command()
def best(
    id: Id,
    trial: Trial = None,
    format: Annotated[
        str | None, typer.Option(help="promptray, openai, dspy, mlflow or markdown.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    service: Service = None,
) -> None:
    """Show a job's best prompt, or one for each of its tasks.

    Accuracies of several tasks cannot be compared.
    """
    with _client(service) as client:
        found = [client.best(id, trial)] if trial else client.best_by_task(id) or [client.best(id)]
        if format is None and out is None:
            for one in found:
                print_best(one)
            return
        if len(found) > 1:
            named = ", ".join(f"{one.trial} ({one.task})" for one in found)
            end(
                "The job has a best prompt for each of its tasks; name the trial with --trial: "
                f"{named}.",
                2,
            )
        content = client.export(id, format or "promptray", found[0].trial)
    write_content(content, out)


@jobs.command()
def download(
    id: Id,
    name: Annotated[str, typer.Argument(help="report.html, a table's .parquet or settings.yaml.")],
    out: Annotated[
        Path | None, typer.Option(help="Write it there. Default: its own name here.")
    ] = None,
    service: Service = None,
) -> None:
    """Fetch a job's report, tables or settings."""
    with _client(service) as client:
        content = client.download(id, name)
    write_content(content, out or Path(Path(name).name))


@jobs.command()
def upload(
    file: Annotated[Path, typer.Argument(help="A .jsonl, .csv, .parquet or BIG-bench .json file.")],
    service: Service = None,
) -> None:
    """Upload a data set."""
    with _client(service) as client:
        stored = client.upload(file)
    say(f"{stored.id}: {stored.rows:,} rows, graded by {stored.scorer}.")


def _client(service: str | None) -> "ServiceClient":
    from cluster.service.client import ServiceClient

    return ServiceClient(service)


def _follow(client: "ServiceClient", id: str, after: int = 0) -> None:
    """Print events until the job ends, then end with its outcome and reason.

    The reason is left out where an event has stated it. Ctrl-C ends the watching, not the job.
    """
    printed = set[str]()
    try:
        for event in client.follow(id, after):
            print_event(event)
            printed.add(event.message)
    except KeyboardInterrupt:
        end(f"The job continues; watch it with:  promptray jobs events {id} --follow", exit_code())
    job = client.job(id)
    if job.status != "succeeded":
        message = job.error.message if job.error else ""
        reason = f" ({message})" if message and message not in printed else "."
        end(f"{id}: {job.status}{reason}", 1)
