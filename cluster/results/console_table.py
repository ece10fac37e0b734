"""The results as a table for the terminal: trials by task and strategy, with means over seeds."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from cluster.analysis.comparisons import corrected_verdicts, statements_on_prompts
from cluster.analysis.failures import ending_lines, error_lines
from cluster.analysis.form_control import MARK, form_alone, form_note
from cluster.analysis.methods import graded_lines
from cluster.analysis.summary import Group, summarise
from cluster.text.formatting import (
    MISSING,
    count,
    duration,
    format_settings,
    format_status,
    share,
    signed,
)
from cluster.trial.result import TrialResult

_STYLE_BY_VERDICT = {"better": "green", "worse": "red"}
_STYLE_BY_END = {"failed": "red", "stopped": "yellow", "cancelled": "yellow", "pruned": "yellow"}


@dataclass(frozen=True)
class _Column:
    """A column: its head, and the cells of a trial and of a group's mean."""

    head: str
    trial: Callable[[TrialResult], str | Text]
    mean: Callable[[Group], str]
    justify: Literal["left", "right"] = "right"
    fold: bool = False


def results_table(results: Sequence[TrialResult]) -> Table:
    """Return the table of results, a row a trial, with a row of means under several seeds.

    Errors stand below the table, each once.

    In a mean row the interval is about the trials' prompts together, over the test items of all
    seeds, and verdicts are counted as they are after correction for all statements about prompts.
    Needs about 135 columns, and 165 for a search, whose table has the points and their dev
    accuracies too.
    """
    columns = _columns(results)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(
            column.head,
            justify=column.justify,
            no_wrap=not column.fold,
            overflow="fold" if column.fold else "ellipsis",
        )
    for summary in summarise(results):
        for group in summary.groups:
            for trial in group.trials:
                table.add_row(*(_plain(column.trial(trial)) for column in columns))
            if len(group.trials) > 1:
                table.add_row(*(_plain(column.mean(group)) for column in columns), style="bold")
        table.add_section()
    if notes := _notes(results):
        table.caption = Text("\n".join(notes))
        table.caption_justify = "left"
    return table


def _columns(results: Sequence[TrialResult]) -> list[_Column]:
    """Return the columns that have content for these results."""
    searched = any(trial.settings for trial in results)
    prefixes = any(trial.prefix_hit_rate is not None for trial in results)
    judged = any(trial.grader_calls for trial in results)
    found = (*_FOUND, _verdicts(corrected_verdicts(results), form_alone(results)))
    return [
        *_WHAT,
        *(_POINT if searched else ()),
        *found,
        *(_DEV if searched else ()),
        *_COSTS,
        *(_GRADER if judged else ()),
        *(_PREFIX if prefixes else ()),
    ]


def _notes(results: Sequence[TrialResult]) -> list[str]:
    corrected = corrected_verdicts(results)
    lost = any(
        trial.trial in corrected and corrected[trial.trial] != trial.verdict for trial in results
    )
    star = (
        f"* Not significant after correction for {statements_on_prompts(results)} statements "
        "about prompts (Holm)."
    )
    return (
        error_lines(results)
        + ending_lines(results)
        + ([star] if lost else [])
        + form_note(results)
        + graded_lines(results)
    )


def _verdicts(corrected: Mapping[str, str], form: Collection[str]) -> _Column:
    return _Column(
        "verdict",
        lambda trial: _verdict(trial, corrected, form),
        lambda group: (
            f"{group.better_of(corrected)} of {group.compared} better"
            if group.compared
            else MISSING
        ),
        "left",
        fold=True,
    )


def _plain(cell: str | Text) -> Text:
    """Return the cell as a text, which is never parsed as markup."""
    return cell if isinstance(cell, Text) else Text(cell)


def _verdict(trial: TrialResult, corrected: Mapping[str, str], form: Collection[str]) -> Text:
    """Format a trial's verdict.

    Args:
        trial: The trial.
        corrected: Corrected verdicts, by trial.
        form: Trials whose gain may be form alone.
    """
    if trial.status in _STYLE_BY_END:
        tested = f", {_short(trial.shown_verdict)}" if trial.shown_verdict else ""
        return Text(format_status(trial.status) + tested, _STYLE_BY_END[trial.status])
    star = "*" if trial.trial in corrected and corrected[trial.trial] != trial.verdict else ""
    mark = MARK if trial.trial in form else ""
    return Text(
        (_short(trial.shown_verdict) or MISSING) + star + mark,
        "yellow" if mark else _STYLE_BY_VERDICT.get(trial.verdict, "yellow"),
    )


def _short(verdict: str) -> str:
    # "no significant difference" would widen the table by six columns.
    return {"not distinguishable": "not significant"}.get(verdict, verdict)


def _mean_accuracy(group: Group) -> str:
    return _with_range(group.after, group.spread.low, group.spread.high)


def _with_range(value: float | None, low: float | None, high: float | None) -> str:
    return MISSING if value is None else f"{share(value)} [{share(low)}, {share(high)}]"


_WHAT = (
    _Column("task", lambda trial: trial.task, lambda group: group.task, "left", fold=True),
    _Column(
        "strategy", lambda trial: trial.strategy, lambda group: group.strategy, "left", fold=True
    ),
)
_POINT = (
    _Column(
        "settings",
        lambda trial: format_settings(trial.settings),
        lambda group: format_settings(group.settings),
        "left",
        fold=True,
    ),
)
_FOUND = (
    _Column("seed", lambda trial: str(trial.seed), lambda group: "mean"),
    _Column(
        "base-\nline",
        lambda trial: share(trial.seed_prompt_test_accuracy),
        lambda group: share(group.before),
    ),
    _Column(
        "best prompt\n[95% interval]",
        lambda trial: _with_range(trial.test_accuracy, trial.test_low, trial.test_high),
        _mean_accuracy,
        "left",
    ),
)
_DEV = (_Column("dev", lambda trial: share(trial.dev_accuracy), lambda group: share(group.dev)),)
_COSTS = (
    _Column(
        "dev −\ntest",  # noqa: RUF001 - a minus
        lambda trial: signed(trial.gap),
        lambda group: signed(group.mean_of("gap")),
    ),
    _Column(
        "steps\nfollowed",
        lambda trial: share(trial.adherence),
        lambda group: share(group.mean_of("adherence")),
    ),
    _Column(
        "target\ncalls",
        lambda trial: count(trial.target_calls),
        lambda group: count(group.mean_of("target_calls")),
    ),
    _Column(
        "optimizer\ncalls",
        lambda trial: count(trial.optimizer_calls),
        lambda group: count(group.mean_of("optimizer_calls")),
    ),
    _Column(
        "wall\ntime",
        lambda trial: duration(trial.wall_s),
        lambda group: duration(group.mean_of("wall_s")),
    ),
)
_GRADER = (
    _Column(
        "grader\ncalls",
        lambda trial: count(trial.grader_calls),
        lambda group: count(group.mean_of("grader_calls")),
    ),
)
_PREFIX = (
    _Column(
        "prefix\nhits",
        lambda trial: share(trial.prefix_hit_rate),
        lambda group: share(group.mean_of("prefix_hit_rate")),
    ),
)
