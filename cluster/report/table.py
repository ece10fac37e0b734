"""The results as a table for the terminal: trials by task and strategy, with means over seeds. Knows nothing of files."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from cluster.report.summary import Group, summarise
from cluster.report.wording import MISSING, count, duration, share
from cluster.result import TrialResult

_STYLE_BY_VERDICT = {"better": "green", "worse": "red"}


def results_table(results: Sequence[TrialResult]) -> Table:
    """A row a trial, and under each strategy with several seeds the row of their means. Errors stand below the table.

    In a mean row the range after the accuracy is that of its trials, not a confidence interval. Needs about 120 columns.
    """
    table = _empty()
    for summary in summarise(results):
        for group in summary.groups:
            for trial in group.trials:
                table.add_row(*_trial_cells(trial))
            if len(group.trials) > 1:
                table.add_row(*_mean_cells(group), style="bold")
        table.add_section()
    if failures := [f"{trial.trial}: {trial.error}" for trial in results if trial.error]:
        table.caption = Text("\n".join(failures))
        table.caption_justify = "left"
    return table


def _empty() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("task", overflow="fold")
    table.add_column("strategy", overflow="fold")
    table.add_column("seed", justify="right")
    table.add_column("seed\nprompt", justify="right")
    table.add_column("best prompt\n[95% interval]", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for name in ("adher-\nence", "target\ncalls", "optimizer\ncalls", "wall\ntime"):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _trial_cells(trial: TrialResult) -> list[Text]:
    return [
        Text(trial.task), Text(trial.strategy), Text(str(trial.seed)), Text(share(trial.seed_prompt_test_accuracy)),
        Text(_with_range(trial.test_accuracy, trial.test_low, trial.test_high)), _verdict(trial), Text(share(trial.adherence)),
        Text(count(trial.target_calls)), Text(count(trial.optimizer_calls)), Text(duration(trial.wall_s))]


def _verdict(trial: TrialResult) -> Text:
    if trial.status in {"failed", "stopped"}:
        return Text(trial.status, "red" if trial.status == "failed" else "yellow")
    return Text(trial.verdict or MISSING, _STYLE_BY_VERDICT.get(trial.verdict, "yellow"))


def _mean_cells(group: Group) -> list[Text]:
    accuracies = [trial.test_accuracy for trial in group.trials if trial.test_accuracy is not None]
    low, high = min(accuracies, default=None), max(accuracies, default=None)
    return [Text(cell) for cell in (
        group.task, group.strategy, "mean", share(group.before), _with_range(group.after, low, high),
        f"better {group.better} of {group.tested}", share(group.mean_of("adherence")), count(group.mean_of("target_calls")),
        count(group.mean_of("optimizer_calls")), duration(group.mean_of("wall_s")))]


def _with_range(value: float | None, low: float | None, high: float | None) -> str:
    return MISSING if value is None else f"{share(value)} [{share(low)}, {share(high)}]"
