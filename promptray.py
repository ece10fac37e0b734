"""promptray for Python: find a better prompt, evaluate prompts, open what was found.

    import promptray

    result = promptray.optimize(
        "tickets.csv",
        input="text",
        target_column="label",
        model="openai:gpt-5-mini",
        prompt="Sort the ticket into one of our six departments.",
    )
    result.best.text
    client.chat.completions.create(messages=result.best.messages(text="..."), ...)

This is the same run as the command line's: a results folder, a ledger in which every paid call
stands, and a report. The same call with the same `out` continues, and pays nothing twice. It works
in a notebook, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from cluster.entry.outcome import BestPrompt, EvaluationResult, OptimizationResult
    from optimizer.prompt import Prompt

__all__ = ["evaluate", "load", "optimize"]

Model = str | Mapping[str, Any]
"""`openai:MODEL@BASE_URL`, `builtin:NAME`, `vllm:MODEL`, or a mapping with a model's settings."""
Grader = str | Mapping[str, Any] | Callable[..., Any]
"""A grader's name, a mapping with its settings, or a function `(example, answer)` that gives a
bool, a score from 0 to 1, or (score, feedback); sync or async.
"""


def optimize(
    data: Any,
    *,
    model: Model,
    optimizer: Model | None = None,
    input: str | None = None,
    target_column: str | None = None,
    grader: Grader | None = None,
    prompt: str | Path | None = None,
    keep: Sequence[str] = (),
    describe: str = "",
    strategy: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] = "apo",
    seeds: Sequence[int] = (0,),
    sizes: str | Mapping[str, float] | None = None,
    money: float | None = None,
    budget: Mapping[str, Any] | None = None,
    name: str | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> OptimizationResult:
    """Search for a better prompt, test it on locked data, and return what was found.

    Args:
        data: A path (.csv, .tsv, .jsonl, .json, .parquet), a pandas or polars DataFrame, an Arrow
            table, a datasets.Dataset, a list of rows as mappings, a mapping of the splits train,
            dev and test to any of these, or the name of a generated task. Data in memory is
            written to OUT/data, so that the folder is whole.
        model: The model that the prompt is for.
        optimizer: The model that writes prompts; None: the same one.
        input: The column of the input, or a template such as "{{question}} {{context}}".
        target_column: The column of the right answer.
        grader: What judges an answer; None: what the data suggests. A function travels to the
            workers by Ray, with the values that it encloses; what it imports must be installed
            there. `promptray resume` cannot know it: call `optimize` again instead.
        prompt: The baseline: a text, or a Path to a file.
        keep: Parts of the baseline that stay word for word in every candidate.
        describe: What the task is about, for the optimizer model.
        strategy: A strategy's name, a mapping {name: ..., settings: {...}}, or several of them.
        seeds: One search for each.
        sizes: "auto", or {train: ..., dev: ..., test: ...} as counts or shares.
        money: Budget of all trials together; needs the models' `prices`.
        budget: The section `budget` of settings; see SETTINGS.md.
        name: Of the experiment.
        out: The results folder; None makes a new one under results/.
        progress: Print how the run goes.
        **settings: Any other setting of an experiment, as a settings file has it.

    Raises:
        UserError: Settings or data are at fault; the sentence says how to mend them.
        EndpointError: A model does not answer.
    """
    from cluster.entry.given import settings_of_python, travelling
    from cluster.entry.outcome import opened
    from cluster.entry.reading import experiment_of
    from cluster.entry.running import run_to_end
    from serving.runtime.session_functions import use_functions

    functions = travelling(grader)
    use_functions(functions)
    given = settings_of_python(
        data,
        task={
            "input": input,
            "target": target_column,
            "grader": grader,
            "prompt": prompt,
            "keep": keep,
            "description": describe,
        },
        model=model,
        optimizer=optimizer,
        strategies=[strategy] if isinstance(strategy, str | Mapping) else list(strategy),
        money=money,
        name=name,
        out=out,
        others={"seeds": list(seeds), "sizes": sizes, "budget": budget, **settings},
    )
    read = experiment_of(given)
    place = run_to_end(read, _console(progress))
    columns = {task.label: task.columns.build() for task in read.tasks if task.columns}
    return opened(place, columns)


def evaluate(
    prompts: str | Path | Prompt | BestPrompt | Sequence[Any] | Mapping[str, Any],
    data: Any,
    *,
    model: Model | None = None,
    grader: Grader | None = None,
    input: str | None = None,
    target_column: str | None = None,
    min_score: float | None = None,
    money: float | None = None,
    name: str | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> EvaluationResult:
    """Score prompts on a whole data set, and compare them item by item.

    Args:
        prompts: One prompt or several: the text itself, a path to a file of best/ or a text file,
            `result.best`; a mapping gives them labels.
        data: As for `optimize`.
        model: The model to ask; None: the one that the prompts were found for.
        grader: As for `optimize`; None: the prompts' own, or what the data suggests.
        input: As for `optimize`.
        target_column: As for `optimize`.
        min_score: The mean score that every prompt must reach, for `passed`.
        money: Budget; needs the model's `prices`.
        name: Of the evaluation.
        out: The results folder; the same one continues.
        progress: Print how the run goes.
        **settings: Any other setting of an evaluation.

    Raises:
        UserError: Settings or data are at fault; the sentence says how to mend them.
        EndpointError: The model does not answer.
    """
    from cluster.entry.given import evaluation_of_python, travelling
    from cluster.entry.outcome import opened_evaluation
    from cluster.entry.running import evaluate_to_end
    from serving.runtime.session_functions import use_functions

    use_functions(travelling(grader))
    read = evaluation_of_python(
        prompts,
        data,
        task={"input": input, "target": target_column, "grader": grader},
        model=model,
        name=name,
        out=out,
        others={"least_score": min_score, "money": money, **settings},
    )
    return opened_evaluation(evaluate_to_end(read, _console(progress)))


def load(folder: str | Path) -> OptimizationResult | EvaluationResult:
    """Open the results folder of a run, whoever has made it.

    Raises:
        StorageError: There is no such folder, or it cannot be read.
        SettingsError: Its settings cannot be read.
    """
    from cluster.entry.loading import load_folder

    return load_folder(str(folder))


def _console(progress: bool) -> Console:
    from rich.console import Console

    return Console(quiet=not progress)
