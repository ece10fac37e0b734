"""`promptray jobs`: the jobs of an optimizer service, over HTTP. Knows no Ray."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from cluster.cli.console import OUT, end, say
from cluster.experiment.signals import exit_code
from cluster.text.formatting import MISSING, count, interval, plural, share
from serving.settings.validation import read_mapping

if TYPE_CHECKING:
    from cluster.service.client import ServiceClient
    from cluster.service.schemas import Best, Event, Optimization, OptimizationRequest

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
Trial = Annotated[str | None, typer.Option(help="Of this trial alone.")]
_REQUESTED = (
    "name",
    "description",
    "target",
    "optimizer",
    "strategies",
    "selection",
    "seeds",
    "sizes",
    "sampling",
    "budget",
    "search",
    "concurrency",
)


@jobs.command()
def submit(
    file: File = None,
    task: Tasks = None,
    strategy: Strategies = None,
    name: Annotated[str | None, typer.Option(help="Name of the job.")] = None,
    wait: Annotated[bool, typer.Option(help="Show its events until it ends.")] = False,
    service: Service = None,
) -> None:
    """Start a job. Options stand above FILE."""
    with _client(service) as client:
        job = client.create(_request(client, file, task, strategy, name))
        say(f"{job.id} is {job.status}.")
        if wait:
            _follow(client, job.id)


@jobs.command()
def estimate(
    file: File = None,
    task: Tasks = None,
    strategy: Strategies = None,
    probe: Annotated[bool, typer.Option(help="Ask the models, as promptray check does.")] = False,
    service: Service = None,
) -> None:
    """What a job may cost at most, and whether it can pay."""
    with _client(service) as client:
        found = client.estimate(_request(client, file, task, strategy, None), probe)
    say(found.sentence)
    for task_estimate in found.tasks:
        say(f"{task_estimate.task}: {task_estimate.sentence}")


@jobs.command(name="list")
def list_jobs(
    status: Annotated[str | None, typer.Option(help="Of this status alone.")] = None,
    owner: Annotated[str | None, typer.Option(help="Of this owner alone, for admins.")] = None,
    most: Annotated[int, typer.Option(min=1, help="So many at most.")] = 20,
    service: Service = None,
) -> None:
    """The newest jobs."""
    with _client(service) as client:
        rows = [job for job, _ in zip(client.jobs(status, owner), range(most), strict=False)]
    _table(
        ("id", "name", "owner", "status", "trials", "target calls", "best dev accuracy"),
        [
            (
                job.id,
                job.name,
                job.owner,
                _status(job),
                f"{job.trials_done}/{job.trials}",
                count(job.usage.target_calls),
                _best_on_dev(job),
            )
            for job in rows
        ],
    )


@jobs.command()
def show(id: Id, service: Service = None) -> None:
    """One job and how it stands."""
    with _client(service) as client:
        job = client.job(id)
    say(f"{job.id}  {job.name}  of {job.owner}: {_status(job)}")
    repeats = count(job.usage.repeats)
    free = f", and {repeats} repeats that cost nothing" if job.usage.repeats else ""
    say(
        f"{job.trials_told}; {count(job.usage.target_calls)} target and "
        f"{count(job.usage.optimizer_calls)} optimizer calls, {count(job.usage.ledger_hits)} of "
        f"them from the ledger{free}; best dev accuracy {_best_on_dev(job)}."
    )
    for line in filter(None, (job.paused, job.error.message if job.error else "")):
        say(line, "yellow")


@jobs.command()
def events(
    id: Id,
    after: Annotated[int, typer.Option(min=0, help="Those with ids above it.")] = 0,
    follow: Annotated[bool, typer.Option(help="Until the job ends.")] = False,
    service: Service = None,
) -> None:
    """What has happened to a job."""
    with _client(service) as client:
        if follow:
            _follow(client, id, after)
            return
        for event in client.events(id, after):
            _say_event(event)


@jobs.command()
def cancel(id: Id, service: Service = None) -> None:
    """Stop a job; every finished call is kept."""
    with _client(service) as client:
        say(f"{id} is {client.cancel(id).status}.")


@jobs.command()
def resume(id: Id, service: Service = None) -> None:
    """Go on with a job that failed or was cancelled; what was paid for is not paid for again."""
    with _client(service) as client:
        say(f"{id} is {client.resume(id).status}.")


@jobs.command()
def trials(id: Id, service: Service = None) -> None:
    """A job's trials."""
    with _client(service) as client:
        found = client.trials(id)
    _table(
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
                trial.verdict,
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
    """A job's best prompt; of a job with several tasks each task's, since their accuracies cannot
    be compared.
    """
    with _client(service) as client:
        found = [client.best(id, trial)] if trial else client.best_by_task(id) or [client.best(id)]
        if format is None and out is None:
            for one in found:
                _say_best(one)
            return
        if len(found) > 1:
            named = ", ".join(f"{one.trial} ({one.task})" for one in found)
            end(
                "The job has a best prompt of each of its tasks; name the trial with --trial: "
                f"{named}.",
                2,
            )
        content = client.export(id, format or "promptray", found[0].trial)
    _write(content, out)


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
    _write(content, out or Path(Path(name).name))


@jobs.command()
def upload(
    file: Annotated[Path, typer.Argument(help="A .jsonl, .csv, .parquet or BIG-bench .json file.")],
    service: Service = None,
) -> None:
    """Upload a data set."""
    with _client(service) as client:
        stored = client.upload(file)
    say(f"{stored.id}: {stored.rows:,} rows, judged by {stored.scorer}.")


def _client(service: str | None) -> "ServiceClient":
    from cluster.service.client import ServiceClient

    return ServiceClient(service)


def _request(
    client: "ServiceClient",
    file: str | None,
    tasks: Sequence[str] | None,
    strategies: Sequence[str] | None,
    name: str | None,
) -> "OptimizationRequest":
    """From an experiment's settings: generated tasks by name, data files uploaded."""
    from pydantic import ValidationError

    from cluster.service.schemas import OptimizationRequest
    from optimizer.errors import SettingsError
    from serving.settings.validation import sentence

    data = read_mapping(file) if file else {}
    given: dict[str, Any] = {key: data[key] for key in _REQUESTED if key in data}
    given |= {key: value for key, value in (("strategies", strategies), ("name", name)) if value}
    given["tasks"] = [_task(client, one) for one in tasks or data.get("tasks") or []]
    try:
        return OptimizationRequest.model_validate(given)
    except ValidationError as problem:
        raise SettingsError(sentence(problem)) from None


def _task(client: "ServiceClient", task: Any) -> dict[str, Any]:
    from optimizer.tasks.generated import GENERATED

    settings = {"source": task} if isinstance(task, str) else dict(task)
    source = str(settings.pop("source", ""))
    kind = {"generated": source} if source in GENERATED else {"file": client.upload(source).id}
    return kind | {"label": settings.pop("label", None) or Path(source).stem} | settings


def _follow(client: "ServiceClient", id: str, after: int = 0) -> None:
    """Ends with the job's outcome, and with its reason where no event has told that; Ctrl-C only
    takes the eyes off it.
    """
    told = set[str]()
    try:
        for event in client.follow(id, after):
            _say_event(event)
            told.add(event.message)
    except KeyboardInterrupt:
        end(f"The job goes on; see it with:  promptray jobs events {id} --follow", exit_code())
    job = client.job(id)
    if job.status != "succeeded":
        reason = f" ({job.error.message})" if job.error and job.error.message not in told else "."
        end(f"{id}: {job.status}{reason}", 1)


def _say_event(event: "Event") -> None:
    OUT.print(
        Text(f"{event.id:>5}  {event.kind:<16} ", "dim")
        + Text(f"{event.trial or ''}  {event.message}"),
        soft_wrap=True,
    )


def _say_best(best: "Best") -> None:
    """The prompt, with its worked examples line by line, and on which items its figures are."""
    say(best.text)
    for number, example in enumerate(best.worked_examples, 1):
        say(f"\nWorked example {number}", "bold")
        for label, text in (
            ("Input", example.input),
            *((part.label, part.text) for part in example.parts),
        ):
            say(f"{label}:", "dim")
            say(text)
    tested = (
        "not tested"
        if best.test_accuracy is None
        else (
            f"test accuracy {share(best.test_accuracy)} (95% interval "
            f"{interval(best.test_low, best.test_high)}) on "
            f"{plural(best.test_items, 'item')}, baseline {share(best.seed_prompt_test_accuracy)}; "
            f"{best.verdict or 'no verdict'}"
        )
    )
    items = f" on {plural(best.dev_items, 'item')}" if best.dev_items else ""
    say(f"{best.trial}: dev accuracy {share(best.dev_accuracy)}{items}; {tested}", "dim")


def _best_on_dev(job: "Optimization") -> str:
    """Of each task its own, where there are several."""
    by_task = job.best_dev_accuracy_by_task
    if len(by_task) > 1:
        return ", ".join(f"{task} {share(accuracy)}" for task, accuracy in by_task.items())
    return (
        MISSING
        if job.request and len(job.request.tasks) > 1 and not by_task
        else share(job.best_dev_accuracy)
    )


def _status(job: "Optimization") -> str:
    return f"queued ({job.queue_position})" if job.queue_position else job.status


def _write(content: bytes, out: Path | None) -> None:
    if out is None:
        say(content.decode())
        return
    from optimizer.errors import StorageError
    from optimizer.paths import expanded

    try:
        expanded(out).write_bytes(content)
    except OSError as problem:
        raise StorageError(f"{out} cannot be written ({problem.strerror}).") from problem
    say(f"Written to {out}.")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    OUT.print(table)
