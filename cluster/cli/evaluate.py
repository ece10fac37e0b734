"""`promptray evaluate`: prompts of any origin on whole data sets. Loads no Ray until it runs."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from cluster.cli import options
from cluster.cli.console import ERR, OUT, end, say, steady
from cluster.config.endpoints import address_lines
from cluster.evaluate import EvaluationOptions, read_evaluation
from cluster.evaluation.settings import EvaluationSettings
from cluster.experiment.signals import exit_code

if TYPE_CHECKING:
    from cluster.evaluation.preparation import PreparedEvaluation
    from cluster.evaluation.summary import Evaluated
    from cluster.service.schemas import EvaluationSummary

BELOW = 5
"""Exit code where a prompt is below the score that --min asks for."""
NOT_KNOWN = 4
"""Exit code where too much is missing to tell."""
_STEPS = 20
"""Lines of progress [ours]."""


def evaluate(
    prompts: Annotated[
        list[str],
        typer.Argument(help="Prompts: files of best/, .txt or .md files, or the text itself."),
    ],
    data: Annotated[str, typer.Option(help="The data, as for promptray run.")],
    target: options.Target = None,
    grader: options.Grader = None,
    input: options.Input = None,
    target_column: options.TargetColumn = None,
    least_score: options.LeastScore = None,
    money: options.WholeMoney = None,
    prices: options.Prices = None,
    target_calls: options.PaidCalls = None,
    max_tokens: options.AnswerTokens = None,
    code: options.Code = None,
    out: options.Out = None,
) -> None:
    """Score prompts on a whole data set, and compare them.

    The same command with the same --out continues, and pays nothing twice. Exit code 5: a prompt
    is below --min; 4: too many answers are missing to tell.
    """
    settings = read_evaluation(
        prompts,
        data,
        EvaluationOptions(
            target=target,
            grader=grader,
            input=input,
            target_column=target_column,
            least_score=least_score,
            money=money,
            prices=prices,
            target_calls=target_calls,
            max_tokens=max_tokens,
            code=code,
            out=out,
        ),
    )
    with steady():
        status = run_settings(settings)
    if status:
        raise typer.Exit(status)


def run_settings(settings: EvaluationSettings) -> int:
    """Run an evaluation, print it, and return the exit code."""
    from cluster.evaluation.preparation import prepare_evaluation
    from cluster.evaluation.running import run_evaluation

    prepared = prepare_evaluation(settings)
    for note in prepared.notes:
        ERR.print(Text(note, "yellow"))
    say(prepared.data.note)
    for line in address_lines([prepared.settings.target_model]):
        say(line, "dim")
    try:
        evaluated = run_evaluation(prepared, lambda text: say(f"{text} …", "dim"), _Progress())
    except KeyboardInterrupt:
        end(
            "Stopped. Every finished call is recorded; continue with:  promptray resume "
            f"{shlex.quote(prepared.out.place)}",
            exit_code(),
        )
    _show(evaluated, prepared)
    return exit_code_of(evaluated)


def exit_code_of(evaluated: "Evaluated | EvaluationSummary") -> int:
    """Return the exit code that says what an evaluation has found."""
    if evaluated.passed is False:
        return BELOW
    if evaluated.least_score is None:
        return 1 if evaluated.ended else 0
    return 0 if evaluated.passed and not evaluated.ended else NOT_KNOWN


class _Progress:
    """Prints a line when another part is done."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, done: int, total: int) -> None:
        if (step := _STEPS * done // total) > self._shown:
            self._shown = step
            say(f"{done:,} of {total:,} answers", "dim")


def _show(evaluated: "Evaluated", prepared: "PreparedEvaluation") -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in ("prompt", "score [95% interval]", "items", "missing", "verdicts"):
        table.add_column(column, overflow="fold")
    for one in evaluated.prompts:
        score = "-" if one.mean is None else f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]"
        verdicts = ", ".join(f"{count:,} {name}" for name, count in one.verdicts.items())
        cells = (one.prompt, score, f"{one.items:,}", f"{one.missing:,}", verdicts)
        table.add_row(*map(Text, cells))
    OUT.print(table)
    for line in lines_of(evaluated):
        say(line)
    say(f"Results: {prepared.out}   Items: {prepared.out.place_of('items.parquet')}")


def lines_of(evaluated: "Evaluated | EvaluationSummary") -> list[str]:
    """Return what is to be read below the table: comparisons, failures, and the verdict."""
    lines = []
    many = len(evaluated.comparisons)
    for one in evaluated.comparisons:
        if one.difference is None:
            continue
        said = one.verdict.replace("not distinguishable", "not significantly different")
        lines.append(
            f"{one.second} against {one.first}: {one.difference:+.3f} [{one.low:+.3f}, "
            f"{one.high:+.3f}], p = {one.corrected_p_value:.3g}: {said}"
            + (f" (corrected for {many} comparisons)." if many > 1 else ".")
        )
    lines += [
        f"{failure.calls:,} calls had no usable answer ({failure.kind}): {failure.reason}"
        for failure in evaluated.failures
    ]
    money = "" if evaluated.money is None else f", {evaluated.money:,.4g} spent now"
    lines.append(f"{evaluated.calls:,} answers, {evaluated.cached:,} of them cached{money}.")
    if evaluated.ended:
        lines.append(f"The evaluation is not complete: {evaluated.ended}")
    if evaluated.least_score is not None:
        said = {True: "reached", False: "not reached", None: "not known"}[evaluated.passed]
        lines.append(f"Least score {evaluated.least_score:g}: {said}.")
    return lines
