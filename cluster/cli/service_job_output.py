"""Print the jobs of a service, their events and their best prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from cluster.cli.console import OUT, say
from cluster.cli.evaluate import exit_code_of, lines_of
from cluster.text.formatting import (
    MISSING,
    count,
    format_verdict,
    interval,
    interval_name,
    plural,
    share,
)

if TYPE_CHECKING:
    from cluster.service.schemas import Best, EvaluationSummary, Event, Job


def print_event(event: "Event") -> None:
    """Print an event on one line."""
    OUT.print(
        Text(f"{event.id:>5}  {event.kind:<16} ", "dim")
        + Text(f"{event.trial or ''}  {event.message}"),
        soft_wrap=True,
    )


def print_best(best: "Best") -> None:
    """Print a best prompt with its worked examples, its figures and the items they rest on."""
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
            f"test accuracy {share(best.test_accuracy)} ({interval_name(best.test_interval_kind)} "
            f"{interval(best.test_low, best.test_high)}) on "
            f"{plural(best.test_items, 'item')}, baseline {share(best.seed_prompt_test_accuracy)}; "
            f"{format_verdict(best.verdict) or 'no verdict'}"
        )
    )
    items = f" on {plural(best.dev_items, 'item')}" if best.dev_items else ""
    say(f"{best.trial}: dev accuracy {share(best.dev_accuracy)}{items}; {tested}", "dim")


def print_summary(found: "EvaluationSummary") -> int:
    """Print the scores of an evaluation, and return the exit code of `promptray evaluate`."""
    rows = [
        (
            one.prompt,
            f"{_mean(one.mean)} [{one.low:.3f}, {one.high:.3f}]",
            f"{one.items:,}",
            f"{one.missing:,}",
        )
        for one in found.prompts
    ]
    print_table(("prompt", "score [95% interval]", "items", "missing"), rows)
    for line in lines_of(found):
        say(line)
    return exit_code_of(found)


def best_on_dev(job: "Job") -> str:
    """Format the best dev accuracy of a job, by task where it has several.

    Of an evaluation it is the mean score of each prompt.
    """
    if job.object == "evaluation":
        scores = [f"{one.prompt} {_mean(one.mean)}" for one in job.scores]
        return ", ".join(scores) or MISSING
    by_task = job.best_dev_accuracy_by_task
    if len(by_task) > 1:
        return ", ".join(f"{task} {share(accuracy)}" for task, accuracy in by_task.items())
    return (
        MISSING
        if job.request and len(job.request.tasks) > 1 and not by_task
        else share(job.best_dev_accuracy)
    )


def progress_of(job: "Job") -> str:
    """Format how far a job is: its trials that have ended, or its answers."""
    if job.object == "evaluation":
        return f"{job.answers:,}/{job.answers_wanted:,} answers"
    return f"{job.trials_done}/{job.trials}"


def spending_of(job: "Job") -> str:
    """Say in a sentence how far a job is, what it has spent, and what it has found."""
    use = job.usage
    cached = f"{count(use.ledger_hits)} of them cached"
    if job.object == "evaluation":
        passed = {True: " Least score reached.", False: " Least score not reached."}
        return (
            f"{progress_of(job)}; {count(use.target_calls)} target and {count(use.grader_calls)} "
            f"grader calls, {cached}; mean scores: {best_on_dev(job)}."
            + ("" if job.passed is None else passed[job.passed])
        )
    free = f", and {count(use.repeats)} free repeats" if use.repeats else ""
    return (
        f"{job.trials_told}; {count(use.target_calls)} target and {count(use.optimizer_calls)} "
        f"optimizer calls, {cached}{free}; best dev accuracy {best_on_dev(job)}."
    )


def _mean(score: float | None) -> str:
    return MISSING if score is None else f"{score:.3f}"


def job_status(job: "Job") -> str:
    """Format a job's status, with its place in the queue."""
    return f"queued ({job.queue_position})" if job.queue_position else job.status


def write_content(content: bytes, out: Path | None) -> None:
    """Write the content to a file, or print it.

    Raises:
        StorageError: The file cannot be written.
    """
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


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of plain text."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    OUT.print(table)
