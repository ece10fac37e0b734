"""A check for the terminal: a table of its tasks, a sentence for each, and the cost estimate."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cluster.analysis.failures import reason_lines
from cluster.headroom.check import Check, TaskCheck
from cluster.headroom.cost_estimate import Bound, ExperimentEstimate, format_money, format_tokens
from cluster.text.formatting import MISSING, count, duration, interval, share

_TASKS = (
    "task",
    "baseline\n[95% interval]",
    "change on\nrepeat",
    "noise\nsd",
    "best other\nprompt",
    "best\nof-k",
    "expected\nby chance",
    "estimated\nceiling",
    "head-\nroom",
    "min. detect-\nable gain",
)


def check_table(check: Check) -> Group:
    """Return tables and sentences of a check. Needs about 105 columns."""
    sentences = [line for task in check.tasks for line in _sentences(task)]
    labels = {
        "target": "the target model",
        "optimizer": "the optimizer model",
        "grader": "the model that grades",
    }
    failures = reason_lines((labels[failure.model], failure) for failure in check.failures)
    source = "as measured here" if check.estimate.measured else "assumed where nothing was measured"
    note = f"Calls are bounded by the budgets; tokens, money and time of a call are {source}."
    if graded := [task.task for task in check.tasks if task.seed_prompt.kind == "bootstrap"]:
        note += (
            f" On {', '.join(graded)}, accuracy is the mean of graded scores, with a 95% bootstrap "
            "interval, and what can be detected follows from how much they differ."
        )
    warnings = [Text(line, "yellow") for line in failures]
    return Group(
        _tasks(check), *sentences, *warnings, Text(), _costs(check.estimate), Text(note, "dim")
    )


def _tasks(check: Check) -> Table:
    table = _table(_TASKS)
    for task in check.tasks:
        seed = task.seed_prompt
        shown = (
            MISSING
            if seed.mean is None
            else f"{share(seed.mean)} [{interval(seed.low, seed.high).replace(' to ', ', ')}]"
        )
        noise = MISSING if task.noise.sd is None else f"{task.noise.sd:.3f}"
        figures: tuple[str, ...] = (
            share(task.noise.flip_rate),
            noise,
            share(task.best_other_accuracy),
            share(task.ever_right),
            share(task.chance_of_any),
            share(task.ceiling),
            share(task.headroom),
        )
        if not task.task_estimate.known:
            # Answers that were parsed wrongly show neither noise nor headroom.
            figures = (MISSING,) * len(figures)
        table.add_row(*map(Text, (task.task, shown, *figures, share(task.detectable))))
    return table


def _sentences(task: TaskCheck) -> Iterator[Text]:
    """Yield how answers were parsed before the verdict on headroom, which depends on it."""
    for line in task.warnings:
        yield Text(f"{task.task}: ", "bold") + Text(line, "yellow")
    if task.agreement is not None:
        yield Text(f"{task.task}: ", "bold") + Text(task.agreement.sentence)
    yield Text(f"{task.task}: ", "bold") + Text(
        task.task_estimate.sentence, "green" if task.task_estimate.pays else "yellow"
    )


def _costs(estimate: ExperimentEstimate) -> Table:
    calls = [f"{role}\ncalls" for role in estimate.roles]
    table = _table(("at most", *calls, "tokens", "money", "wall time"))
    rows = (("a trial", 1), (f"all {estimate.trials} trials", estimate.trials))
    for name, times in rows:
        table.add_row(*map(Text, (name, *_cells([bound * times for bound in _bounds(estimate)]))))
    return table


def _bounds(estimate: ExperimentEstimate) -> list[Bound]:
    grader = [estimate.grader] if estimate.grader else []
    return [estimate.target, estimate.optimizer, *grader]


def _cells(bounds: Sequence[Bound]) -> tuple[str, ...]:
    calls = ("no limit" if bound.calls is None else count(bound.calls) for bound in bounds)
    first, *others = bounds
    for bound in others:
        first += bound
    return (*calls, format_tokens(first.tokens), format_money(first.money), duration(first.wall_s))


def _table(heads: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    return table
